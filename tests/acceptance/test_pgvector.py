"""Tenants whose passages PostgreSQL itself searches, over vectors rotated by a key of each: the same answers as from the
index in memory, nobody else's, and no vector that says anything without the key."""
import json
import math
import signal
import subprocess

import pytest
from conftest import SMALL_USERS, add_document, add_tenant, eventually
from gguf_model import with_other_signs
from stack import BULKHEAD
from test_backup import backup_section
from test_embedding_spaces import FIRST, QUESTIONS, TOPICS, Asking, Library, dot, embed, in_use, replace
from test_migrate import migrate, show
from test_stores import store_sections

STORES = {"schema": ("schema", "pgvector"), "database": ("database", "pgvector"),
          "shared": ("row_level_security", "pgvector"), "sealed": ("schema", "sealed")}
# The control, searched in memory, comes first.
PLACES = {"exact": ("hybrid", "sealed"), "alpha": ("hybrid", "schema"), "beta": ("hybrid", "schema"),
          "gamma": ("hybrid", "database"), "delta": ("pooled", "shared"), "omega": ("pooled", "shared")}
SEARCHED = [name for name, (_, store) in PLACES.items() if store != "sealed"]


def sections(server, password_file, **changes):
    out = ""
    for name, (layout, vectors) in STORES.items():
        keys = {"name": name, "kind": "postgres", "layout": layout, "vectors": vectors, "host": str(server.folder),
                "dbname": f"db_{name}", "admin_password_file": str(password_file), "sslmode": "disable",
                "prefix": f"bh_{name}", **changes}
        out += "[[store]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
    return out


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("embedding-models")
    with_other_signs(FIRST, folder / "second.gguf")
    return folder


@pytest.fixture(scope="module")
def searching(new_stack, server, password_file, models, tmp_path_factory):
    for name, (layout, vectors) in STORES.items():
        if vectors == "sealed" or layout == "database":
            server.sql(f"CREATE DATABASE db_{name} OWNER bulkhead_admin")
            server.closed(f"db_{name}")
        if vectors == "pgvector":
            server.with_pgvector("bh_database_template" if layout == "database" else f"db_{name}", f"bh_{name}")
    backups, archives, _ = backup_section(tmp_path_factory.mktemp("backups"))
    stack = new_stack(extra=sections(server, password_file) + backups, engine=f'model_dir = "{models}"\ndedicated_max = 2',
                      slots=2, context=1024)
    stack.archives = archives
    for name in PLACES:
        for user, roles, groups in SMALL_USERS:
            stack.add_client(name, user, roles, groups)
    stack.start()
    libraries = {}
    for name, (mode, store) in PLACES.items():
        tenant = add_tenant(stack, name, SMALL_USERS, options=("--mode", mode, "--store", store))
        libraries[name] = Library(tenant)
    return stack, libraries


def answers(library):
    """What each question finds: names and scores, best first."""
    found = {}
    for question in QUESTIONS:
        answer = library.search(question)
        assert answer.status == 200, answer.body
        found[question] = [(library.names[hit["file_id"]], hit["score"]) for hit in answer.json()["data"]]
    return found


def same(left, right):
    for question in QUESTIONS:
        assert [name for name, _ in left[question]] == [name for name, _ in right[question]], question
        assert all(abs(a - b) < 1e-3 for (_, a), (_, b) in zip(left[question], right[question])), question
    return True


class Rows:
    """Where one tenant's rotated vectors are, as the server's superuser sees them."""

    def __init__(self, server, library, store):
        self.server, layout = server, STORES[store][0]
        file = next(iter(library.names))
        databases = [f"db_{store}"]
        if layout == "database":
            databases = server.sql(f"SELECT datname FROM pg_database WHERE datname LIKE 'bh_{store}_%' "
                                   "AND datname NOT LIKE '%template'").split()
        for self.database in databases:
            for schema in self.sql("SELECT schemaname FROM pg_tables WHERE tablename = 'search_vectors'").split():
                tenant = "tenant" if layout == "row_level_security" else "''"
                found = self.sql(f"SELECT 'at', {tenant} FROM {schema}.files WHERE id = '{file}'")
                if found:
                    self.schema, self.tenant = schema, found.strip().split("|")[1]
                    self.table = f"{schema}.search_vectors"
                    self.where = f" WHERE tenant = '{self.tenant}'" if self.tenant else ""
                    self.role = f"bh_{store}_app" if self.tenant else schema
                    if layout == "database":
                        self.role = self.database
                    return
        raise AssertionError(f"no place holds {file}")

    def sql(self, text):
        return self.server.sql(text, self.database)

    def ask(self, what):
        return self.sql(f"SELECT {what} FROM {self.table}{self.where}").strip()

    def count(self):
        return int(self.ask("count(*)"))

    def points(self):
        lines = self.sql(f"SELECT point::text FROM {self.table}{self.where} ORDER BY key").splitlines()
        return [json.loads(line) for line in lines]

    def thief(self, text):
        """With the rights of the role that serves; what is refused is an error."""
        return self.sql(f"SET SESSION AUTHORIZATION {self.role}; {text}").strip()


