"""Who asks: tokens wrong in one way each beside the same token right, keys, rotation, suspension."""
import base64
import hashlib
import hmac
import http.client
import json
import signal
import ssl
import threading
import time

import pytest
from conftest import eventually, start_small
from issuer import Issuer, Key, b64


def models(stack, credential):
    return stack.call("GET", "/v1/models", credential)


def b64_json(value):
    return b64(json.dumps(value).encode())


def flipped(token):
    """One bit of the signature's middle changed."""
    head, signature = token.rsplit(".", 1)
    at = len(signature) // 2
    return f"{head}.{signature[:at]}{'A' if signature[at] != 'A' else 'B'}{signature[at + 1:]}"


def hmac_token(issuer):
    """The published public key used as an HMAC secret."""
    signed = f"{b64_json(issuer.header(alg='HS256'))}.{b64_json(issuer.claims())}"
    secret = json.dumps(issuer.key.jwk()).encode()
    return f"{signed}.{b64(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"


NOW = int(time.time())
HEADERS = {
    "alg-none": ({"alg": "none"}, "algorithm_refused"), "alg-None": ({"alg": "None"}, "algorithm_refused"),
    "alg-not-of-issuer": ({"alg": "ES384"}, "algorithm_refused"), "alg-number": ({"alg": 7}, "token_malformed"),
    "kid-unknown": ({"kid": "other"}, "key_unknown"), "kid-number": ({"kid": 1}, "token_malformed"),
    "typ-id-token": ({"typ": "JWT+id"}, "token_header_refused"), "crit": ({"crit": ["x"]}, "token_header_refused"),
    "jku": ({"jku": "https://evil.example/jwks"}, "token_header_refused"), "jwk": ({"jwk": {}}, "token_header_refused"),
    "x5u": ({"x5u": "https://evil.example"}, "token_header_refused"), "x5c": ({"x5c": []}, "token_header_refused"),
    "b64": ({"b64": False}, "token_header_refused"), "zip": ({"zip": "DEF"}, "token_header_refused"),
}
CLAIMS = {
    "expired": ({"exp": NOW - 3600, "iat": NOW - 7200}, "token_expired"), "exp-missing": ({"exp": None}, None),
    "exp-text": ({"exp": "tomorrow"}, None), "exp-huge": ({"exp": 1e300}, None),
    "nbf-later": ({"nbf": NOW + 3600}, None), "iat-later": ({"iat": NOW + 3600, "exp": NOW + 7200}, None),
    "aud-other": ({"aud": "other"}, None), "aud-missing": ({"aud": None}, None), "aud-number": ({"aud": 7}, None),
    "aud-list-without-us": ({"aud": ["a", "b"]}, None), "iss-other": ({"iss": "https://evil.example"}, None),
    "iss-missing": ({"iss": None}, None), "iss-slash": ("iss-slash", None), "sub-missing": ({"sub": None}, None),
    "sub-empty": ({"sub": ""}, None), "tenant-not-of-issuer": ({"tenant": "brightwave"}, None),
    "tenant-unknown": ({"tenant": "no-such-tenant"}, None), "tenant-list": ({"tenant": ["st-brannoc", "calder-rowe"]}, "tenant_ambiguous"),
    "id-token": ({"at_hash": "x"}, "not_access_token"), "id-token-nonce": ({"nonce": "n"}, "not_access_token"),
    "id-token-typ": ({"typ": "ID"}, "not_access_token"), "id-token-use": ({"token_use": "id"}, "not_access_token"),
    "sender-constrained": ({"cnf": {"jkt": "x"}}, "sender_constrained"),
    "groups-elsewhere": ({"groups": None, "_claim_names": {"groups": "src1"}}, "claim_elsewhere"),
   
    "tenant-path": ({"tenant": "../st-brannoc"}, None), "tenant-case": ({"tenant": "ST-BRANNOC"}, None),
    "tenant-null-byte": ({"tenant": "st-brannoc\0"}, None), "roles-object": ({"roles": {"a": 1}}, None),
}


def changed(claims, changes):
    merged = {**claims, **changes}
    return {name: value for name, value in merged.items() if value is not None}


