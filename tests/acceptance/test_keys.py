"""Keys are renewed while requests go on, and a kill in the middle loses nothing."""
import json
import signal
import threading

import pytest
from conftest import add_document, eventually, start_small


@pytest.fixture(scope="module")
def keyed(new_stack):
    stack = new_stack()
    tenants = start_small(stack, policy={"keep_chats": True})
    files = [add_document(tenants["alpha"].member, f"note{i}.txt", f"The ferry number {i} leaves at dawn.")
             for i in range(4)]
    return stack, tenants, files


def keys_of(stack, tenant="alpha"):
    return stack.call("GET", f"/admin/tenants/{tenant}", stack.operator_key).json()["keys"]


def everything_is_there(tenants, files):
    member = tenants["alpha"].member
    for i, (file, store) in enumerate(files):
        assert member.call("GET", f"/v1/files/{file}/content").body == f"The ferry number {i} leaves at dawn.".encode()
        found = member.call("POST", f"/v1/vector_stores/{store}/search", {"query": "ferry at dawn"}).json()["data"]
        assert found and found[0]["file_id"] == file
    return True


def audit_count(stack, event):
    return len(stack.call("GET", f"/admin/audit?limit=200&event={event}", stack.operator_key).json()["data"])


def test_a_tenants_keys_are_renewed_while_requests_go_on(keyed):
    stack, tenants, files = keyed
    before, other = keys_of(stack), keys_of(stack, "beta")
    failures, stop = [], threading.Event()

    def ask():
        while not stop.is_set():
            answers = [tenants["alpha"].member.call("GET", f"/v1/files/{file}/content").status for file, _ in files]
            answers.append(stack.upload(tenants["alpha"].member.key, stack.config, name="more.txt").status)
            failures.extend(status for status in answers if status != 200)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(2):
        assert "older keys destroyed" in stack.operator_cli("keys", "rotate", "--tenant", "alpha").stdout
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    after = keys_of(stack)
    assert after["key_number"] == before["key_number"] + 2 and after["key_id"] != before["key_id"]
    assert after["rotation"] == "none" and keys_of(stack, "beta") == other
    everything_is_there(tenants, files)
    assert audit_count(stack, "key_rotation_started") >= 2
    eventually(lambda: audit_count(stack, "tenant_key_rotated") >= 2, "the ends of both are recorded")


def test_a_kill_in_the_middle_is_taken_up_again(keyed):
    stack, tenants, files = keyed
    for _ in range(3):
        number = keys_of(stack)["key_number"]
        stack.operator_cli("keys", "rotate", "--tenant", "alpha", "--no-wait")
        stack.stop_process("gateway", signal.SIGKILL)
        stack.start_gateway()
        everything_is_there(tenants, files)
        eventually(lambda: keys_of(stack)["rotation"] == "none", "the rotation ends by itself", 60)
        assert keys_of(stack)["key_number"] == number + 1
        everything_is_there(tenants, files)


def test_one_purpose_alone_and_what_is_refused(keyed):
    stack, tenants, files = keyed
    number = keys_of(stack)["key_number"]
    for purpose in ("record-seal", "database", "audit-hash"):
        stack.operator_cli("keys", "rotate", "--tenant", "alpha", "--purpose", purpose)
    assert keys_of(stack)["key_number"] == number
    for arguments, word in ((["--purpose", "api-key-hash"], "revoke"), (["--purpose", "nonsense"], "purpose"),
                            (["--provider", "no-such"], "provider"), (["--platform"], "either")):
        done = stack.operator_cli("keys", "rotate", "--tenant", "alpha", *arguments, check=False)
        assert done.returncode == 1 and word in done.stderr, (arguments, done.stderr)
    done = stack.operator_cli("keys", "rotate", "--tenant", "nobody", check=False)
    assert done.returncode == 1
    everything_is_there(tenants, files)


def test_the_platforms_keys_after_a_tenants(keyed):
    stack, tenants, files = keyed
    before = keys_of(stack)
    stack.operator_cli("keys", "rotate", "--platform")
    after = keys_of(stack)
    assert after["key_id"] != before["key_id"] and after["key_number"] == before["key_number"]
    stack.stop_process("gateway")
    stack.start_gateway()
    everything_is_there(tenants, files)


def test_states_are_shown(keyed):
    stack, tenants, _ = keyed
    show = lambda name: json.loads(stack.operator_cli("tenant", "show", name).stdout)["activity"]
    tenants["alpha"].member.call("GET", "/v1/files")
    assert show("alpha") == "active"
    stack.stop_process("gateway")
    stack.start_gateway()
    assert show("beta") == "cold"
    stack.operator_cli("tenant", "suspend", "beta")
    assert show("beta") == "suspended"
    metrics = stack.call("GET", "/metrics", stack.operator_key).body.decode()
    assert 'bulkhead_tenants{state="suspended"} 1' in metrics
    stack.operator_cli("tenant", "resume", "beta")
    assert tenants["beta"].member.call("GET", "/v1/files").status == 200
    assert show("beta") == "active"