def test_the_same_answers_as_from_the_index_in_memory(searching):
    _, libraries = searching
    exact = answers(libraries["exact"])
    assert all(hits[0][0] == QUESTIONS[question] and len(hits) == 3 for question, hits in exact.items())
    for name in SEARCHED:
        assert same(exact, answers(libraries[name])), name


def test_the_database_searches_and_memory_holds_no_index(searching):
    stack, _ = searching
    seen = json.loads(stack.operator_cli("posture", "--json").stdout)
    tenants = {tenant["id"]: tenant for tenant in seen["tenants"]}
    for name, (_, store) in PLACES.items():
        cost = tenants[name]["cost"]["index_bytes"]
        assert (cost > 0) == (store == "sealed"), name
        walls = [wall for wall in tenants[name]["walls"] if wall["layer"] == "vectors"]
        assert walls and all(wall["verdict"] == "stands" for wall in walls), walls
        assert any("not sealed" in wall["wall"] for wall in walls) == (store != "sealed")


def test_nobody_finds_anybody_elses(searching):
    _, libraries = searching
    for name in SEARCHED:
        file, _ = add_document(libraries[name].tenant.admin, "own.txt", f"The quixotic{name} opens the hidden vault.",
                               {"shared": True}, libraries[name].store)
        libraries[name].names[file] = "own.txt"
    for name in SEARCHED:
        found = libraries[name].search("What opens the hidden vault?").body.decode()
        assert f"quixotic{name}" in found
        assert not [other for other in SEARCHED if other != name and f"quixotic{other}" in found]


def test_a_thief_of_the_serving_role_sees_no_other_tenants_vectors(searching, server):
    _, libraries = searching
    own, other = (Rows(server, libraries[name], "schema") for name in ("alpha", "beta"))
    assert int(own.thief(f"SELECT count(*) FROM {own.table}")) == own.count() > 0, "control: its own"
    count = f"SELECT count(*) FROM {other.table}"
    with pytest.raises(AssertionError, match="permission denied"):
        own.thief(count)
    own.sql(f"GRANT USAGE ON SCHEMA {other.schema} TO {own.role}; GRANT SELECT ON {other.table} TO {own.role}")
    assert int(own.thief(count)) == other.count(), "control: with the right it would"
    own.sql(f"REVOKE ALL ON SCHEMA {other.schema} FROM {own.role}; REVOKE ALL ON {other.table} FROM {own.role}")

    shared = Rows(server, libraries["delta"], "shared")
    count = f"SELECT count(*) FROM {shared.table}"
    assert shared.thief(count) == "0"
    assert shared.thief(f"SET bulkhead.tenant = '{shared.tenant}'; {count}") == "0", "a name without its proof"
    with pytest.raises(AssertionError, match="permission denied"):
        shared.thief(f"SELECT count(*) FROM {shared.schema}.search_{shared.tenant}")
    shared.sql(f"ALTER TABLE {shared.table} DISABLE ROW LEVEL SECURITY")
    everything = int(shared.thief(count))
    shared.sql(f"ALTER TABLE {shared.table} ENABLE ROW LEVEL SECURITY")
    assert everything > shared.count() > 0, "control: without the policy, all tenants'"
    assert shared.thief(count) == "0"


def test_what_stands_there_is_rotated_by_a_key_of_the_tenant(searching, server):
    """Control: distances stay, as the threat model says, so these are the vectors."""
    _, libraries = searching
    points = {name: Rows(server, libraries[name], PLACES[name][1]).points()[:len(TOPICS)] for name in SEARCHED}
    plain = embed(libraries["alpha"].tenant.admin, list(TOPICS.values()))
    gram = lambda vectors: sorted(round(dot(a, b), 4) for i, a in enumerate(vectors) for b in vectors[:i])
    first = gram(points["alpha"])
    for name, own in points.items():
        assert all(abs(math.sqrt(dot(point, point)) - 1) < 1e-3 for point in own)
        assert all(abs(a - b) < 2e-4 for a, b in zip(gram(own), first)), name
        for other in [plain] + [each for key, each in points.items() if key != name]:
            assert max(abs(dot(a, b)) for a in own for b in other) < 0.35
    assert max(dot(a, b) for a in plain for b in plain) > 0.99, "control of the comparison"


