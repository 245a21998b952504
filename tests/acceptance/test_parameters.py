"""What is not served is refused by name, never ignored: a client must not believe that a parameter took effect."""
import json

import pytest

CHAT = {"model": "default", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}

UNSERVED = {
    "user": "me", "safety_identifier": "me", "prompt_cache_key": "k", "cache_salt": "k", "id_slot": 1,
    "functions": [{"name": "f"}], "function_call": "auto", "modalities": ["audio"], "audio": {"voice": "x"},
    "prediction": {"type": "content", "content": "x"}, "reasoning_effort": "low", "verbosity": "low",
    "service_tier": "priority", "web_search_options": {}, "logprobs": True,
}
UNKNOWN = {"tenant": "st-brannoc", "tenant_id": "x", "session_id": "x", "Temperature": 0.1, "MODEL": "x", "top_k": 5}


def tool(name, **more):
    return {"type": "function", "function": {"name": name, **more}}


def call(name):
    return {"id": "call_1", "type": "function", "function": {"name": name, "arguments": "{}"}}


def nested(levels):
    schema = {"type": "string"}
    for _ in range(levels // 2):
        schema = {"type": "array", "items": schema, "x": {"y": 1}}
        schema = {"properties": {"a": schema}}
    return schema


WRONG = [
    ("model", 5), ("messages", []), ("messages", "hi"), ("messages", [3]), ("messages", [{"role": "user"}]),
    ("messages", [{"role": "wizard", "content": "x"}]), ("messages", [{"role": "user", "content": 7}]),
    ("messages", [{"role": "user", "content": "x", "name": "n"}]),
    ("messages", [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]),
    ("messages", [{"role": "tool", "content": "x"}]), ("messages", [{"role": "system", "content": "only"}]),
    ("temperature", "hot"), ("temperature", -0.1), ("temperature", 2.1), ("top_p", 1.5), ("max_tokens", 0),
    ("max_tokens", -1), ("max_tokens", 1.5), ("max_tokens", "9"), ("seed", "x"), ("stop", ""), ("stop", ["a"] * 5),
    ("stop", 3), ("stream", "yes"), ("stream_options", {"include_usage": True}), ("store", "yes"),
    ("metadata", "x"), ("metadata", {"a": 1}), ("bulkhead", "x"), ("bulkhead", {"tenant": "x"}),
    ("bulkhead", {"vector_store_ids": "x"}),
    ("n", 0), ("n", 9), ("n", 1.5), ("presence_penalty", 2.1), ("frequency_penalty", -2.1), ("top_logprobs", 2),
    ("logit_bias", {"01": 1}), ("logit_bias", {"-1": 1}), ("logit_bias", {"x": 1}), ("logit_bias", {"1": 101}),
    ("logit_bias", [1]), ("logit_bias", {str(i): 1 for i in range(1025)}), ("tool_choice", "auto"),
    ("parallel_tool_calls", True), ("tools", []), ("tools", [{"type": "function"}]), ("tools", [tool("a b")]),
    ("tools", [tool("a" * 65)]), ("tools", [tool("f"), tool("f")]), ("tools", [tool(f"f{i}") for i in range(129)]),
    ("tools", [tool("f", parameters=nested(24))]), ("tools", [tool("f", parameters={"enum": ["x" * 70000]})]),
    ("tools", [tool("f", description="a\x1bb")]), ("tools", [tool("f", parameters={"enum": ["a\u200bb"]})]),
    ("tools", [tool("f", colour="red")]), ("tools", [{"type": "web_search"}]),
    ("response_format", {"type": "yaml"}), ("response_format", {"type": "json_schema"}),
    ("response_format", {"type": "json_schema", "json_schema": {"name": "a b", "schema": {}}}),
    ("response_format", {"type": "json_schema", "json_schema": {"name": "a"}}),
    ("response_format", {"type": "json_schema", "json_schema": {"name": "a", "schema": nested(24)}}),
    ("response_format", {"type": "json_object", "schema": {}}),
    ("messages", [{"role": "user", "content": "x"}, {"role": "tool", "content": "x", "tool_call_id": "no-such-call"}]),
    ("messages", [{"role": "user", "content": "x", "tool_calls": [call("c")]}]),
    ("messages", [{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": []}]),
    ("messages", [{"role": "user", "content": "x"}, {"role": "assistant"}]),
]


def refusal(answer, status=400):
    assert answer.status == status, answer.body
    return answer.json()["error"]


@pytest.fixture(scope="module")
def member(hospital):
    return hospital.member


def post(member, body):
    return member.call("POST", "/v1/chat/completions", body)


def test_control_the_plain_request_is_served(member):
    assert post(member, CHAT).status == 200


@pytest.mark.parametrize("name", UNSERVED)
def test_unserved_parameter_is_named(member, name):
    error = refusal(post(member, {**CHAT, name: UNSERVED[name]}))
    assert error["param"] == name and name in error["message"] and error["code"] == "unsupported_parameter"


@pytest.mark.parametrize("name", UNKNOWN)
def test_unknown_or_differently_spelt_parameter_is_named(member, name):
    error = refusal(post(member, {**CHAT, name: UNKNOWN[name]}))
    assert error["param"] == name and error["code"] == "unknown_parameter"


@pytest.mark.parametrize("name,value", WRONG, ids=[f"{n}-{i}" for i, (n, _) in enumerate(WRONG)])
def test_wrong_value_is_named(member, name, value):
    error = refusal(post(member, {**CHAT, name: value}))
    assert error["param"].split("[")[0].split(".")[0] == name


def test_harmless_values_of_unserved_parameters_pass(member):
    assert post(member, {**CHAT, "n": 1, "service_tier": "flex", "logit_bias": {}, "presence_penalty": 0, "frequency_penalty": 0, "logprobs": False,
                         "response_format": {"type": "text"}, "tools": None, "user": None}).status == 200


def test_needed_parameters_are_named(member):
    for name in ("model", "messages"):
        assert refusal(post(member, {k: v for k, v in CHAT.items() if k != name}))["param"] == name


def test_two_different_limits_contradict(member):
    assert refusal(post(member, {**CHAT, "max_completion_tokens": 2}))["param"] == "max_tokens"


def raw(member, text, content_type="application/json"):
    return member.call("POST", "/v1/chat/completions", raw=text, headers={"Content-Type": content_type})


@pytest.mark.parametrize("text", [
    b'{"model":"default","model":"default","messages":[{"role":"user","content":"hi"}],"max_tokens":1}',
    b'{"model":"default","messages":[{"role":"user","content":"a","content":"b"}],"max_tokens":1}',
    b'{"model":"default","messages":[{"role":"user","content":"hi","r\\u006fle":"system"}],"max_tokens":1}',
], ids=["top", "nested", "escaped"])
def test_duplicate_key_is_refused(member, text):
    """Two readers of one body must not see two requests."""
    refusal(raw(member, text))


@pytest.mark.parametrize("text", [
    b"", b"{", b"[]", b"null", b"7", b'"x"', b'{"a":1}x', b"{'model':'x'}", b'{"model":NaN}', b"\xff\xfe", b'{"m":"\x01"}',
    b"[" * 5000, json.dumps(CHAT).encode() + b"\0"])
def test_what_is_not_one_json_object_is_refused(member, text):
    refusal(raw(member, text))


def test_media_type_must_be_json(member):
    body = json.dumps(CHAT).encode()
    assert raw(member, body, "application/json; charset=utf-8").status == 200
    for wrong in ("text/plain", "application/x-www-form-urlencoded", "application/jsonp"):
        refusal(raw(member, body, wrong), 415)


def test_text_that_is_no_text_is_refused(member):
    for text in (b'"\\ud800"', b'"a\\u0000b"', b'"a\xc0\xafb"', b'"a\\u001bb"'):
        body = b'{"model":"default","max_tokens":1,"messages":[{"role":"user","content":' + text + b"}]}"
        refusal(raw(member, body))


def test_aisvs_2_1_4_a_prompt_past_the_context_is_refused(member):
    """Refused whole; the control is the same question at a length that fits."""
    ask = lambda words: post(member, {**CHAT, "messages": [{"role": "user", "content": "tide " * words}]})
    assert ask(200).status == 200
    error = refusal(ask(9000))
    assert error["code"] == "context_length_exceeded"


def test_tool_choice_must_name_an_offered_tool(member):
    for choice in ("perhaps", {"type": "function", "function": {"name": "other"}}, {"type": "custom"}, 5):
        error = refusal(post(member, {**CHAT, "tools": [tool("f")], "tool_choice": choice}))
        assert error["param"].split(".")[0] == "tool_choice"


@pytest.mark.parametrize("name,value", [("prompt", ["a", "b"]), ("prompt", [1, 2]), ("prompt", ""), ("prompt", None),
                                        ("prompt", "a\x1bb"), ("echo", True), ("best_of", 2), ("suffix", "x"),
                                        ("logprobs", 6), ("messages", []), ("tools", [tool("f")]), ("user", "x")])
def test_completion_parameters(member, name, value):
    error = refusal(member.call("POST", "/v1/completions", {"model": "default", "prompt": "x", name: value}))
    assert error["param"] == name


@pytest.mark.parametrize("name,value", [("dimensions", 5), ("user", "x"), ("other", 1), ("encoding_format", "int8"),
                                        ("input", ""), ("input", []), ("input", [1, 2]), ("input", ["a", ""])])
def test_embedding_parameters(member, name, value):
    error = refusal(member.call("POST", "/v1/embeddings", {"model": "default", "input": "x", name: value}))
    assert error["param"].split("[")[0] == name


@pytest.mark.parametrize("name,value", [("filters", {"type": "eq", "key": "a", "value": "b"}),
                                        ("ranking_options", {}), ("rewrite_query", True), ("max_num_results", 0),
                                        ("max_num_results", 51), ("query", ["a"]), ("tenant", "x")])
def test_search_parameters(member, hospital, name, value):
    error = refusal(member.call("POST", f"/v1/vector_stores/{hospital.store}/search", {"query": "dose", name: value}))
    assert error["param"] == name


@pytest.mark.parametrize("body,name", [({"expires_after": {"anchor": "last_active_at", "days": 1}}, "expires_after"),
                                       ({"chunking_strategy": {"type": "auto"}}, "chunking_strategy"),
                                       ({"name": 4}, "name"), ({"colour": "red"}, "colour")])
def test_vector_store_parameters(member, body, name):
    assert refusal(member.call("POST", "/v1/vector_stores", body))["param"] == name


@pytest.mark.parametrize("query,name", [("limit=0", "limit"), ("limit=101", "limit"), ("limit=x", "limit"),
                                        ("order=up", "order"), ("owner=x", "owner"), ("Limit=5", "Limit")])
def test_list_query_parameters(member, query, name):
    assert refusal(member.call("GET", f"/v1/files?{query}"))["param"] == name


def form(member, fields):
    data = b"".join(f'--B\r\nContent-Disposition: form-data; {head}\r\n\r\n'.encode() + body + b"\r\n"
                    for head, body in fields) + b"--B--\r\n"
    return member.call("POST", "/v1/files", raw=data, headers={"Content-Type": "multipart/form-data; boundary=B"})


def test_upload_fields(member):
    file, purpose = ('name="file"; filename="a.txt"', b"x"), ('name="purpose"', b"assistants")
    good = form(member, [purpose, file])
    assert good.status == 200
    member.call("DELETE", f"/v1/files/{good.json()['id']}")
    cases = [([purpose], "file"), ([file], "purpose"), ([purpose, file, file], "file"),
             ([('name="purpose"', b"fine-tune"), file], "purpose"), ([purpose, ('name="file"', b"x")], "file"),
             ([purpose, file, ('name="tenant"', b"other")], "tenant"),
             ([purpose, file, ('name="bulkhead_access"', b"{")], "bulkhead_access"),
             ([purpose, file, ('name="bulkhead_access"', b'{"everyone":true}')], "bulkhead_access.everyone"),
             ([purpose, file, ('name="bulkhead_access"', b'{"shared":true,"users":["a"]}')], "bulkhead_access")]
    for fields, name in cases:
        assert refusal(form(member, fields))["param"] == name
