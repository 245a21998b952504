"""Real Keycloak with its defaults against the real gateway: `make providers` runs this, `make test` doesn't."""
import json
import os
from pathlib import Path

import pytest
from conftest import eventually, start_small
from keycloak import PASSWORD, Keycloak, request

FOLDER = Path(os.environ.get("KEYCLOAK", Path(__file__).resolve().parents[3] / "build/providers/keycloak"))
# The recipe of docs/operator-guide.md, with short times.
SECTION = '''[[issuer]]
issuer = "{issuer}"
audiences = ["bulkhead"]
algorithms = ["RS256", "ES512", "EdDSA"]
tenant_claim = "organization"
tenant_scope_prefix = "organization:"
tenants = ["alpha", "beta"]
roles_claims = ["realm_access.roles", ["resource_access", "portal.app", "roles"]]
group_map = {{ "/hr" = "hr" }}
allow_http = true
jwks_refresh = 10
unknown_kid_interval_min = 1
'''


@pytest.fixture(scope="module")
def keycloak(tmp_path_factory):
    with open(tmp_path_factory.mktemp("keycloak") / "keycloak.log", "wb") as log:
        running = Keycloak(FOLDER, log)
        eventually(running.ready, "Keycloak answers", 300)
        running.make_realm()
        yield running
        running.stop()


@pytest.fixture(scope="module")
def stack(new_stack, keycloak):
    running = new_stack(extra=SECTION.format(issuer=keycloak.issuer))
    start_small(running)
    return running


def models(stack, token):
    return stack.call("GET", "/v1/models", token)


def refusal(stack, token):
    answer = models(stack, token)
    assert answer.status == 401, answer.body
    return answer.json()["error"]["code"], answer.json()["error"]["param"]


def explain(stack, token):
    file = stack.folder / "token.txt"
    file.write_text(token)
    return stack.cli("issuer", "explain", "--token", file, check=False).stdout


def test_roles_groups_and_the_one_organisation(stack, keycloak):
    token = keycloak.token("mia")
    assert models(stack, token).status == 200
    assert "tenant alpha" in explain(stack, token)
    said = explain(stack, keycloak.token("lena", "openid organization:alpha"))
    lines = {line[6:24].strip(): line[25:] for line in said.splitlines()}
    assert {"auditor", "member"} <= set(lines["roles"].split(", ")) and lines["groups"] == "hr", said
    assert stack.cli("issuer", "explain", "--issuer", keycloak.issuer).returncode == 0


def test_of_several_organisations_the_scope_chooses(stack, keycloak):
    for name in ("alpha", "beta"):
        token = keycloak.token("lena", f"openid organization:{name}")
        assert models(stack, token).status == 200 and f"tenant {name}" in explain(stack, token)
    assert refusal(stack, keycloak.token("lena", "openid organization:*")) == ("tenant_ambiguous", "organization")
    assert refusal(stack, keycloak.token("lena", "openid")) == ("claim_missing", "organization")


def test_id_and_refresh_tokens_are_refused(stack, keycloak):
    given = keycloak.tokens("mia")
    assert models(stack, given["access_token"]).status == 200, "control"
    assert refusal(stack, given["id_token"])[0] == "not_access_token"
    assert models(stack, given["refresh_token"]).status == 401


def test_a_token_without_the_audience_mapper(stack, keycloak):
    client = next(each for each in keycloak.admin("GET", "/staff/clients") if each["clientId"] == "admin-cli")
    client["directAccessGrantsEnabled"] = True
    keycloak.admin("PUT", f"/staff/clients/{client['id']}", client)
    # admin-cli issues lightweight tokens: neither audience nor organisation.
    status, given = request("POST", f"{keycloak.issuer}/protocol/openid-connect/token", form={
        "grant_type": "password", "client_id": "admin-cli", "username": "mia", "password": PASSWORD})
    assert status == 200 and refusal(stack, given["access_token"]) == ("claim_missing", "aud"), given


def test_lightweight_tokens_with_the_claims_added(stack, keycloak):
    keycloak.use_lightweight_tokens()
    assert refusal(stack, keycloak.token("mia"))[0] == "claim_missing", "control: they hold little"
    keycloak.add_claims_to_lightweight_tokens()
    token = keycloak.token("mia")
    assert models(stack, token).status == 200, explain(stack, token)
    assert "tenant alpha" in explain(stack, token)


@pytest.mark.parametrize(("kind", "algorithm", "options"), [
    ("ecdsa-generated", "ES512", {"ecdsaEllipticCurveKey": "P-521"}),
    ("eddsa-generated", "EdDSA", {"eddsaEllipticCurveKey": "Ed25519"}),
])
def test_keys_of_other_kinds(stack, keycloak, kind, algorithm, options):
    keycloak.add_key_provider(kind, 200, **options)
    keycloak.sign_with(algorithm)
    eventually(lambda: models(stack, keycloak.token("mia")).status == 200, f"the {algorithm} key is fetched", 60)
    keycloak.sign_with("RS256")
    assert models(stack, keycloak.token("mia")).status == 200, "control"


def test_rotation_and_a_disabled_key(stack, keycloak):
    old = keycloak.token("mia")
    assert models(stack, old).status == 200
    first = next(each for each in keycloak.keys() if each["algorithm"] == "RS256")
    keycloak.add_key_provider("rsa-generated", 300)
    new = keycloak.token("mia")
    eventually(lambda: models(stack, new).status == 200, "the rotated key is fetched", 60)
    assert models(stack, old).status == 200, "control: the old key is still listed"
    component = keycloak.admin("GET", f"/staff/components/{first['providerId']}")
    component["config"]["enabled"] = ["false"]
    keycloak.admin("PUT", f"/staff/components/{first['providerId']}", component)
    # jwks_refresh and 20 s at most; with requests meanwhile, the first renewal.
    eventually(lambda: models(stack, old).status == 401, "the disabled key's token is refused", 60)
    assert refusal(stack, old) == ("key_unknown", None)
    assert models(stack, new).status == 200, "control: the other key's goes on"
    assert json.dumps(keycloak.keys()).find(first["kid"]) < 0
