"""Generation features through the unmodified OpenAI SDK: several choices, penalties, bias, log probabilities, answer
formats, tools, /v1/completions; and engine sessions: what is kept, for whom, and its end."""
import json
import socket

import openai
import pytest
from conftest import CHAT_MODEL, ROOT, start_small
from test_openai_sdk import client_of

HELLO = [{"role": "user", "content": "Write one short sentence about the sea."}]
LONG = [{"role": "system", "content": "You are the harbour's clerk. " + "Answer in plain words and briefly. " * 12},
        {"role": "user", "content": "Which tide comes after low water?"}]
SCHEMA = {"type": "object", "properties": {"port": {"type": "string", "maxLength": 12}, "ships": {"type": "integer"}},
          "required": ["port", "ships"], "additionalProperties": False}
TOOL = {"type": "function", "function": {"name": "get_tide", "description": "Tide at a port",
                                         "parameters": {"type": "object", "properties": {"port": {"type": "string"}},
                                                        "required": ["port"]}}}


# The same model again under a template that lays out tools, which its own can't.
TOOL_MODEL = f'''
[[engine.models]]
id = "toolsmith"
path = "{CHAT_MODEL}"
slots = 1
template = "{ROOT / 'tests/unit/inference/tools.jinja'}"
'''


@pytest.fixture(scope="module")
def small(new_stack):
    stack = new_stack(extra=TOOL_MODEL)
    tenants = start_small(stack, policy={"retrieval": "off", "allowed_models": ["toolsmith"]})
    return stack, tenants


def set_policy(stack, tenant, **policy):
    from conftest import WIDE_LIMITS
    answer = stack.call("PUT", f"/admin/tenants/{tenant}/policy", stack.operator_key,
                        {"retrieval": "off", "limits": WIDE_LIMITS, "allowed_models": ["toolsmith"], **policy})
    assert answer.status == 200, answer.body


@pytest.fixture(scope="module")
def member(small):
    return small[1]["alpha"].people["mia"]


@pytest.fixture(scope="module")
def client(member):
    return client_of(member)


def ask(client, **more):
    return client.chat.completions.create(**{"model": "default", "messages": HELLO, "max_tokens": 16, "temperature": 0,
                                             **more})


def test_n_gives_that_many_choices_whole_and_streamed(client):
    answer = ask(client, n=3, temperature=1.2, seed=5)
    assert [c.index for c in answer.choices] == [0, 1, 2]
    assert len({c.message.content for c in answer.choices}) > 1
    chunks = list(ask(client, n=3, temperature=1.2, seed=5, stream=True))
    texts, ends = ["", "", ""], {}
    for chunk in chunks:
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            if choice.finish_reason:
                ends[choice.index] = choice.finish_reason
    assert all(texts) and sorted(ends) == [0, 1, 2]
    assert texts == [c.message.content for c in answer.choices]


def test_logit_bias_forces_a_token_and_control_without_it_differs(client):
    plain = ask(client, max_tokens=6).choices[0].message.content
    biased = ask(client, max_tokens=6, logit_bias={"100": 100}).choices[0].message.content
    assert biased != plain


def test_penalties_change_a_repeating_answer(client):
    loop = [{"role": "user", "content": "Repeat the word wave many times: wave wave wave wave wave wave wave"}]
    free = ask(client, messages=loop, max_tokens=40).choices[0].message.content
    less = ask(client, messages=loop, max_tokens=40, presence_penalty=2, frequency_penalty=2).choices[0].message.content
    assert free != less


def test_logprobs_only_where_the_policy_allows(small, client):
    stack, tenants = small
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client, logprobs=True)
    assert refused.value.param == "logprobs"
    set_policy(stack, "beta", allow_logprobs=True)
    allowed = client_of(tenants["beta"].people["mia"])
    answer = ask(allowed, logprobs=True, top_logprobs=3, max_tokens=4)
    tokens = answer.choices[0].logprobs.content
    assert 1 <= len(tokens) <= 4 and all(t.logprob <= 0 and len(t.top_logprobs) == 3 for t in tokens)
    assert tokens[0].token == tokens[0].top_logprobs[0].token, "greedy takes the most probable"
    streamed = [t for c in ask(allowed, logprobs=True, top_logprobs=3, max_tokens=4, stream=True) if c.choices
                for t in (c.choices[0].logprobs.content if c.choices[0].logprobs else [])]
    assert [t.token for t in streamed] == [t.token for t in tokens]
    old = allowed.completions.create(model="default", prompt="The sea is", logprobs=2, max_tokens=3, temperature=0)
    assert len(old.choices[0].logprobs.tokens) == len(old.choices[0].logprobs.token_logprobs) >= 1


