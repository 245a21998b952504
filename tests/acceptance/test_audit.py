"""The audit log: written before the answer, without payload, and any later change is found offline (I7)."""
import json
import re
import secrets
import shutil

import pytest
from conftest import eventually, start_small
from memory import file_hits, forms


@pytest.fixture(scope="module")
def logged(new_stack):
    stack = new_stack()
    tenants = start_small(stack)
    marks = ["zq" + secrets.token_hex(9) for _ in range(3)]
    member = tenants["alpha"].member
    for _ in range(3):
        assert stack.chat(member.key, f"Say {marks[0]}.", max_tokens=4).status == 200
    stack.chat(member.key, marks[1], model="none")
    member.call("GET", "/v1/bulkhead/audit")
    stack.call("GET", "/v1/models", "bhk_" + marks[2])
    member.call("GET", "/v1/files", headers={"X-Tenant": "beta"})
    return stack, tenants, marks


def records(folder):
    """Every whole line; the last may be in the middle of being written."""
    return [json.loads(line) for segment in sorted(folder.glob("audit-*.jsonl"))
            for line in segment.read_text().splitlines(keepends=True) if line.endswith("\n")]


def verify(stack, folder, *options):
    done = stack.cli("audit", "verify", "--dir", folder, *options, config=False, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def finished(logged, tmp_path_factory):
    """A copy of the log that ends with a signed checkpoint."""
    stack, _, _ = logged
    copy = tmp_path_factory.mktemp("audit") / "log"
    eventually(lambda: "checkpoint" in records(stack.audit_dir)[-1] and verify(stack, stack.audit_dir)[0] == 0,
               "a checkpoint at the end")
    shutil.copytree(stack.audit_dir, copy, ignore=shutil.ignore_patterns(".lock"))
    assert verify(stack, copy)[0] == 0
    return copy


@pytest.fixture
def copy(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "copy")


def segment(folder):
    return sorted(folder.glob("audit-*.jsonl"))[0]


def rewrite(folder, change):
    file = segment(folder)
    lines = file.read_text().splitlines()
    file.write_text("\n".join(change(lines)) + "\n")


def test_no_payload_and_no_credential_is_recorded(logged):
    stack, tenants, marks = logged
    needles = [form for mark in marks for form in forms(mark)] + [tenants["alpha"].member.key.encode(), b"mia"]
    assert file_hits([stack.audit_dir], needles) == {}
    assert file_hits([stack.audit_dir], [b"alpha"]), "the scan (control) finds what does stand there"


def test_a_request_is_found_by_its_id_with_start_and_end(logged):
    stack, tenants, _ = logged
    answer = stack.chat(tenants["alpha"].member.key, "hello", max_tokens=2)
    request = answer.headers["x-request-id"]
    mine = [r for r in records(stack.audit_dir) if r.get("request_id") == request]
    assert mine and mine[0]["event"] == "request_started", "on disk when the answer arrives"
    ended = eventually(lambda: [r for r in records(stack.audit_dir)
                                if r.get("request_id") == request and r["event"] == "request_ended"], "the end record")
    assert ended[0]["tenant"] == "alpha" and ended[0]["decision"] == "allow"
    text = json.dumps(ended[0])
    assert "completion_tokens" in text and "prompt_hash" in text


def test_equal_prompts_of_two_tenants_have_different_hashes(logged):
    """Keyed hashes: an auditor of one tenant can't look for another's prompts."""
    stack, tenants, _ = logged
    hashes = {}
    for name in ("alpha", "beta", "alpha"):
        request = stack.chat(tenants[name].member.key, "the very same words", max_tokens=1).headers["x-request-id"]
        found = next(r for r in records(stack.audit_dir) if r.get("request_id") == request)
        hashes.setdefault(name, set()).add(found["prompt_hash"])
    assert len(hashes["alpha"]) == 1 and hashes["alpha"] != hashes["beta"]


def test_refusals_are_recorded_with_their_reason(logged):
    stack, _, _ = logged
    reasons = {(r["event"], r.get("reason")) for r in records(stack.audit_dir) if r.get("decision") == "deny"}
    assert {("request_refused", "forbidden"), ("request_refused", "tenant_mismatch")} <= reasons
    assert any(event == "authentication_failed" for event, _ in reasons)


def test_roles(logged):
    stack, tenants, _ = logged
    alpha, beta = tenants["alpha"], tenants["beta"]
    for person, status in ((alpha.admin, 200), (alpha.auditor, 200), (alpha.member, 403)):
        assert person.call("GET", "/v1/bulkhead/audit").status == status
    own = alpha.auditor.call("GET", "/v1/bulkhead/audit?limit=1000").json()["data"]
    assert own and {r["tenant"] for r in own} == {"alpha"}
    others = beta.auditor.call("GET", "/v1/bulkhead/audit?limit=1000").json()["data"]
    assert {r["tenant"] for r in others} == {"beta"}
    everything = stack.call("GET", "/admin/audit?limit=1000", stack.operator_key).json()["data"]
    assert {"alpha", "beta"} <= {r.get("tenant") for r in everything}
    assert not any(r.get("prompt_hash") for r in everything), "the operator's view is redacted"
    assert stack.call("GET", "/v1/bulkhead/audit", stack.operator_key).status == 403
    assert alpha.admin.call("GET", "/admin/audit").status == 403


def test_filters(logged):
    _, tenants, _ = logged
    ask = lambda query: tenants["alpha"].auditor.call("GET", "/v1/bulkhead/audit?" + query).json()["data"]
    assert {r["decision"] for r in ask("decision=deny")} == {"deny"}
    assert {r["event"] for r in ask("event=request_started")} == {"request_started"}
    assert len(ask("limit=2")) == 2
    assert ask("since=2099-01-01T00:00:00Z") == []


def test_pages_say_where_to_go_on(logged):
    _, tenants, _ = logged
    ask = lambda query: tenants["alpha"].auditor.call("GET", "/v1/bulkhead/audit?" + query).json()
    page = ask("limit=2")
    assert page["has_more"] and page["next_after"] == page["data"][-1]["seq"]
    rest = ask(f"limit=1000&after={page['next_after']}")
    assert rest["data"][0]["seq"] < page["next_after"]
    assert not rest["has_more"] and rest["next_after"] is None, "all of the log was read"
    first = ask("limit=2&order=asc")
    assert ask(f"limit=1000&order=asc&after={first['next_after']}")["data"][0]["seq"] > first["data"][-1]["seq"]


def test_control_the_untouched_copy_verifies(logged, copy):
    code, text = verify(logged[0], copy)
    assert code == 0 and "intact" in text


def test_every_single_line_is_guarded(logged, copy):
    """One byte changed in any line, first to last, is found; and the place is named."""
    stack = logged[0]
    file = segment(copy)
    whole = file.read_text()
    lines = whole.splitlines()
    steps = sorted({0, 1, len(lines) // 3, len(lines) // 2, len(lines) - 2, len(lines) - 1})
    for at in steps:
        digit = re.search(r'"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.?\d*?(\d)', lines[at])
        place = digit.start(1) if digit else lines[at].rindex('"') - 1
        old = lines[at][place]
        new = {**dict(zip("0123456789", "1234567890"))}.get(old, "A" if old != "A" else "B")
        changed = lines[:at] + [lines[at][:place] + new + lines[at][place + 1:]] + lines[at + 1:]
        file.write_text("\n".join(changed) + "\n")
        code, text = verify(stack, copy)
        assert code == 1, f"line {at + 1} of {len(lines)}: {text}"
        assert file.name in text
    file.write_text(whole)
    assert verify(stack, copy)[0] == 0


CHANGES = {
    "a line removed": lambda lines: lines[:4] + lines[5:],
    "the first line removed": lambda lines: lines[1:],
    "two lines exchanged": lambda lines: lines[:4] + [lines[5], lines[4]] + lines[6:],
    "a line doubled": lambda lines: lines[:5] + lines[4:],
    "a line invented": lambda lines: lines[:4] + ['{"seq":5,"event":"request_ended"}'] + lines[4:],
    "deny made allow": lambda lines: [line.replace('"decision":"deny"', '"decision":"allow"') for line in lines],
    "tenant exchanged": lambda lines: [line.replace('"tenant":"alpha"', '"tenant":"beta"') for line in lines],
    "a member added": lambda lines: lines[:4] + [lines[4][:-1] + ',"note":"x"}'] + lines[5:],
    "white space added": lambda lines: lines[:4] + [lines[4].replace(":", ": ", 1)] + lines[5:],
    "emptied": lambda lines: [],
}


@pytest.mark.parametrize("name", CHANGES)
def test_change_is_found(logged, copy, name):
    rewrite(copy, CHANGES[name])
    code, text = verify(logged[0], copy)
    assert code == 1 and text, text


def test_a_segment_removed_is_found(logged, copy):
    segment(copy).unlink()
    assert verify(logged[0], copy)[0] != 0


def test_a_rollback_is_found_by_an_anchor(logged, copy, tmp_path):
    """An older state of the log is consistent in itself; a head noted elsewhere tells that it is old."""
    stack, tenants, _ = logged
    for person in (tenants["alpha"].member, tenants["beta"].member):
        person.call("GET", "/v1/models")
    witness = tmp_path / "anchor"
    head = stack.audit_dir / "audit-head.json"
    eventually(lambda: head.read_bytes() != (copy / head.name).read_bytes(), "a newer head")
    shutil.copy(head, witness)
    assert verify(stack, stack.audit_dir, "--anchor", witness)[0] == 0
    assert verify(stack, copy, "--anchor", witness)[0] == 1


def test_another_key_does_not_verify(logged, copy, new_stack):
    stack = logged[0]
    other = new_stack()
    other.write_config()
    other.cli("init", "--operator-key-file", other.operator_key_file)
    other.start_gateway()
    (copy / "audit-key.pub").write_bytes((other.audit_dir / "audit-key.pub").read_bytes())
    assert verify(stack, copy)[0] != 0


def test_no_text_is_recorded_as_an_id(logged):
    """What a client names as an id is on record only when it has the form of one."""
    stack, tenants, _ = logged
    mark = "zq18" + secrets.token_hex(9)
    member, admin = tenants["alpha"].member, tenants["alpha"].admin
    missing = "file-" + "b" * 26
    asked = [member.call("GET", f"/v1/files/{mark}"), member.call("DELETE", f"/v1/files/file-{mark}"),
             admin.call("POST", "/v1/bulkhead/erasures", {"file": f"{mark} and more"}),
             admin.call("DELETE", f"/v1/bulkhead/api_keys/{mark}"), member.call("DELETE", f"/v1/files/{missing}")]
    assert {answer.status for answer in asked} == {404}
    assert file_hits([stack.audit_dir], forms(mark)) == {}
    assert file_hits([stack.audit_dir], [missing.encode()]), "control: an id is"


def operators_records(stack, **wanted):
    return [r for r in records(stack.audit_dir) if all(r.get(name) == value for name, value in wanted.items())]


def test_a_suspension_is_recorded_with_its_reason_and_a_failed_one_as_a_failure(logged):
    """AISVS 12.4.2-3. A call that changed nothing must not stand in the log as the change it asked for."""
    stack, _, _ = logged
    stack.create_tenant("gamma")
    post = lambda path, body: stack.call("POST", path, stack.operator_key, body)
    done = post("/admin/tenants/gamma/suspend", {"reason": "court order 17"})
    missing = post("/admin/tenants/no-such-tenant/suspend", {"reason": "court order 18"})
    again = post("/admin/tenants", {"id": "gamma"})
    assert (done.status, missing.status, again.status) == (200, 404, 409)
    intent, suspended = operators_records(stack, request_id=done.headers["x-request-id"])
    assert (intent["event"], intent["intended"]) == ("change_intended", "tenant_suspended")
    assert suspended["event"] == "tenant_suspended" and suspended["statement"] == "court order 17"
    assert suspended["target"] == "gamma"
    for answer, target, status in ((missing, "no-such-tenant", 404), (again, "gamma", 409)):
        _, failed = operators_records(stack, request_id=answer.headers["x-request-id"])
        assert (failed["event"], failed["target"], failed["status"]) == ("request_failed", target, status)
        assert failed["reason"] not in ("", "role_permits")
    assert len(operators_records(stack, event="tenant_suspended")) == 1
    assert len(operators_records(stack, event="tenant_created", target="gamma")) == 1


def start_failure(stack):
    """What the gateway says when it refuses to start."""
    stack.start_gateway(wait=False)
    process = stack.processes.pop("gateway")
    assert process.wait(60) == 1
    return stack.log_tail("gateway")


def test_a_log_put_back_to_an_older_state_stops_the_start(new_stack, tmp_path):
    """Log and head file rolled back together are whole in themselves; the database's copy of the head tells. The
    operator's way on is a command that the log itself records."""
    stack = new_stack()
    stack.start()
    stack.stop_process("gateway")
    older = shutil.copytree(stack.audit_dir, tmp_path / "older")
    stack.start_gateway()  # control: an untouched log starts
    stack.create_tenant("delta")
    stack.stop_process("gateway")
    shutil.rmtree(stack.audit_dir)
    shutil.copytree(older, stack.audit_dir)
    assert verify(stack, stack.audit_dir)[0] == 0, "nothing in the folder shows it"
    said = start_failure(stack)
    assert "put back to an older state" in said and "bulkhead audit accept" in said
    refused = stack.cli("operator-key", "create", "--name", "x", check=False)
    assert refused.returncode == 1 and "put back to an older state" in refused.stderr, "no command writes to it either"
    assert stack.cli("audit", "accept", check=False).returncode == 2, "a reason is needed"
    stack.cli("audit", "accept", "--reason", "restored the disk of Monday")
    stack.start_gateway()
    (accepted,) = operators_records(stack, event="audit_head_accepted")
    assert accepted["statement"] == "restored the disk of Monday" and re.fullmatch(r"\d+ [0-9a-f]{64}", accepted["target"])
    stack.stop_process("gateway")
    assert verify(stack, stack.audit_dir)[0] == 0
    stack.start_gateway()


def test_a_log_that_was_taken_away_stops_the_start(new_stack):
    stack = new_stack()
    stack.start()
    stack.stop_process("gateway")
    shutil.rmtree(stack.audit_dir)
    assert "bulkhead audit accept" in start_failure(stack)


def test_operator_keys_are_made_listed_and_revoked(new_stack):
    stack = new_stack()
    stack.start()
    running = stack.cli("operator-key", "create", "--name", "second", check=False)
    assert running.returncode == 1 and "running" in running.stderr, "never behind a running gateway's back"
    stack.stop_process("gateway")
    second_file = stack.folder / "second.key"
    stack.cli("operator-key", "create", "--name", "second", "--file", second_file)
    assert second_file.stat().st_mode & 0o777 == 0o600
    second = second_file.read_text().strip()
    listed = stack.cli("operator-key", "list").stdout
    assert listed.count("active") == 2 and "second" in listed and second not in listed
    first_id, second_id = (next(line.split()[0] for line in listed.splitlines() if name in line)
                           for name in ("first operator", "second"))
    stack.start_gateway()
    for key in (stack.operator_key, second):
        assert stack.call("GET", "/admin/tenants", key).status == 200
    stack.stop_process("gateway")
    stack.cli("operator-key", "revoke", first_id)
    last = stack.cli("operator-key", "revoke", second_id, check=False)
    assert last.returncode == 1 and "last operator key" in last.stderr
    stack.start_gateway()
    assert stack.call("GET", "/admin/tenants", stack.operator_key).status == 401
    assert stack.call("GET", "/admin/tenants", second).status == 200
    (created,) = operators_records(stack, event="operator_key_created")
    (revoked,) = operators_records(stack, event="operator_key_revoked")
    assert created["target"] == second_id and revoked["target"] == first_id
    assert file_hits([stack.data_dir], [second.encode()]) == {}
