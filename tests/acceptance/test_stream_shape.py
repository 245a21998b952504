"""Shapes of a stream: with padding no event's size says how long its token is; with a cadence tokens leave together."""
import json

import pytest
from conftest import WIDE_LIMITS, start_small

BODY = {"model": "default", "messages": [{"role": "user", "content": "Count slowly from one to twenty in words."}],
        "max_tokens": 40, "temperature": 0, "stream": True}


@pytest.fixture(scope="module")
def small(new_stack):
    stack = new_stack()
    return stack, start_small(stack, names=("alpha",), policy={"retrieval": "off"})["alpha"]


def events(small, engine=None, **more):
    """The stream's events as bytes, after the policy was set."""
    stack, tenant = small
    set_to = stack.call("PUT", f"/admin/tenants/{tenant.name}/policy", stack.operator_key,
                        {"retrieval": "off", "limits": WIDE_LIMITS, "engine": engine or {}})
    assert set_to.status == 200, set_to.body
    answer = tenant.people["mia"].call("POST", "/v1/chat/completions", {**BODY, **more})
    assert answer.status == 200, answer.body
    return [part + b"\n\n" for part in answer.body.split(b"\n\n") if part]


def chunks(found):
    lines = [line for event in found for line in event.splitlines() if line.startswith(b"data: {")]
    return [json.loads(line[6:]) for line in lines]


def text_of(found):
    return "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks(found) if c["choices"])


def test_padded_events_have_one_size_and_control_sizes_follow_tokens(small):
    plain = events(small)
    sizes = {len(e) for e in plain[1:-2]}
    assert len(sizes) > 2, "control: without padding the sizes tell the tokens' lengths"
    padded = events(small, {"stream_padding_bytes": 768})
    assert {len(e) for e in padded[:-2]} == {768}
    assert all(len(e) % 768 == 0 for e in padded), "the last ones carry the sources and the end"
    assert text_of(padded) == text_of(plain) and padded[-1].endswith(b"data: [DONE]\n\n")


def test_a_client_may_ask_for_padding_but_not_end_the_policys(small):
    asked = events(small, stream_options={"include_obfuscation": True})
    assert all(len(e) % 256 == 0 for e in asked) and all("obfuscation" in c for c in chunks(asked))
    kept = events(small, {"stream_padding_bytes": 768}, stream_options={"include_obfuscation": False})
    assert all(len(e) % 768 == 0 for e in kept)
    assert not any("obfuscation" in c for c in chunks(events(small)))


def test_cadence_sends_tokens_together_and_control_one_by_one(small):
    plain = events(small)
    beaten = events(small, {"stream_cadence_ms": 1000})
    assert text_of(beaten) == text_of(plain)
    assert len(beaten) < len(plain) / 2


def test_padding_is_counted(small):
    stack, tenant = small
    found = events(small, {"stream_padding_bytes": 768})
    request = [c for c in chunks(found) if "bulkhead" in c][0]["bulkhead"]["burn_receipt"]
    receipt = tenant.people["mia"].call("GET", request).json()
    assert receipt["gateway"]["stream_padding_bytes"] > 0
    metrics = stack.call("GET", "/metrics", stack.operator_key).body.decode()
    assert 'bulkhead_stream_padding_bytes_total{tenant="alpha"}' in metrics
