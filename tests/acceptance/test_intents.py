"""Nothing is changed that the log could not announce: every route of routes.cc that changes something, tried on a gateway
whose audit disk is full. And what operators do to a tenant is the tenant's to read."""
import json
import re

import pytest
from conftest import ROOT, add_document, eventually, start_small
from full_disk import small_disk  # noqa: F401
from test_audit import records, verify
from test_backup import backup_section

TABLE = re.findall(r'Route\{(\w+), "([^"]+)", Audience::(\w+), Permission::\w+, Effect::(\w+)',
                   re.sub(r"\s+", " ", (ROOT / "src/gateway/routes.cc").read_text()))
CHANGING = [(method, pattern) for method, pattern, _, effect in TABLE if effect == "Changes"]

# Whose change would need a second model, or a move held in its middle, to be seen: only that they are refused is tried.
ONLY_REFUSED = {("Post", "/admin/models"), ("Post", "/admin/models/{id}/replace"), ("Post", "/admin/models/{id}/share"),
                ("Delete", "/admin/models/{id}"), ("Delete", "/admin/tenants/{id}/move")}
OWN_TENANTS = ("policy", "active", "stopped", "doomed", "erased", "saved", "moved", "rotated")
CHAT = {"model": "default", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1, "store": True}


class World:
    """A gateway with one of everything that can be changed."""

    def __init__(self, new_stack, disk, folder, **audit):
        section, self.archives, backup_key = backup_section(folder)
        self.backup_key = backup_key.read_text().strip()
        self.disk, self.stack = disk, new_stack(extra=section + disk.section(**audit))
        self.stack.audit_dir = disk.folder
        tenants = start_small(self.stack, ("alpha", "erased"), {"keep_chats": True})
        self.alpha, self.erased = tenants["alpha"], tenants["erased"]
        for name in OWN_TENANTS:
            if name != "erased":
                self.stack.create_tenant(name)
        self.operator("POST", "/admin/tenants/stopped/suspend")
        self.operator("POST", "/admin/tenants/saved/backup", {"file": "saved.bhk"})
        self.member, self.admin = self.alpha.member, self.alpha.admin
        document = lambda name: add_document(self.member, name, f"The {name} of the harbour.")
        (self.file, self.store), (self.doomed_file, _), (self.loose_file, _) = map(document, ("pilot", "crane", "buoy"))
        self.attached_file, self.other_store = document("tug")
        self.doomed_store = self.member.call("POST", "/v1/vector_stores", {"name": "doomed"}).json()["id"]
        chat = lambda person: person.call("POST", "/v1/chat/completions", CHAT).json()["id"]
        self.chat, self.erased_chat, self.others_chat = chat(self.member), chat(self.member), chat(self.erased.member)
        self.doomed_key = self.admin.call("POST", "/v1/bulkhead/api_keys", {"user": "mia", "roles": ["member"]}).json()["id"]

    def operator(self, method, path, body=None):
        return self.stack.call(method, path, self.stack.operator_key, body)

    def tenant(self, name):
        return self.operator("GET", f"/admin/tenants/{name}").json()

    def upload(self):
        source = self.stack.folder / "new.txt"
        source.write_text("new")
        return self.stack.upload(self.member.key, source)

    def tries(self):
        """(method, pattern): (the request in earnest, what shows its change)."""
        member, admin, op = self.member.call, self.admin.call, self.operator
        listed = lambda call, path: lambda: sorted(x["id"] for x in call("GET", path + "?limit=100").json()["data"])
        shown = lambda call, path: lambda: call("GET", path).body
        chats, files, stores = (listed(member, f"/v1/{what}") for what in ("chat/completions", "files", "vector_stores"))
        attached = lambda store: listed(member, f"/v1/vector_stores/{store}/files")
        keys = lambda: [k["id"] for k in admin("GET", "/v1/bulkhead/api_keys").json()["data"] if not k["revoked"]]
        there = lambda ids, one: lambda: one in ids()

        def added(ids):
            known = set(ids())
            return lambda: sorted(set(ids()) - known)

        of = lambda name, *what: lambda: {w: self.tenant(name).get(w) for w in what}
        ended = {}

        def end_session():
            answer = member("DELETE", "/v1/bulkhead/session")
            ended["id"] = answer.headers["x-request-id"]
            return answer

        receipt = lambda: member("GET", f"/v1/bulkhead/receipts/{ended['id']}").status if ended else 404
        store, other = f"/v1/vector_stores/{self.store}", f"/v1/vector_stores/{self.other_store}"
        tenant, one = "/admin/tenants/{id}", lambda name, what="": f"/admin/tenants/{name}{what}"
        return {
            ("Delete", "/v1/chat/completions/{id}"): (lambda: member("DELETE", f"/v1/chat/completions/{self.chat}"),
                                                      there(chats, self.chat)),
            ("Post", "/v1/files"): (self.upload, added(files)),
            ("Delete", "/v1/files/{id}"): (lambda: member("DELETE", f"/v1/files/{self.doomed_file}"),
                                            there(files, self.doomed_file)),
            ("Put", "/v1/bulkhead/files/{id}/access"): (
                lambda: member("PUT", f"/v1/bulkhead/files/{self.file}/access", {"shared": True}),
                shown(member, f"/v1/files/{self.file}")),
            ("Post", "/v1/vector_stores"): (lambda: member("POST", "/v1/vector_stores", {"name": "new"}), added(stores)),
            ("Post", "/v1/vector_stores/{id}"): (
                lambda: member("POST", store, {"name": "renamed"}), lambda: member("GET", store).json()["name"]),
            ("Delete", "/v1/vector_stores/{id}"): (
                lambda: member("DELETE", f"/v1/vector_stores/{self.doomed_store}"), there(stores, self.doomed_store)),
            ("Post", "/v1/vector_stores/{id}/files"): (
                lambda: member("POST", store + "/files", {"file_id": self.loose_file}),
                there(attached(self.store), self.loose_file)),
            ("Delete", "/v1/vector_stores/{id}/files/{id}"): (
                lambda: member("DELETE", f"{other}/files/{self.attached_file}"),
                there(attached(self.other_store), self.attached_file)),
            ("Post", "/v1/bulkhead/api_keys"): (
                lambda: admin("POST", "/v1/bulkhead/api_keys", {"user": "mia", "roles": ["member"]}), added(keys)),
            ("Delete", "/v1/bulkhead/api_keys/{id}"): (
                lambda: admin("DELETE", f"/v1/bulkhead/api_keys/{self.doomed_key}"), there(keys, self.doomed_key)),
            ("Post", "/v1/bulkhead/erasures"): (
                lambda: admin("POST", "/v1/bulkhead/erasures", {"chat": self.erased_chat}), there(chats, self.erased_chat)),
            ("Delete", "/v1/bulkhead/session"): (end_session, receipt),
            ("Post", "/admin/tenants"): (
                lambda: op("POST", "/admin/tenants", {"id": "new"}), lambda: op("GET", "/admin/tenants/new").status),
            ("Put", tenant + "/policy"): (
                lambda: op("PUT", one("policy", "/policy"), {"kept_chat_days": 3}), of("policy", "policy")),
            ("Post", tenant + "/suspend"): (lambda: op("POST", one("active", "/suspend"), {}), of("active", "state")),
            ("Post", tenant + "/resume"): (lambda: op("POST", one("stopped", "/resume")), of("stopped", "state")),
            ("Delete", tenant): (lambda: op("DELETE", one("doomed")), of("doomed", "state")),
            ("Post", tenant + "/erasures"): (
                lambda: op("POST", one("erased", "/erasures"), {"chat": self.others_chat}),
                lambda: self.erased.member.call("GET", f"/v1/chat/completions/{self.others_chat}").status),
            ("Post", tenant + "/backup"): (
                lambda: op("POST", one("saved", "/backup"), {"file": "again.bhk"}),
                lambda: sorted(p.name for p in self.archives.iterdir())),
            ("Post", tenant + "/move"): (
                lambda: op("POST", one("moved", "/move"), {"mode": "silo"}), of("moved", "mode", "move")),
            ("Post", "/admin/restore"): (
                lambda: op("POST", "/admin/restore", {"files": ["saved.bhk"], "as": "copy", "backup_key": self.backup_key}),
                lambda: op("GET", "/admin/tenants/copy").status),
            ("Post", "/admin/keys/rotate"): (
                lambda: op("POST", "/admin/keys/rotate"), (self.stack.folder / "platform.key").read_bytes),
            ("Post", tenant + "/keys/rotate"): (
                lambda: op("POST", one("rotated", "/keys/rotate")), of("rotated", "keys")),
            ("Post", "/admin/models"): (lambda: op("POST", "/admin/models", {}), None),
            ("Post", "/admin/models/{id}/replace"): (lambda: op("POST", "/admin/models/x/replace", {}), None),
            ("Post", "/admin/models/{id}/share"): (lambda: op("POST", "/admin/models/x/share", {"share": 1}), None),
            ("Delete", "/admin/models/{id}"): (lambda: op("DELETE", "/admin/models/x"), None),
            ("Delete", tenant + "/move"): (lambda: op("DELETE", one("policy", "/move")), None),
        }

    def fill_disk(self):
        """Nothing of a tenant's is recorded any more: the last page that the log had begun is full too."""
        self.disk.fill()
        eventually(lambda: self.member.call("GET", "/v1/models").status == 503, "the disk is full")

    def break_log(self):
        """Fills the disk and uses up what is held back on it for operators, by the shortest records that there are."""
        self.fill_disk()
        eventually(lambda: self.operator("GET", "/metrics").status == 503, "the reserve is used up", 120)
        assert self.member.call("GET", "/v1/models").status == 503

    def mend_log(self):
        self.disk.empty()
        eventually(lambda: self.member.call("GET", "/v1/models").status == 200, "the log is written again")


