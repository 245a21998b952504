"""Nothing of a request is left in the memory of gateway or engine when its answer has been given (I5, I6).

The control runs the same scan on a stack whose config says `burn = false`, and must find the text.
"""
import http.client
import json
import os
import re
import secrets
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import add_document, eventually, start_small
from memory import is_instrumented, memory_hits
from test_identity import Stream


def words():
    """A prompt no run has seen before; its parts are looked for, so that a half-wiped text is found too."""
    marks = ["zq" + secrets.token_hex(10) for _ in range(3)]
    return marks, f"My patient {marks[0]} has the code {marks[1]}, please repeat: {marks[2]}"


def exercise(stack, person, prompt):
    """Short and long, whole and streamed, parallel, refused: what the tests ask of both stacks alike."""
    long = (prompt + " and then some more words. ") * 8
    for text in (prompt, long):
        for stream in (False, True):
            ask(stack, person, text, stream=stream)
    with ThreadPoolExecutor(4) as pool:  # whose failures are this test's
        list(pool.map(lambda text: ask(stack, person, text), (prompt, long, prompt, long)))
    stack.chat(person.key, long, temperature=99)


def scan(stack, marks):
    needles = [mark.encode() for mark in marks]
    return {name: hits for name, pid in stack.pids().items()
            if name != "dev-idp" and pid and (hits := memory_hits(pid, needles))}


@pytest.fixture(scope="module")
def burning(new_stack):
    stack = new_stack()
    return stack, start_small(stack)


@pytest.fixture(scope="module")
def keeping(new_stack):
    """The control experiment: the same program with the wiping switched off."""
    stack = new_stack(burn=False)
    return stack, start_small(stack, names=("alpha",))


def ask(stack, person, prompt, **options):
    answer = stack.chat(person.key, prompt, max_tokens=24, **options)
    assert answer.status == 200
    return answer


def test_control_without_burn_the_scan_finds_the_prompt(keeping):
    stack, tenants = keeping
    marks, prompt = words()
    exercise(stack, tenants["alpha"].member, prompt)
    assert set(scan(stack, marks)) == {"gateway", "engine", "engine:all-minilm-l6-v2"}, "the scan can't see what it looks for"


def test_control_while_it_runs_the_prompt_is_there(burning):
    """In the middle of an answer the gateway still holds the text; cut off, it is wiped as well."""
    stack, tenants = burning
    stream = Stream(tenants["alpha"].member)
    lines = stream.lines()
    next(lines)
    hits = memory_hits(stack.pids()["gateway"], [b"very long story about a voyage"])
    stream.connection.close()
    stream.answer.close()
    assert hits
    eventually(lambda: not scan(stack, ["very long story about a voyage"]), "the cut stream's prompt is wiped")


def test_prompt_and_answer_are_gone(burning):
    stack, tenants = burning
    marks, prompt = words()
    for person in (tenants["alpha"].member, tenants["beta"].member):
        exercise(stack, person, prompt)
    eventually(lambda: not scan(stack, marks), f"memory holds no word of the prompt, but: {scan(stack, marks)}", 5)


@pytest.fixture(scope="module")
def retrieved(burning):
    """Words of a document that was indexed, searched, cited in a chat and read back."""
    stack, tenants = burning
    marks, _ = words()
    member = tenants["alpha"].member
    text = f"The harbour master's password is {marks[0]} and his boat is called {marks[1]}."
    file, store = add_document(member, "harbour.txt", text)
    answer = ask(stack, member, "What is the harbour master's password?", bulkhead={"vector_store_ids": [store]})
    assert answer.json()["bulkhead"]["retrieval"]["outcome"] == "answered"
    found = member.call("POST", f"/v1/vector_stores/{store}/search", {"query": "harbour master"})
    assert marks[0] in found.body.decode()
    assert marks[1] in member.call("GET", f"/v1/files/{file}/content").body.decode()
    return stack, marks