def test_json_schema_holds_and_control_is_no_json(client):
    question = [{"role": "user", "content": "Name a port and how many ships lie there."}]
    with pytest.raises(ValueError):
        json.loads(ask(client, messages=question, max_tokens=24).choices[0].message.content)
    for extra in ({}, {"temperature": 1.4, "seed": 3}):
        answer = ask(client, messages=question, max_tokens=120, **extra,
                     response_format={"type": "json_schema", "json_schema": {"name": "port", "schema": SCHEMA}})
        assert answer.choices[0].finish_reason == "stop"
        got = json.loads(answer.choices[0].message.content)
        assert set(got) == {"port", "ships"} and isinstance(got["ships"], int)


def test_json_object_begins_an_object(client):
    text = ask(client, response_format={"type": "json_object"}, max_tokens=60).choices[0].message.content
    assert text.lstrip().startswith("{")


def test_a_schema_that_cannot_be_held_is_refused(client):
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client, response_format={"type": "json_schema", "json_schema": {
            "name": "x", "schema": {"type": "object", "$ref": "http://elsewhere.test/schema"}}})
    assert "schema" in refused.value.message.lower()


def test_tools_are_refused_where_the_model_cannot_lay_them_out(client):
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client, tools=[TOOL])
    assert "tools" in refused.value.message


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "get_tide"}}])
def test_tools_are_called_whole_and_streamed(client, choice):
    # Arguments of a bounded length: a small model does not know when to end a text.
    tool = json.loads(json.dumps(TOOL))
    tool["function"]["parameters"]["properties"]["port"]["maxLength"] = 12
    asked = dict(model="toolsmith", tools=[tool], tool_choice=choice, max_tokens=200)
    whole = ask(client, **asked).choices[0]
    assert whole.finish_reason == "tool_calls"
    assert [c.function.name for c in whole.message.tool_calls] == ["get_tide"]
    assert "port" in json.loads(whole.message.tool_calls[0].function.arguments)
    chunks = [c.choices[0] for c in ask(client, stream=True, **asked) if c.choices]
    calls = [t for c in chunks for t in c.delta.tool_calls or []]
    assert [t.function.name for t in calls if t.function.name] == ["get_tide"]
    assert "port" in json.loads("".join(t.function.arguments or "" for t in calls))
    assert [c.finish_reason for c in chunks if c.finish_reason] == ["tool_calls"]
    # The next turn carries the call and its result.
    call = whole.message.tool_calls[0]
    after = ask(client, model="toolsmith", tools=[tool], tool_choice="none", messages=HELLO + [
        {"role": "assistant", "content": None, "tool_calls": [call.model_dump()]},
        {"role": "tool", "tool_call_id": call.id, "content": "High water at 07:12"}])
    assert after.choices[0].message.content and not after.choices[0].message.tool_calls


def test_completions_whole_and_streamed(client):
    whole = client.completions.create(model="default", prompt="The ship sailed into the", max_tokens=12, temperature=0)
    assert whole.object == "text_completion" and whole.choices[0].text
    chunks = list(client.completions.create(model="default", prompt="The ship sailed into the", max_tokens=12,
                                            temperature=0, stream=True, stream_options={"include_usage": True}))
    assert "".join(c.choices[0].text for c in chunks if c.choices) == whole.choices[0].text
    assert chunks[-1].choices == [] and chunks[-1].usage.total_tokens == whole.usage.total_tokens
    assert chunks[-2].choices[0].finish_reason == whole.choices[0].finish_reason


def test_completions_are_refused_where_answers_must_come_from_documents(small):
    stack, tenants = small
    set_policy(stack, "beta", retrieval="required", allow_logprobs=True)
    person = tenants["beta"].people["mia"]
    refused = person.call("POST", "/v1/completions", {"model": "default", "prompt": "x"})
    assert refused.status == 400 and refused.json()["error"]["param"] == "prompt"
    # Words that don't fit the schema never stand in for it: OpenAI's `refusal`.
    answer = ask(client_of(person), response_format={"type": "json_schema", "json_schema": {"name": "p", "schema": SCHEMA}})
    assert answer.choices[0].message.content is None and "documents" in answer.choices[0].message.refusal
    set_policy(stack, "beta", allow_logprobs=True)


def test_completions_do_not_go_round_a_policys_system_prompt(small):
    stack, tenants = small
    person = tenants["beta"].people["mia"]
    raw = {"model": "default", "prompt": "The ship sailed into the", "max_tokens": 4}
    assert person.call("POST", "/v1/completions", raw).status == 200, "control: without one it is served"
    set_policy(stack, "beta", allow_logprobs=True, system_prompt="Never name a patient.")
    refused = person.call("POST", "/v1/completions", raw)
    assert refused.status == 400 and "system prompt" in refused.json()["error"]["message"]
    set_policy(stack, "beta", allow_logprobs=True)


