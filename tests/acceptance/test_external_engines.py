"""The llama-server adapter against the stock llama.cpp server of the pinned source."""

import pytest
from conftest import WIDE_LIMITS, eventually, start_small
from llama_server import SAFE, LlamaServer
from stack import StackError
from test_audit import records
from test_openai_sdk import HELLO, client_of

BEST_EFFORT = {"burn": "best_effort"}
LONG = " ".join(f"fact{i * 7919 % 997}" for i in range(120))  # some four hundred tokens


def section(*servers, kind="llama-server", extra=""):
    urls = ", ".join(f'"{server.url}"' for server in servers)
    return (f'[engine.external]\nkind = "{kind}"\nurls = [{urls}]\napi_key_file = "{servers[0].key_file}"\n'
            f'health_interval = 1\nopen_time = 1\n{extra}\n')


def options(*servers, **more):
    return dict(slots=2, context=2048, engine='chat_model = "stock"', external=section(*servers),
                tenant_defaults='engine = { burn = "best_effort" }', **more)


def ask(person, text=LONG, **more):
    answer = person.stack.chat(person.key, text, max_tokens=4, **more)
    assert answer.status == 200, answer.body
    return answer.json()


def cached(answer):
    return answer["usage"].get("prompt_tokens_details", {}).get("cached_tokens", 0)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = LlamaServer(tmp_path_factory.mktemp("llama"), *SAFE)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def served(new_stack, server):
    stack = new_stack(**options(server))
    tenants = start_small(stack, policy={"retrieval": "off", "engine": BEST_EFFORT})
    keeping = {"retrieval": "off", "limits": WIDE_LIMITS, "engine": {**BEST_EFFORT, "prefix_cache": "session"}}
    for name in tenants:
        assert stack.call("PUT", f"/admin/tenants/{name}/policy", stack.operator_key, keeping).status == 200
    return tenants


def test_the_sdk_talks_to_it_whole_and_streamed(served):
    client = client_of(served["alpha"].person("tenant-admin"))
    whole = client.chat.completions.create(model="stock", messages=HELLO, max_tokens=12, temperature=0)
    stream = client.chat.completions.create(model="stock", messages=HELLO, max_tokens=12, temperature=0, stream=True)
    pieces = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
    assert whole.choices[0].message.content and "".join(pieces) == whole.choices[0].message.content


def test_aisvs_4_2_4_tenants_and_sessions_do_not_share_a_prefix(served):
    mia, ned, other = (served["alpha"].people["mia"], served["alpha"].people["ned"], served["beta"].people["mia"])
    assert cached(ask(mia)) == 0
    assert cached(ask(mia)) > 200  # control: the same session does reuse it
    assert cached(ask(other)) == 0
    assert cached(ask(ned)) == 0


def test_control_the_stock_server_by_itself_shares_prefixes_of_everybody(tmp_path):
    stock = LlamaServer(tmp_path)
    try:
        answers = [stock.call("POST", "/v1/chat/completions", {"messages": [{"role": "user", "content": LONG}],
                                                               "max_tokens": 4}).json() for _ in range(2)]
    finally:
        stock.stop()
    assert cached(answers[0]) == 0 and cached(answers[1]) > 200


def test_slots_are_erased_after_use_and_on_burn(served, server, tmp_path):
    stack, mia = served["alpha"].admin.stack, served["alpha"].people["mia"]
    ask(mia)
    assert mia.call("DELETE", "/v1/bulkhead/session").status == 200
    assert cached(ask(mia)) == 0  # nothing was left of what it had asked before
    # A policy that keeps nothing: what it changes is burned too, and each request's slot is empty after it.
    nothing = {"retrieval": "off", "limits": WIDE_LIMITS, "engine": BEST_EFFORT}
    for name in served:
        assert stack.call("PUT", f"/admin/tenants/{name}/policy", stack.operator_key, nothing).status == 200
    answer = ask(mia)
    assert [server.erased(slot) for slot in (0, 1)] == [0, 0]
    receipt = mia.call("GET", answer["bulkhead"]["burn_receipt"]).json()
    assert receipt["engine"]["verified"] is False
    report = receipt["engine"]["report"]
    assert report["engine"] == "llama-server" and report["rows"] == "forgotten" and report["cleared"] == []
    assert report["reuse"] == {"by": "none", "seconds": 0}
    # Control: a request past the gateway leaves its tokens behind.
    server.call("POST", "/v1/chat/completions", {"messages": [{"role": "user", "content": LONG}], "max_tokens": 4,
                                                 "id_slot": 1})
    assert server.erased(1) > 200


def test_a_stream_that_its_client_drops_leaves_nothing(served, server):
    client = client_of(served["alpha"].people["mia"])
    with client.chat.completions.create(model="stock", messages=[{"role": "user", "content": LONG}], max_tokens=400,
                                        stream=True) as stream:
        next(iter(stream))
    metrics = lambda: served["alpha"].admin.stack.call(  # noqa: E731
        "GET", "/metrics", served["alpha"].admin.stack.operator_key).body.decode()
    eventually(lambda: "bulkhead_engine_queue_inside 0" in metrics(), "the request to leave the engine")
    ask(served["beta"].people["mia"], "hello")  # whoever comes next
    assert sorted([server.erased(0), server.erased(1)])[0] == 0
    eventually(lambda: server.erased(0) + server.erased(1) == 0, "empty slots")


@pytest.mark.parametrize("member", [{"cache_salt": "x"}, {"id_slot": 0}, {"cache_prompt": True}, {"priority": 1},
                                    {"kv_transfer_params": {}}, {"vllm_xargs": {}}])
