"""A real Keycloak of its own distribution, on loopback, with nothing kept."""
import json
import os
import secrets
import signal
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request

PASSWORD = "correct horse battery"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def request(method, url, body=None, token=None, form=None):
    """(status, JSON or None)."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    data = None
    if form is not None:
        data = urllib.parse.urlencode(form).encode()
    elif body is not None:
        data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=60) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        text = error.read()
        return error.code, json.loads(text) if text.startswith(b"{") else None


def user(name, groups=(), realm_roles=(), client_roles=()):
    return {"username": name, "enabled": True, "email": f"{name}@alpha.example", "emailVerified": True,
            "firstName": name, "lastName": "Test", "requiredActions": [], "groups": list(groups),
            "credentials": [{"type": "password", "value": PASSWORD, "temporary": False}],
            "realmRoles": list(realm_roles), "clientRoles": {"portal.app": list(client_roles)}}


AUDIENCE = {"name": "bulkhead audience", "protocol": "openid-connect", "protocolMapper": "oidc-audience-mapper",
            "config": {"included.custom.audience": "bulkhead", "access.token.claim": "true", "id.token.claim": "false"}}
GROUPS = {"name": "groups", "protocol": "openid-connect", "protocolMapper": "oidc-group-membership-mapper",
          "config": {"claim.name": "groups", "full.path": "true", "access.token.claim": "true", "id.token.claim": "false"}}
REALM = {
    "realm": "staff", "enabled": True, "sslRequired": "none", "organizationsEnabled": True,
    "roles": {"realm": [{"name": "auditor"}], "client": {"portal.app": [{"name": "member"}]}},
    "groups": [{"name": "hr"}],
    "clients": [{"clientId": "portal.app", "enabled": True, "publicClient": True, "directAccessGrantsEnabled": True,
                 "standardFlowEnabled": False, "protocolMappers": [AUDIENCE, GROUPS]}],
    "users": [user("lena", ["/hr"], ["auditor"], ["member"]), user("mia", [], [], ["member"])],
}


class Keycloak:
    def __init__(self, folder, log):
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.issuer = f"{self.base}/realms/staff"
        self.admin_password = secrets.token_urlsafe(16)
        environment = {**os.environ, "KC_BOOTSTRAP_ADMIN_USERNAME": "admin", "KC_BOOTSTRAP_ADMIN_PASSWORD": self.admin_password,
                       "JAVA_OPTS_APPEND": "-XX:ActiveProcessorCount=2"}
        self.process = subprocess.Popen(
            [folder / "bin" / "kc.sh", "start-dev", "--http-host=127.0.0.1", f"--http-port={self.port}", "--db=dev-mem",
             "--cache=local"], stdout=log, stderr=log, env=environment, start_new_session=True)

    def ready(self):
        assert self.process.poll() is None, "Keycloak ended"
        try:
            return request("GET", f"{self.base}/realms/master")[0] == 200
        except OSError:
            return False

    def stop(self):
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(60)

    def admin(self, method, path, body=None):
        """Each time with a new token: the administrator's last for a minute."""
        status, answer = request("POST", f"{self.base}/realms/master/protocol/openid-connect/token", form={
            "grant_type": "password", "client_id": "admin-cli", "username": "admin", "password": self.admin_password})
        assert status == 200, answer
        status, result = request(method, f"{self.base}/admin/realms{path}", body, answer["access_token"])
        assert status < 300, (method, path, status, result)
        return result

    def make_realm(self):
        self.admin("POST", "", REALM)
        people = {each["username"]: each["id"] for each in self.admin("GET", "/staff/users")}
        for name, members in (("alpha", ["lena", "mia"]), ("beta", ["lena"])):
            self.admin("POST", "/staff/organizations",
                       {"name": name, "alias": name, "enabled": True, "domains": [{"name": f"{name}.example"}]})
            found = next(each for each in self.admin("GET", "/staff/organizations") if each["name"] == name)
            for member in members:
                self.admin("POST", f"/staff/organizations/{found['id']}/members", people[member])

    def tokens(self, name, scope="openid organization"):
        status, answer = request("POST", f"{self.issuer}/protocol/openid-connect/token", form={
            "grant_type": "password", "client_id": "portal.app", "username": name, "password": PASSWORD, "scope": scope})
        assert status == 200, answer
        return answer

    def token(self, name, scope="openid organization"):
        return self.tokens(name, scope)["access_token"]

    def keys(self):
        return [each for each in self.admin("GET", "/staff/keys")["keys"] if each["use"] == "SIG" and each["status"] == "ACTIVE"]

    def add_key_provider(self, kind, priority, **options):
        """A new key of the realm; returns its component's id."""
        realm = self.admin("GET", "/staff")
        config = {"priority": [str(priority)], "enabled": ["true"], "active": ["true"], **{k: [v] for k, v in options.items()}}
        self.admin("POST", "/staff/components", {"name": f"{kind}-{priority}", "providerId": kind, "parentId": realm["id"],
                                                 "providerType": "org.keycloak.keys.KeyProvider", "config": config})
        return next(each["id"] for each in self.admin("GET", "/staff/components?type=org.keycloak.keys.KeyProvider")
                    if each["name"] == f"{kind}-{priority}")

    def sign_with(self, algorithm):
        client = next(each for each in self.admin("GET", "/staff/clients") if each["clientId"] == "portal.app")
        client["attributes"]["access.token.signed.response.alg"] = algorithm
        self.admin("PUT", f"/staff/clients/{client['id']}", client)

    def use_lightweight_tokens(self):
        """The client's tokens hold little; its own mappers and those of its scopes that matter here add their claims."""
        client = next(each for each in self.admin("GET", "/staff/clients") if each["clientId"] == "portal.app")
        client["attributes"]["client.use.lightweight.access.token.enabled"] = "true"
        self.admin("PUT", f"/staff/clients/{client['id']}", client)

    def add_claims_to_lightweight_tokens(self):
        client = next(each for each in self.admin("GET", "/staff/clients") if each["clientId"] == "portal.app")
        places = [(f"/staff/clients/{client['id']}", client["protocolMappers"])]
        for scope in self.admin("GET", "/staff/client-scopes"):
            if scope["name"] in ("organization", "roles", "basic"):
                places.append((f"/staff/client-scopes/{scope['id']}", scope["protocolMappers"]))
        for place, mappers in places:
            for mapper in mappers:
                mapper["config"]["lightweight.claim"] = "true"
                self.admin("PUT", f"{place}/protocol-mappers/models/{mapper['id']}", mapper)