@pytest.mark.usefixtures("tenants")
class TestTokens:
    def test_control_the_good_token_is_taken(self, stack, issuer):
        assert models(stack, issuer.token()).status == 200
        assert models(stack, issuer.token(aud=["x", "bulkhead"])).status == 200

    @pytest.mark.parametrize("name", HEADERS)
    def test_header(self, stack, issuer, name):
        changes, code = HEADERS[name]
        answer = models(stack, issuer.key.sign(issuer.header(**changes), issuer.claims()))
        assert answer.status == 401, answer.body
        assert code in (answer.json()["error"]["code"], "token_malformed"), answer.body
        assert answer.headers["www-authenticate"].startswith("Bearer")

    @pytest.mark.parametrize("name", CLAIMS)
    def test_claims(self, stack, issuer, name):
        changes, code = CLAIMS[name]
        if changes == "iss-slash":
            changes = {"iss": issuer.url + "/"}
        answer = models(stack, issuer.key.sign(issuer.header(), changed(issuer.claims(), changes)))
        assert answer.status == 401, answer.body
        assert code in (None, answer.json()["error"]["code"]), answer.body

    def test_one_organisation_in_a_list_or_an_object(self, stack, issuer):
        for tenant in (["st-brannoc"], {"st-brannoc": {"id": "1"}}):
            assert models(stack, issuer.token(tenant=tenant)).status == 200, tenant
        for tenant in (["brightwave"], {"brightwave": {}}):
            assert models(stack, issuer.token(tenant=tenant)).json()["error"]["code"] == "tenant_not_of_issuer", tenant

    def test_a_refusal_is_explained_to_each_in_its_place(self, stack, issuer):
        """The client gets the claim's name, the audit log too, the operator's log what was expected; nobody the value."""
        answer = models(stack, issuer.token(aud="mistaken-audience"))
        assert (answer.status, answer.json()["error"]["param"]) == (401, "aud")
        lines = lambda: [json.loads(line) for log in stack.audit_dir.glob("audit-*.jsonl") for line in log.read_text().splitlines()]
        eventually(lambda: any(r.get("reason") == "audience_wrong:aud" for r in lines()), "the audit record")
        said = [json.loads(line) for line in stack.logs["gateway"].read_text().splitlines() if "token_refused" in line]
        assert any((r["issuer"], r["claim"], r["expected"]) == (issuer.url, "aud", "one of: bulkhead") for r in said), said
        assert "mistaken-audience" not in stack.logs["gateway"].read_text() + json.dumps(lines())

    def test_issuer_explain(self, stack, issuer):
        file = stack.folder / "token.txt"

        def explain(token, expected):
            file.write_text(token + "\n")
            done = stack.cli("issuer", "explain", "--token", file, check=False)
            assert done.returncode == expected, done.stdout + done.stderr
            return done.stdout

        good = explain(issuer.token(), 0)
        assert "tenant st-brannoc" in good and f"{issuer.url}#lena.fischer" in good, good
        assert "one of: bulkhead" in explain(issuer.token(aud="x"), 1)
        assert "differs in slashes" in explain(issuer.token(iss=issuer.url + "/"), 1)
        forged = explain(Key(issuer.key.kid).sign(issuer.header(), issuer.claims()), 1)
        assert "WRONG signature" in forged and "accepted" not in forged, forged
        asked = stack.cli("issuer", "explain", "--issuer", issuer.url)
        assert f"kid {issuer.key.kid}: tokens signed with ES256" in asked.stdout, asked.stdout

    def test_form(self, stack, issuer):
        good = issuer.token()
        head, claims, signature = good.split(".")
        swapped = f"{head}.{b64_json(issuer.claims(tenant='calder-rowe'))}.{signature}"
        duplicate = json.dumps(issuer.claims())[:-1] + ', "tenant": "calder-rowe"}'
        r, s = signature[:43], signature[43:]
        tokens = {
            "signature flipped": flipped(good), "signature empty": f"{head}.{claims}.", "two parts": f"{head}.{claims}",
            "four parts": good + ".x", "claims swapped": swapped, "signature zero": f"{head}.{claims}.{b64(bytes(64))}",
            "signature short": f"{head}.{claims}.{r}", "signature padded": good + "=", "blank inside": good.replace(".", ". ", 1),
            "unknown key": Key(issuer.key.kid).sign(issuer.header(), issuer.claims()),
            "duplicate claim": issuer.key.sign(issuer.header(), duplicate.encode()),
            "claims not JSON": issuer.key.sign(issuer.header(), b"{"), "claims a list": issuer.key.sign(issuer.header(), b"[]"),
            "public key as HMAC secret": hmac_token(issuer), "huge": "a" * 9000 + "." + claims + "." + signature,
            "encrypted form": ".".join([head, "", claims, signature, s or "x"]), "nothing": "",
        }
        taken = {name for name, token in tokens.items() if models(stack, token).status != 401}
        assert taken == set()
        assert models(stack, good).status == 200

    def test_scheme(self, stack, issuer):
        good = issuer.token()
        for header in (good, f"Basic {good}", f"Bearer {good} x", f"Token {good}", "Bearer",
                       "Basic " + base64.b64encode(b"a:b").decode()):
            assert stack.call("GET", "/v1/models", headers={"Authorization": header}).status == 401, header
        assert stack.call("GET", "/v1/models").status == 401
        assert stack.call("GET", "/v1/models", headers={"Cookie": f"token={good}"}).status == 401
        assert stack.call("GET", f"/v1/models?access_token={good}").status == 401
        assert stack.call("GET", "/v1/models", headers={"Authorization": f"Bearer {good}"}).status == 200

    def test_an_unknown_role_gives_nothing(self, stack, issuer):
        for roles in ([], ["root"], ["Member"], ["operator"], ["platform.tenants"]):
            answer = models(stack, issuer.token(roles=roles))
            assert answer.status == 403, (roles, answer.body)
        assert models(stack, issuer.token(roles=["member"])).status == 200, "control"
        assert stack.call("GET", "/admin/tenants", issuer.token(roles=["operator"])).status == 403
        token = {k: v for k, v in issuer.claims(roles=["operator"]).items() if k != "tenant"}
        assert stack.call("GET", "/admin/tenants", issuer.key.sign(issuer.header(), token)).status == 401
        assert stack.call("GET", "/admin/tenants", stack.operator_key).status == 200

    def test_api_keys(self, stack, hospital, law):
        good = hospital.member.key
        prefix, name, identifier, secret = good.split("_", 3)
        foreign = law.member.key.split("_", 3)
        wrong = [good[:-1], good + "A", f"{prefix}_{law.name}_{identifier}_{secret}", good.upper(),
                 f"{prefix}_{name}_{foreign[2]}_{secret}", f"{prefix}_{name}_{identifier}_{foreign[3]}",
                 f"{prefix}_{name}_{identifier}_", f"{prefix}_{name}__{secret}", f"{prefix}__{identifier}_{secret}",
                 f"{prefix}_{name}_' OR '1'='1_{secret}", good[:-1] + ("0" if good[-1] != "0" else "1")]
        assert [key for key in wrong if models(stack, key).status != 401] == []
        assert models(stack, good).status == 200


