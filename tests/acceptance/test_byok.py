"""Tenants whose keys are wrapped in PKCS#11 tokens of their own: they work like any other, withdrawing the key in the
token closes them in the stated time and nobody else, and nothing of the platform's opens them."""
import json
import os
import shutil
import subprocess
import threading

import pytest
from conftest import CHAT_MODEL, SMALL_USERS, WIDE_LIMITS, add_document, add_tenant, eventually
from softhsm import MODULE, Hanging, SoftHsm
from stack import BULKHEAD, Stack
from test_audit import records
from test_generation import worker_counter
from test_identity import Stream

LIFETIME = 6  # seconds, data.key_lifetime
TENANTS = {"ward": "hospital", "firm": "lawyers", "plain": "platform", "mover": "hospital", "comer": "platform"}


def provider_section(hsm, name, **changes):
    keys = {"name": name, "kind": "pkcs11", "module": MODULE, "token": name, "key": "kek",
            "pin_file": str(hsm.pin_file(f"{name}.pin")), "call_time_max": 2, **changes}
    return "[[key_provider]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())


def add_people(stack, names):
    for name in names:
        for user, roles, groups in SMALL_USERS:
            stack.add_client(name, user, roles, groups)


@pytest.fixture(scope="module")
def hsm():
    made = SoftHsm()
    for token in ("hospital", "lawyers"):
        made.make_token(token)
    made.in_use()
    yield made
    made.remove()


@pytest.fixture(scope="module")
def byok(new_stack, hsm):
    stack = new_stack(data=f"key_lifetime = {LIFETIME}",
                      extra=provider_section(hsm, "hospital") + provider_section(hsm, "lawyers"))
    add_people(stack, TENANTS)
    stack.write_config()
    for name in ("hospital", "lawyers"):
        assert "made" in stack.cli("keys", "provider-init", name).stdout
    stack.start()
    tenants = {}
    for name, provider in TENANTS.items():
        choice = [] if provider == "platform" else ["--key-provider", provider]
        tenants[name] = add_tenant(stack, name, SMALL_USERS, {"keep_chats": True}, choice)
        tenants[name].file, tenants[name].store = add_document(
            tenants[name].member, "note.txt", f"The {name} ferry leaves at dawn.")
    return stack, tenants


def keys_of(stack, tenant):
    return json.loads(stack.operator_cli("tenant", "show", tenant).stdout)["keys"]


def read(tenant):
    return tenant.member.call("GET", f"/v1/files/{tenant.file}/content")


def reads(tenant):
    answer = read(tenant)
    return answer.status == 200 and answer.body == f"The {tenant.name} ferry leaves at dawn.".encode()


def error_of(answer):
    return answer.json()["error"]["code"]


def in_token(stack, provider):
    return [name for name in TENANTS if keys_of(stack, name)["provider"] == provider]


def metric(stack, name):
    text = stack.call("GET", "/metrics", stack.operator_key).body.decode()
    return [float(line.split()[-1]) for line in text.splitlines() if line.startswith(name)]


def told(stack, event, tenant):
    return [record for record in records(stack.audit_dir) if record.get("event") == event and record.get("tenant") == tenant]


class Others:
    """The other tenants' requests all the while; none may fail."""

    def __init__(self, tenants, *closed):
        self.tenants = [tenant for tenant in tenants.values() if tenant.name not in closed]

    def ask(self):
        while not self.stop.is_set():
            for tenant in self.tenants:
                answer = read(tenant)
                if answer.status != 200:
                    self.failures.append((tenant.name, answer.status, answer.body))
                self.count += 1

    def __enter__(self):
        self.failures, self.count, self.stop = [], 0, threading.Event()
        self.thread = threading.Thread(target=self.ask)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        assert self.failures == [] and self.count > 0


def closes(tenant, status, code):
    """The tenant can't be read any more when the keys' lifetime has passed, and it is said why."""
    eventually(lambda: not reads(tenant), f"{tenant.name} is closed", LIFETIME + 5)
    # A request that was inside at that moment may have been told that its tenant went.
    eventually(lambda: (answer := read(tenant)).status == status and error_of(answer) == code, f"{status} {code}")


