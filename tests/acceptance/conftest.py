"""One running Bulkhead with the demo's three tenants, shared by the whole session.

Tests that break things (kill, suspend, tamper, other settings) take a stack of their module's own from
`new_stack`. Nothing sleeps for a fixed time: `eventually` polls until a deadline.
"""
import json
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "demo"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
from issuer import Issuer  # noqa: E402
from postgres import Postgres  # noqa: E402
from stack import Stack  # noqa: E402

CORPUS = ROOT / "demo" / "corpus"
CHAT_MODEL = ROOT / "build" / "models" / "chat-test.gguf"
TENANTS = ("st-brannoc", "calder-rowe", "brightwave")

# So wide that only test_limits.py ever meets them.
WIDE_LIMITS = {"requests_per_minute": 1_000_000, "tokens_per_minute": 1_000_000_000, "concurrent_requests": 1000,
               "user_requests_per_minute": 1_000_000, "user_tokens_per_minute": 1_000_000_000,
               "user_concurrent_requests": 1000}


def eventually(condition, what, seconds=30):
    """The condition's first true value, or a failure that says what was waited for."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    pytest.fail(f"not within {seconds} s: {what}")


class Person:
    """A user of a tenant with both credentials."""

    def __init__(self, stack, client, key, key_id):
        self.stack, self.client, self.key, self.key_id = stack, client, key, key_id
        self.name, self.roles, self.groups = client["subject"], client["roles"], client["groups"]

    def call(self, method, path, body=None, **options):
        return self.stack.call(method, path, self.key, body, **options)

    def token(self):
        return self.stack.token(self.client)


class Tenant:
    """A tenant as the tests see it: its people, its files by name, its default vector store."""

    def __init__(self, name):
        self.name, self.people, self.files, self.store, self.manifest = name, {}, {}, None, None

    def person(self, role):
        return next(p for p in self.people.values() if p.roles == [role])

    @property
    def admin(self):
        return self.person("tenant-admin")

    @property
    def member(self):
        return self.person("member")

    @property
    def auditor(self):
        return self.person("auditor")

    def restricted(self):
        """(document, someone who may read it, someone who may not)"""
        document = next(d for d in self.manifest["documents"] if d["access"])
        groups = set(document["access"].get("groups", []))
        members = [p for p in self.people.values() if p.roles == ["member"]]
        allowed = next(p for p in members if groups & set(p.groups))
        denied = next(p for p in members if not groups & set(p.groups))
        return document["file"], allowed, denied


def add_tenant(stack, name, users, policy=None, options=()):
    """Registers a tenant and makes each user an API key. Call before the stack starts for `users`'
    clients to be known to the issuer; (name, roles, groups) each, the first one an administrator.
    `options` are further ones of `bulkhead tenant create`."""
    tenant = Tenant(name)
    stack.create_tenant(name, name, {"limits": WIDE_LIMITS, **(policy or {})}, options)
    clients = {c["subject"]: c for c in stack.clients if c["tenant"] == name}
    boss = stack.token(clients[users[0][0]])
    for user, roles, groups in users:
        made = stack.call("POST", "/v1/bulkhead/api_keys", boss,
                          {"name": "test", "user": user, "roles": roles, "groups": groups})
        assert made.status == 200, made.body
        tenant.people[user] = Person(stack, clients[user], made.json()["key"], made.json()["id"])
    return tenant


SMALL_USERS = [("boss", ["tenant-admin"], []), ("mia", ["member"], ["red"]), ("ned", ["member"], ["blue"]),
               ("ada", ["auditor"], [])]


def start_small(stack, names=("alpha", "beta"), policy=None):
    """A stack with small tenants and no documents."""
    for name in names:
        for user, roles, groups in SMALL_USERS:
            stack.add_client(name, user, roles, groups)
    stack.start()
    return {name: add_tenant(stack, name, SMALL_USERS, policy) for name in names}


def add_document(person, name, text, access=None, store=None):
    """Uploads a text and waits until it can be searched. Returns (file id, vector store id)."""
    stack = person.stack
    source = stack.folder / "upload.tmp"
    source.write_text(text)
    uploaded = stack.upload(person.key, source, access, name=name)
    source.unlink()
    assert uploaded.status == 200, uploaded.body
    file = uploaded.json()["id"]
    if store is None:
        made = person.call("POST", "/v1/vector_stores", {"name": name, "file_ids": [file]})
    else:
        made = person.call("POST", f"/v1/vector_stores/{store}/files", {"file_id": file})
    assert made.status == 200, made.body
    store = store or made.json()["id"]
    stack.wait_indexed(person.key, store)
    return file, store


def stack_maker(tmp_path_factory):
    made = []

    def make(server="refusals_per_second = 0", **options):
        """Tests are refused thousands of times, so refusals are not paced unless a test asks for it."""
        stack = Stack(tmp_path_factory.mktemp("stack"), CHAT_MODEL, server=server, **options)
        made.append(stack)
        return stack

    yield make
    for stack in made:
        stack.stop()


@pytest.fixture(scope="module")
def new_stack(tmp_path_factory):
    """Makes stacks (not started yet) that are stopped when the module ends: each holds a model in memory."""
    yield from stack_maker(tmp_path_factory)


@pytest.fixture(scope="session")
def new_lasting_stack(tmp_path_factory):
    yield from stack_maker(tmp_path_factory)


@pytest.fixture(scope="module")
def server():
    """A PostgreSQL server of the module's own."""
    running = Postgres()
    eventually(running.ready, "PostgreSQL accepts connections")
    yield running
    running.remove()


@pytest.fixture(scope="module")
def password_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("postgres") / "password"
    file.write_text(Postgres.PASSWORD + "\n")
    file.chmod(0o600)
    return file


@pytest.fixture(scope="session")
def issuer():
    """An issuer whose keys the tests hold, so that a token can be wrong in exactly one way."""
    running = Issuer()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def stack(new_lasting_stack, issuer):
    running = new_lasting_stack(extra=issuer.config_section())
    for name in TENANTS:
        manifest = json.loads((CORPUS / name / "manifest.json").read_text())
        for user in manifest["users"]:
            running.add_client(name, user["name"], user["roles"], user["groups"])
    running.start()
    return running


@pytest.fixture(scope="session")
def tenants(stack):
    """The three tenants with their documents loaded; one of them keeps chats."""
    loaded = {}
    for name in TENANTS:
        manifest = json.loads((CORPUS / name / "manifest.json").read_text())
        users = sorted(((u["name"], u["roles"], u["groups"]) for u in manifest["users"]),
                       key=lambda user: "tenant-admin" not in user[1])
        tenant = add_tenant(stack, name, users, {"keep_chats": name == "brightwave"})
        tenant.manifest = manifest
        tenant.store, tenant.files = stack.load_corpus(tenant.admin.key, CORPUS / name)
        loaded[name] = tenant
    return loaded


@pytest.fixture(scope="session")
def hospital(tenants):
    return tenants["st-brannoc"]


@pytest.fixture(scope="session")
def law(tenants):
    return tenants["calder-rowe"]


@pytest.fixture(scope="session")
def agency(tenants):
    """The tenant whose policy keeps chats."""
    return tenants["brightwave"]