def test_retrieved_text_is_gone(retrieved):
    """A document's passage went through upload, search, prompt and citation; now it is sealed on disk only."""
    stack, marks = retrieved
    phrases = [f"password is {marks[0]}", f"{marks[0]} and his boat", f"called {marks[1]}."]
    eventually(lambda: not scan(stack, phrases), f"memory holds no passage, but: {scan(stack, phrases)}", 5)


def test_single_words_of_the_index_are_gone(retrieved):
    """The store's full-text index holds words one by one; its pages leave memory soon after their use."""
    stack, marks = retrieved
    eventually(lambda: not scan(stack, marks[:2]), f"memory holds no word, but: {scan(stack, marks[:2])}", 5)


def test_embedding_input_is_gone(burning):
    stack, tenants = burning
    marks, prompt = words()
    assert tenants["alpha"].member.call("POST", "/v1/embeddings", {"model": "default", "input": prompt}).status == 200
    eventually(lambda: not scan(stack, marks), f"memory holds no input, but: {scan(stack, marks)}", 5)


def test_refused_requests_leave_nothing(burning):
    stack, tenants = burning
    marks, prompt = words()
    member = tenants["alpha"].member
    assert stack.chat(member.key, prompt, temperature=99).status == 400
    assert stack.chat(member.key, prompt, model="none").status == 404
    assert stack.chat("bhk_" + marks[2], prompt).status == 401
    raw = json.dumps({"model": "default", "messages": [{"role": "user", "content": prompt}]})[:-3].encode()
    assert member.call("POST", "/v1/chat/completions", raw=raw, headers={"Content-Type": "application/json"}).status == 400
    eventually(lambda: not scan(stack, marks), f"memory holds no refused text, but: {scan(stack, marks)}", 5)


class Neighbour:
    """Another tenant's answer under way; `events` counts what has come of it, read by a thread of its own."""

    def __init__(self, person):
        self.stream = Stream(person)
        self.events, self.ended = 0, False
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()
        eventually(lambda: self.events > 1, "the neighbour's answer has begun")

    def read(self):
        try:
            for line in self.stream.lines():
                self.events += line.startswith("data: {")
        except (OSError, ValueError, http.client.HTTPException):
            pass  # closed below
        self.ended = True

    def close(self):
        self.stream.connection.sock and self.stream.connection.sock.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.stream.answer.close()
        self.stream.connection.close()


