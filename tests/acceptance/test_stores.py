"""Tenants in PostgreSQL, through the whole gateway: the same API, the same answers, nothing in plain."""
import json
import subprocess

import pytest
from conftest import SMALL_USERS, WIDE_LIMITS, Person, Tenant, add_document, eventually
from stack import BULKHEAD

LAYOUTS = {"alpha": ("hybrid", "schema"), "beta": ("hybrid", "database"), "gamma": ("pooled", "row_level_security"),
           "delta": ("pooled", "row_level_security"), "omega": ("hybrid", "")}
SECRET = {name: f"The {name} vault opens with quixotic{name} only." for name in LAYOUTS}


def store_sections(server, password_file, **changes):
    sections = ""
    for layout in ("schema", "database", "row_level_security"):
        keys = {"name": layout.replace("_", "-"), "kind": "postgres", "layout": layout, "host": str(server.folder),
                "admin_password_file": str(password_file), "sslmode": "disable", "prefix": f"bh_{layout[:3]}", **changes}
        sections += "[[store]]\n" + "".join(f'{key} = {json.dumps(value)}\n' for key, value in keys.items())
    return sections


@pytest.fixture(scope="module")
def stores(new_stack, server, password_file):
    stack = new_stack(extra=store_sections(server, password_file))
    for name in LAYOUTS:
        for user, roles, groups in SMALL_USERS:
            stack.add_client(name, user, roles, groups)
    stack.start()
    tenants = {}
    for name, (mode, layout) in LAYOUTS.items():
        policy = stack.folder / f"{name}.policy.json"
        policy.write_text(json.dumps({"limits": WIDE_LIMITS, "keep_chats": True}))
        place = ["--store", layout.replace("_", "-")] if layout else []
        stack.operator_cli("tenant", "create", name, "--mode", mode, *place, "--policy", policy)
        clients = {c["subject"]: c for c in stack.clients if c["tenant"] == name}
        made = stack.call("POST", "/v1/bulkhead/api_keys", stack.token(clients["boss"]),
                          {"name": "test", "user": "boss", "roles": ["tenant-admin"], "groups": []})
        assert made.status == 200, made.body
        tenants[name] = Tenant(name)
        tenants[name].people["boss"] = Person(stack, clients["boss"], made.json()["key"], made.json()["id"])
    for tenant in tenants.values():
        file, tenant.store = add_document(tenant.admin, "vault.txt", SECRET[tenant.name])
        tenant.files["vault.txt"] = file
    return stack, tenants


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_finds_its_own_and_nothing_else(stores, name):
    _, tenants = stores
    own = tenants[name]
    found = own.admin.call("POST", f"/v1/vector_stores/{own.store}/search", {"query": "What opens the vault?"})
    assert found.status == 200 and f"quixotic{name}" in found.body.decode(), found.body
    for other in tenants.values():
        if other is own:
            continue
        assert f"quixotic{other.name}" not in found.body.decode()
        for path in (f"/v1/vector_stores/{other.store}", f"/v1/files/{other.files['vault.txt']}",
                     f"/v1/files/{other.files['vault.txt']}/content"):
            assert own.admin.call("GET", path).status == 404
    assert own.admin.call("GET", f"/v1/files/{own.files['vault.txt']}/content").body.decode() == SECRET[name]


def test_nothing_typed_stands_in_postgresql(stores, server):
    """Invariant I3 and I10; the control is that the ids, which may be read there, are found."""
    _, tenants = stores
    data = b"".join(file.read_bytes() for file in server.data.rglob("*") if file.is_file())
    log = server.log.read_bytes()
    for word in (b"quixotic", b"vault"):
        assert word not in data and word not in log
    for name, tenant in tenants.items():
        assert (tenant.files["vault.txt"].encode() in data) == (LAYOUTS[name][1] != "")
    assert tenants["alpha"].files["vault.txt"].encode() in log


def test_a_restart_of_the_server_and_of_the_gateway_loses_nothing(stores, server):
    stack, tenants = stores
    server.stop()
    down = tenants["gamma"].admin.call("GET", "/v1/files")
    assert down.status == 503, down.body
    assert tenants["omega"].admin.call("GET", "/v1/files").status == 200, "the embedded store goes on"
    server.start()
    eventually(lambda: tenants["gamma"].admin.call("GET", "/v1/files").status == 200, "files are listed again")
    for name, tenant in tenants.items():
        found = tenant.admin.call("POST", f"/v1/vector_stores/{tenant.store}/search", {"query": "What opens the vault?"})
        assert f"quixotic{name}" in found.body.decode()


@pytest.mark.parametrize("mode,store,said", [("pooled", None, "row_level_security"), ("pooled", "schema", "can't give"),
                                             ("hybrid", "row-level-security", "can't give"),
                                             ("hybrid", "elsewhere", "no [[store]]"), ("silo", "schema", "can't give"),
                                             ("silo", "row-level-security", "can't give")])
def test_a_mode_that_the_store_cant_give_is_refused(stores, mode, store, said):
    stack, _ = stores
    body = {"id": "refused", "mode": mode, **({"store": store} if store else {})}
    answer = stack.call("POST", "/admin/tenants", stack.operator_key, body)
    assert answer.status == 400 and said in answer.json()["error"]["message"], answer.body


def test_a_destroyed_tenant_leaves_its_neighbours_in_the_shared_tables(stores):
    stack, tenants = stores
    certificate = json.loads(stack.operator_cli("tenant", "destroy", "delta", "--yes").stdout)
    assert any(name.startswith("postgres/row-level-security/") for name in certificate["removed_files"])
    found = tenants["gamma"].admin.call("POST", f"/v1/vector_stores/{tenants['gamma'].store}/search",
                                        {"query": "What opens the vault?"})
    assert b"quixoticgamma" in found.body


@pytest.mark.parametrize("changes,said", [({"host": "127.0.0.1", "port": 1}, "host, port and sslmode"),
                                          ({"dbname": "nowhere"}, "nowhere"), ({"admin_user": "postgres"}, "passes every wall"),
                                          ({"prefix": "Upper"}, "prefix"), ({"sslmode": "prefer"}, "sslmode"),
                                          ({"layout": "tables"}, "layout"), ({"prefix": "same"}, "prefix of its own")])
def test_a_store_that_cant_be_used_stops_the_start(new_stack, server, password_file, changes, said):
    stack = new_stack(extra=store_sections(server, password_file, **changes))
    stack.write_config()
    check = [BULKHEAD, "config", "check", "--config", stack.config]
    done = subprocess.run(check, capture_output=True, text=True)
    if done.returncode == 0:
        subprocess.run([BULKHEAD, "init", "--config", stack.config, "--operator-key-file",
                        stack.operator_key_file], check=True, capture_output=True)
        done = subprocess.run([BULKHEAD, "serve", "--config", stack.config], capture_output=True,
                              text=True, timeout=60)
    assert done.returncode != 0 and said in done.stderr, done.stderr