@pytest.mark.parametrize("name", ("alpha", "delta"))
def test_keys_are_renewed_and_the_rotation_stays(searching, server, name):
    stack, libraries = searching
    rows = Rows(server, libraries[name], PLACES[name][1])
    digest = lambda: rows.ask("md5(string_agg(point::text, ' ' ORDER BY key))")
    boxes = lambda: rows.sql(f"SELECT md5(string_agg(key_box::text, ' ' ORDER BY id)) FROM {rows.schema}.files{rows.where}")
    before, wrapped = digest(), boxes()
    with Asking(libraries[name]) as asking:
        stack.operator_cli("keys", "rotate", "--tenant", name)
        asked = asking.asked
        eventually(lambda: asking.asked > asked + 2 * len(QUESTIONS), "asked afterwards")
    assert not asking.wrong, asking.wrong[:3]
    assert digest() == before and boxes() != wrapped, "control: keys were renewed"
    if name == "delta":  # the last one: and they are found by who starts anew
        stack.stop_process("gateway")
        stack.start_gateway()
        assert all(libraries[each].all_right() for each in SEARCHED)


@pytest.mark.parametrize("name", ("beta", "omega"))
def test_an_erased_document_leaves_no_vector(searching, server, name):
    _, libraries = searching
    library, rows = libraries[name], Rows(server, libraries[name], PLACES[name][1])
    admin = library.tenant.admin
    file, _ = add_document(admin, "erase.txt", "The lighthouse keeper counts to nine.", {"shared": True}, library.store)
    held = rows.ask("string_agg(DISTINCT batch::text, ' ')").split()
    batch = rows.sql(f"SELECT batch FROM {rows.schema}.files WHERE id = '{file}'").strip()
    assert batch in held, "control: it was there"
    assert admin.call("POST", "/v1/bulkhead/erasures", {"file": file}).status == 200
    assert sorted(rows.ask("string_agg(DISTINCT batch::text, ' ')").split()) == sorted(set(held) - {batch})
    assert file not in library.search("Who counts to nine?").body.decode()
    assert library.all_right()


@pytest.mark.parametrize("name", ("alpha", "delta"))
def test_a_tenant_is_taken_back_from_its_backup(searching, server, name):
    """The archive holds no rotated vector; they are made from what it holds."""
    stack, libraries = searching
    library, rows = libraries[name], Rows(server, libraries[name], PLACES[name][1])
    before, kept = answers(library), rows.count()
    stack.operator_cli("tenant", "backup", name, "--to", f"{name}.bhk")
    victim = next(file for file, topic in library.names.items() if topic == "bread.txt")
    assert library.tenant.admin.call("DELETE", f"/v1/files/{victim}").status == 200
    assert rows.count() == kept - 1 and answers(library) != before, "control: something is missing"
    stack.operator_cli("tenant", "suspend", name)
    stack.operator_cli("tenant", "restore", f"{name}.bhk", "--replace")
    stack.operator_cli("tenant", "resume", name)
    assert same(answers(library), before)
    assert Rows(server, library, PLACES[name][1]).count() == kept


def test_a_tenant_moves_to_such_stores_and_away(searching, server):
    stack, libraries = searching
    library = libraries["exact"]
    before = answers(library)
    for mode, store in (("hybrid", "schema"), ("pooled", "shared"), ("silo", "database"), ("hybrid", "embedded"),
                        ("pooled", "shared"), ("hybrid", "sealed")):
        left = show(stack, "exact")["policy"]["store"]
        old = Rows(server, library, left) if left and STORES[left][1] == "pgvector" else None
        with Asking(library) as asking:
            migrate(stack, "exact", mode, store)
            asked = asking.asked
            eventually(lambda: asking.asked > asked + len(QUESTIONS), "asked afterwards")
        assert not asking.wrong, (mode, store, asking.wrong[:3])
        assert same(before, answers(library)), store
        if STORES.get(store, ("", ""))[1] == "pgvector":
            assert Rows(server, library, store).count() == len(TOPICS), "control: it is there now"
        if old and left == "database":
            assert server.sql(f"SELECT count(*) FROM pg_database WHERE datname = '{old.database}'").strip() == "0"
        elif old:
            name = f"search_{old.tenant}" if old.tenant else "search_vectors"
            schema = old.schema
            assert old.sql(f"SELECT count(*) FROM pg_tables WHERE schemaname = '{schema}' AND tablename = '{name}'"
                           ).strip() == "0", "nothing is left"


