"""What one tenant sends costs the shared engine no more than its size says, and its neighbour is served meanwhile.

Schemas and prompts are refused by the gateway or held to the worker's own bounds; no library is handed anything that
would hang it. A worker that stands still is stopped by a signal, not by an input.
"""
import json
import os
import signal
import threading

import pytest
from conftest import eventually, start_small
from test_identity import Stream

TOKENS_A_MINUTE = 600_000
LIMITS = {"requests_per_minute": 1_000_000, "tokens_per_minute": TOKENS_A_MINUTE, "concurrent_requests": 1000,
          "user_requests_per_minute": 1_000_000, "user_tokens_per_minute": TOKENS_A_MINUTE,
          "user_concurrent_requests": 1000}


@pytest.fixture(scope="module")
def shared(new_stack):
    stack = new_stack()
    tenants = start_small(stack)
    return stack, tenants["alpha"].member, tenants["beta"].member


def ask_for(person, schema, **more):
    return person.call("POST", "/v1/chat/completions", {
        "model": "default", "max_tokens": 12, "temperature": 0, "messages": [{"role": "user", "content": "hello"}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "out", "schema": schema}}, **more})


def served(person):
    answer = person.stack.chat(person.key, "hello", max_tokens=2)
    return answer.status == 200


def optional(count):
    return {"type": "object", "properties": {f"p{n}": {} for n in range(count)}}


def doubling(levels):
    """Each level is laid out twice where it stands: two to the power of the levels."""
    definitions = {f"d{n}": {"properties": {"x": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2}}}
                   for n in range(levels)}
    return {"allOf": [{"$ref": "#/$defs/d0"}], "$defs": {**definitions, f"d{levels}": {"properties": {"y": {}}}}}


# (schema, place in it that is named, the like of it that is served)
COSTLY = [
    ({"type": "object", "properties": {"a": {"type": "array", "items": {}, "minItems": 900, "maxItems": 3}}},
     ".properties.a.minItems", {"type": "array", "items": {"type": "null"}, "minItems": 1, "maxItems": 3}),
    ({"type": "string", "maxLength": 2_000_000_000}, ".maxLength", {"type": "string", "maxLength": 8}),
    ({"type": "string", "pattern": "^(a{1,1000}){1,1000}$"}, ".pattern",
     {"type": "string", "pattern": "^\\d{3}-[a-z]{1,9}$"}),
    ({"type": "string", "pattern": "^a{9,2}$"}, ".pattern", {"type": "string", "pattern": "^a{2,9}$"}),
    ({"type": "integer", "minimum": 9, "maximum": 2}, ".minimum", {"type": "integer", "minimum": 2, "maximum": 9}),
    (optional(400), ".properties", {**optional(400), "required": [f"p{n}" for n in range(400)]}),
    (doubling(14), None, doubling(3)),
    ({"anyOf": [{"const": n} for n in range(400)]}, ".anyOf", {"anyOf": [{"const": n} for n in range(4)]}),
    ({"$ref": "#/$defs/a", "$defs": {"a": {"properties": {"x": {"allOf": [{"$ref": "#/$defs/a"}]}}}}}, None,
     {"$ref": "#/$defs/a", "$defs": {"a": {"type": "object", "properties": {"x": {"$ref": "#/$defs/a"}},
                                          "required": []}}}),
]


@pytest.mark.parametrize("schema,place,like", COSTLY, ids=range(len(COSTLY)))
def test_a_schema_that_costs_out_of_proportion_is_refused_by_its_place(shared, schema, place, like):
    stack, attacker, neighbour = shared
    engine = stack.pids()["engine"]
    refused = ask_for(attacker, schema)
    assert refused.status == 400, refused.body
    error = refused.json()["error"]
    assert error["code"] == "invalid_parameter"
    whole = "response_format.json_schema.schema"
    assert error["param"] == whole + place if place else error["param"].startswith(whole), error
    tool = attacker.call("POST", "/v1/chat/completions", {
        "model": "default", "messages": [{"role": "user", "content": "hello"}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}]})
    assert tool.status == 400 and tool.json()["error"]["param"].startswith("tools[0].function.parameters"), tool.body
    # The control: it is the number that is refused, not the keyword.
    answered = ask_for(attacker, like)
    assert answered.status == 200, answered.body
    assert served(neighbour)
    assert stack.pids()["engine"] == engine