def test_an_api_key_ends(stack, hospital):
    """Revoked keys stop at once, although used (and cached) a moment before; nobody else's does."""
    made = hospital.admin.call("POST", "/v1/bulkhead/api_keys", {"user": "temp", "roles": ["member"]}).json()
    assert models(stack, made["key"]).status == 200
    assert models(stack, made["key"]).status == 200
    assert hospital.admin.call("DELETE", f"/v1/bulkhead/api_keys/{made['id']}").status == 200
    assert models(stack, made["key"]).status == 401
    assert models(stack, hospital.member.key).status == 200
    listed = hospital.admin.call("GET", "/v1/bulkhead/api_keys")
    assert made["key"].encode() not in listed.body and made["id"] in listed.body.decode()


def test_nobody_gives_a_key_more_rights_than_they_have(hospital):
    answer = hospital.admin.call("POST", "/v1/bulkhead/api_keys", {"user": "x", "roles": ["operator"]})
    assert (answer.status, answer.json()["error"]["code"]) == (400, "invalid_parameter"), answer.body
    assert hospital.member.call("POST", "/v1/bulkhead/api_keys", {"user": "x", "roles": ["member"]}).status == 403


def test_a_role_that_manages_keys_cannot_become_somebody_else(new_stack):
    """LiteLLM CVE-2026-47101 and -47102: a key's holder acts as its user, so whoever may only manage keys makes keys
    of their own identity and no wider rights; the log says who made a key that acts as whom."""
    stack = new_stack(extra='[[role]]\nname = "keymaker"\npermissions = ["keys.manage", "chat.create", "files.read"]\n'
                            '[[role]]\nname = "reviewer"\npermissions = ["files.read"]')
    tenant = start_small(stack, ("alpha",))["alpha"]
    make = lambda key, **body: stack.call("POST", "/v1/bulkhead/api_keys", key, body)
    own = make(tenant.admin.key, user="kim", roles=["keymaker"], groups=["red"])
    assert own.status == 200, "control: an administrator hands out any identity of the tenant"
    kim = own.json()["key"]
    refused = {
        "another user": make(kim, user="boss", roles=["keymaker"]),
        "another user, fewer rights": make(kim, user="mia", roles=["keymaker"], groups=["red"]),
        "a foreign group": make(kim, user="kim", roles=["keymaker"], groups=["blue"]),
        "wider rights": make(kim, user="kim", roles=["tenant-admin"]),
        "other rights": make(kim, user="kim", roles=["auditor"]),
        "the operator": make(kim, user="kim", roles=["operator"]),
        "a role that permits nothing new": make(kim, user="kim", roles=["reviewer"]),
        "it beside the own one": make(kim, user="kim", roles=["keymaker", "reviewer"]),
    }
    assert {name: a.status for name, a in refused.items() if a.status not in (400, 403)} == {}
    assert stack.call("GET", "/admin/tenants", kim).status == 403
    assert make(kim, user="kim", roles=["keymaker"], groups=["red"]).status == 200, "control: one's own identity"
    # Access lists name roles: what the refused key would have read, a key with the role does read.
    source = stack.folder / "letter.txt"
    source.write_text("The review is on Monday.")
    letter = stack.upload(tenant.admin.key, source, {"roles": ["reviewer"]}).json()["id"]
    reviewer = make(tenant.admin.key, user="ray", roles=["reviewer"]).json()["key"]
    reads = lambda key: stack.call("GET", f"/v1/files/{letter}", key).status
    assert (reads(reviewer), reads(kim)) == (200, 404), "control: the role's name opens the file"
    # A key ends no later than the key that made it.
    brief = make(tenant.admin.key, user="kim", roles=["keymaker"], expires_in_seconds=3600).json()
    heir = make(brief["key"], user="kim", roles=["keymaker"])
    assert heir.status == 200 and heir.json()["expires_at"] == brief["expires_at"]
    longer = make(brief["key"], user="kim", roles=["keymaker"], expires_in_seconds=7200)
    assert longer.status == 403 and longer.json()["error"]["param"] == "expires_in_seconds"
    assert "expires_at" not in own.json(), "control: an administrator's lasting key makes lasting ones"
    records = [json.loads(line) for file in stack.audit_dir.glob("audit-*.jsonl") for line in file.read_text().splitlines()]
    entry = lambda answer: next(r for r in records if r.get("request_id") == answer.headers["x-request-id"]
                                if r["event"] != "change_intended")
    created = entry(own)
    assert created["event"] == "api_key_created" and created["target"] == own.json()["id"]
    assert created["for_user"].startswith("hmac-sha256:") and created["for_user"] != created["principal"]
    denied = entry(refused["another user"])
    assert (denied["event"], denied["decision"]) == ("request_refused", "deny")
    assert denied["for_user"] == created["principal"], "kim wanted to be the boss, who made kim's key"
    assert denied["principal"] == created["for_user"]


