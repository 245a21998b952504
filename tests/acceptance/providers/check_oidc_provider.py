"""A real oidc-provider with resource indicators against the real gateway: `make providers` runs this."""
import base64
import hashlib
import json
import os
import secrets
import subprocess
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from conftest import start_small
from issuer import Key

HERE = Path(__file__).resolve().parent
FOLDER = Path(os.environ.get("OIDC_PROVIDER", HERE.parents[2] / "build/providers/oidc-provider"))
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]
AUDIENCES = [f"https://bulkhead.example/{name}" for name in ALGORITHMS]
SECTION = '''[[issuer]]
issuer = "{issuer}"
audiences = {audiences}
algorithms = {algorithms}
token_types = ["at+jwt"]
tenant_claim = "https://acme.example/tenant"
tenants = ["alpha"]
allow_http = true
'''


class Provider:
    def __init__(self, log):
        self.secret = secrets.token_urlsafe(16)
        self.process = subprocess.Popen(["node", HERE / "oidc_provider.mjs", FOLDER], stdout=subprocess.PIPE, stderr=log,
                                        text=True, env={**os.environ, "CLIENT_SECRET": self.secret})
        self.issuer = self.process.stdout.readline().strip()

    def token(self, resource, proof=None):
        form = {"grant_type": "client_credentials", **({"resource": resource, "scope": "chat"} if resource else {})}
        basic = base64.b64encode(f"app:{self.secret}".encode()).decode()
        headers = {"Authorization": f"Basic {basic}", **({"DPoP": proof} if proof else {})}
        asked = urllib.request.Request(f"{self.issuer}/token", urllib.parse.urlencode(form).encode(), headers)
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return json.loads(answer.read())["access_token"]

    def proof(self, key):
        """RFC 9449: for the token endpoint."""
        public = {name: key.jwk()[name] for name in ("kty", "crv", "x", "y")}
        claims = {"jti": secrets.token_hex(8), "htm": "POST", "htu": f"{self.issuer}/token", "iat": int(time.time())}
        return key.sign({"alg": "ES256", "typ": "dpop+jwt", "jwk": public}, claims)


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    with open(tmp_path_factory.mktemp("provider") / "provider.log", "wb") as log:
        running = Provider(log)
        yield running
        running.process.terminate()
        running.process.wait(30)


@pytest.fixture(scope="module")
def stack(new_stack, provider):
    running = new_stack(extra=SECTION.format(issuer=provider.issuer, audiences=json.dumps(AUDIENCES),
                                             algorithms=json.dumps(ALGORITHMS)))
    start_small(running)
    return running


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_token_for_a_resource_by_every_algorithm(stack, provider, name):
    token = provider.token(f"https://bulkhead.example/{name}")
    header = json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))
    assert (header["alg"], header["typ"]) == (name, "at+jwt")
    assert stack.call("GET", "/v1/models", token).status == 200


def test_another_resources_token_and_an_opaque_one(stack, provider):
    error = lambda token: stack.call("GET", "/v1/models", token).json()["error"]
    assert error(provider.token("https://other.example/ES256"))["code"] == "audience_wrong"
    assert error(provider.token(None))["code"] == "token_malformed", "opaque tokens need introspection"


def test_a_token_bound_by_dpop_is_no_bearer_token(stack, provider):
    key = Key("proof")
    token = provider.token("https://bulkhead.example/ES256", provider.proof(key))
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    public = key.jwk()
    text = json.dumps({name: public[name] for name in ("crv", "kty", "x", "y")}, separators=(",", ":"))
    thumbprint = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
    assert claims["cnf"] == {"jkt": thumbprint}, "control: it is bound"
    answer = stack.call("GET", "/v1/models", token)
    assert (answer.status, answer.json()["error"]["code"]) == (401, "sender_constrained")
