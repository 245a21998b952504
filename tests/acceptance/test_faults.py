"""Things go wrong: the engine is killed, the gateway is asked to end or is killed, clients are slow, rude or huge.

What is wanted is a clear error for whom it concerns, and service for everybody else.
"""
import os
import random
import signal
import socket
import ssl
import threading

import pytest
from conftest import add_document, eventually, start_small
from test_generation import worker_counter
from test_identity import STREAM_TOKENS, Stream

NOISE = random.Random(5).randbytes(20000)


@pytest.fixture(scope="module")
def sturdy(new_stack):
    stack = new_stack()
    return stack, start_small(stack)


@pytest.fixture
def member(sturdy):
    """Of a gateway that runs, also when the test before it failed half-way."""
    stack, tenants = sturdy
    process = stack.processes.get("gateway")
    if process is None or process.poll() is not None:
        stack.processes.pop("gateway", None)
        stack.start_gateway()
    return tenants["alpha"].member


def connect(stack, timeout=30):
    context = ssl.create_default_context(cafile=stack.ca_file)
    raw = socket.create_connection(("127.0.0.1", stack.port), timeout=timeout)
    return context.wrap_socket(raw, server_hostname="127.0.0.1")


def is_open(connection):
    """Whether the other side has neither said anything nor closed."""
    connection.setblocking(False)
    try:
        connection.recv(1)
        return False
    except ssl.SSLWantReadError:
        return True
    except OSError:
        return False


def answer_to(stack, data, timeout=30):
    """The status line's number for these bytes; 0 when the connection was closed without an answer."""
    with connect(stack, timeout) as connection:
        try:
            connection.sendall(data)
        except OSError:
            pass  # refused before all was sent; the answer may be there all the same
        received = b""
        try:
            while b"\r\n" not in received and (more := connection.recv(4096)):
                received += more
        except (ConnectionError, ssl.SSLError):
            pass
        return int(received.split()[1]) if received.startswith(b"HTTP/1.1 ") else 0


def still_serves(member):
    return member.call("GET", "/v1/models").status == 200


def test_a_killed_engine_is_a_clean_error_and_comes_back(sturdy, member):
    stack, _ = sturdy
    stream = Stream(member)
    lines = stream.lines()
    next(lines)
    waiting = []
    whole = threading.Thread(target=lambda: waiting.append(stack.chat(member.key, "Tell a story.", max_tokens=1500,
                                                                      temperature=1.5)))
    whole.start()
    for _ in range(20):
        next(lines)
    old = stack.pids()["engine"]
    os.kill(old, signal.SIGKILL)
    rest = list(lines)
    whole.join(60)
    assert "[DONE]" not in "".join(rest) and '"error"' in "".join(rest), "the stream ends by saying so"
    assert waiting and waiting[0].status in (502, 503), waiting[0].body
    assert waiting[0].json()["error"]["type"] == "server_error"
    # Not by /readyz alone: until the gateway has noticed, that speaks of the old one.
    eventually(lambda: stack.pids()["engine"] not in (0, old) and stack.call("GET", "/readyz").status == 200,
               "the engine is started again", 60)
    assert stack.chat(member.key, "hello", max_tokens=2).status == 200
    assert not os.path.exists(f"/proc/{old}") or open(f"/proc/{old}/stat").read().split()[2] == "Z"


def test_a_client_that_leaves_frees_its_place(sturdy, member):
    """More streams are dropped than there are places; the next request is served long before they would have ended."""
    stack, _ = sturdy
    dropped, tokens = 12, lambda: worker_counter(stack, "bulkhead_engine_generated_tokens_total")
    before = tokens()
    for _ in range(dropped):
        stream = Stream(member)
        next(stream.lines())
        stream.answer.close()
        stream.connection.close()
    assert stack.chat(member.key, "hello", max_tokens=2).status == 200
    eventually(lambda: worker_counter(stack, "bulkhead_engine_active") == 0, "nothing is generated for those who left")
    assert 0 < tokens() - before < dropped * STREAM_TOKENS / 2


def test_slow_clients_hold_nobody_up(sturdy, member):
    """Forty connections that say half a request each; the others' requests go through meanwhile."""
    stack, _ = sturdy
    slow = []
    for i in range(40):
        connection = connect(stack)
        connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n" if i % 2 else b"G")
        slow.append(connection)
    for _ in range(5):
        assert still_serves(member)
    assert sum(map(is_open, slow)) == len(slow), "all that was served beside them"
    for connection in slow:
        connection.close()


