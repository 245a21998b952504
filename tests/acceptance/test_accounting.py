"""What a generation costs and how it ends: tokens are charged whatever the end was, and its record says which it was."""
import json
import os
import signal
import socket
import ssl
import threading

import pytest
from conftest import WIDE_LIMITS, add_document, eventually, start_small
from llama_server import SAFE, LlamaServer
from rude_engine import RudeEngine
from test_audit import records
from test_external_engines import BEST_EFFORT, section
from test_generation import TOOL, TOOL_MODEL, worker_counter
from test_identity import Stream

# A cut stream of this many events has used up more than a minute's tokens.
TIGHT = {**WIDE_LIMITS, "tokens_per_minute": 150}
EVENTS = 250
CHAT = {"model": "default", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}


def set_policy(tenant, limits=WIDE_LIMITS, **more):
    stack = tenant.member.stack
    answer = stack.call("PUT", f"/admin/tenants/{tenant.name}/policy", stack.operator_key,
                        {"retrieval": "off", "limits": limits, "allowed_models": ["toolsmith"], **more})
    assert answer.status == 200, answer.body


def ended(stack, request):
    """The record of a generation's end."""
    def found():
        return [r for r in records(stack.audit_dir)
                if r.get("request_id") == request and r["event"] in ("request_ended", "request_failed")]
    return eventually(found, f"the end of {request} on record")[-1]


def read_events(stream, count):
    """Reads that many content events; the stream stays open."""
    for line in stream.lines():
        count -= '"content":' in line
        if count < 0:
            return
    pytest.fail("the stream ended by itself")


def hang_up(stream):
    stream.answer.close()
    stream.connection.close()


@pytest.fixture(scope="module")
def small(new_stack):
    stack = new_stack(extra=TOOL_MODEL)
    return stack, start_small(stack, ("alpha", "beta", "gamma", "delta"),
                              policy={"retrieval": "off", "allowed_models": ["toolsmith"]})


def test_a_stream_cut_by_its_client_is_charged_and_recorded(small):
    """The tenant read more than a minute's tokens and hung up: its next request waits. The control read as few as its
    limit allows, hung up too, and is served."""
    stack, tenants = small
    greedy, modest = tenants["alpha"], tenants["beta"]
    for tenant, events in ((greedy, EVENTS), (modest, 5)):
        set_policy(tenant, TIGHT)
        stream = Stream(tenant.member)
        read_events(stream, events)
        hang_up(stream)
        record = ended(stack, stream.answer.headers["x-request-id"])
        assert record["finish_reason"] == "client_gone"
        assert record["completion_tokens"] >= events and record["prompt_tokens"] > 5
        assert record["output_bytes"] > 0 and record["output_hash"] and "tokens_estimated" not in record
    refused = greedy.member.call("POST", "/v1/chat/completions", CHAT)
    assert refused.status == 429 and refused.json()["error"]["code"] == "rate_limit_exceeded", refused.body
    served = modest.member.call("POST", "/v1/chat/completions", CHAT)
    # However late the hang-up was noticed, it can't have cost the control what the other one read.
    assert served.status == 200 or record["completion_tokens"] > TIGHT["tokens_per_minute"] / 2, served.body
    for tenant in (greedy, modest):
        set_policy(tenant)


def test_a_running_stream_holds_back_the_tenants_next_request(small):
    """It is not cut itself."""
    stack, tenants = small
    tenant = tenants["gamma"]
    set_policy(tenant, TIGHT)
    stream = Stream(tenant.member)
    read_events(stream, EVENTS)
    assert tenant.people["ned"].call("POST", "/v1/chat/completions", CHAT).status == 429
    read_events(stream, 20)
    hang_up(stream)
    ended(stack, stream.answer.headers["x-request-id"])
    set_policy(tenant)


def test_a_stream_cut_by_a_suspension_says_so(small):
    stack, tenants = small
    stream = Stream(tenants["delta"].member)
    lines = stream.lines()
    for _ in range(20):
        next(lines)
    assert stack.call("POST", "/admin/tenants/delta/suspend", stack.operator_key, {}).status == 200
    assert "tenant_suspended" in "".join(lines)
    record = ended(stack, stream.answer.headers["x-request-id"])
    assert record["finish_reason"] == "tenant_suspended" and record["completion_tokens"] >= 15
    assert stack.call("POST", "/admin/tenants/delta/resume", stack.operator_key, {}).status == 200


def whole_request(person, body):
    """A request whose answer nobody waits for: the open connection."""
    stack = person.stack
    context = ssl.create_default_context(cafile=stack.ca_file)
    connection = context.wrap_socket(socket.create_connection(("127.0.0.1", stack.port), timeout=60),
                                     server_hostname="127.0.0.1")
    text = json.dumps(body).encode()
    connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                       b"Authorization: Bearer " + person.key.encode() +
                       b"\r\nContent-Length: " + str(len(text)).encode() + b"\r\n\r\n" + text)
    return connection