def cached(person, messages=LONG):
    answer = person.call("POST", "/v1/chat/completions",
                         {"model": "default", "messages": messages, "max_tokens": 4, "temperature": 0})
    assert answer.status == 200, answer.body
    return answer.json()["usage"]["prompt_tokens_details"]["cached_tokens"]


def test_session_is_the_credential_and_ends_on_request(small):
    stack, tenants = small
    mia, ned = tenants["alpha"].people["mia"], tenants["alpha"].people["ned"]
    assert cached(mia) == 0 and cached(mia) == 0, "the default policy keeps nothing"
    set_policy(stack, "alpha", engine={"prefix_cache": "session"})
    assert cached(mia) == 0
    assert cached(mia) > 50, "same credential, same prompt"
    assert cached(ned) == 0, "another credential of the tenant"
    key = tenants["alpha"].people["boss"].call("POST", "/v1/bulkhead/api_keys", {"user": "mia", "roles": ["member"]})
    assert stack.call("POST", "/v1/chat/completions", key.json()["key"], {
        "model": "default", "messages": LONG, "max_tokens": 4}).json()["usage"]["prompt_tokens_details"][
            "cached_tokens"] == 0, "another key of the same user"
    receipt = mia.call("DELETE", "/v1/bulkhead/session")
    assert receipt.status == 200, receipt.body
    said = receipt.json()
    assert said["type"] == "bulkhead.burn_receipt/2" and said["signature"]
    assert said["engine"]["verified"] is True and said["engine"]["report"]["tokens_erased"] > 50
    assert cached(mia) == 0, "burned"
    assert cached(ned) > 50, "the other session lives on"


def test_a_body_cannot_choose_its_session(member):
    for name in ("session", "cache_salt", "id_slot", "prompt_cache_key", "x-bulkhead-session"):
        answer = member.call("POST", "/v1/chat/completions", {"model": "default", "messages": HELLO, name: "x"})
        assert answer.status == 400 and answer.json()["error"]["param"] == name


def worker_counter(stack, name):
    """A counter of the engine workers, which only their own sockets give."""
    total = 0
    for path in (stack.data_dir / "run").glob("engine-*.sock"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n\r\n")
            text = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
        total += sum(int(float(line.split()[-1])) for line in text.splitlines() if line.startswith(name))
    return total


def reused(stack, person):
    """Prompt tokens that the engine did not read again for this person's question."""
    before = worker_counter(stack, "bulkhead_engine_cached_tokens_total")
    answer = person.call("POST", "/v1/chat/completions",
                         {"model": "default", "messages": LONG, "max_tokens": 4, "temperature": 0})
    assert answer.status == 200 and "prompt_tokens_details" not in answer.json()["usage"]
    return worker_counter(stack, "bulkhead_engine_cached_tokens_total") - before


def test_tenant_wide_prefixes_and_their_end_at_suspension(small):
    """Nobody is told the count there: one user's would tell what another asked. The worker's own counter shows it."""
    stack, tenants = small
    mia, ned = tenants["alpha"].people["mia"], tenants["alpha"].people["ned"]
    set_policy(stack, "alpha", engine={"prefix_cache": "tenant"})
    assert reused(stack, mia) == 0
    assert reused(stack, ned) > 50, "kept for the whole tenant"
    events = ned.call("POST", "/v1/chat/completions", {
        "model": "default", "messages": LONG, "max_tokens": 4, "stream": True,
        "stream_options": {"include_usage": True}}).body.decode()
    assert '"usage":{' in events and "cached_tokens" not in events
    assert cached(tenants["beta"].people["mia"]) == 0, "and for no other"
    for step in ("suspend", "resume"):
        assert stack.call("POST", f"/admin/tenants/alpha/{step}", stack.operator_key, {}).status == 200
    assert reused(stack, ned) == 0
    set_policy(stack, "alpha")


def test_audit_counts_choices_and_tools_and_holds_no_payload(small, member, client):
    stack, tenants = small
    ask(client, n=2, response_format={"type": "json_object"})
    records = tenants["alpha"].people["ada"].call("GET", "/v1/bulkhead/audit?limit=5&order=desc").json()["data"]
    assert any(r.get("choices") == 2 for r in records)
    marked = json.loads(json.dumps(TOOL).replace("get_tide", "zzsecretname"))
    member.call("POST", "/v1/chat/completions", {"model": "default", "messages": HELLO, "tools": [marked], "max_tokens": 4})
    text = tenants["alpha"].people["ada"].call("GET", "/v1/bulkhead/audit?limit=20&order=desc").body
    assert b"\"tools\":1" in text and b"zzsecretname" not in text