def try_all(world):
    """{route: (answer, whether its change is seen)}, with the log failing during each try."""
    tries = world.tries()
    before = {route: probe() for route, (_, probe) in tries.items() if probe}
    world.break_log()
    answers = {route: send() for route, (send, _) in tries.items()}
    world.mend_log()
    return {route: (answers[route], bool(probe) and probe() != before[route]) for route, (_, probe) in tries.items()}


def test_the_table_was_read_and_every_changing_route_is_tried(new_stack):
    text = (ROOT / "src/gateway/routes.cc").read_text()
    assert len(TABLE) == text.count("Route{") and len(CHANGING) > 25
    assert all(effect == "Changes" for method, _, _, effect in TABLE if method in ("Put", "Delete"))


@pytest.fixture(scope="module")
def world(new_stack, small_disk, tmp_path_factory):  # noqa: F811
    return World(new_stack, small_disk(), tmp_path_factory.mktemp("world"))


def test_what_operators_do_is_the_tenants_to_read(world):
    """Each act stands in the tenant's own log as the operator's; the neighbour's has none of it."""
    op, alpha = world.operator, world.alpha
    assert op("PUT", "/admin/tenants/alpha/policy", world.tenant("alpha")["policy"]).status == 200
    assert op("POST", "/admin/tenants/alpha/backup", {"file": "alpha.bhk"}).status == 200
    assert op("POST", "/admin/tenants/alpha/keys/rotate", {"purpose": "record-seal"}).status == 200
    eventually(lambda: world.tenant("alpha")["keys"]["rotation"] == "none", "the rotation has ended", 60)
    assert op("POST", "/admin/tenants/alpha/suspend", {"reason": "unpaid"}).status == 200
    assert op("POST", "/admin/tenants/alpha/resume").status == 200
    ask = lambda tenant, more="": tenant.auditor.call("GET", "/v1/bulkhead/audit?limit=1000" + more).json()["data"]
    mine = ask(alpha)
    done = {r["event"]: r for r in mine if r.get("principal") == "operator"}
    for event in ("tenant_created", "tenant_changed", "tenant_backed_up", "key_rotation_started", "tenant_suspended",
                  "tenant_resumed"):
        assert done[event]["tenant"] == "alpha" and done[event]["target"] == "alpha", event
        assert done[event]["credential_id"]
    assert done["tenant_suspended"]["statement"] == "unpaid"
    assert any(r["event"] == "tenant_key_rotated" for r in mine)
    intents = {r["request_id"]: r["intended"] for r in mine if r["event"] == "change_intended"}
    assert intents[done["tenant_suspended"]["request_id"]] == "tenant_suspended"
    others = ask(world.erased)
    assert "alpha" not in json.dumps(others) and any(r.get("principal") == "operator" for r in others)


