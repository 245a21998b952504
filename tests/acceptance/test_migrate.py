"""A tenant goes from one isolation mode and store to another while it works: nothing is lost, nothing fails, one place
answers, and the old one is erased with a certificate."""
import json
import os
import random
import signal

import pytest
from conftest import SMALL_USERS, WIDE_LIMITS, Person, Tenant, add_document, eventually
from test_backup import FAULT_RUNS
from test_generation import worker_counter
from test_stores import store_sections
from traffic import Traffic, steps

WORDS = "The quixotic door of {} opens with seventeen knocks."
# One way round through every mode and layout.
ROUND = (("pooled", "row-level-security"), ("silo", "database"), ("hybrid", "schema"), ("pooled", "row-level-security"),
         ("hybrid", "embedded"), ("silo", "embedded"), ("hybrid", "database"), ("hybrid", "embedded"))


def start_tenants(stack, names):
    for name in names:
        for user, roles, groups in SMALL_USERS:
            stack.add_client(name, user, roles, groups)
    stack.start()
    tenants = {}
    for name in names:
        stack.create_tenant(name, name, {"limits": WIDE_LIMITS, "keep_chats": True})
        tenants[name] = Tenant(name)
        clients = {c["subject"]: c for c in stack.clients if c["tenant"] == name}
        for user, roles, groups in SMALL_USERS[:2]:
            made = stack.call("POST", "/v1/bulkhead/api_keys", stack.token(clients["boss"]),
                              {"name": "test", "user": user, "roles": roles, "groups": groups})
            assert made.status == 200, made.body
            tenants[name].people[user] = Person(stack, clients[user], made.json()["key"], made.json()["id"])
        file, tenants[name].store = add_document(tenants[name].member, "door.txt", WORDS.format(name), access={"shared": True})
        tenants[name].files["door.txt"] = file
    return tenants


@pytest.fixture(scope="module")
def moving(new_stack, server, password_file):
    stack = new_stack(extra=store_sections(server, password_file), engine="dedicated_max = 2", context=1024)
    return stack, start_tenants(stack, ("alpha", "beta", "gamma"))


def migrate(stack, name, mode, store=None, *more, check=True):
    where = ["--store", store] if store else []
    return stack.operator_cli("tenant", "migrate", name, "--to", mode, *where, *more, check=check)


def show(stack, name):
    return json.loads(stack.operator_cli("tenant", "show", name).stdout)


def everything_is_there(tenant):
    found = tenant.member.call("POST", f"/v1/vector_stores/{tenant.store}/search", {"query": "What opens the door?"})
    assert found.status == 200 and "seventeen knocks" in found.body.decode(), found.body
    content = tenant.member.call("GET", f"/v1/files/{tenant.files['door.txt']}/content")
    assert content.body.decode() == WORDS.format(tenant.name)


def test_through_every_mode_and_layout_while_it_works(moving, tmp_path):
    stack, tenants = moving
    alpha = tenants["alpha"]
    ids = [key["id"] for key in alpha.admin.call("GET", "/v1/bulkhead/api_keys").json()["data"]]
    with Traffic(alpha) as traffic:
        for number, (mode, store) in enumerate(ROUND):
            file = tmp_path / f"{number}.json"
            out = migrate(stack, "alpha", mode, store, "--certificate", file).stdout
            assert "certificate in" in out
            shown = show(stack, "alpha")
            assert shown["mode"] == mode and "move" not in shown
            assert shown["policy"]["store"] == ("" if store == "embedded" else store)
            assert shown["policy"]["engine"]["engine"] == ("dedicated" if mode == "silo" else "shared")
            assert shown["keys"]["rotation"] == "none"
            certificate = json.loads(file.read_text())
            assert certificate["to"] == {"mode": mode, "store": store}
            stayed = certificate["from"]["store"] == store
            assert (certificate["records"] > 5) != stayed and bool(certificate["removed"]) != stayed
            good = stack.cli("certificate", "verify", file, "--key", stack.audit_dir / "audit-key.pub", config=False, check=False)
            assert good.returncode == 0, good.stderr
            embedded = (stack.data_dir / "tenants" / "alpha" / "store.db").exists()
            assert embedded == (store == "embedded"), "one place, and no other"
            everything_is_there(alpha)
    traffic.check()
    assert [key["id"] for key in alpha.admin.call("GET", "/v1/bulkhead/api_keys").json()["data"]] == ids
    assert len(stack.operator_cli("tenant", "migrate", "alpha", "--list").stdout.splitlines()) == len(ROUND)
    for event in ("tenant_move_started", "tenant_moved"):
        events = stack.call("GET", f"/admin/audit?event={event}&limit=100", stack.operator_key).json()["data"]
        assert len(events) >= len(ROUND)
    everything_is_there(tenants["beta"])


def test_nothing_is_left_in_the_old_place(moving, server):
    stack, tenants = moving
    beta = tenants["beta"]
    migrate(stack, "beta", "hybrid", "schema")
    log = server.log.read_bytes()
    everything_is_there(beta)
    certificate = json.loads(migrate(stack, "beta", "hybrid", "embedded").stdout.splitlines()[-1])
    assert any("schema" in each for each in certificate["removed"]) and certificate["database_key_destroyed"] > 0
    schema = next(each.split()[-1] for each in certificate["removed"] if "schema" in each)
    assert schema.encode() in log, "control: it was there"
    left = server.run("psql", "-h", str(server.folder), "-U", "postgres", "-d", "bulkhead", "-Atc",
                      f"SELECT count(*) FROM pg_namespace WHERE nspname = '{schema}'",
                      env={"PGPASSWORD": server.PASSWORD}) if (server.install / "bin/psql").exists() else "0"
    assert left.strip() == "0"
    everything_is_there(beta)


