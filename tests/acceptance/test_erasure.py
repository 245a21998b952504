"""Documents, chats and a user's data are shredded with a certificate that can be checked offline (I10 holds meanwhile)."""
import json
import signal
import threading

import pytest
from conftest import add_document, eventually, start_small


@pytest.fixture(scope="module")
def stocked(new_stack):
    stack = new_stack()
    return stack, start_small(stack, policy={"keep_chats": True})


def erase_by(person, **what):
    return person.call("POST", "/v1/bulkhead/erasures", what)


def kept_chat(stack, person, text="Remember this."):
    answer = stack.chat(person.key, text, max_tokens=4, store=True)
    assert answer.status == 200
    return answer.json()["id"]


def check(stack, certificate, tmp_path):
    file = tmp_path / "certificate.json"
    file.write_bytes(certificate)
    return stack.cli("certificate", "verify", file, "--key", stack.audit_dir / "audit-key.pub", config=False,
                     check=False).returncode


def test_a_document_by_the_tenants_administrator(stocked, tmp_path):
    stack, tenants = stocked
    member, admin = tenants["alpha"].member, tenants["alpha"].admin
    file, store = add_document(member, "secret.txt", "The lighthouse keeper counts to nine.")
    other, _ = add_document(member, "other.txt", "The lighthouse keeper counts to ten.", store=store)
    assert erase_by(member, file=file).status == 403, "a member may not"
    assert erase_by(tenants["beta"].admin, file=file).status == 404, "another tenant's administrator finds nothing"
    answer = erase_by(admin, file=file)
    assert answer.status == 200
    certificate = answer.json()
    assert certificate["kind"] == "document" and certificate["subject"] == file
    assert certificate["records"][0]["id"] == "file/" + file and certificate["records"][0]["key_id"]
    assert certificate["requested_by"] == "tenant"
    assert check(stack, answer.body, tmp_path) == 0
    assert check(stack, answer.body.replace(file.encode(), other.encode()), tmp_path) != 0, "control: an altered one"
    assert member.call("GET", f"/v1/files/{file}/content").status == 404
    found = member.call("POST", f"/v1/vector_stores/{store}/search", {"query": "lighthouse keeper"}).json()["data"]
    assert {each["file_id"] for each in found} == {other}
    assert erase_by(admin, file=file).status == 404
    listed = admin.call("GET", "/v1/bulkhead/erasures").json()["data"]
    assert [each["certificate"].encode() for each in listed] == [answer.body]


def test_a_chat_and_a_user_by_the_operator_who_reads_nothing(stocked, tmp_path):
    stack, tenants = stocked
    member, admin = tenants["alpha"].member, tenants["alpha"].admin
    chat = kept_chat(stack, member)
    words = "Of seven bells the third is cracked."
    file, _ = add_document(member, "bells.txt", words)
    own, _ = add_document(admin, "admins.txt", "The admin's own.")
    target = tmp_path / "chat.json"
    done = stack.operator_cli("erase", "--tenant", "alpha", "--chat", chat, check=False)
    assert done.returncode == 1 and "--yes" in done.stderr
    stack.operator_cli("erase", "--tenant", "alpha", "--chat", chat, "--yes", "--certificate", str(target))
    assert check(stack, target.read_bytes(), tmp_path) == 0
    assert member.call("GET", f"/v1/chat/completions/{chat}").status == 404
    out = stack.operator_cli("erase", "--tenant", "alpha", "--user", member.name, "--yes").stdout
    certificate = json.loads(out)
    assert certificate["requested_by"] == "operator" and member.key_id in certificate["api_keys"]
    assert "file/" + file in [record["id"] for record in certificate["records"]]
    assert words not in out and "bells.txt" not in out, "the operator is shown no content"
    assert member.call("GET", "/v1/models").status == 401, "the user's key is gone at once"
    assert admin.call("GET", f"/v1/files/{own}/content").status == 200, "others' data stays"
    assert admin.call("GET", f"/v1/files/{file}").status == 404
    assert len(stack.operator_cli("erase", "--tenant", "alpha", "--list").stdout.splitlines()) >= 2
    events = stack.call("GET", "/admin/audit?event=data_erased&limit=50", stack.operator_key).json()["data"]
    assert len(events) >= 2
    assert member.name not in json.dumps([event.get("target") for event in events])


def test_bad_orders(stocked):
    stack, tenants = stocked
    admin = tenants["beta"].admin
    for body in ({}, {"file": "a", "chat": "b"}, {"nonsense": 1}, {"file": 7}):
        assert admin.call("POST", "/v1/bulkhead/erasures", body).status == 400, body
    for body, status in (({"file": "file-none"}, 404), ({"chat": "no/slash"}, 404), ({"user": "nobody"}, 404), ({"user": ""}, 400)):
        answer = admin.call("POST", "/v1/bulkhead/erasures", body)
        assert answer.status == status, (body, answer.body)
    assert stack.call("POST", "/admin/tenants/nobody/erasures", stack.operator_key, {"file": "x"}).status == 404
    assert admin.call("POST", "/admin/tenants/beta/erasures", {"file": "x"}).status == 403


def test_a_kill_in_the_middle_is_taken_up_again(stocked):
    stack, tenants = stocked
    admin = tenants["beta"].admin
    files = [add_document(admin, f"k{i}.txt", f"Number {i}.")[0] for i in range(6)]

    def try_to_erase():
        try:
            erase_by(admin, user=admin.name)
        except OSError:
            pass

    # The API key goes with the user, so what is there is asked for by the operator.
    thread = threading.Thread(target=try_to_erase)
    thread.start()
    stack.stop_process("gateway", signal.SIGKILL)
    thread.join()
    stack.start_gateway()
    listed = lambda: stack.operator_cli("erase", "--tenant", "beta", "--list").stdout
    whole = admin.call("GET", f"/v1/files/{files[0]}").status == 200
    if whole:  # killed before the order was written down
        stack.operator_cli("erase", "--tenant", "beta", "--user", admin.name, "--yes")
    eventually(lambda: all(f"file/{file}" in listed() for file in files), "the certificate is there", 60)
    keys = stack.call("GET", "/admin/tenants/beta", stack.operator_key).json()["keys"]
    assert keys["rotation"] == "none"
