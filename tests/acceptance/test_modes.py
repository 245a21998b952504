"""The three isolation modes side by side: one configuration, one API, one tenant in each, and a second silo."""
import json
import os
import signal
import subprocess
import threading

import pytest
from conftest import CHAT_MODEL, ROOT, SMALL_USERS, WIDE_LIMITS, Person, Tenant, add_document, eventually
from test_models import OWN, alive, engines, own_pid, say
from test_stores import store_sections

# Tenant: mode, store, policy. Nobody says "dedicated" for the silos: the mode does.
MODES = {"vault": ("silo", "", {}), "castle": ("silo", "database", {}), "house": ("hybrid", "", {}),
         "flat": ("pooled", "row-level-security", {})}
SILOS, OTHERS = ("vault", "castle"), ("house", "flat")
IDLE_SECONDS = 8


def start_modes(stack, modes):
    """Starts the stack and makes a tenant for each of `modes`, each with its administrator."""
    for name in modes:
        for user, roles, groups in SMALL_USERS:
            stack.add_client(name, user, roles, groups)
    stack.start()
    tenants = {}
    for name, (mode, store, policy) in modes.items():
        file = stack.folder / f"{name}.policy.json"
        file.write_text(json.dumps({"limits": WIDE_LIMITS, "keep_chats": True, **policy}))
        place = ["--store", store] if store else []
        stack.operator_cli("tenant", "create", name, "--mode", mode, *place, "--policy", file)
        tenants[name] = Tenant(name)
        clients = {c["subject"]: c for c in stack.clients if c["tenant"] == name}
        for user, roles, groups in SMALL_USERS[:2]:
            made = stack.call("POST", "/v1/bulkhead/api_keys", stack.token(clients["boss"]),
                              {"name": "test", "user": user, "roles": roles, "groups": groups})
            assert made.status == 200, made.body
            tenants[name].people[user] = Person(stack, clients[user], made.json()["key"], made.json()["id"])
    return tenants


@pytest.fixture(scope="module")
def modes(new_stack, server, password_file):
    stack = new_stack(extra=store_sections(server, password_file),
                      engine=f"dedicated_max = 2\ndedicated_idle_time = {IDLE_SECONDS}", context=1024)
    return stack, start_modes(stack, MODES)


def own_worker(stack, tenant):
    """The pid of the tenant's own worker, running and ready after a first request."""
    return eventually(lambda: own_pid(stack, tenant.name), f"the worker of {tenant.name} is told")


class Stopped:
    """Processes that do no work meanwhile. What needs them waits; what does not is served."""

    def __init__(self, pids):
        self.pids = [pid for pid in pids if pid]

    def __enter__(self):
        for pid in self.pids:
            os.kill(pid, signal.SIGSTOP)

    def __exit__(self, *_):
        for pid in self.pids:
            os.kill(pid, signal.SIGCONT)


def ask_everything(tenant):
    """A chat and a search with its embedding: all that an engine does for a tenant."""
    answered = say(tenant.member)
    found = tenant.member.call("POST", "/v1/embeddings", {"model": "all-minilm-l6-v2", "input": "a question"})
    return [answered.status, found.status]


def served_while_stopped(served, stopped_pids, waiting):
    """`served` is answered while these processes stand still; a request of `waiting`, which needs one of them, is
    not answered before they go on: the control that they are what answers it."""
    late = []
    with Stopped(stopped_pids):
        thread = threading.Thread(target=lambda: late.append(ask_everything(waiting)))
        thread.start()
        for tenant in served:
            assert ask_everything(tenant) == [200, 200], tenant.name
        assert late == [], f"{waiting.name} was served by another process"
    thread.join()
    assert late == [[200, 200]], "served once its process goes on"


def test_each_mode_is_what_the_registry_says(modes):
    stack, _ = modes
    listed = {t["id"]: t for t in stack.call("GET", "/admin/tenants", stack.operator_key).json()["data"]}
    for name, (mode, store, _) in MODES.items():
        assert (listed[name]["mode"], listed[name]["policy"]["store"]) == (mode, store)
        wanted = "dedicated" if mode == "silo" else "shared"
        assert listed[name]["policy"]["engine"]["engine"] == wanted


def test_one_api_serves_all_modes(modes):
    _, tenants = modes
    for name, tenant in tenants.items():
        file, store = add_document(tenant.admin, "vault.txt", f"The code of the {name} door is quixotic{name}.")
        found = tenant.admin.call("POST", f"/v1/vector_stores/{store}/search", {"query": "What is the door's code?"})
        assert found.status == 200 and f"quixotic{name}" in found.body.decode(), found.body
        for other in tenants.values():
            if other is not tenant:
                assert other.admin.call("GET", f"/v1/files/{file}").status == 404
                assert other.admin.call("POST", f"/v1/vector_stores/{store}/search", {"query": "code"}).status == 404