def generated(stack):
    """What the worker says of itself: tokens generated so far, sequences in slots."""
    text = ""
    for path in (stack.data_dir / "run").glob("engine-*.sock"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n\r\n")
            text += b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    value = lambda name: int(re.search(rf"^{name} (\d+)\s*$", text, re.MULTILINE)[1])
    return value("bulkhead_engine_generated_tokens_total"), value("bulkhead_engine_active")


def scan_beside(stack, marks, neighbour):
    """What a scan finds in which the neighbour's sequence, and no other, was decoded: before it, while it looked, and
    after it."""
    def attempt():
        tokens, active = generated(stack)
        assert active == 1 and not neighbour.ended, "the neighbour runs before the scan"
        found = scan(stack, marks)
        after, active = generated(stack)
        assert active == 1 and not neighbour.ended, "the neighbour runs after the scan"
        return (found,) if after > tokens else None

    (found,) = eventually(attempt, "a scan in which the neighbour's answer went on")
    events = neighbour.events
    eventually(lambda: neighbour.events > events, "the neighbour's answer goes on after the scan")
    return found


def test_one_tenants_prompt_is_gone_while_another_still_runs(burning):
    """The neighbour's sequence goes on in the same engine while this one's bytes are zeroed and looked for."""
    stack, tenants = burning
    marks, prompt = words()
    neighbour = Neighbour(tenants["beta"].member)
    try:
        ask(stack, tenants["alpha"].member, prompt)
        eventually(lambda: not scan_beside(stack, marks, neighbour), "memory holds no word of the prompt", 10)
    finally:
        neighbour.close()


def test_control_without_burn_the_prompt_is_found_while_another_runs(keeping):
    stack, tenants = keeping
    marks, prompt = words()
    neighbour = Neighbour(tenants["alpha"].people["ned"])
    try:
        ask(stack, tenants["alpha"].member, prompt)
        assert "engine" in scan_beside(stack, marks, neighbour)
    finally:
        neighbour.close()


def test_receipt_counts_zeroed_bytes_and_is_signed(burning, tmp_path):
    stack, tenants = burning
    member = tenants["alpha"].member
    answer = ask(stack, member, "Say hello.")
    receipt = member.call("GET", answer.json()["bulkhead"]["burn_receipt"])
    report = receipt.json()
    assert report["engine"]["verified"] and report["engine"]["report"]["rows"] == "zeroed"
    cleared = {entry["memory"]: entry for entry in report["engine"]["report"]["cleared"]}
    assert set(cleared) == {"kv_rows", "compute", "work", "output", "batch", "objects"}
    for name in ("kv_rows", "compute", "work", "output", "batch"):
        entry = cleared[name]
        assert entry["method"] == "zeroed" and entry["bytes"] > 0, name
        assert entry["read_back"] == entry["bytes"] and entry["nonzero"] == 0, name
    assert cleared["objects"]["method"] == "freed" and cleared["objects"]["objects"] > 0
    assert report["engine"]["report"]["heap_wiped_on_free"] is not is_instrumented(stack.pids()["engine"])
    assert report["engine"]["report"]["reuse"] == {"by": "none", "seconds": 0}
    assert report["request_id"] == answer.headers["x-request-id"]
    # A sanitizer's own allocator can't wipe, and the receipt must not say that it did.
    assert report["gateway"]["heap_wiped_on_free"] is not is_instrumented(stack.pids()["gateway"])
    file = tmp_path / "receipt.json"
    verify = lambda: stack.cli("receipt", "verify", file, "--key", stack.audit_dir / "audit-key.pub", config=False,
                               check=False).returncode
    file.write_bytes(receipt.body)
    assert verify() == 0
    file.write_bytes(receipt.body.replace(b'"verified":true', b'"verified":false'))
    assert verify() == 1


def test_a_receipt_without_burning_lists_nothing(keeping):
    stack, tenants = keeping
    member = tenants["alpha"].member
    answer = ask(stack, member, "Say hello.")
    report = member.call("GET", answer.json()["bulkhead"]["burn_receipt"]).json()["engine"]
    assert report["verified"] is False
    assert report["report"]["rows"] == "skipped" and report["report"]["cleared"] == []


def test_every_thread_of_the_workers_is_in_the_sandbox(burning):
    """The filter that tests/unit/inference/sandbox_test.cc tries is on each thread of the workers that serve."""
    stack, _ = burning
    assert {"engine", "dev-idp"} <= set(stack.pids()), "both sides of the comparison run"
    for name, pid in stack.pids().items():
        lines = [line.split() for task in os.listdir(f"/proc/{pid}/task")
                 for line in open(f"/proc/{pid}/task/{task}/status")]
        modes = {line[1] for line in lines if line[0] == "Seccomp:"}
        if name.startswith("engine"):
            assert modes == {"2"}, name
        if name == "dev-idp":
            assert modes == {"0"}, "control: the line says when there is none"


def test_processes_write_no_core_and_stay_out_of_swap(burning):
    """The engine can't dump core; both keep /proc closed to other users."""
    stack, _ = burning
    for name, pid in stack.pids().items():
        if name == "dev-idp":
            continue
        limits = open(f"/proc/{pid}/limits").read()
        core = next(line for line in limits.splitlines() if line.startswith("Max core"))
        assert core.split()[4] == "0", (name, core)
    locked = lambda pid: int(next(line.split()[1] for line in open(f"/proc/{pid}/status") if line.startswith("VmLck")))
    resident = lambda pid: int(next(line.split()[1] for line in open(f"/proc/{pid}/status") if line.startswith("VmRSS")))
    pids = stack.pids()
    if is_instrumented(pids["gateway"]):
        pytest.skip("nobody can lock a sanitizer's shadow memory")
    for name in ("gateway", "engine"):
        assert locked(pids[name]) >= resident(pids[name]), name
    # Control: a process that holds no tenant's text locks its keys and nothing else.
    assert locked(pids["dev-idp"]) < resident(pids["dev-idp"])