def test_one_subject_of_two_issuers_is_two_people(new_stack, issuer):
    """`sub` is unique within its issuer only: files, shares, kept chats, keys, the log and an erasure tell the two
    apart. Controls: the same issuer's person by token and by key is one, and each reads what is theirs."""
    stack = new_stack(extra=issuer.config_section())
    tenant = start_small(stack, ("st-brannoc",), {"keep_chats": True})["st-brannoc"]
    boss, mia = tenant.admin, tenant.people["mia"]
    ours, theirs = mia.token(), issuer.token(sub="mia")
    source = stack.folder / "note.txt"
    source.write_text("The lamp is lit at nine.")

    def upload(credential, access=None):
        made = stack.upload(credential, source, access)
        assert made.status == 200, made.body
        return made.json()["id"]

    def readers(file):
        status = {name: stack.call("GET", f"/v1/files/{file}/content", credential).status
                  for name, credential in (("token", ours), ("key", mia.key), ("other", theirs))}
        return {name for name, code in status.items() if code == 200}

    own, other = upload(ours), upload(theirs)
    assert readers(own) == {"token", "key"} and readers(other) == {"other"}
    listed = lambda credential: {f["id"] for f in stack.call("GET", "/v1/files", credential).json()["data"]}
    assert listed(mia.key) == {own} and listed(theirs) == {other}
    # A name is of the caller's own issuer unless it says another, and comes back as it was sent.
    whole = f"{issuer.url}#mia"
    for names, expected in ((["mia"], {"token", "key"}), ([whole], {"other"}), (["mia", whole], {"token", "key", "other"}),
                            (["#mia"], set())):
        shared = upload(boss.key, {"users": names})
        assert readers(shared) == expected, names
        described = boss.call("GET", f"/v1/files/{shared}").json()["bulkhead"]
        assert described["access"]["users"] == names and described["owner"] == "boss"
    assert boss.call("GET", f"/v1/files/{own}").json()["bulkhead"]["owner"] == "mia"
    assert boss.call("GET", f"/v1/files/{other}").json()["bulkhead"]["owner"] == whole
    for name in ("?#mia", "", "a\u001fb"):
        assert stack.upload(boss.key, source, {"users": [name]}).status == 400, name
    # A key acts as the user that it names; without one, as its maker.
    make = lambda credential, **body: stack.call("POST", "/v1/bulkhead/api_keys", credential, body)
    their_boss = issuer.token(sub="boss", roles=["tenant-admin"])
    their_key = make(their_boss, user="mia", roles=["member"]).json()
    assert listed(their_key["key"]) & {own, other} == {other} and their_key["user"] == "mia"
    also = make(boss.key, user=whole, roles=["member"]).json()
    assert listed(also["key"]) & {own, other} == {other} and also["user"] == whole
    assert also["key"].startswith(also["prefix"]) and len(also["prefix"]) < len(also["key"]) - 32
    assert make(boss.key, roles=["member"]).json()["user"] == "boss"
    # Kept chats.
    kept = stack.chat(ours, "Remember the lamp.", max_tokens=2, store=True).json()["id"]
    chats = lambda credential: {c["id"] for c in stack.call("GET", "/v1/chat/completions", credential).json()["data"]}
    assert chats(ours) == {kept} and chats(mia.key) == {kept} and chats(theirs) == set()
    assert stack.call("GET", f"/v1/chat/completions/{kept}", theirs).status == 404
    assert stack.call("DELETE", f"/v1/chat/completions/{kept}", theirs).status == 404
    # The log: one hash a person.
    records = [json.loads(line) for log in stack.audit_dir.glob("audit-*.jsonl") for line in log.read_text().splitlines()]
    principal = {r["target"]: r["principal"] for r in records if r.get("event") == "file_uploaded"}
    assert principal[own] != principal[other]
    # An erasure takes the one and leaves the other; the operator must say which.
    stack.operator_cli("erase", "--tenant", "st-brannoc", "--user", "mia", "--yes", check=False)
    assert readers(own) >= {"token"} and readers(other) == {"other"}, "two are called so: nothing was erased"
    erased = boss.call("POST", "/v1/bulkhead/erasures", {"user": whole})
    assert erased.status == 200 and erased.json()["subject"] == whole, erased.body
    assert boss.call("GET", f"/v1/files/{other}").status == 404
    assert readers(own) == {"token", "key"}


