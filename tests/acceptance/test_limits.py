"""Limits are a tenant's own: 429 with the headers clients wait by, and nobody else notices."""
import threading

import pytest
from conftest import SMALL_USERS, WIDE_LIMITS, add_tenant, eventually

CHAT = {"model": "default", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
TIGHT = {"requests": {"requests_per_minute": 5}, "users": {"user_requests_per_minute": 5},
         "tokens": {"tokens_per_minute": 60}, "parallel": {"concurrent_requests": 1}, "free": {},
         "counted": {"requests_per_minute": 20, "user_tokens_per_minute": 20}}


@pytest.fixture(scope="module")
def limited(new_stack):
    stack = new_stack()
    for name in TIGHT:
        for user, roles, groups in SMALL_USERS:
            stack.add_client(name, user, roles, groups)
    stack.start()
    tenants = {}
    for name, limits in TIGHT.items():
        tenants[name] = add_tenant(stack, name, SMALL_USERS)  # wide while its keys are made
        file = stack.folder / "tight.json"
        file.write_text('{"limits": %s}' % str({**WIDE_LIMITS, **limits}).replace("'", '"'))
        stack.operator_cli("tenant", "policy", name, "--policy", file)
    return tenants


def until_refused(person, most, method="GET", path="/v1/models", body=None):
    for count in range(most):
        answer = person.call(method, path, body)
        if answer.status != 200:
            return count, answer
    return most, None


def assert_tells_when(answer, code="rate_limit_exceeded", most=60):
    assert answer.status == 429 and answer.json()["error"]["code"] == code
    assert answer.json()["error"]["type"] == "rate_limit_error"
    assert 1 <= int(answer.headers["retry-after"]) <= most


def test_requests_of_a_tenant(limited):
    """All of a tenant's people draw from one limit; a neighbour (control) is not refused."""
    tenant = limited["requests"]
    count, refused = until_refused(tenant.member, 20)
    assert 5 <= count <= 6
    assert_tells_when(refused)
    assert_tells_when(tenant.admin.call("GET", "/v1/models"))
    assert until_refused(limited["free"].member, 20) == (20, None)


def test_requests_of_a_user(limited):
    tenant = limited["users"]
    count, refused = until_refused(tenant.member, 20)
    assert 5 <= count <= 6
    assert_tells_when(refused)
    assert tenant.people["ned"].call("GET", "/v1/models").status == 200


def test_a_second_key_of_the_same_user_shares_the_limit(limited):
    tenant = limited["users"]
    made = tenant.admin.call("POST", "/v1/bulkhead/api_keys", {"user": "mia", "roles": ["member"]})
    until_refused(tenant.member, 20)
    assert tenant.member.stack.call("GET", "/v1/models", made.json()["key"]).status == 429


def test_tokens_of_a_tenant(limited):
    """Tokens limit what generates; looking at a list costs none. One question costs ten minutes' tokens, so that
    the next one is refused however slow the machine is."""
    tenant = limited["tokens"]
    long = {**CHAT, "messages": [{"role": "user", "content": "seven " * 600}]}
    assert tenant.member.call("POST", "/v1/chat/completions", long).status == 200
    assert_tells_when(tenant.member.call("POST", "/v1/chat/completions", CHAT), most=1200)
    assert tenant.member.call("GET", "/v1/models").status == 200
    assert limited["free"].member.call("POST", "/v1/chat/completions", CHAT).status == 200


def remaining(answer, kind):
    """What is left, of the account whose limit is 20: one every three seconds comes back, and the reset says when all are."""
    limit, left = (int(answer.headers[f"x-ratelimit-{what}-{kind}"]) for what in ("limit", "remaining"))
    reset = answer.headers[f"x-ratelimit-reset-{kind}"]
    assert limit == 20 and reset.endswith("s")
    seconds = float(reset[:-2]) / 1000 if reset.endswith("ms") else float(reset[:-1])
    assert 3 * (20 - left - 1) <= seconds <= 3 * (20 - left), "of another account, or of another moment"
    return left


def test_headers_count_down(limited):
    """By exactly what was used: of requests the tenant has fewest left, of tokens the user. Something may have come back
    meanwhile, so that less than was used is missing; never is more, and a try in which nothing came back says how much."""
    ned = limited["counted"].people["ned"]

    def attempt():
        before = ned.call("GET", "/v1/models")
        spent = ned.call("POST", "/v1/embeddings", {"model": "default", "input": "one two"})
        after = ned.call("GET", "/v1/models")
        if 429 in (before.status, spent.status, after.status):
            return False
        used = {"requests": 2, "tokens": spent.json()["usage"]["total_tokens"]}
        assert used["tokens"] > 1
        missing = {kind: remaining(before, kind) - remaining(after, kind) for kind in used}
        assert all(missing[kind] <= used[kind] for kind in used), (missing, used)
        return missing == used

    eventually(attempt, "what is missing is what was used", 120)
    # Control: the limits of somebody else are another's.
    wide = limited["free"].member.call("GET", "/v1/models").headers
    for kind in ("requests", "tokens"):
        assert int(wide[f"x-ratelimit-limit-{kind}"]) == WIDE_LIMITS[f"{kind}_per_minute"]


def test_requests_at_once(limited):
    """Of several long answers at once one is served; the neighbour's (control) all are."""
    def statuses(person):
        body = {**CHAT, "max_tokens": 60, "messages": [{"role": "user", "content": "Tell a story."}]}
        answers = []
        asks = [threading.Thread(target=lambda: answers.append(person.call("POST", "/v1/chat/completions", body)))
                for _ in range(4)]
        for ask in asks:
            ask.start()
        for ask in asks:
            ask.join()
        return answers

    tight = statuses(limited["parallel"].member)
    refused = [a for a in tight if a.status != 200]
    assert refused and len(refused) < 4
    for answer in refused:
        assert_tells_when(answer, "too_many_concurrent_requests")
    assert [a.status for a in statuses(limited["free"].member)] == [200] * 4
    assert limited["parallel"].member.call("GET", "/v1/models").status == 200, "the place is given back"