def restart(stack):
    stack.stop_process("gateway")
    stack.start_gateway()


def test_tenants_under_their_own_tokens_work_like_any_other(byok):
    stack, tenants = byok
    for name, tenant in tenants.items():
        found = tenant.member.call("POST", f"/v1/vector_stores/{tenant.store}/search", {"query": "When does the ferry leave?"})
        assert found.status == 200 and f"The {name} ferry" in found.body.decode()
        assert stack.chat(tenant.member.key, "When does the ferry leave?", max_tokens=8).status == 200
    keys = keys_of(stack, "ward")
    assert keys["provider"] == "hospital" and keys["custody"] == "PKCS#11 token hospital, key kek"
    assert keys["held"] and not keys["lost"]
    assert keys_of(stack, "plain")["provider"] == "platform" and "custody" not in keys_of(stack, "plain")
    restart(stack)
    assert all(reads(tenant) for tenant in tenants.values())
    assert metric(stack, "bulkhead_key_provider_up") == [1, 1] and metric(stack, "bulkhead_tenant_keys_lost") == [0]
    created = next(r for r in records(stack.audit_dir) if r.get("event") == "tenant_created" and r.get("target") == "ward")
    assert created["note"] == "key wrapped by hospital"


def test_posture_tries_the_key_in_the_token(byok):
    stack, _ = byok
    seen = json.loads(stack.operator_cli("posture", "--json").stdout)
    walls = {tenant["id"]: {wall["layer"]: wall for wall in tenant["walls"]} for tenant in seen["tenants"]}
    assert seen["broken"] == 0
    assert walls["ward"]["keys"]["verdict"] == "stands"
    assert "PKCS#11 token hospital, key kek" in walls["ward"]["keys"]["wall"]
    assert "not by the platform" not in walls["plain"]["keys"]["wall"]


def test_a_provider_that_does_not_exist_is_refused_by_name(byok):
    stack, _ = byok
    for arguments in (["tenant", "create", "late", "--key-provider", "no-such"],
                      ["keys", "rotate", "--tenant", "plain", "--provider", "no-such"]):
        done = stack.operator_cli(*arguments, check=False)
        assert done.returncode == 1 and "lawyers" in done.stderr, done.stderr
    assert stack.call("GET", "/admin/tenants/late", stack.operator_key).status == 404


def test_tenants_move_between_the_platform_and_a_token_online(byok):
    stack, tenants = byok
    with Others(tenants):
        assert "(platform)" in stack.operator_cli("keys", "rotate", "--tenant", "mover", "--provider", "platform").stdout
        assert "(hospital)" in stack.operator_cli("keys", "rotate", "--tenant", "comer", "--provider", "hospital").stdout
    assert keys_of(stack, "mover")["provider"] == "platform" and keys_of(stack, "comer")["provider"] == "hospital"
    restart(stack)
    assert all(reads(tenant) for tenant in tenants.values())
    started = [r for r in records(stack.audit_dir) if r.get("event") == "key_rotation_started" and r.get("target") == "comer"]
    assert started[-1]["note"] == "key wrapped by hospital"


def test_rotation_and_erasure_work_under_a_token(byok):
    stack, tenants = byok
    ward, number = tenants["ward"], keys_of(stack, "ward")["key_number"]
    file, _ = add_document(ward.member, "secret.txt", "The lighthouse keeper counts to nine.")
    stack.operator_cli("keys", "rotate", "--tenant", "ward")
    assert keys_of(stack, "ward")["key_number"] == number + 1 and keys_of(stack, "ward")["provider"] == "hospital"
    erased = ward.admin.call("POST", "/v1/bulkhead/erasures", {"file": file})
    assert erased.status == 200, erased.body
    assert keys_of(stack, "ward")["key_number"] == number + 2, "an erasure renews the tenant's key in the token"
    assert ward.member.call("GET", f"/v1/files/{file}/content").status == 404 and reads(ward)
    stack.operator_cli("keys", "rotate", "--platform")
    assert all(reads(tenant) for tenant in tenants.values())


def token_taken_away(hsm):
    hsm.take_away("hospital")
    return lambda: hsm.put_back("hospital")


