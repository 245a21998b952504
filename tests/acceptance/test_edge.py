"""The gateway's edge: what it does for somebody before it knows who that is, and how bodies come in.

A stranger costs no memory and a bounded number of verifications; a known tenant has its share of the memory for
bodies; an upload may take its time while it moves; refusals are readable by the clients that people use.
"""
import json
import subprocess
import threading

import httpx
import openai
import pytest
from conftest import eventually, start_small
from edge import Upload, connect, forget_peak, form, head, memory, read_answer
from openai import OpenAI

MEBI = 1 << 20


def restart(stack, tables):
    """The gateway with other keys in some sections; the tables' text is what stood there when it was first started."""
    stack.stop_process("gateway")
    stack.write_config()
    text = stack.config.read_text()
    for table, keys in tables.items():
        assert f"[{table}]\n" in text or table == "audit"
        lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
        text = text.replace(f"[{table}]\n", f"[{table}]\n{lines}") if f"[{table}]\n" in text else text + f"[{table}]\n{lines}"
    stack.config.write_text(text)
    stack.start_gateway()


@pytest.fixture(scope="module")
def edge(new_stack):
    stack = new_stack()
    tenants = start_small(stack)
    return stack, tenants


@pytest.fixture(scope="module")
def wide(edge):
    """As it comes."""
    return edge


@pytest.fixture(scope="module")
def narrow(edge):
    """Little memory for bodies, and little patience. After the tests of `wide`."""
    restart(edge[0], {"server": {"body_bytes_max": "4 MiB", "tenant_body_memory_max": "8 MiB", "body_memory_max": "16 MiB",
                                 "body_wait_max": 1, "stall_time_max": 1, "transfer_rate_min": 1024,
                                 "connections_per_address_max": 24}})
    return edge


def test_bodies_of_strangers_take_no_memory(wide):
    """Sixteen connections push 24 MiB each behind a token that is not valid; each is told so. Control: a tenant's
    body is kept."""
    stack, tenants = wide
    pid = stack.pids()["gateway"]
    before = memory(pid)
    forget_peak(pid)
    answers = []

    def push():
        connection = connect(stack)
        try:
            connection.sendall(head("POST", "/v1/files", "e30.e30.e30", 60 * MEBI, form(b"")[0]))
            for _ in range(24):
                connection.sendall(b"x" * MEBI)
        except OSError:
            pass  # it was closed: the answer is read all the same
        answers.append(read_answer(connection)[0])
        connection.close()

    pushers = [threading.Thread(target=push) for _ in range(16)]
    for pusher in pushers:
        pusher.start()
    for pusher in pushers:
        pusher.join()
    assert answers == [401] * 16
    assert memory(pid, "VmHWM") - before < 48, "384 MiB were sent"

    kept = Upload(stack, tenants["alpha"].member.key, b"y" * (40 * MEBI))
    kept.send(30 * MEBI)
    eventually(lambda: memory(pid) - before > 24, "control: what a tenant sends is kept")
    kept.connection.close()


def test_who_is_refused_reads_why(wide, tmp_path):
    """The SDK and curl send a body before, or without, looking for an answer."""
    stack, tenants = wide
    large = tmp_path / "large.bin"
    large.write_bytes(b"z" * (20 * MEBI))
    client = OpenAI(base_url=stack.base_url + "/v1", api_key="bhk_nobody", max_retries=0, timeout=120,
                    http_client=httpx.Client(verify=str(stack.ca_file), trust_env=False))
    with pytest.raises(openai.AuthenticationError):
        client.files.create(file=large, purpose="assistants")
    for key, status in (("bhk_nobody", "401"), (tenants["alpha"].auditor.key, "403"),
                        (tenants["alpha"].member.key, "200")):
        for expect in ("Expect:", "Expect: 100-continue"):
            sent = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", stack.ca_file,
                                   "-H", f"Authorization: Bearer {key}", "-H", expect, "-F", "purpose=assistants",
                                   "-F", f"file=@{large}", f"{stack.base_url}/v1/files"],
                                  capture_output=True, text=True, timeout=120)
            assert sent.stdout == status, (key, expect, sent)


