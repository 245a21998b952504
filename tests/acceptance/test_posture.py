"""`bulkhead posture`: tenants of every mode looked at in a live deployment; each kind of wall broken once, by hand,
is found, named, and makes the command fail."""
import html.parser
import json
import os
import signal

import pytest
from conftest import add_document, eventually, start_small
from postgres import Postgres
from test_modes import ask_everything, own_worker, start_modes
from test_stores import store_sections

MODES = {"vault": ("silo", "", {}), "castle": ("silo", "database", {}), "house": ("hybrid", "", {}),
         "cottage": ("hybrid", "schema", {}), "hut": ("hybrid", "schema", {}),
         "flat": ("pooled", "row-level-security", {}), "loft": ("pooled", "row-level-security", {})}
LAYERS = ["identity", "engine", "prefixes", "batching", "store", "records", "keys", "vectors", "retention", "limits"]
NASTY = '<script>alert("x")</script>&\'\x1b[31m'
SECRET = "quixotic"


@pytest.fixture(scope="module")
def deployment(new_stack, server, password_file):  # noqa: F811
    stack = new_stack(extra=store_sections(server, password_file), engine="dedicated_max = 2", context=1024)
    tenants = start_modes(stack, MODES)
    made = stack.call("POST", "/admin/tenants", stack.operator_key, {"id": "empty", "display_name": NASTY})
    assert made.status == 200, made.body
    for tenant in tenants.values():
        _, store = add_document(tenant.admin, "vault.txt", f"The code of the {tenant.name} door is {SECRET}.")
        found = tenant.admin.call("POST", f"/v1/vector_stores/{store}/search", {"query": "What is the door's code?"})
        assert found.status == 200
    assert ask_everything(tenants["vault"]) == [200, 200]
    own_worker(stack, tenants["vault"])
    return stack, tenants


def posture(stack, *options, code=0):
    done = stack.operator_cli("posture", *options, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def report(stack, *options, code=0):
    return json.loads(posture(stack, *options, "--json", code=code))


def walls_of(report_, name=None, layer=None):
    holder = report_["platform"] if name is None else next(t for t in report_["tenants"] if t["id"] == name)
    return [w for w in holder["walls"] if layer in (None, w["layer"])]


def broken(report_):
    found = [("platform", w) for w in walls_of(report_) if w["verdict"] == "broken"]
    return found + [(t["id"], w) for t in report_["tenants"] for w in t["walls"] if w["verdict"] == "broken"]


def test_every_mode_shows_its_walls_and_what_they_cost(deployment):
    stack, _ = deployment
    seen = report(stack)
    assert seen["broken"] == 0 and broken(seen) == []
    assert {t["id"]: t["mode"] for t in seen["tenants"]} == {"empty": "hybrid", **{n: m[0] for n, m in MODES.items()}}
    for name in MODES:
        assert {w["layer"] for w in walls_of(seen, name)} == set(LAYERS), name
        for layer in ("identity", "prefixes", "store", "records", "keys", "vectors", "limits"):
            assert {w["verdict"] for w in walls_of(seen, name, layer)} == {"stands"}, (name, layer)
        assert all(w["check"] and w["wall"] for w in walls_of(seen, name))
    assert {w["layer"] for w in walls_of(seen)} == {"access", "engine", "files", "audit"}
    assert {w["verdict"] for w in walls_of(seen)} == {"stands"}
    verdicts = {name: walls_of(seen, name, "engine")[0]["verdict"] for name in MODES}
    assert verdicts["vault"] == "stands" and {verdicts["house"], verdicts["cottage"], verdicts["flat"]} == {"shared"}
    cost = {t["id"]: t["cost"] for t in seen["tenants"]}
    assert cost["vault"]["processes"] == 1 and cost["vault"]["resident_bytes"] > 10_000_000
    assert cost["house"]["processes"] == 0 and cost["flat"]["processes"] == 0
    assert all(cost[name]["storage_bytes"] > 0 and cost[name]["index_bytes"] > 0 for name in MODES)
    assert cost["empty"]["storage_bytes"] == 0
    assert "with the key of tenant" in " ".join(w["check"] for w in walls_of(seen, "house", "store"))
    assert seen["platform"]["cost"]["processes"] >= 3, "the gateway and two shared workers"


def test_the_checks_are_of_this_moment(deployment):
    stack, tenants = deployment
    assert ask_everything(tenants["vault"]) == [200, 200]
    pid = own_worker(stack, tenants["vault"])
    assert f"process {pid}:" in walls_of(report(stack, "vault"), "vault", "engine")[0]["check"]
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: f"process {pid}:" not in walls_of(report(stack, "vault"), "vault", "engine")[0]["check"],
               "the dead worker is no longer told")
    first, second = (walls_of(report(stack))[-1] for _ in range(2))
    assert first["layer"] == "audit" and first["check"] != second["check"], "the log has grown and was read again"