def pin_refused(hsm):
    hsm.pin_file("hospital.pin", "99999999")
    return lambda: hsm.pin_file("hospital.pin")


def pin_file_removed(hsm):
    hsm.pin_file("hospital.pin").unlink()
    return lambda: hsm.pin_file("hospital.pin")


@pytest.mark.parametrize("withdraw, status, code", [(token_taken_away, 503, "key_unavailable"),
                                                    (pin_refused, 403, "key_revoked"),
                                                    (pin_file_removed, 503, "key_unavailable")])
def test_withdrawing_access_closes_the_tenant_and_giving_it_back_opens_it(byok, hsm, withdraw, status, code):
    stack, tenants = byok
    ward, before = tenants["ward"], len(told(stack, "tenant_key_lost", "ward"))
    assert reads(ward), "control"
    restore = withdraw(hsm)
    with Others(tenants, *in_token(stack, "hospital")):
        closes(ward, status, code)
        eventually(lambda: metric(stack, 'bulkhead_key_provider_up{provider="hospital"}') == [0], "it is shown")
        lost = told(stack, "tenant_key_lost", "ward")
        assert len(lost) == before + 1 and lost[-1]["reason"] == code and lost[-1]["target"] == "ward"
        assert keys_of(stack, "ward")["lost"] and metric(stack, "bulkhead_tenant_keys_lost")[0] >= 1
        returned = len(told(stack, "tenant_key_returned", "ward"))
        restore()
        eventually(lambda: len(told(stack, "tenant_key_returned", "ward")) == returned + 1, "no request is needed")
        eventually(lambda: reads(ward), "it can be read again, without a restart")
    eventually(lambda: metric(stack, "bulkhead_tenant_keys_lost") == [0], "all are there again")
    assert metric(stack, 'bulkhead_key_provider_up{provider="lawyers"}') == [1]


def test_what_the_workers_kept_of_a_closed_tenant_is_burned(byok, hsm):
    stack, tenants = byok
    policy = {"keep_chats": True, "limits": WIDE_LIMITS, "engine": {"prefix_cache": "session", "prefix_cache_seconds": 3600}}
    for name in ("ward", "plain"):
        assert stack.call("PUT", f"/admin/tenants/{name}/policy", stack.operator_key, policy).status == 200
        assert stack.chat(tenants[name].member.key, "Remember this ferry. " * 20, max_tokens=2).status == 200
    kept = lambda: worker_counter(stack, "bulkhead_engine_kept_prefixes")
    eventually(lambda: kept() == 2, "control: one of each")
    restore = pin_refused(hsm)
    closes(tenants["ward"], 403, "key_revoked")
    eventually(lambda: kept() == 1, "the closed tenant's is gone, the other's is not")
    restore()
    eventually(lambda: reads(tenants["ward"]), "it can be read again")


def test_a_token_that_hangs_closes_its_tenants_in_time_and_holds_up_nobody(byok, hsm):
    stack, tenants = byok
    ward = tenants["ward"]
    # Its library was just looked through for it: what is known of the other token must not have gone with that.
    restore = token_taken_away(hsm)
    eventually(lambda: not reads(ward), "it is away", LIFETIME + 5)
    restore()
    eventually(lambda: reads(ward), "it is back")
    stream = Stream(ward.member)
    lines = stream.lines()
    next(lines)
    with Others(tenants, *in_token(stack, "hospital")):
        with Hanging(hsm, "hospital"):
            rest = "".join(lines)
            assert "[DONE]" not in rest and "key_unavailable" in rest, rest[-500:]
            closes(ward, 503, "key_unavailable")
            # All of this is answered while the token still hangs.
            for _ in range(20):
                assert read(ward).status == 503 and reads(tenants["firm"])
        eventually(lambda: reads(ward), "it goes on when the token answers again")


def test_a_gateway_whose_token_hangs_stops_in_time(byok, hsm):
    stack, tenants = byok
    with Hanging(hsm, "hospital"):
        eventually(lambda: read(tenants["ward"]).status == 503, "it hangs")
        assert stack.stop_process("gateway") == 0, "it ended by itself, and while the token hung"
    stack.start_gateway()
    assert reads(tenants["ward"])