def test_members_that_steer_an_engine_are_no_clients_to_set(served, member):
    mia = served["alpha"].people["mia"]
    answer = mia.stack.chat(mia.key, "hello", max_tokens=2, **member)
    assert answer.status == 400 and next(iter(member)) in answer.body.decode()


def test_what_the_engine_would_ignore_is_refused(served):
    mia = served["alpha"].people["mia"]
    answer = mia.stack.chat(mia.key, "hello", max_tokens=2, n=2)
    assert answer.status == 400 and answer.json()["error"]["param"] == "n"


@pytest.mark.parametrize("policy, member", [({}, "burn"), ({**BEST_EFFORT, "batching": "exclusive"}, "batching"),
                                            ({**BEST_EFFORT, "engine": "dedicated"}, "engine")])
def test_a_stricter_policy_is_refused_when_it_is_set(served, policy, member):
    stack = served["alpha"].admin.stack
    answer = stack.call("PUT", "/admin/tenants/alpha/policy", stack.operator_key, {"engine": policy})
    error = answer.json()["error"]
    assert answer.status == 400 and error["param"] == member and "llama-server" in error["message"]
    made = stack.call("POST", "/admin/tenants", stack.operator_key, {"id": "strict", "policy": {"engine": policy}})
    assert made.status == 400 and made.json()["error"]["param"] == member


def test_a_stricter_policy_is_refused_at_start(new_stack, server):
    stack = new_stack()
    start_small(stack, ("lenient", "strict"))
    lenient = {"engine": BEST_EFFORT, "limits": WIDE_LIMITS}
    assert stack.call("PUT", "/admin/tenants/lenient/policy", stack.operator_key, lenient).status == 200
    stack.stop_process("gateway")
    stack.options.update(options(server))
    stack.write_config()
    with pytest.raises(StackError) as refused:
        stack.start_gateway()
    said = str(refused.value)
    assert "'strict'" in said and "'burn'" in said and '"llama-server"' in said and '"best_effort"' in said, said
    # Control: with the own worker's help the policy is changed, and then it starts.
    stack.options.update(external="", engine="", tenant_defaults="")
    stack.write_config()
    stack.start_gateway()
    assert stack.call("PUT", "/admin/tenants/strict/policy", stack.operator_key, lenient).status == 200
    stack.stop_process("gateway")
    stack.options.update(options(server))
    stack.write_config()
    stack.start_gateway()
    stack.stop()


def without(flag, values=1):
    flags = list(SAFE)
    at = flags.index(flag)
    return flags[:at] + flags[at + 1 + values:]


UNSAFE = [(without("--no-slots", 0), {}, "--no-slots"), (without("--cache-ram"), {}, "--cache-ram 0"),
          (without("--slot-save-path"), {}, "--slot-save-path"),
          (without("--slot-save-path") + ["--slot-save-path", "."], {}, "can write prompts to disk"),
          ([*SAFE, "--props"], {}, "without --props"), (SAFE, {"key": False}, "--api-key-file"),
          (SAFE, {"slots": 1}, "--parallel 2"), (SAFE, {"context": 512}, "--ctx-size")]


@pytest.mark.parametrize("flags, other, named", UNSAFE, ids=[case[2] for case in UNSAFE])
def test_a_server_started_unsafely_is_refused_at_start(new_stack, tmp_path, flags, other, named):
    unsafe = LlamaServer(tmp_path / "engine", *flags, **other)
    stack = new_stack(**options(unsafe))
    try:
        with pytest.raises(StackError) as refused:
            stack.start()
        assert named in str(refused.value), refused.value
    finally:
        unsafe.stop()
        stack.stop()


def test_a_killed_replica_is_passed_over_and_comes_back_inspected(new_stack, tmp_path):
    one = LlamaServer(tmp_path, *SAFE)
    two = LlamaServer(tmp_path, *SAFE)
    stack = new_stack(**options(one, two))
    tenant = start_small(stack, policy={"retrieval": "off", "engine": BEST_EFFORT})["alpha"]
    people = [tenant.people[name] for name in ("boss", "mia", "ned")]

    def metric(name, server):
        text = stack.call("GET", "/metrics", stack.operator_key).body.decode()
        line = next(x for x in text.splitlines() if x.startswith(f'{name}{{replica="127.0.0.1:{server.port}"}}'))
        return float(line.split()[-1])

    try:
        assert metric("bulkhead_engine_replica_ready", one) == metric("bulkhead_engine_replica_ready", two) == 1
        one.stop()
        for person in people * 3:
            ask(person, "hello")
        eventually(lambda: metric("bulkhead_engine_replica_ready", one) == 0, "the dead replica to be known")
        eventually(lambda: metric("bulkhead_engine_replica_failures_total", one) >= 3, "its failures to be counted")
        assert metric("bulkhead_engine_replica_breaker", two) == 0
        eventually(lambda: [r for r in records(stack.audit_dir) if r.get("event") == "engine_died" and
                            r.get("target") == f"replica:127.0.0.1:{one.port}"], "an audit record")
        # It comes back with a flag that is not safe: it stays out of use, and in again once it is mended.
        safe, one.command = one.command, [c for c in one.command if c != "--no-slots"]
        one.start()
        eventually(lambda: "start it with --no-slots" in stack.log_tail("gateway"), "the inspection to refuse it")
        assert metric("bulkhead_engine_replica_ready", one) == 0
        one.stop()
        one.command = safe
        one.start()
        eventually(lambda: metric("bulkhead_engine_replica_ready", one) == 1, "the replica's return", 60)
        two.stop()
        eventually(lambda: metric("bulkhead_engine_replica_ready", two) == 0, "the other one's end")
        ask(people[0], "hello")
    finally:
        one.stop()
        two.stop()
        stack.stop()