@pytest.mark.parametrize("data,statuses", [
    (b"\x00\x01\x02\x03\r\n\r\n", (400,)), (b"GET\r\n\r\n", (400,)), (b"\r\n\r\n\r\n\r\n", (400,)),
    (b"GET /v1/models HTTP/9.9\r\nHost: x\r\n\r\n", (505,)),
    (b"GET /v1/models HTTP/1.1\r\n\r\n", (400,)),
    (b"GET /v1/models HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", (400,)),
    (b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", (0, 431)),
    (b"GET /v1/models HTTP/1.1\r\nHost: x\r\nX: " + b"b" * 200000 + b"\r\n\r\n", (0, 431)),
    (b"GET /v1/models HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 5000 + b"\r\n", (0, 431)),
    (b"POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", (400,)),
    (b"POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", (400,)),
    (b"POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", (400,)),
    (b"POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n", (400,)),
    (b"GET /v1/models HTTP/1.1\r\nHost: x\r\n folded: x\r\n\r\n", (400,)),
    (b"GET /v1/models HTTP/1.1\r\nHost : x\r\n\r\n", (400,)),
    (b"GET /v1/models HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n", (400,)),
    (b"GET /v1/models HTTP/1.1\nHost: x\n\n", (400,)),
    (b"CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n", (501,)),
    (b"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", (501,)),
], ids=range(19))
def test_garbage_is_refused_and_service_goes_on(sturdy, member, data, statuses):
    """0: what is far too long may be cut off while it is still being sent, so that the answer is lost."""
    assert answer_to(sturdy[0], data) in statuses
    assert still_serves(member)


def test_random_bytes(sturdy, member):
    stack, _ = sturdy
    source = random.Random(1)
    for _ in range(60):
        with connect(stack) as connection:
            connection.sendall(source.randbytes(source.randrange(1, 3000)))
    for _ in range(20):  # not even TLS
        with socket.create_connection(("127.0.0.1", stack.port)) as raw:
            raw.sendall(source.randbytes(400))
    assert still_serves(member)


def test_a_body_too_large_is_refused_before_it_is_sent(sturdy, member):
    stack, _ = sturdy
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {member.key}\r\n" \
           "Content-Type: application/json\r\nContent-Length: 50000000\r\nExpect: 100-continue\r\n\r\n"
    assert answer_to(stack, head.encode()) == 413
    assert answer_to(stack, head.replace(member.key, "bhk_nobody").encode()) == 401
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    chunked = head.replace("Content-Length: 50000000\r\nExpect: 100-continue", "Transfer-Encoding: chunked").encode()
    assert answer_to(stack, chunked + chunk * 100 + b"0\r\n\r\n") in (0, 413)
    assert still_serves(member)


def test_hostile_json(sturdy, member):
    deep = b'{"model":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    wide = b'{"model":"default","messages":[' + b",".join([b'{"role":"user","content":"x"}'] * 20_000) + b"]}"
    number = b'{"model":"default","max_tokens":' + b"9" * 100_000 + b"}"
    for body in (deep, wide, number):
        answer = member.call("POST", "/v1/chat/completions", raw=body, headers={"Content-Type": "application/json"})
        assert answer.status == 400, answer.body
    assert still_serves(member)


@pytest.mark.parametrize("name,content,code", [
    ("empty.txt", b"", "invalid_file"), ("broken.pdf", b"%PDF-1.7\n" + b"\xff" * 5000, "invalid_file"),
    ("broken.docx", b"PK\x03\x04" + b"\0" * 3000, "invalid_file"), ("program.exe", b"MZ" + NOISE[:3000], "unsupported_file"),
    ("noise.txt", NOISE, "unsupported_file"), ("deep.html", b"<div>" * 200000, "invalid_file"),
    ("../../../etc/passwd", b"just text", None), ("name\u202etxt.exe", b"just text", None)])
def test_hostile_documents_fail_alone(sturdy, member, name, content, code):
    """Shown as failed, with the reason; what has only a hostile name (control) is indexed."""
    stack, _ = sturdy
    source = stack.folder / "hostile.tmp"
    source.write_bytes(content)
    uploaded = stack.upload(member.key, source, name=name)
    assert uploaded.status == 200 and "/" not in uploaded.json()["filename"], uploaded.body
    store = member.call("POST", "/v1/vector_stores", {"file_ids": [uploaded.json()["id"]]}).json()["id"]
    ended = eventually(lambda: (s := member.call("GET", f"/v1/vector_stores/{store}/files").json()["data"][0])
                       ["status"] != "in_progress" and s, "the document is done with", 60)
    if code is None:
        assert ended["status"] == "completed" and ended["bulkhead"]["chunks"] == 1, ended
    else:
        assert ended["status"] == "failed" and ended["last_error"]["code"] == code and ended["last_error"]["message"], ended
    assert still_serves(member)
    add_document(member, "good.txt", "A plain sentence.")


def test_sigterm_lets_a_running_answer_end(sturdy, member):
    stack, _ = sturdy
    stream = Stream(member, max_tokens=24)
    lines = stream.lines()
    next(lines)
    stack.processes["gateway"].send_signal(signal.SIGTERM)
    assert list(lines)[-1] == "data: [DONE]"
    process = stack.processes["gateway"]
    assert process.wait(60) == 0
    assert stack.cli("audit", "verify", "--dir", stack.audit_dir, config=False, check=False).returncode == 0
    stack.processes.pop("gateway")
    stack.start_gateway()
    assert still_serves(member)


def test_what_outlasts_the_drain_is_told_so(new_stack):
    stack = new_stack()
    member = start_small(stack, names=("alpha",))["alpha"].member
    stack.stop_process("gateway")
    stack.config.write_text(stack.config.read_text().replace("[server]\n", "[server]\ndrain_time_max = 1\n"))
    stack.start_gateway()
    stream = Stream(member)
    lines = stream.lines()
    next(lines)
    stack.processes["gateway"].send_signal(signal.SIGTERM)
    rest = list(lines)
    assert '"error"' in rest[-1] and "[DONE]" not in "".join(rest), rest[-2:]
    assert stack.processes.pop("gateway").wait(60) == 0
    assert "drain_time_over" in stack.logs["gateway"].read_text(errors="replace")
    assert stack.cli("audit", "verify", "--dir", stack.audit_dir, config=False, check=False).returncode == 0


def test_everything_survives_a_kill(sturdy, member):
    stack, _ = sturdy
    file, store = add_document(member, "keep.txt", "The lamp on Ailsa Craig is green.")
    keys = member.stack.call("GET", "/v1/bulkhead/api_keys", sturdy[1]["alpha"].admin.key).body
    stack.stop_process("gateway", signal.SIGKILL)
    stack.start_gateway()
    assert member.call("GET", f"/v1/files/{file}/content").body == b"The lamp on Ailsa Craig is green."
    found = member.call("POST", f"/v1/vector_stores/{store}/search", {"query": "green lamp"}).json()["data"]
    assert found and found[0]["file_id"] == file
    assert member.stack.call("GET", "/v1/bulkhead/api_keys", sturdy[1]["alpha"].admin.key).body == keys
    eventually(lambda: not [p for p in os.listdir("/proc") if p.isdigit() and orphan(p, stack)],
               "the killed gateway's engine ended with it")


def orphan(pid, stack):
    """An engine of this stack whose gateway is not the running one."""
    try:
        status = open(f"/proc/{pid}/status").read()
        name = open(f"/proc/{pid}/comm").read().strip()
    except OSError:
        return False
    parent = status.split("PPid:")[1].split()[0]
    return name.startswith("bulkhead-engin") and parent == "1" and "State:\tZ" not in status and \
        str(stack.folder) in open(f"/proc/{pid}/environ", errors="replace").read()


def test_a_second_gateway_on_the_same_data_is_refused(sturdy, member):
    stack, _ = sturdy
    done = stack.cli("serve", check=False)
    assert done.returncode != 0 and done.stderr.strip()


def test_a_wrong_platform_key_starts_nothing(new_stack):
    """Fails closed: with another key the gateway says so and ends, rather than serve without its tenants."""
    stack = new_stack()
    start_small(stack, names=("alpha",))
    stack.stop_process("gateway")
    good = (stack.folder / "platform.key").read_text()
    other = "".join("1" if c == "0" else "0" if c == "1" else c for c in good.strip())
    (stack.folder / "platform.key").write_text(other + "\n")
    done = stack.cli("serve", check=False)
    assert done.returncode != 0 and done.stderr.strip()
    (stack.folder / "platform.key").write_text(good)
    stack.start_gateway()