def run_to_its_end(stack):
    done = subprocess.run([BULKHEAD, "serve", "--config", stack.config], capture_output=True, text=True, timeout=120)
    return done.returncode, done.stderr


def test_what_is_set_wrongly_stops_the_start_and_says_what_to_change(new_stack, hsm):
    hsm.make_key("lawyers", "loose", "--key-type", "AES:32", "--sensitive", "--extractable")
    stack = new_stack()
    stack.write_config()
    stack.cli("init", "--operator-key-file", stack.operator_key_file)
    good = {"name": "lawyers", "token": "lawyers"}
    open_pin = hsm.pin_file("open.pin")
    open_pin.chmod(0o644)
    for changes, says in (({"pin_file": str(hsm.pin_file("wrong.pin", "99999999"))}, ("CKR_PIN_INCORRECT", "wrong.pin")),
                          ({"pin_file": str(open_pin)}, ("0600", "open.pin")),
                          ({"pin_file": str(hsm.folder / "none.pin")}, ("none.pin", "0600")),
                          ({"token": "clinic"}, ("no such token", "clinic")),
                          ({"key": "no-key"}, ("no such key", "provider-init")),
                          ({"key": "loose"}, ("taken out of the token", "CKA_EXTRACTABLE")),
                          ({"module": "/nowhere/hsm.so"}, ("/nowhere/hsm.so", "module")),
                          ({"module": str(hsm.folder / "softhsm2.conf")}, ("softhsm2.conf",))):
        stack.options["extra"] = provider_section(hsm, **{**good, **changes})
        stack.write_config()
        status, said = run_to_its_end(stack)
        assert status == 1 and "[[key_provider]] lawyers" in said and all(word in said for word in says), said
        assert hsm.PIN not in said and "99999999" not in said
    stack.options["extra"] = provider_section(hsm, **good)
    stack.write_config()
    stack.start_idp()
    stack.start_gateway()
    stack.stop()


def test_a_stolen_data_directory_with_the_platform_key_does_not_open_the_tenant(byok, hsm, tmp_path):
    stack, tenants = byok
    stack.stop_process("gateway")
    thief_hsm = SoftHsm()
    thief = Stack(tmp_path / "thief", CHAT_MODEL, data=f"key_lifetime = {LIFETIME}")
    try:
        # Everything but the token: data, platform key, operator's key; and an issuer who says what the thief likes.
        thief.folder.mkdir()
        shutil.copytree(stack.data_dir, thief.data_dir, ignore=shutil.ignore_patterns("run", "tls"))
        for name in ("platform.key", "operator.key"):
            shutil.copy2(stack.folder / name, thief.folder / name)
        # Its issuer has the address of the tenants' own: who somebody is goes by that too.
        thief.clients, thief.idp_port = stack.clients, stack.idp_port
        thief.write_config()
        status, said = run_to_its_end(thief)
        assert status == 1 and ('key provider "hospital"' in said or 'key provider "lawyers"' in said), said
        # With tokens of the same names, the same PIN, and keys of the thief's own.
        thief_hsm.in_use()
        for token in ("hospital", "lawyers"):
            thief_hsm.make_token(token)
            thief_hsm.make_key(token, "kek")
        thief.options["extra"] = provider_section(thief_hsm, "hospital") + provider_section(thief_hsm, "lawyers")
        thief.write_config()
        thief.start_gateway()
        as_user = {c["tenant"]: thief.token(c) for c in thief.clients if c["subject"] == "mia"}
        stolen = lambda name: thief.call("GET", f"/v1/files/{tenants[name].file}/content", as_user[name])
        assert stolen("plain").body == b"The plain ferry leaves at dawn.", "control: the platform's key opens what it wraps"
        assert stolen("mover").body == b"The mover ferry leaves at dawn.", "control"
        for name in ("ward", "firm", "comer"):
            answer = stolen(name)
            assert answer.status == 503 and error_of(answer) == "key_unavailable" and b"ferry" not in answer.body
        done = thief.operator_cli("keys", "rotate", "--tenant", "ward", "--provider", "platform", check=False)
        assert done.returncode == 1 and "key is not available" in done.stderr, done.stderr
    finally:
        thief.stop()
        thief_hsm.remove()
        hsm.in_use()
        stack.start_gateway()
    assert reads(tenants["ward"]), "control: with its token it opens"


