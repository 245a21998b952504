"""What reaches the disk is sealed: no word of prompts, answers, documents, names of files or keys stands in clear text
anywhere below the stack's folder or among the temporary files, not even after a kill in full flight (I6).
"""
import json
import secrets
import signal
import threading

import pytest
from conftest import add_document, eventually, start_small
from memory import file_hits, forms

TEMPORARY = ["/tmp/bulkhead", "/var/tmp", "/dev/shm"]


@pytest.fixture(scope="module")
def loaded(new_stack):
    """A stack after some life: a document, chats kept and not kept, a search, refusals; then killed and started again."""
    stack = new_stack()
    tenants = start_small(stack, policy={"keep_chats": True})
    marks = {name: "zq" + secrets.token_hex(9) for name in
             ("document", "filename", "store", "prompt", "kept", "search", "refused", "metadata", "heading", "torn")}
    member = tenants["alpha"].member
    text = f"# {marks['heading']}\n\nThe harbour pilot's word is {marks['document']}, spoken twice."
    file, store = add_document(member, marks["filename"] + ".md", text)
    member.call("POST", f"/v1/vector_stores/{store}", {"name": marks["store"], "metadata": {"note": marks["metadata"]}})
    stack.chat(member.key, f"Remember {marks['prompt']}.", max_tokens=8)
    stack.chat(member.key, f"Remember {marks['kept']}.", max_tokens=8, store=True)
    member.call("POST", f"/v1/vector_stores/{store}/search", {"query": marks["search"]})
    stack.chat(member.key, marks["refused"], temperature=77)
    # Killed while requests are under way.
    def torn():
        try:
            stack.chat(member.key, f"Tell a long tale about {marks['torn']}.", max_tokens=400, store=True)
        except OSError:
            pass
    threads = [threading.Thread(target=torn) for _ in range(3)]
    begun = lambda: b"".join(f.read_bytes() for f in stack.audit_dir.glob("audit-*")).count(b'"request_started"')
    before = begun()
    for thread in threads:
        thread.start()
    eventually(lambda: begun() > before, "a request has begun")
    stack.stop_process("gateway", signal.SIGKILL)
    for thread in threads:
        thread.join()
    return stack, tenants, marks, (file, store)


def needles(marks):
    return [form for mark in marks.values() for form in forms(mark)]


def test_control_the_scan_finds_planted_words(tmp_path):
    for i, form in enumerate(forms("zqplanted0123456789abcdef")):
        (tmp_path / str(i)).write_bytes(b"before" + form + b"after")
    hits = file_hits([tmp_path], forms("zqplanted0123456789abcdef"))
    assert len(hits) == 4
    (tmp_path / "zqnamedinafilename").write_bytes(b"")
    assert file_hits([tmp_path], [b"zqnamedinafilename"])


def test_nothing_planted_is_on_disk_after_a_kill(loaded):
    stack, _, marks, _ = loaded
    assert list(stack.data_dir.rglob("*.db")), "there is something to scan"
    assert file_hits([stack.folder, *TEMPORARY], needles(marks)) == {}


def test_no_credential_is_on_disk(loaded):
    stack, tenants, _, _ = loaded
    keys = [p.key.split("_", 3)[3].encode() for t in tenants.values() for p in t.people.values()]
    assert file_hits([stack.data_dir], keys + [stack.operator_key.encode()]) == {}


def test_stores_are_not_plain_databases(loaded):
    stack, *_ = loaded
    databases = [p for p in stack.data_dir.rglob("*") if p.is_file() and p.suffix in (".db", ".sqlite")]
    assert databases
    assert [p for p in databases if p.read_bytes()[:15] == b"SQLite format 3"] == []


def test_files_are_the_owners_alone(loaded):
    stack, *_ = loaded
    public = {"audit-key.pub", "audit-head.json", "serve.json", "dev-idp.json", "ca.pem", "cert.pem"}
    wide = [str(p) for p in stack.data_dir.rglob("*") if p.is_file() and p.stat().st_mode & 0o077 and p.name not in public]
    assert wide == []
    assert stack.data_dir.stat().st_mode & 0o077 == 0


def test_everything_is_there_after_the_restart_and_still_sealed(loaded):
    stack, tenants, marks, (file, store) = loaded
    stack.start_gateway()
    member, other = tenants["alpha"].member, tenants["beta"].member
    assert marks["document"] in member.call("GET", f"/v1/files/{file}/content").body.decode()
    found = member.call("POST", f"/v1/vector_stores/{store}/search", {"query": "harbour pilot"}).json()["data"]
    assert marks["document"] in found[0]["content"][0]["text"]
    kept = member.call("GET", "/v1/chat/completions").json()["data"]
    messages = [member.call("GET", f"/v1/chat/completions/{chat['id']}/messages").body.decode() for chat in kept]
    assert sum(marks["kept"] in each for each in messages) == 1
    assert not any(marks["prompt"] in each for each in messages), "control: nobody asked to keep that one"
    assert other.call("GET", f"/v1/files/{file}").status == 404
    assert json.loads(stack.call("GET", "/admin/tenants", stack.operator_key).body)["data"][0]["state"] == "active"
    verify = lambda: stack.cli("audit", "verify", "--dir", stack.audit_dir, config=False, check=False)
    eventually(lambda: verify().returncode == 0, "the log is whole across the kill: " + verify().stdout)
    assert file_hits([stack.folder, *TEMPORARY], needles(marks)) == {}


def test_a_destroyed_tenants_store_is_gone_for_good(loaded, tmp_path):
    """The certificate is signed; the tenant's key is no more, so even a copy of the file opens for nobody."""
    stack, tenants, marks, _ = loaded
    if "gateway" not in stack.processes:
        stack.start_gateway()
    certificate = tmp_path / "certificate.json"
    verify = lambda: stack.cli("certificate", "verify", certificate, "--key", stack.audit_dir / "audit-key.pub",
                               config=False, check=False).returncode
    stack.operator_cli("tenant", "destroy", "alpha", "--yes", "--certificate", certificate)
    assert verify() == 0
    certificate.write_text(certificate.read_text().replace("alpha", "alphb", 1))
    assert verify() == 1
    assert stack.call("GET", "/v1/files", tenants["alpha"].member.key).status == 401
    assert stack.call("GET", "/v1/files", tenants["beta"].member.key).status == 200
    assert [p for p in stack.data_dir.rglob("*") if p.is_file() and "alpha" in p.name and p.suffix == ".db"] == []


def test_platform_keys_rotate_under_running_tenants(loaded):
    stack, tenants, _, _ = loaded
    if "gateway" not in stack.processes:
        stack.start_gateway()
    before = (stack.folder / "platform.key").read_bytes()
    stack.operator_cli("keys", "rotate")
    assert (stack.folder / "platform.key").read_bytes() != before
    assert stack.call("GET", "/v1/files", tenants["beta"].member.key).status == 200
    stack.stop_process("gateway")
    stack.start_gateway()
    assert stack.call("GET", "/v1/files", tenants["beta"].member.key).status == 200