def test_a_withdrawn_key_ends_the_tokens_that_were_seen_with_it(new_stack):
    """What was verified is cached; with the key set that no longer lists the key it falls. Control: before that."""
    own = Issuer()
    stack = new_stack(extra=own.config_section(("alpha",)) + "unknown_kid_interval_min = 1\n")
    start_small(stack, ("alpha",))
    claims = dict(tenant="alpha", sub="mia")
    old = own.token(**claims)
    own.other_keys = [own.key.jwk()]
    assert [models(stack, old).status for _ in range(3)] == [200] * 3
    own.key = Key("test-key-2")
    eventually(lambda: models(stack, own.token(**claims)).status == 200, "the second key is fetched", 60)
    assert models(stack, old).status == 200, "control: both are listed"
    own.other_keys = []
    own.key = Key("test-key-3")
    eventually(lambda: models(stack, own.token(**claims)).status == 200, "the third key is fetched", 60)
    answer = models(stack, old)
    assert (answer.status, answer.json()["error"]["code"]) == (401, "key_unknown"), answer.body
    own.stop()


STREAM_TOKENS = 3000  # of a Stream that is left alone


class Stream:
    """A chat being streamed, read line by line."""

    def __init__(self, person, max_tokens=STREAM_TOKENS):
        context = ssl.create_default_context(cafile=person.stack.ca_file)
        self.connection = http.client.HTTPSConnection("127.0.0.1", person.stack.port, context=context, timeout=60)
        body = {"model": "default", "stream": True, "max_tokens": max_tokens, "temperature": 1.5, "seed": 1,
                "logit_bias": {"0": -100, "2": -100},  # the model's end tokens: it goes on until it is stopped
                "messages": [{"role": "user", "content": "Write a very long story about a voyage."}]}
        self.connection.request("POST", "/v1/chat/completions", json.dumps(body),
                                {"Authorization": f"Bearer {person.key}", "Content-Type": "application/json"})
        self.answer = self.connection.getresponse()

    def lines(self):
        while line := self.answer.readline():
            if line.strip():
                yield line.decode().strip()