def test_a_tenant_whose_provider_left_the_configuration_stops_the_start(byok, hsm):
    stack, tenants = byok
    stack.stop_process("gateway")
    whole = stack.options["extra"]
    try:
        stack.options["extra"] = provider_section(hsm, "hospital")
        stack.write_config()
        status, said = run_to_its_end(stack)
        assert status == 1 and "Tenant firm" in said and "lawyers" in said and "[[key_provider]]" in said, said
    finally:
        stack.options["extra"] = whole
        stack.write_config()
        stack.start_gateway()
    assert reads(tenants["firm"])


# The end of the keys; nothing after this may need the hospital's token.


def test_deleting_the_key_in_the_token_closes_its_tenants_for_good_and_nobody_else(byok, hsm, tmp_path):
    stack, tenants = byok
    ward, ned = tenants["ward"], tenants["ward"].people["ned"]
    stream = Stream(ward.member)
    lines = stream.lines()
    next(lines)
    with Others(tenants, *in_token(stack, "hospital")):
        hsm.delete_key("hospital", "kek")
        rest = "".join(lines)
        assert "[DONE]" not in rest and "key_unavailable" in rest, rest[-500:]
        closes(ward, 403, "key_revoked")
        closes(tenants["comer"], 403, "key_revoked")
        for path in ("/v1/files", f"/v1/vector_stores/{ward.store}", "/v1/bulkhead/tenant"):
            assert error_of(ward.admin.call("GET", path)) == "key_revoked"
        assert error_of(stack.chat(ward.member.key, "When does the ferry leave?")) == "key_revoked"
        for credential in (ned.key, ned.token()):
            answer = stack.call("GET", "/v1/files", credential)
            assert (answer.status, error_of(answer)) == (403, "key_revoked"), "a credential that nobody had used yet"
        assert told(stack, "tenant_key_lost", "ward")[-1]["reason"] == "key_revoked"
        assert keys_of(stack, "ward")["lost"]
    # The control of it all: what was moved to the platform in time stays.
    assert reads(tenants["mover"]) and reads(tenants["plain"])
    seen = json.loads(stack.operator_cli("posture", "ward", "--json").stdout)
    walls = {wall["layer"]: wall for wall in seen["tenants"][0]["walls"]}
    assert walls["store"]["verdict"] == walls["keys"]["verdict"] == "idle" and "no such key" in walls["keys"]["check"]
    # A key that its owner deleted does not keep the others' gateway from starting.
    restart(stack)
    assert read(ward).status == 403 and all(reads(tenants[name]) for name in ("firm", "plain", "mover"))
    # Another key of the same name opens nothing.
    hsm.make_key("hospital", "kek")
    eventually(lambda: error_of(read(ward)) == "key_unavailable", "the token answers again, with another key")
    certificate = tmp_path / "certificate.json"
    stack.operator_cli("tenant", "destroy", "ward", "--yes", "--certificate", certificate)
    stack.cli("certificate", "verify", certificate, "--key", stack.audit_dir / "audit-key.pub", config=False)


def test_no_pin_stands_in_a_log_or_on_a_command_line(byok, hsm):
    stack, _ = byok
    assert hsm.PIN.encode() in (hsm.folder / "hospital.pin").read_bytes(), "control: it is what the gateway was given"
    assert list(stack.audit_dir.glob("audit-*.jsonl")) and stack.logs["gateway"].stat().st_size > 0
    for log in (stack.logs["gateway"], *stack.audit_dir.glob("*")):
        assert hsm.PIN.encode() not in log.read_bytes(), log
    for pid in stack.pids().values():
        for name in ("cmdline", "environ"):
            with open(f"/proc/{pid}/{name}", "rb") as file:
                try:
                    assert hsm.PIN.encode() not in file.read(), (pid, name)
                except PermissionError:
                    assert name == "environ" and os.geteuid() != 0
