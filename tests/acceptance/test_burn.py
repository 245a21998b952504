"""Nothing of a request is left in the memory of gateway or engine when its answer has been given (I5, I6).

The control runs the same scan on a stack whose config says `burn = false`, and must find the text.
"""
import json
import secrets
import threading

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
    threads = [threading.Thread(target=ask, args=(stack, person, text)) for text in (prompt, long, prompt, long)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
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


def test_one_tenants_prompt_is_gone_while_another_still_runs(burning):
    """The neighbour's sequence goes on in the same engine while this one's bytes are zeroed."""
    stack, tenants = burning
    marks, prompt = words()
    stream = Stream(tenants["beta"].member)
    lines = stream.lines()
    next(lines)
    ask(stack, tenants["alpha"].member, prompt)
    still = threading.Event()
    try:
        next(lines)
        still.set()
        eventually(lambda: not scan(stack, marks), f"memory holds no word, but: {scan(stack, marks)}", 5)
    finally:
        stream.answer.close()
        stream.connection.close()
    assert still.is_set()


def test_receipt_counts_zeroed_bytes_and_is_signed(burning, tmp_path):
    stack, tenants = burning
    member = tenants["alpha"].member
    answer = ask(stack, member, "Say hello.")
    receipt = member.call("GET", answer.json()["bulkhead"]["burn_receipt"])
    report = receipt.json()
    assert report["engine"]["verified"] and report["engine"]["report"]["kv_bytes_zeroed"] > 0
    assert report["engine"]["report"]["kv_bytes_read_back_nonzero"] == 0
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