@pytest.fixture(scope="module")
def small(new_stack):
    stack = new_stack()
    return stack, start_small(stack)


def test_issuer_key_rotation_keeps_old_tokens_and_takes_new_ones(small):
    stack, tenants = small
    person = tenants["alpha"].member
    before = person.token()
    assert models(stack, before).status == 200
    stack.processes["dev-idp"].send_signal(signal.SIGUSR1)
    kid = lambda token: json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))["kid"]
    after = eventually(lambda: (t := person.token()) and kid(t) != kid(before) and t, "a token by the new key")
    # The gateway asks an issuer for unknown keys once an interval at most.
    eventually(lambda: models(stack, after).status == 200, "the new key is fetched", 60)
    assert models(stack, before).status == 200


def test_suspension_cuts_keys_tokens_and_a_running_stream(small):
    stack, tenants = small
    alpha, beta = tenants["alpha"], tenants["beta"]
    token = alpha.member.token()
    assert models(stack, token).status == 200
    stream = Stream(alpha.member)
    assert stream.answer.status == 200
    lines = stream.lines()
    for _ in range(5):
        next(lines)
    stack.operator_cli("tenant", "suspend", "alpha", "--reason", "test")
    rest = []
    reader = threading.Thread(target=lambda: rest.extend(lines))
    reader.start()
    reader.join(60)
    assert not reader.is_alive(), "the stream went on"
    assert "[DONE]" not in "".join(rest) and len(rest) < STREAM_TOKENS / 2, "long before it would have ended"
    assert any("suspended" in line for line in rest[-3:]), rest[-3:]
    for credential in (alpha.member.key, alpha.admin.key, token, alpha.member.token()):
        assert models(stack, credential).status == 403
    assert models(stack, beta.member.key).status == 200
    stack.operator_cli("tenant", "resume", "alpha")
    assert models(stack, alpha.member.key).status == 200
    assert models(stack, token).status == 200