def test_a_store_whose_setting_changes_is_filled_anew(searching, server):
    stack, libraries = searching
    extra = stack.options["extra"]
    for vectors, there in (("sealed", "f"), ("pgvector", "t")):
        stack.stop_process("gateway", signal.SIGKILL)
        stack.options["extra"] = extra.replace('"pgvector"', f'"{vectors}"')
        stack.write_config()
        stack.start_gateway()
        for name in ("alpha", "delta"):
            eventually(libraries[name].all_right, f"{name} is answered, searched {vectors}", 60)
        made = server.sql("SELECT to_regclass('bh_shared.search_vectors') IS NOT NULL", "db_shared").strip()
        assert made == there


def test_an_embedding_model_is_replaced_with_both_spaces_side_by_side(searching, server, models):
    stack, libraries = searching
    rows = {name: Rows(server, libraries[name], PLACES[name][1]) for name in ("alpha", "delta")}
    before = {name: (each.ask("min(space::text)"), each.count()) for name, each in rows.items()}
    with Asking(libraries["alpha"]) as own, Asking(libraries["delta"]) as shared:
        replace(stack, models / "second.gguf")
        in_use(stack, models / "second.gguf")
        asked = shared.asked
        eventually(lambda: shared.asked > asked + 2 * len(QUESTIONS), "asked afterwards")
    assert not own.wrong and own.asked > 10, own.wrong[:3]
    assert not shared.wrong, shared.wrong[:3]
    for name, each in rows.items():
        space, count = before[name]
        assert each.ask("count(DISTINCT space)") == "1" and each.count() == count
        assert each.ask("min(space::text)") != space, "control: another space"
        on = f"search_{each.tenant}" if each.tenant else "search_vectors"
        indexes = each.sql(f"SELECT count(*) FROM pg_indexes WHERE schemaname = '{each.schema}' AND tablename = '{on}' "
                           "AND indexname LIKE 'near_%'")
        assert indexes.strip() == "2", "an index for each space"


@pytest.mark.parametrize("spoil,said", [
    ("DROP EXTENSION vector", "CREATE EXTENSION vector"),
    ("UPDATE pg_extension SET extversion = '0.8.1' WHERE extname = 'vector'", "ALTER EXTENSION vector UPDATE"),
    ("ALTER EXTENSION vector SET SCHEMA public", "ALTER EXTENSION vector SET SCHEMA")])
@pytest.mark.parametrize("layout", ("schema", "database", "row_level_security"))
def test_a_server_without_what_is_needed_stops_the_start(new_stack, server, password_file, layout, spoil, said):
    """CVE-2026-3172: pgvector before 0.8.2. That a whole one starts is every other test's control."""
    prefix = "spoilt"
    database = f"{prefix}_template" if layout == "database" else f"db_{prefix}"
    for each in (database, f"db_{prefix}"):
        server.sql(f"DROP DATABASE IF EXISTS {each}")
    server.with_pgvector(database, prefix)
    if layout == "database":
        server.sql(f"CREATE DATABASE db_{prefix} OWNER bulkhead_admin")
        server.closed(f"db_{prefix}")
    server.sql(spoil, database)
    section = store_sections(server, password_file, dbname=f"db_{prefix}", prefix=prefix, vectors="pgvector",
                             layout=layout).split("[[store]]")[1]
    stack = new_stack(extra="[[store]]" + section)
    stack.write_config()
    subprocess.run([BULKHEAD, "init", "--config", stack.config, "--operator-key-file", stack.operator_key_file],
                   check=True, capture_output=True)
    done = subprocess.run([BULKHEAD, "serve", "--config", stack.config], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and said in done.stderr, done.stderr


def test_a_destroyed_tenant_leaves_its_neighbours(searching, server):
    stack, libraries = searching
    gone, stays = (Rows(server, libraries[name], "shared") for name in ("omega", "delta"))
    partition = f"SELECT count(*) FROM pg_tables WHERE tablename = 'search_{gone.tenant}'"
    assert gone.sql(partition).strip() == "1", "control"
    kept = stays.count()
    stack.operator_cli("tenant", "destroy", "omega", "--yes")
    assert gone.sql(partition).strip() == "0" and gone.count() == 0 and stays.count() == kept
    assert libraries["delta"].all_right()