def generated(stack):
    """Tokens that the workers have generated in all, by their own count."""
    return worker_counter(stack, "bulkhead_engine_generated_tokens_total")


LONG = {"model": "default", "max_tokens": 3000, "temperature": 1.5, "seed": 1, "logit_bias": {"0": -100, "2": -100},
        "messages": [{"role": "user", "content": "Write a very long story about a voyage."}]}


@pytest.mark.parametrize("more", [{}, {"n": 2}, {"model": "toolsmith", "tools": [TOOL]}],
                         ids=["one", "two choices", "tools"])
def test_a_whole_answer_that_is_cut_is_charged_for_what_was_generated(small, more):
    """Nothing of it was sent, and still the engine has worked."""
    stack, tenants = small
    member = tenants["beta"].member
    before, seen = generated(stack), len(records(stack.audit_dir))
    connection = whole_request(member, {**LONG, **more})
    eventually(lambda: generated(stack) > before + 200, "a good piece of the answer", 60)
    connection.close()
    record = eventually(lambda: [r for r in records(stack.audit_dir)[seen:] if r.get("event") == "request_ended"],
                        "its end on record")[-1]
    assert record["finish_reason"] == "client_gone" and record["output_bytes"] == 0
    assert "output_hash" not in record and record["prompt_tokens"] > 5
    assert record["completion_tokens"] > 100


def test_a_killed_engine_is_told_from_a_clients_hanging_up(small):
    stack, tenants = small
    stream = Stream(tenants["beta"].member)
    lines = stream.lines()
    for _ in range(20):
        next(lines)
    old = stack.pids()["engine"]
    os.kill(old, signal.SIGKILL)
    assert '"error"' in "".join(lines)
    record = ended(stack, stream.answer.headers["x-request-id"])
    assert record["finish_reason"] == "engine_failed" and record["completion_tokens"] >= 15
    eventually(lambda: stack.pids()["engine"] not in (0, old) and stack.call("GET", "/readyz").status == 200,
               "the engine is started again", 60)


def test_embeddings_and_searches_are_charged(small):
    stack, tenants = small
    tenant = tenants["beta"]
    before = tenant.member.call("POST", "/v1/embeddings", {"model": "default", "input": "word " * 100})
    used = before.json()["usage"]["prompt_tokens"]
    assert used >= 100
    assert ended(stack, before.headers["x-request-id"])["prompt_tokens"] == used
    _, store = add_document(tenant.member, "tide.txt", "The tide at the harbour turns at noon.")
    found = tenant.member.call("POST", f"/v1/vector_stores/{store}/search", {"query": "when does the tide turn?"})
    assert found.status == 200
    searched = eventually(lambda: [r for r in records(stack.audit_dir)
                                   if r.get("request_id") == found.headers["x-request-id"] and r["event"] == "search"],
                          "the search on record")[-1]
    assert searched["prompt_tokens"] > 3
    set_policy(tenant, TIGHT)
    big = {"model": "default", "input": ["word " * 200] * 3}
    assert tenant.member.call("POST", "/v1/embeddings", big).status == 200
    assert tenant.member.call("POST", f"/v1/vector_stores/{store}/search", {"query": "tide"}).status == 429
    set_policy(tenant)


def test_retrieval_of_a_chat_is_charged_apart_from_its_prompt(small):
    stack, tenants = small
    tenant = tenants["beta"]
    _, store = add_document(tenant.member, "quay.txt", "The quay is closed on Sundays.")
    asked = tenant.member.call("POST", "/v1/chat/completions",
                               {**CHAT, "bulkhead": {"vector_store_ids": [store]},
                                "messages": [{"role": "user", "content": "When is the quay closed?"}]})
    assert asked.status == 200, asked.body
    record = ended(stack, asked.headers["x-request-id"])
    assert record["retrieval_tokens"] > 3
    assert record["prompt_tokens"] == asked.json()["usage"]["prompt_tokens"]


def test_a_refused_request_leaves_no_debt(small):
    """Its estimate is more than a minute's tokens; by its bytes it could fit the model."""
    stack, tenants = small
    tenant = tenants["beta"]
    set_policy(tenant, TIGHT)
    large = {**CHAT, "messages": [{"role": "user", "content": "word " * 2_000}], "frequency": "no such parameter"}
    for _ in range(3):
        refused = tenant.member.call("POST", "/v1/chat/completions", large)
        assert (refused.status, refused.json()["error"]["code"]) == (400, "unknown_parameter"), refused.body
    assert tenant.member.call("POST", "/v1/chat/completions", CHAT).status == 200
    set_policy(tenant)


@pytest.fixture(scope="module")
def rude(new_stack, tmp_path_factory):
    engine = RudeEngine(tmp_path_factory.mktemp("rude"))
    stack = new_stack(slots=2, context=2048, engine='chat_model = "stock"',
                      external=section(engine, kind="openai"),
                      tenant_defaults='engine = { burn = "best_effort", prefix_isolation = "best_effort" }')
    lenient = {**BEST_EFFORT, "prefix_isolation": "best_effort"}
    tenants = start_small(stack, ("alpha", "beta"), policy={"retrieval": "off", "engine": lenient})
    yield engine, stack, tenants
    engine.stop()