@pytest.mark.parametrize("mode,store,said", [
    ("hybrid", None, "already"), ("pooled", None, "row_level_security"), ("pooled", "schema", "can't give"),
    ("silo", "schema", "can't give"), ("hybrid", "no-such", "no [[store]]"), ("nonsense", None, "must be silo")])
def test_what_cannot_be_is_refused(moving, mode, store, said):
    stack, tenants = moving
    refused = migrate(stack, "gamma", mode, store, check=False)
    assert refused.returncode == 1 and said in refused.stderr, refused.stderr
    assert "move" not in show(stack, "gamma")
    everything_is_there(tenants["gamma"])


def test_what_the_shared_workers_kept_of_a_tenant_that_moved_is_burned(moving):
    stack, tenants = moving
    policy = json.loads(stack.operator_cli("tenant", "show", "gamma").stdout)["policy"]
    policy["engine"].update(prefix_cache="session", prefix_cache_seconds=3600)
    assert stack.call("PUT", "/admin/tenants/gamma/policy", stack.operator_key, policy).status == 200
    assert stack.chat(tenants["gamma"].member.key, "Remember this door. " * 20, max_tokens=2).status == 200
    kept = lambda: worker_counter(stack, "bulkhead_engine_kept_prefixes")
    eventually(lambda: kept() == 1, "control: it is kept")
    migrate(stack, "gamma", "hybrid", "database")
    eventually(lambda: kept() == 0, "nothing is left")
    migrate(stack, "gamma", "hybrid", "embedded")


def test_a_suspended_tenant_is_moved_and_stays_suspended(moving):
    stack, tenants = moving
    stack.operator_cli("tenant", "suspend", "gamma")
    migrate(stack, "gamma", "hybrid", "database")
    assert show(stack, "gamma")["state"] == "suspended"
    assert tenants["gamma"].member.call("GET", "/v1/files").status == 403
    stack.operator_cli("tenant", "resume", "gamma")
    everything_is_there(tenants["gamma"])
    migrate(stack, "gamma", "hybrid", "embedded")


def test_a_store_that_cannot_be_reached_delays_and_can_be_given_up(moving, server):
    stack, tenants = moving
    server.stop()
    migrate(stack, "gamma", "hybrid", "schema", "--no-wait")
    eventually(lambda: show(stack, "gamma")["move"]["delayed"], "it says that it stands still")
    refused = migrate(stack, "gamma", "hybrid", "database", check=False)
    assert refused.returncode == 1 and "under way" in refused.stderr, "one at a time"
    rotate = stack.operator_cli("keys", "rotate", "--tenant", "gamma", check=False)
    assert rotate.returncode == 1, "it would destroy keys under which the copy is written"
    everything_is_there(tenants["gamma"])
    server.start()
    eventually(lambda: "move" not in show(stack, "gamma"), "it goes on by itself", 60)
    assert show(stack, "gamma")["policy"]["store"] == "schema"
    everything_is_there(tenants["gamma"])
    migrate(stack, "gamma", "hybrid", "embedded")
    server.stop()
    migrate(stack, "gamma", "hybrid", "schema", "--no-wait")
    server.start()
    stack.operator_cli("tenant", "migrate", "gamma", "--cancel", check=False)
    eventually(lambda: "move" not in show(stack, "gamma"), "it was given up, or was done before", 60)
    everything_is_there(tenants["gamma"])


def test_kills_at_any_moment_of_a_move(moving):
    """After each the tenant answers from one place, everything acknowledged is there, and the move ends by itself."""
    stack, tenants = moving
    alpha = tenants["alpha"]
    chosen = random.Random(int(os.environ.get("FAULT_SEED", "13")))
    places = [("pooled", "row-level-security"), ("hybrid", "schema"), ("hybrid", "database"), ("hybrid", "embedded")]
    for number in range(FAULT_RUNS):
        now = show(stack, "alpha")
        mode, store = chosen.choice([p for p in places if p[1] != (now["policy"]["store"] or "embedded")])
        with Traffic(alpha, threads=2) as traffic:
            eventually(lambda: len(traffic.kept) > 2, "writing goes on")
            migrate(stack, "alpha", mode, store, "--no-wait")
            steps(lambda: tenants["beta"].member.call("GET", "/v1/files"), 120, chosen)
            traffic.outage_is_fine = True
            stack.stop_process("gateway", signal.SIGKILL)
            stack.start_gateway()
            eventually(lambda: "move" not in show(stack, "alpha"), "the move goes on by itself", 90)
        traffic.check()
        shown = show(stack, "alpha")
        assert (shown["mode"], shown["policy"]["store"] or "embedded") == (mode, store), f"round {number}"
        assert (stack.data_dir / "tenants" / "alpha" / "store.db").exists() == (store == "embedded")
        everything_is_there(alpha)
        for file in list(traffic.kept):
            alpha.member.call("DELETE", f"/v1/files/{file}")
    assert stack.cli("audit", "verify", "--dir", stack.audit_dir, config=False, check=False).returncode == 0


def test_a_kill_while_traffic_goes_on_changes_nothing_for_others(moving):
    _, tenants = moving
    for name in ("beta", "gamma"):
        everything_is_there(tenants[name])