def prompt_of(size):
    return {"model": "default", "max_tokens": 1, "messages": [{"role": "user", "content": "a b " * (size // 4)}]}


def test_a_prompt_of_megabytes_is_refused_by_its_bytes_and_charged(new_stack):
    stack = new_stack()
    tenants = start_small(stack, policy={"limits": LIMITS})
    attacker, neighbour = tenants["alpha"].member, tenants["beta"].member
    size = 1_600_000
    for path, body, place in [
            ("/v1/chat/completions", prompt_of(size), "messages"),
            ("/v1/chat/completions", {**prompt_of(size), "stream": True}, "messages"),
            ("/v1/completions", {"model": "default", "prompt": "a b " * (size // 4)}, "prompt"),
            ("/v1/embeddings", {"model": "default", "input": ["fine", "a b " * (size // 4)]}, "input[1]")]:
        refused = attacker.call("POST", path, body)
        if refused.status == 429:  # the charge for those before it
            assert refused.json()["error"]["code"] == "rate_limit_exceeded"
            break
        assert refused.status == 400, refused.body
        error = refused.json()["error"]
        assert (error["code"], error["param"]) == ("context_length_exceeded", place), error
        assert "bytes" in error["message"], "told from its size: the engine was not asked"
        left = int(refused.headers["x-ratelimit-remaining-tokens"])
        assert left <= TOKENS_A_MINUTE - size // 4, "charged by its size"
    else:
        pytest.fail("four such prompts are more than a minute's tokens")
    # The control: one that could fit by its bytes is counted by the engine, token by token.
    counted = neighbour.call("POST", "/v1/chat/completions", prompt_of(40_000))
    assert counted.status == 400 and "tokens and the context holds" in counted.json()["error"]["message"], counted.body
    assert served(neighbour)


def test_long_prompts_are_read_in_turns(shared):
    """Prompts as long as may be asked for at all, without a pause; another tenant's short ones go through."""
    _, attacker, neighbour = shared
    stop, answers = threading.Event(), []

    def flood():
        while not stop.is_set():
            answers.append(attacker.call("POST", "/v1/chat/completions", prompt_of(60_000)).status)

    threads = [threading.Thread(target=flood) for _ in range(6)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: answers, "the attack has begun")
        for _ in range(5):
            assert served(neighbour)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert set(answers) <= {400, 429}, set(answers)


def test_a_worker_that_stands_still_is_replaced_and_its_tenant_waits(new_stack):
    stack = new_stack(engine="stall_time_max = 5\nhold_off_time = 20")
    tenants = start_small(stack)
    attacker, neighbour = tenants["alpha"].member, tenants["beta"].member
    stream = Stream(attacker)
    lines = stream.lines()
    next(lines)
    old = stack.pids()["engine"]
    os.kill(old, signal.SIGSTOP)
    rest = "".join(lines)
    assert "[DONE]" not in rest and '"error"' in rest, "the stream ends by saying so"
    # Before the next worker is there, so that a slow machine does not sit the time out.
    held = eventually(lambda: (answer := stack.chat(attacker.key, "hello", max_tokens=2)).status == 429 and answer,
                      "it is held off")
    assert held.json()["error"]["code"] == "held_off", held.body
    eventually(lambda: stack.pids()["engine"] not in (0, old) and stack.call("GET", "/readyz").status == 200,
               "another worker serves", 60)
    assert served(neighbour), "who wasn't it is served at once"
    eventually(lambda: served(attacker), "it is served again", 60)
    died = [json.loads(line) for file in stack.audit_dir.glob("*.jsonl") for line in file.read_text().splitlines()
            if "stalled" in line]
    assert died, "the log says why the worker ended"


def test_readiness_tells_of_a_worker_that_stands_still(new_stack):
    """An idle one too. Its successor is made ready by its models' list, as at the start."""
    stack = new_stack(engine="stall_time_max = 5")
    start_small(stack)
    old = stack.pids()["engine"]
    os.kill(old, signal.SIGSTOP)
    eventually(lambda: stack.call("GET", "/readyz").status == 503, "it is not ready any more", 60)
    eventually(lambda: stack.pids()["engine"] not in (0, old) and stack.call("GET", "/readyz").status == 200,
               "another worker serves", 60)