def test_a_body_is_asked_for_once_its_sender_is_known(wide):
    stack, tenants = wide
    kind, body = form(b"expected")
    for key, first in ((tenants["alpha"].member.key, 100), ("bhk_nobody", 401), (tenants["alpha"].auditor.key, 403)):
        connection = connect(stack)
        connection.sendall(head("POST", "/v1/files", key, len(body), kind, "Expect: 100-continue"))
        assert read_answer(connection)[0] == first
        if first == 100:
            connection.sendall(body)
            assert read_answer(connection)[0] == 200
        connection.close()


def test_a_refused_small_request_keeps_its_connection(wide):
    stack, tenants = wide
    connection = connect(stack)
    for key, status in (("bhk_nobody", 401), (tenants["alpha"].auditor.key, 403), (tenants["alpha"].member.key, 200)):
        kind, body = form(b"small")
        connection.sendall(head("POST", "/v1/files", key, len(body), kind) + body)
        assert read_answer(connection)[0] == status
    connection.close()


def test_records_have_the_clients_address(wide):
    """Of what was allowed, refused and not recognised; the tenant reads its own."""
    stack, tenants = wide
    alpha = tenants["alpha"]
    kind, body = form(b"where from")
    # Refused where nobody was before in this stack: repeated refusals are counted, and recorded later.
    look = lambda key: head("GET", "/v1/bulkhead/tenant", key, 0)
    for request, status in ((head("POST", "/v1/files", alpha.member.key, len(body), kind) + body, 200),
                            (look(alpha.people["ned"].key), 403), (look("bhk_nobody"), 401)):
        connection = connect(stack, source="127.0.0.9")
        connection.sendall(request)
        assert read_answer(connection)[0] == status
        connection.close()

    def of_address(answer):
        return {r["event"] for r in answer.json()["data"] if r.get("address") == "127.0.0.9"}

    own = alpha.auditor.call("GET", "/v1/bulkhead/audit?limit=100")
    assert {"file_uploaded", "request_refused"} <= of_address(own)
    eventually(lambda: "authentication_failed" in of_address(
        stack.call("GET", "/admin/audit?limit=100", stack.operator_key)), "the stranger's record")
    beta = tenants["beta"].auditor.call("GET", "/v1/bulkhead/audit?limit=100")
    assert not of_address(beta), "nobody else's"