def test_one_tenant_can_be_asked_for_and_another_name_is_refused(deployment):
    stack, _ = deployment
    assert [t["id"] for t in report(stack, "flat")["tenants"]] == ["flat"]
    assert "No such tenant" in stack.operator_cli("posture", "nobody", check=False).stderr
    assert stack.operator_cli("posture", "a&b", check=False).returncode == 1
    assert stack.call("GET", "/admin/posture?x=1", stack.operator_key).status == 400


def test_only_the_operator_sees_it_and_no_content_is_in_it(deployment):
    stack, tenants = deployment
    assert tenants["vault"].admin.call("GET", "/admin/posture").status == 403
    assert stack.call("GET", "/admin/posture").status == 401
    text = json.dumps(report(stack)) + posture(stack) + posture(stack, "--html")
    assert SECRET not in text and "vault.txt" not in text
    assert "castle" in text, "control: names of tenants are"


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.links, self.text = [], [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [v for k, v in attributes if k in ("src", "href") or k.startswith("on")]

    def handle_data(self, data):
        self.text += data


def test_table_and_page_show_the_same_and_escape_what_was_typed(deployment):
    stack, _ = deployment
    table, page_text = posture(stack), posture(stack, "--html")
    page = Page(page_text)
    assert "script" not in page.tags and "img" not in page.tags and page.links == [], "self-contained, nothing injected"
    assert '<script>alert("x")</script>&' in page.text, "control: the name is there, as text"
    assert "\x1b" not in table and "[31m" in table
    for name in MODES:
        assert name in table and name in page.text
    for layer in LAYERS:
        assert f"  {layer} " in table and layer in page.text
    assert "No wall is broken" in page.text and "no wall is broken" in table


def test_the_page_goes_to_a_private_file(deployment):
    stack, _ = deployment
    file = stack.folder / "posture.html"
    assert posture(stack, "--html", "--file", file) == ""
    assert file.read_text().startswith("<!doctype html>") and file.stat().st_mode & 0o777 == 0o600


# --- a wall taken down by hand is found ---------------------------------------------------------------------------

def found_broken(stack, whose, layer, *words):
    """The report fails, and names this wall of this holder with these words; returns everything that is broken."""
    seen = report(stack, code=1)
    names = broken(seen)
    assert seen["broken"] == len(names) > 0
    own = [w for holder, w in names if holder == whose and w["layer"] == layer]
    assert own and all(w["remedy"] for w in own), names
    said = " ".join(w["check"] + w["remedy"] for w in own)
    assert all(word in said for word in words), said
    table = posture(stack, code=1)
    assert "BROKEN" in table and "->" in table
    assert f"{len(names)} wall" in Page(posture(stack, "--html", code=1)).text
    return {(holder, w["layer"]) for holder, w in names}


def sql(server_, database, statement):
    """As the database's superuser; the server is alone on its socket with the password the tests know."""
    return server_.run("psql", "-h", server_.folder, "-U", "postgres", "-d", database, "-v", "ON_ERROR_STOP=1", "-Atc",
                       statement, env={"PGPASSWORD": Postgres.PASSWORD})


@pytest.mark.parametrize("break_,mend,words", [
    ('ALTER TABLE bh_row.files NO FORCE ROW LEVEL SECURITY', 'ALTER TABLE bh_row.files FORCE ROW LEVEL SECURITY',
     ("FORCE ROW LEVEL SECURITY", "to the tables' owner")),
    ('CREATE POLICY extra ON bh_row.files USING (true)', 'DROP POLICY extra ON bh_row.files',
     ("row policies", "rows under another tenant's setting")),
    ('ALTER ROLE bh_row_app BYPASSRLS', 'ALTER ROLE bh_row_app NOBYPASSRLS', ("may pass every wall",))])
def test_a_wall_of_the_shared_tables_taken_down_is_found(deployment, server, break_, mend, words):  # noqa: F811
    stack, _ = deployment
    sql(server, "bulkhead", break_)
    try:
        where = found_broken(stack, "flat", "store", *words)
        assert ("loft", "store") in where and ("house", "store") not in where and ("castle", "store") not in where
    finally:
        sql(server, "bulkhead", mend)
    assert report(stack)["broken"] == 0


def test_a_schema_opened_to_another_role_is_found(deployment, server):  # noqa: F811
    stack, _ = deployment
    sql(server, "bulkhead", "DO $$ DECLARE r record; s record; BEGIN FOR r IN SELECT rolname FROM pg_roles WHERE rolname "
        "LIKE 'bh_sch_%' LOOP FOR s IN SELECT nspname FROM pg_namespace WHERE nspname LIKE 'bh_sch_%' LOOP EXECUTE "
        "format('GRANT USAGE ON SCHEMA %I TO %I; GRANT SELECT ON ALL TABLES IN SCHEMA %1$I TO %2$I', s.nspname, "
        "r.rolname); END LOOP; END LOOP; END $$")
    try:
        assert ("hut", "store") in found_broken(stack, "cottage", "store", "READ ANOTHER TENANT'S TABLE")
    finally:
        sql(server, "bulkhead", "DO $$ DECLARE r record; s record; BEGIN FOR r IN SELECT rolname FROM pg_roles WHERE "
            "rolname LIKE 'bh_sch_%' LOOP FOR s IN SELECT nspname FROM pg_namespace WHERE nspname LIKE 'bh_sch_%' AND "
            "nspname <> r.rolname LOOP EXECUTE format('REVOKE ALL ON SCHEMA %I FROM %I; REVOKE ALL ON ALL TABLES IN "
            "SCHEMA %1$I FROM %2$I', s.nspname, r.rolname); END LOOP; END LOOP; END $$")
    assert report(stack, "hut")["broken"] == 0


def test_a_database_that_lets_strangers_in_is_found(deployment, server):  # noqa: F811
    stack, _ = deployment
    sql(server, "bulkhead", "GRANT CONNECT ON DATABASE bulkhead TO PUBLIC")
    try:
        assert ("flat", "store") not in found_broken(stack, "castle", "store", "ENTERS THE DATABASE")
    finally:
        sql(server, "bulkhead", "REVOKE CONNECT ON DATABASE bulkhead FROM PUBLIC")
    assert report(stack)["broken"] == 0


@pytest.mark.parametrize("path,whose,layer", [("platform.key", "platform", "files"),
                                              ("data/platform.db", "platform", "files"),
                                              ("data/tls/key.pem", "platform", "files"),
                                              ("data/tenants/house/store.db", "house", "store"),
                                              ("data/tenants/vault", "vault", "store")])
def test_a_file_that_others_may_read_is_found(deployment, path, whose, layer):
    stack, _ = deployment
    file = stack.folder / path
    before = file.stat().st_mode & 0o777
    file.chmod(before | 0o044)
    try:
        assert found_broken(stack, whose, layer, "chmod", file.name) >= {(whose, layer)}
    finally:
        file.chmod(before)
    assert report(stack)["broken"] == 0


def test_anothers_file_in_its_place_is_found(new_stack):
    """The house's file put where the yard's was: another key's."""
    stack = new_stack(context=1024)
    tenants = start_small(stack, names=("house", "yard"))
    stack.stop_process("gateway")
    theirs, own = (stack.data_dir / "tenants" / name / "store.db" for name in ("house", "yard"))
    kept = own.read_bytes()
    own.write_bytes(theirs.read_bytes())
    stack.start_gateway()
    where = found_broken(stack, "yard", "store", "key")
    assert ("house", "store") not in where
    stack.stop_process("gateway")
    own.write_bytes(kept)
    stack.start_gateway()
    assert report(stack)["broken"] == 0
    assert tenants["yard"].admin.call("GET", "/v1/files").status == 200


def test_a_store_that_cant_be_looked_at_is_not_said_to_stand(deployment, server):  # noqa: F811
    stack, _ = deployment
    server.stop()
    try:
        where = found_broken(stack, "castle", "store", "could not be looked at")
        assert ("flat", "store") in where and ("house", "store") not in where
    finally:
        server.start()
    eventually(lambda: stack.operator_cli("posture", check=False).returncode == 0, "all walls are seen to stand again")


def test_a_damaged_log_is_found(new_stack):
    stack = new_stack(context=1024)
    start_small(stack, names=("house",))
    assert report(stack)["broken"] == 0, "control"
    segment = sorted(stack.audit_dir.glob("*.jsonl"))[0]
    text = segment.read_bytes()
    at = text.index(b'"event":"tenant_created"')
    with open(segment, "r+b") as file:
        file.seek(at + len(b'"event":"tenant_c'))
        file.write(b"x")
    assert found_broken(stack, "platform", "audit", segment.name) == {("platform", "audit")}


def test_burning_switched_off_is_said(new_stack):
    stack = new_stack(burn=False, context=1024)
    start_small(stack, names=("house",))
    assert ("house", "retention") in found_broken(stack, "house", "retention", "burn = false")


def test_a_suspended_tenant_is_closed_not_broken(deployment):
    stack, _ = deployment
    stack.operator_cli("tenant", "suspend", "loft")
    try:
        seen = report(stack)
        assert [w["verdict"] for w in walls_of(seen, "loft", "store")] == ["idle"]
        assert walls_of(seen, "loft", "identity")[0]["verdict"] == "stands"
    finally:
        stack.operator_cli("tenant", "resume", "loft")


def test_a_gateway_that_does_not_run_is_said(new_stack):
    stack = new_stack()
    stack.write_config()
    stack.cli("init", "--operator-key-file", stack.operator_key_file)
    done = stack.operator_cli("posture", check=False)
    assert done.returncode == 1 and "not running" in done.stderr