def ask_rude(person, stream, **more):
    return person.call("POST", "/v1/chat/completions", {**CHAT, "max_tokens": 500, "stream": stream, **more})


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_an_engine_that_tells_no_usage_is_counted(rude, stream):
    engine, stack, tenants = rude
    member = tenants["alpha"].member
    for usage in (None, {"prompt_tokens": 0, "completion_tokens": 0}, {"prompt_tokens": -9, "completion_tokens": 1 << 60}):
        engine.usage, engine.finish_reason, engine.events, engine.dies = usage, "stop", 80, False
        answer = ask_rude(member, stream, **({"stream_options": {"include_usage": True}} if stream else {}))
        assert answer.status == 200
        record = ended(stack, answer.headers["x-request-id"])
        assert 80 <= record["completion_tokens"] <= 500 and record["prompt_tokens"] > 0, usage
        assert record["tokens_estimated"] is True and record["finish_reason"] == "stop"
        assert f'"completion_tokens":{record["completion_tokens"]}' in answer.body.decode()
    engine.usage = {"prompt_tokens": 7, "completion_tokens": 90}
    record = ended(stack, ask_rude(member, stream).headers["x-request-id"])
    assert (record["prompt_tokens"], record["completion_tokens"]) == (7, 90), "control: a count that may be true"
    assert "tokens_estimated" not in record


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_words_of_an_engine_reach_no_record_metric_or_log(rude, stream):
    engine, stack, tenants = rude
    member = tenants["alpha"].member
    engine.usage, engine.events, engine.dies, engine.finish_reason = None, 3, False, "zzpatient J. Doe\n"
    answer = ask_rude(member, stream)
    assert answer.status == 200 and ended(stack, answer.headers["x-request-id"])["finish_reason"] == "other"
    engine.finish_reason = "client_gone"
    answer = ask_rude(member, stream)
    assert ended(stack, answer.headers["x-request-id"])["finish_reason"] == "other", "the gateway's own words are its own"
    for engine.status in (400, 418, 500):
        refused = ask_rude(member, stream)
        assert refused.status >= 400 and "zz" not in refused.body.decode()
    engine.status = 200
    told = "".join(file.read_text() for file in stack.audit_dir.glob("audit-*.jsonl"))
    told += stack.log_tail("gateway") + stack.call("GET", "/metrics", stack.operator_key).body.decode()
    for word in ("zzpatient", "zzheader", "zzcode", "zzmessage"):
        assert word not in told, word


def test_an_engine_that_dies_in_the_middle_is_charged_for_what_it_sent(rude):
    engine, stack, tenants = rude
    member = tenants["beta"].member
    engine.usage, engine.finish_reason, engine.events, engine.dies = None, "stop", 80, True
    answer = ask_rude(member, True)
    record = ended(stack, answer.headers["x-request-id"])
    assert record["finish_reason"] == "engine_failed" and record["completion_tokens"] >= 80
    whole = ask_rude(member, False)
    assert whole.status == 502
    record = ended(stack, whole.headers["x-request-id"])
    # Nothing is known of it but how long it may have been.
    assert record["completion_tokens"] == 500 and record["tokens_estimated"] is True
    engine.dies = False


def test_a_stream_of_a_stock_server_that_is_cut_is_counted(new_stack, tmp_path):
    """llama.cpp's server tells its usage at the end only."""
    server = LlamaServer(tmp_path / "llama", *SAFE)
    stack = new_stack(slots=2, context=2048, engine='chat_model = "stock"', external=section(server),
                      tenant_defaults='engine = { burn = "best_effort" }')
    tenant = start_small(stack, ("alpha",), policy={"retrieval": "off", "engine": BEST_EFFORT})["alpha"]
    try:
        stream = Stream(tenant.member)
        read_events(stream, 100)
        hang_up(stream)
        record = ended(stack, stream.answer.headers["x-request-id"])
        assert record["finish_reason"] == "client_gone" and record["completion_tokens"] >= 100
        assert record["tokens_estimated"] is True and record["prompt_tokens"] > 0
    finally:
        server.stop()
        stack.stop()


def test_a_stream_cut_by_the_gateways_end_says_so(new_stack):
    stack = new_stack()
    tenant = start_small(stack, ("alpha",), policy={"retrieval": "off"})["alpha"]
    stack.stop_process("gateway")
    stack.config.write_text(stack.config.read_text().replace("[server]\n", "[server]\ndrain_time_max = 1\n"))
    stack.start_gateway()
    stream = Stream(tenant.member)
    read_events(stream, 20)
    stopping = threading.Thread(target=lambda: stack.stop_process("gateway", seconds=90))
    stopping.start()
    rest = "".join(stream.lines())
    stopping.join()
    assert "shutting_down" in rest
    record = ended(stack, stream.answer.headers["x-request-id"])
    assert record["finish_reason"] == "shutdown" and record["completion_tokens"] >= 20