def test_a_silos_requests_are_served_by_its_own_worker_alone(modes):
    stack, tenants = modes
    vault, castle, house = tenants["vault"], tenants["castle"], tenants["house"]
    for tenant in (vault, castle):
        assert ask_everything(tenant) == [200, 200]
    pids = {name: own_worker(stack, tenants[name]) for name in SILOS}
    assert pids["vault"] != pids["castle"]
    shared = [pid for name, pid in engines(stack).items() if "/" not in name]
    assert shared and not set(shared) & set(pids.values())
    served_while_stopped([vault, castle], shared, waiting=house)


def test_other_tenants_never_reach_a_silos_worker(modes):
    stack, tenants = modes
    vault, castle = tenants["vault"], tenants["castle"]
    for tenant in (vault, castle):
        assert ask_everything(tenant) == [200, 200]
    own_worker(stack, castle)
    served_while_stopped([castle, tenants["house"], tenants["flat"]], [own_worker(stack, vault)], waiting=vault)


def test_a_silos_worker_stops_when_idle_and_starts_on_demand(modes):
    stack, tenants = modes
    vault = tenants["vault"]
    assert ask_everything(vault) == [200, 200]
    pid = own_worker(stack, vault)
    eventually(lambda: not alive(pid) and own_pid(stack, "vault") == 0, "the idle worker stops", 60)
    assert ask_everything(tenants["house"]) == [200, 200]
    assert own_pid(stack, "vault") == 0, "another tenant's request starts none"
    assert ask_everything(vault) == [200, 200]
    assert own_worker(stack, vault) != pid


def test_a_policy_cant_weaken_a_silo(modes):
    stack, _ = modes

    def put(name, policy):
        return stack.call("PUT", f"/admin/tenants/{name}/policy", stack.operator_key,
                          {"limits": WIDE_LIMITS, "keep_chats": True, **policy})

    for name in SILOS:
        refused = put(name, {"engine": {"engine": "shared"}})
        assert refused.status == 400 and '"dedicated"' in refused.json()["error"]["message"], refused.body
        moved = put(name, {"store": "schema"})
        assert moved.status == 400
        changed = put(name, {"engine": {"batching": "exclusive"}})
        assert changed.status == 200 and changed.json()["policy"]["engine"]["engine"] == "dedicated", changed.body
        assert changed.json()["policy"]["engine"]["batching"] == "exclusive", "the rest is free"
    for policy in (OWN, {"engine": {"engine": "shared"}}):
        assert put("house", policy).status == 200, "control: a hybrid tenant may have either"


def test_a_silo_with_a_shared_engine_is_not_made(modes):
    stack, _ = modes
    body = {"id": "weak", "mode": "silo", "policy": {"engine": {"engine": "shared"}}}
    refused = stack.call("POST", "/admin/tenants", stack.operator_key, body)
    assert refused.status == 400 and "dedicated" in refused.json()["error"]["message"], refused.body
    assert stack.call("GET", "/admin/tenants/weak", stack.operator_key).status == 404


def serve_once(stack):
    return subprocess.run([ROOT / "build/bulkhead", "serve", "--config", stack.config], capture_output=True, text=True,
                          timeout=60)


def external(config):
    """The same configuration with another server as its engine."""
    accepted = 'engine = { burn = "best_effort", prefix_isolation = "best_effort" }'
    return (config.replace("[engine]\n", '[engine]\nchat_url = "http://127.0.0.1:9"\nchat_model = "other"\n')
            .replace("[tenant_defaults]\n", f"[tenant_defaults]\n{accepted}\n"))


@pytest.mark.parametrize("before,after,said", [
    ("dedicated_max = 2", "dedicated_max = 0", "dedicated_max"),
    (f'[engine.chat]\nid = "{CHAT_MODEL.stem}"\npath = "{CHAT_MODEL}"\n', "", "[engine.chat]")])
def test_a_deployment_that_lost_its_workers_does_not_start_with_a_silo(new_stack, before, after, said):
    stack = new_stack(engine="dedicated_max = 2", context=1024)
    start_modes(stack, {"vault": MODES["vault"]})
    stack.stop_process("gateway")
    text = stack.config.read_text()
    assert before in text
    changed = text.replace(before, after)
    if "dedicated_max" not in after:
        changed = external(changed)
    stack.config.write_text(changed)
    done = serve_once(stack)
    assert done.returncode != 0 and "vault" in done.stderr and said in done.stderr, done.stderr
    stack.config.write_text(text)
    stack.start_gateway()  # control: with its workers it starts


def test_a_silo_at_an_external_engine_is_refused_at_the_command(new_stack):
    stack = new_stack(context=1024)
    stack.write_config()
    text = stack.config.read_text().replace(f'[engine.chat]\nid = "{CHAT_MODEL.stem}"\npath = "{CHAT_MODEL}"\n', "")
    text = external(text)
    stack.config.write_text(text)
    stack.cli("init", "--operator-key-file", stack.operator_key_file)
    stack.start_gateway(wait=False)
    eventually(lambda: (stack.data_dir / "run/serve.json").exists(), "it serves")
    refused = stack.operator_cli("tenant", "create", "vault", "--mode", "silo", check=False)
    assert refused.returncode != 0 and "[engine.chat]" in refused.stderr, refused.stderr
    stack.operator_cli("tenant", "create", "house", "--mode", "hybrid")
