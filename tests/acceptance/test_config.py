"""What the configuration refuses, and retrieval that must not fail open."""
import pytest
from conftest import add_document, start_small

PRODUCTION = '''mode = "production"
{root}
[server]
listen = "{listen}"
certificate = "c.pem"
key = "k.pem"
[data]
dir = "data"
platform_key_file = "platform.key"
[engine]
chat_url = "{url}"
chat_model = "m"
{rest}
[tenant_defaults.engine]
burn = "{burn}"
prefix_isolation = "{isolation}"
'''


def check(stack, url="https://model.example/v1", rest="", root="", listen="127.0.0.1:8443", mode="production",
          policy=("best_effort", "best_effort")):
    stack.config.parent.mkdir(parents=True, exist_ok=True)
    text = PRODUCTION.format(url=url, rest=rest, root=root, listen=listen, burn=policy[0], isolation=policy[1])
    if not url:
        text = text.replace('chat_url = ""\n', "")
    stack.config.write_text(text.replace('"production"', f'"{mode}"'))
    done = stack.cli("config", "check", check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def bare(new_stack):
    return new_stack()


@pytest.mark.parametrize("url", ["http://model.example/v1", "http://10.0.0.7:8000/v1", "http://127.0.0.1.evil.example/v1",
                                 "http://[2001:db8::1]/v1", "http://localhost.evil.example/v1"])
def test_prompts_do_not_cross_a_network_in_the_clear(bare, url):
    code, said = check(bare, url)
    assert code == 1 and "chat_url" in said and "https:" in said, said
    assert check(bare, url, mode="development")[0] == 0


@pytest.mark.parametrize("url", ["https://model.example/v1", "http://127.0.0.1:8000/v1", "http://[::1]:8000/v1",
                                 "http://localhost:8000/v1", "unix:/run/model.sock"])
def test_control_these_chat_urls_are_taken(bare, url):
    assert check(bare, url) == (0, f"{bare.config} is fine\n")


ISSUER = '[[issuer]]\nissuer = "{issuer}"\naudiences = ["bulkhead"]\n{rest}\n'


@pytest.mark.parametrize(("issuer", "rest", "said"), [
    ("login.example", "", "issuer.issuer"), ("http://login.example", "", "https"), ("http://127.0.0.1:8080", "", "allow_http"),
    ("http://login.example", "allow_http = true", "https"), ("https://a", 'jwks_uri = "ftp://a/keys"', "jwks_uri"),
    ("https://a", 'ca_file = "missing.pem"', "missing.pem"), ("https://a", "jwks_stale_max = 60", "jwks_stale_max"),
    ("https://a", "clock_leeway = 300\ntoken_age_max = 60", "clock_leeway"),
    ("https://a", 'tenant = "acme"\ntenants = ["acme"]', "tenant"), ("https://a", 'tenant_map = { "x" = "No Name" }', "tenant_map"),
    ("https://a", 'roles_claim = "a"\nroles_claims = ["b"]', "exclude each other"),
    ("https://a", 'algorithms = ["HS256"]', "ES512"),
    ("https://a", '[[issuer]]\nissuer = "https://a"\naudiences = ["b"]', "twice"),
])
def test_an_issuer_that_can_not_work_is_found(bare, issuer, rest, said):
    code, text = check(bare, rest=ISSUER.format(issuer=issuer, rest=rest))
    assert code == 1 and said in text, text


@pytest.mark.parametrize(("issuer", "rest"), [
    ("https://login.example/realms/staff", ""), ("http://localhost:8080/realms/staff", "allow_http = true"),
    ("https://a", 'tenant = "acme"'), ("https://a", 'algorithms = ["Ed25519", "ES512", "PS384"]'),
    ("https://a", 'tenant_claim = ["https://acme.example/org", "id"]\ntenant_map = { "org_1" = "acme" }'),
    ("https://a", 'roles_claims = ["realm_access.roles", ["resource_access", "my.app", "roles"]]'),
    ("accounts.example", 'jwks_uri = "https://accounts.example/keys"'),
])
def test_control_these_issuers_are_taken(bare, issuer, rest):
    assert check(bare, rest=ISSUER.format(issuer=issuer, rest=rest)) == (0, f"{bare.config} is fine\n")


EXTERNAL = '''[engine.external]
kind = "{kind}"
urls = [{urls}]
{rest}
'''


def check_external(stack, kind="vllm", urls='"http://127.0.0.1:8000"', rest="", **options):
    done = check(stack, "", EXTERNAL.format(kind=kind, urls=urls, rest=rest), **options)
    return done[0], done[1].replace(str(stack.config), "FILE")


@pytest.mark.parametrize("options, named", [
    ({"kind": "tgi"}, ["engine.external.kind", '"llama-server"']),
    ({"urls": ""}, ["engine.external.urls"]),
    ({"urls": '"http://10.0.0.7:8000"'}, ["external.urls", "https:"]),
    ({"urls": '"http://127.0.0.1:1", "http://127.0.0.1:1"'}, ["engine.external.urls", "differ"]),
    ({"urls": '"ftp://127.0.0.1"'}, ["external.urls"]),
    ({"rest": "retries = 99"}, ["engine.external.retries", "from 0 to 16"]),
    ({"rest": "salt = 'x'"}, ["engine.external.salt", "allowed"]),
    ({"rest": "api_key_file = 'k'\napi_key_env = 'K'"}, ["engine.external.api_key_file", "api_key_env"]),
    ({"kind": "openai", "rest": "reset_cache = true"}, ["engine.external.reset_cache", "vllm"]),
    ({"kind": "llama-server", "rest": "reset_cache = true"}, ["engine.external.reset_cache"]),
])
def test_a_wrong_external_engine_is_named(bare, options, named):
    code, said = check_external(bare, **options)
    assert code == 1 and said.startswith("bulkhead: FILE:") and all(name in said for name in named), said


@pytest.mark.parametrize("kind", ["openai", "vllm", "llama-server", "sglang", "ollama"])
def test_control_every_kind_is_taken(bare, kind):
    assert check_external(bare, kind) == (0, "FILE is fine\n")


@pytest.mark.parametrize("kind, burn, isolation, member", [
    ("vllm", "verified", "enforced", "burn"), ("llama-server", "verified", "enforced", "burn"),
    ("sglang", "best_effort", "enforced", "prefix_isolation"), ("ollama", "best_effort", "enforced", "prefix_isolation"),
    ("vllm", "best_effort", "enforced", None), ("llama-server", "best_effort", "enforced", None)])
def test_a_default_policy_stricter_than_the_engine_is_refused(bare, kind, burn, isolation, member):
    code, said = check_external(bare, kind, policy=(burn, isolation))
    assert code == (1 if member else 0), said
    assert not member or (f"'{member}'" in said and f'"{kind}"' in said and "best_effort" in said), said


def test_open_metrics_need_a_loopback_address(bare):
    code, said = check(bare, root="metrics_public = true", listen="0.0.0.0:8443")
    assert code == 1 and "metrics_public" in said
    assert check(bare, root="metrics_public = true")[0] == 0
    assert check(bare, listen="0.0.0.0:8443")[0] == 0


def test_required_retrieval_needs_an_embedding_model(bare):
    code, said = check(bare, rest='[tenant_defaults]\nretrieval = "required"')
    assert code == 1 and "[engine.embedding]" in said
    assert check(bare, rest='[tenant_defaults]\nretrieval = "when_relevant"')[0] == 0


@pytest.fixture(scope="module")
def sourced(new_stack):
    """Tenant alpha must answer from documents, beta needs not."""
    stack = new_stack()
    tenants = start_small(stack)
    policy = stack.folder / "required.json"
    policy.write_text('{"retrieval": "required"}')
    stack.operator_cli("tenant", "policy", "alpha", "--policy", policy)
    return stack, tenants


FACT = "The lighthouse of Zarnow was painted blue in 1931 by the keeper Ottokar Brill."
QUESTION = "What colour was the lighthouse of Zarnow painted?"


def test_required_without_room_for_a_source_is_refused(sourced):
    """Asked with so much text that no source fits; never an answer without one."""
    stack, tenants = sourced
    member = tenants["alpha"].member
    _, store = add_document(member, "lighthouse.txt", FACT, {"shared": True})
    ask = lambda history, **more: member.call("POST", "/v1/chat/completions", {
        "model": "default", "max_tokens": 20, "temperature": 0, "bulkhead": {"vector_store_ids": [store]}, **more,
        "messages": [{"role": "user", "content": history}, {"role": "assistant", "content": "Yes."},
                     {"role": "user", "content": QUESTION}]})
    control = ask("Hello.")
    assert control.status == 200 and control.json()["bulkhead"]["retrieval"]["outcome"] == "answered", control.body
    for more in ({}, {"stream": True}):
        full = ask("seven " * 4200, **more)
        error = full.json()["error"]
        assert (full.status, error["code"]) == (400, "context_length_exceeded"), full.body
        assert "Shorten the messages" in error["message"] and "4096" in error["message"]


def test_a_prompt_beyond_the_context_is_refused_with_its_figures(sourced):
    stack, tenants = sourced
    ask = lambda count: tenants["beta"].member.call("POST", "/v1/chat/completions", {
        "model": "default", "max_tokens": 2, "messages": [{"role": "user", "content": "seven " * count}]})
    error = ask(5000).json()["error"]
    assert error["code"] == "context_length_exceeded" and error["type"] == "invalid_request_error"
    words = [int(word) for word in error["message"].replace(".", " ").split() if word.isdigit()]
    assert len(words) == 2 and words[0] >= 5000 and words[1] <= 4096, error
    assert ask(50).status == 200, "a short one (control) is answered"


def test_required_without_an_embedding_model_is_refused(sourced):
    """The policy is older than the configuration that lost its embedding model."""
    stack, tenants = sourced
    stack.stop_process("gateway")
    text = stack.config.read_text()
    start = text.index("[engine.embedding]")
    stack.config.write_text(text[:start] + text[text.index("[dev_idp]"):])
    stack.start_gateway()
    chat = {"model": "default", "max_tokens": 2, "messages": [{"role": "user", "content": QUESTION}]}
    for more in ({}, {"stream": True}):
        refused = tenants["alpha"].member.call("POST", "/v1/chat/completions", {**chat, **more})
        assert refused.status == 503 and "choices" not in refused.json(), refused.body
        assert "[engine.embedding]" in refused.json()["error"]["message"]
    assert tenants["beta"].member.call("POST", "/v1/chat/completions", chat).status == 200, "control: not required there"
    policy = lambda mode: stack.call("PUT", "/admin/tenants/beta/policy", stack.operator_key, {"retrieval": mode})
    assert policy("required").status == 400 and policy("required").json()["error"]["param"] == "retrieval"
    assert policy("when_relevant").status == 200


def test_metrics_are_open_only_when_configured(sourced, new_stack):
    closed, _ = sourced
    assert closed.call("GET", "/metrics").status == 401
    opened = new_stack()
    opened.write_config()
    opened.config.write_text("metrics_public = true\n" + opened.config.read_text())
    opened.cli("init", "--operator-key-file", opened.operator_key_file)
    opened.start_gateway()
    answer = opened.call("GET", "/metrics")
    assert answer.status == 200 and b"bulkhead_engine_ready" in answer.body
    assert opened.call("GET", "/admin/tenants").status == 401, "nothing else is opened"