def test_a_tenants_bodies_have_a_share(narrow):
    """Two half-sent uploads use up what a tenant may have for large bodies: its third is told to wait, its small
    requests and the neighbour's uploads go through, and when there is room the third does too."""
    stack, tenants = narrow
    key = tenants["alpha"].member.key
    held = [Upload(stack, key, b"h" * (3 * MEBI - MEBI // 4)) for _ in range(2)]
    for upload in held:
        upload.send(MEBI)
    reserved = lambda: metric(stack, "bulkhead_body_bytes_reserved") >= 5 * MEBI
    eventually(reserved, "both have their memory")

    def keep_alive():
        for upload in held:
            upload.send(1024)

    third = Upload(stack, key, b"t" * (2 * MEBI))
    while third.silent_for(0.2):
        keep_alive()
    status, fields, body = third.answer()
    assert (status, json.loads(body)["error"]["code"]) == (429, "tenant_bodies_busy")
    assert "retry-after: 5" in fields
    keep_alive()
    assert tenants["alpha"].member.call("POST", "/v1/vector_stores", {"name": "small"}).status == 200
    keep_alive()
    other = Upload(stack, tenants["beta"].member.key, b"o" * (2 * MEBI))
    assert other.finish()[0] == 200, "the neighbour has its own share"
    for upload in held:
        assert upload.finish()[0] == 200
    assert Upload(stack, key, b"t" * (2 * MEBI)).finish()[0] == 200, "control: now there is room"
    eventually(lambda: metric(stack, "bulkhead_body_bytes_reserved") == 0, "all of it was given back")


def metric(stack, name):
    text = stack.call("GET", "/metrics", stack.operator_key).body.decode()
    return float(next(line.split()[-1] for line in text.splitlines() if line.startswith(name + " ")))


def test_a_slow_but_steady_upload_arrives_and_a_silent_one_does_not(narrow):
    """The whole takes four times as long as the gateway waits in silence."""
    stack, tenants = narrow
    steady = Upload(stack, tenants["alpha"].member.key, b"s" * MEBI)
    for _ in range(20):
        steady.send(MEBI // 25)
        assert steady.silent_for(0.2), "an answer came before the body was whole"
    assert steady.finish()[0] == 200
    silent = Upload(stack, tenants["alpha"].member.key, b"s" * MEBI)
    silent.send(1000)
    status, _, body = silent.answer()
    assert (status, json.loads(body)["error"]["code"]) == (408, "timeout")
    trickling = Upload(stack, tenants["alpha"].member.key, b"s" * MEBI)
    for _ in range(200):
        if not trickling.silent_for(0.1):
            break
        trickling.send(1)
    assert trickling.answer()[0] == 408, "a byte now and then is below the least rate"


def test_a_key_that_is_revoked_while_its_body_comes_does_not_act(narrow):
    stack, tenants = narrow
    boss = tenants["alpha"].admin
    statuses = []
    for revoke in (False, True):
        made = boss.call("POST", "/v1/bulkhead/api_keys", {"name": "short", "user": "mia", "roles": ["member"]}).json()
        upload = Upload(stack, made["key"], b"r" * 50_000)
        for _ in range(6):
            upload.send(5_000)
            assert upload.silent_for(0.25)
        if revoke:
            assert boss.call("DELETE", f"/v1/bulkhead/api_keys/{made['id']}").status == 200
        statuses.append(upload.finish()[0])
    assert statuses == [200, 401]


def test_connections_of_one_address_are_bounded(narrow):
    stack, tenants = narrow
    opened = []
    with pytest.raises(OSError):
        for _ in range(25):
            opened.append(connect(stack))
    assert 20 <= len(opened) <= 24, len(opened)
    kind, body = form(b"elsewhere")
    elsewhere = connect(stack, source="127.0.0.2")
    elsewhere.sendall(head("POST", "/v1/files", tenants["alpha"].member.key, len(body), kind) + body)
    assert read_answer(elsewhere)[0] == 200, "another address has its own"
    for connection in [*opened, elsewhere]:
        connection.close()
    eventually(lambda: metric(stack, "bulkhead_connections_refused_total") >= 1, "and it is counted")


def test_failed_authentications_of_one_address_are_bounded(edge):
    """After six, credentials that have to be verified wait; those that are known, and other addresses, do not."""
    stack, tenants = edge
    restart(stack, {"server": {"failed_authentications_per_minute": 6}, "audit": {"client_address": False}})
    member = tenants["alpha"].member
    assert member.call("GET", "/v1/models").status == 200
    statuses = [stack.call("GET", "/v1/models", f"bhk_nobody{i}").status for i in range(6)]
    assert statuses == [401] * 6
    refused = stack.call("GET", "/v1/models", "bhk_nobody7")
    assert (refused.status, refused.json()["error"]["code"]) == (429, "too_many_failed_authentications")
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert stack.call("GET", "/v1/models", tenants["beta"].member.key).status == 429, "not known yet"
    assert member.call("GET", "/v1/models").status == 200, "known"
    elsewhere = connect(stack, source="127.0.0.3")
    elsewhere.sendall(head("GET", "/v1/models", tenants["beta"].member.key, 0))
    assert read_answer(elsewhere)[0] == 200, "and now known"
    elsewhere.close()
    assert stack.call("GET", "/v1/models", tenants["beta"].member.key).status == 200
    # Control of the address in records: switched off, the new ones have none.
    assert member.call("GET", "/v1/models").status == 200
    newest = json.loads(sorted(stack.audit_dir.glob("audit-*.jsonl"))[-1].read_text().splitlines()[-1])
    assert "address" not in newest