def test_on_a_full_disk_operators_and_nobody_else_go_on(world):
    world.fill_disk()
    suspended = world.operator("POST", "/admin/tenants/policy/suspend", {"reason": "the disk"})
    assert suspended.status == 200
    request = suspended.headers["x-request-id"]
    assert [r["event"] for r in records(world.disk.folder) if r.get("request_id") == request] == \
        ["change_intended", "tenant_suspended"]
    assert world.stack.call("GET", "/readyz").status == 503
    world.mend_log()
    assert world.stack.call("GET", "/readyz").status == 200


def test_no_route_changes_anything_while_the_log_fails(world):
    results = try_all(world)
    assert set(results) == set(CHANGING), "say in `tries` how the change of a new route is seen"
    for route, (answer, seen) in results.items():
        assert (answer.status, answer.json()["error"]["code"]) == (503, "unavailable"), (route, answer.body)
        assert not seen, route
    assert verify(world.stack, world.disk.folder)[0] == 0


def test_control_without_intents_each_change_is_seen(new_stack, small_disk, tmp_path_factory):  # noqa: F811
    """The same tries, with the intent off: answered 503, and made all the same."""
    world = World(new_stack, small_disk(), tmp_path_factory.mktemp("control"), announce_changes=False)
    results = try_all(world)
    unseen = {route for route, (_, seen) in results.items() if not seen}
    assert unseen == ONLY_REFUSED, {str(route): results[route][0].body for route in unseen - ONLY_REFUSED}
    assert all(answer.status != 200 for answer, _ in results.values())


def test_each_change_has_its_intent_first_and_its_outcome_after(world):
    done = world.upload()
    refused = world.member.call("DELETE", "/v1/files/file-" + "a" * 26)
    assert (done.status, refused.status) == (200, 404)
    for answer, outcome, intended in ((done, "file_uploaded", "file_uploaded"), (refused, "request_failed", "file_deleted")):
        mine = [r for r in records(world.disk.folder) if r.get("request_id") == answer.headers["x-request-id"]]
        assert [r["event"] for r in mine] == ["change_intended", outcome]
        assert mine[0]["intended"] == intended and mine[0]["principal"] == mine[1]["principal"]
    assert mine[0]["target"] == "file-" + "a" * 26
    read = world.member.call("GET", "/v1/files")
    assert [r["event"] for r in records(world.disk.folder) if r.get("request_id") == read.headers["x-request-id"]] == \
        ["request_ended"], "control: reading is one record"
