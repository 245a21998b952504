"""Backups of one tenant: made while it works, useless without their key, whole or refused, restored elsewhere."""
import json
import os
import random
import shutil
import signal
import subprocess
import threading

import httpx
import pytest
from conftest import add_document, eventually, start_small
from openai import OpenAI
from stack import BULKHEAD
from traffic import steps

# How often each kind of work is killed; `make faults` does it a thousand times.
FAULT_RUNS = int(os.environ.get("FAULT_RUNS", "2"))
WORDS = "The quixotic lamp of Skerryvore shines every seventeen seconds."


def backup_section(folder, key=None):
    folder.mkdir(parents=True, exist_ok=True)
    if key is None:
        key = folder / "backup.key"
        made = subprocess.run([BULKHEAD, "backup", "key", key], capture_output=True, text=True)
        assert made.returncode == 0, made.stderr
    (folder / "archives").mkdir(exist_ok=True)
    return f'[backup]\ndir = "{folder / "archives"}"\nkey_file = "{key}"\n', folder / "archives", key


class Place:
    """A deployment with a folder for backups."""

    def __init__(self, stack, archives, key):
        self.stack, self.archives, self.key = stack, archives, key

    def backup(self, tenant, name, *more, check=True):
        return self.stack.operator_cli("tenant", "backup", tenant, "--to", name, *more, check=check)

    def restore(self, *arguments, check=True):
        return self.stack.operator_cli("tenant", "restore", *arguments, check=check)

    def verify(self, *names):
        return self.stack.cli("backup", "verify", *[self.archives / name for name in names], "--backup-key", self.key,
                              config=False, check=False)


def make_place(new_stack, tmp, key=None, **options):
    section, archives, key = backup_section(tmp, key)
    return Place(new_stack(extra=section, **options), archives, key)


@pytest.fixture(scope="module")
def source(new_stack, tmp_path_factory):
    place = make_place(new_stack, tmp_path_factory.mktemp("source"))
    tenants = start_small(place.stack, policy={"keep_chats": True})
    place.tenants = tenants
    alpha = tenants["alpha"]
    place.file, place.store = add_document(alpha.member, "lamp.txt", WORDS, access={"shared": True})
    kept = place.stack.chat(alpha.member.key, "Remember the quixotic lamp.", max_tokens=4, store=True)
    assert kept.status == 200
    place.chat = kept.json()["id"]
    return place


@pytest.fixture(scope="module")
def target(new_stack, tmp_path_factory, source):
    """Another deployment: its own platform key, its own secrets; it was given the backup key."""
    place = make_place(new_stack, tmp_path_factory.mktemp("target"), source.key)
    place.stack.start()
    return place


def states(place):
    return {t["id"]: t["state"] for t in place.stack.call("GET", "/admin/tenants", place.stack.operator_key).json()["data"]}


def test_another_deployment_answers_with_the_old_api_keys(source, target):
    member, admin = source.tenants["alpha"].member, source.tenants["alpha"].admin
    report = json.loads(source.backup("alpha", "alpha-1.bhk").stdout)
    assert report["records"] >= 1 + 1 + 1 + 4 and report["held_up_ms"] < 2000
    assert source.verify("alpha-1.bhk").returncode == 0
    shutil.copy(source.archives / "alpha-1.bhk", target.archives)
    call = lambda person, method, path, body=None: target.stack.call(method, path, person.key, body)
    assert call(member, "GET", "/v1/models").status == 401, "control: before"
    restored = json.loads(target.restore("alpha-1.bhk").stdout)
    assert restored["records"] == report["records"] and restored["state"] == "active"
    found = call(member, "POST", f"/v1/vector_stores/{source.store}/search", {"query": "How often does the lamp shine?"})
    assert found.status == 200 and "seventeen" in found.body.decode(), found.body
    asked = target.stack.chat(member.key, "How often does the lamp of Skerryvore shine?", max_tokens=20,
                              bulkhead={"vector_store_ids": [source.store]})
    assert asked.status == 200
    assert asked.json()["bulkhead"]["retrieval"]["sources"][0]["file_id"] == source.file
    assert call(member, "GET", f"/v1/files/{source.file}/content").body.decode() == WORDS
    assert call(member, "GET", f"/v1/chat/completions/{source.chat}").status == 200
    assert call(source.tenants["alpha"].people["ned"], "GET", f"/v1/chat/completions/{source.chat}").status == 404
    made = call(admin, "POST", "/v1/bulkhead/api_keys", {"name": "new", "user": "mia", "roles": ["member"]})
    assert made.status == 200 and target.stack.call("GET", "/v1/models", made.json()["key"]).status == 200
    assert call(admin, "DELETE", f"/v1/bulkhead/api_keys/{member.key_id}").status == 200
    assert call(member, "GET", "/v1/models").status == 401, "a key that came along can be revoked"
    assert call(source.tenants["beta"].member, "GET", "/v1/models").status == 401, "other tenants' keys open nothing"
    forged = admin.key[:-1] + ("0" if admin.key[-1] != "0" else "1")
    assert target.stack.call("GET", "/v1/models", forged).status == 401
    assert member.call("GET", "/v1/models").status == 200, "the first deployment goes on"
    target.stack.stop_process("gateway")
    target.stack.start_gateway()
    assert call(admin, "GET", "/v1/models").status == 200, "also after a restart"
    events = target.stack.call("GET", "/admin/audit?event=tenant_restored", target.stack.operator_key).json()["data"]
    assert len(events) == 1


def test_the_archive_shows_nothing_and_the_operator_is_shown_nothing(source):
    out = source.backup("alpha", "alpha-shown.bhk").stdout
    data = (source.archives / "alpha-shown.bhk").read_bytes()
    for word in ("quixotic", "Skerryvore", "lamp.txt", "alpha", "mia"):
        assert word.encode() not in data and word.encode("utf-16-le") not in data
    assert "lamp" not in out and "mia" not in out
    assert oct((source.archives / "alpha-shown.bhk").stat().st_mode & 0o777) == "0o600"
    assert source.key.read_text().strip() not in out


def test_the_key_under_which_a_backup_is_made_is_not_the_requests_to_choose(source):
    """I10: an operator's credential that could choose the key could read the tenant's content."""
    answer = source.stack.call("POST", "/admin/tenants/alpha/backup", source.stack.operator_key,
                               {"file": "chosen.bhk", "backup_key": "00" * 32})
    assert answer.status == 400 and answer.json()["error"]["code"] == "unknown_parameter"
    # Nor is a second copy made with the credential alone.
    source.backup("alpha", "alpha-as.bhk")
    refused = source.restore("alpha-as.bhk", "--as", "copy", check=False)
    assert refused.returncode == 1 and "backup_key" in refused.stderr
    wrong = source.archives.parent / "wrong.key"
    wrong.write_text("11" * 32)
    wrong.chmod(0o600)
    refused = source.restore("alpha-as.bhk", "--as", "copy", "--backup-key", wrong, check=False)
    assert refused.returncode == 1 and "another backup key" in refused.stderr
    assert "copy" not in states(source)
    done = json.loads(source.restore("alpha-as.bhk", "--as", "copy", "--backup-key", source.key).stdout)
    assert done["api_keys_left_out"] == 4 and states(source)["copy"] == "active"


def test_increments_and_what_is_refused(source, target):
    member = source.tenants["beta"].member
    first, store = add_document(member, "one.txt", "The first quixotic page.")
    source.backup("beta", "beta-0.bhk")
    second, _ = add_document(member, "two.txt", "The second quixotic page.", store=store)
    report = json.loads(source.backup("beta", "beta-1.bhk", "--since", "beta-0.bhk").stdout)
    assert report["written"] == 2 and report["records"] > 4, "the new file, and the vector store that has it"
    member.call("DELETE", f"/v1/files/{first}")
    source.backup("beta", "beta-2.bhk", "--since", "beta-1.bhk")
    source.backup("alpha", "alpha-x.bhk")
    for name in ("beta-0.bhk", "beta-1.bhk", "beta-2.bhk", "alpha-x.bhk"):
        shutil.copy(source.archives / name, target.archives)
    for files, word in ((["beta-1.bhk"], "whole backup"), (["beta-0.bhk", "beta-2.bhk"], "missing"),
                        (["alpha-x.bhk", "beta-1.bhk"], "missing"), (["no-such.bhk"], "no backup"),
                        (["../key"], "backup.dir")):
        refused = target.restore(*files, check=False)
        assert refused.returncode == 1 and word in refused.stderr, (files, refused.stderr)
    assert source.backup("beta", "beta-0.bhk", check=False).returncode == 1, "never written over"
    assert source.backup("beta", "beta-3.bhk", "--since", "alpha-x.bhk", check=False).returncode == 1
    assert "beta" not in states(target)
    done = json.loads(target.restore("beta-2.bhk", "beta-0.bhk", "beta-1.bhk").stdout)
    assert done["tenant"] == "beta"
    assert target.stack.call("GET", f"/v1/files/{first}", member.key).status == 404
    assert target.stack.call("GET", f"/v1/files/{second}/content", member.key).body == b"The second quixotic page."


def test_a_folder_of_nightly_backups(source, target):
    """The same command each night; the newest comes back, or the one of a time."""
    member = source.tenants["beta"].member
    first = json.loads(source.backup("beta", "nightly/", "--whole").stdout)
    file, _ = add_document(member, "night.txt", "The quixotic page of the second night.")
    second = json.loads(source.backup("beta", f"{source.archives}/nightly/").stdout)
    assert second["base"] == first["archive"] and first["base"] == "" and second["written"] == 2
    assert first["file"].startswith("nightly/") and source.verify(first["file"], second["file"]).returncode == 0
    checked = source.verify("nightly")
    assert checked.returncode == 0 and "2 archives" in checked.stdout, checked.stdout
    shutil.copytree(source.archives / "nightly", target.archives / "nightly")
    for files, name in (["nightly/"], "newest"), ([first["file"]], "earlier"):
        done = json.loads(target.restore(*files, "--as", name, "--backup-key", target.key).stdout)
        assert done["records"] == (second if name == "newest" else first)["records"] - done["api_keys_left_out"]
    refused = source.backup("alpha", "nightly/", check=False)
    assert refused.returncode == 1 and "another tenant" in refused.stderr
    refused = source.backup("alpha", "/tmp/elsewhere/", check=False)
    assert refused.returncode == 1 and "backup.dir" in refused.stderr
    assert oct((source.archives / "nightly").stat().st_mode & 0o777) == "0o700"


def test_no_restore_undoes_what_was_taken_back(source):
    """The operator's key alone, with an older backup: a revoked key, a wider access list and erased data stay away; what
    was merely deleted is back (the control that the backup holds what it should)."""
    beta = source.tenants["beta"]
    admin, mia, ned = beta.admin, beta.people["mia"], beta.people["ned"]
    made = lambda: admin.call("POST", "/v1/bulkhead/api_keys", {"user": "ned", "roles": ["member"]}).json()
    revoked, kept_key = made(), made()
    upload = lambda name, access=None: add_document(mia, name, f"The quixotic text of {name}.", access)[0]
    erased, deleted, narrowed, gone = (upload(name, {"shared": True}) for name in ("er.txt", "de.txt", "na.txt", "go.txt"))
    chat = source.stack.chat(mia.key, "A quixotic chat.", max_tokens=2, store=True).json()["id"]
    source.backup("beta", "beta-before.bhk")
    assert admin.call("DELETE", f"/v1/bulkhead/api_keys/{revoked['id']}").status == 200
    for what in ({"file": erased}, {"chat": chat}):
        assert admin.call("POST", "/v1/bulkhead/erasures", what).status == 200
    for file in (narrowed, gone):
        assert mia.call("PUT", f"/v1/bulkhead/files/{file}/access", {"users": ["boss"]}).status == 200
    for file in (deleted, gone):
        assert mia.call("DELETE", f"/v1/files/{file}").status == 200
    certificates = admin.call("GET", "/v1/bulkhead/erasures").body

    def state(person=ned, key=None):
        get = lambda path: source.stack.call("GET", path, key or person.key).status
        return [get(f"/v1/files/{file}") for file in (erased, deleted, narrowed, gone)]

    source.stack.operator_cli("tenant", "suspend", "beta")
    done = json.loads(source.restore("beta-before.bhk", "--replace").stdout)
    source.stack.operator_cli("tenant", "resume", "beta")
    assert (done["erased_since"], done["api_keys_revoked_since"], done["access_narrowed_since"]) == (2, 1, 2), done
    assert done["revocations_known_until"] > done["taken_at"]
    assert source.stack.call("GET", "/v1/models", revoked["key"]).status == 401
    assert source.stack.call("GET", "/v1/models", kept_key["key"]).status == 200, "control"
    assert state() == [404, 200, 404, 404], "control: what was merely deleted is back"
    assert state(mia) == [404, 200, 200, 200] and state(admin) == [404, 200, 200, 200]
    assert mia.call("GET", f"/v1/files/{narrowed}").json()["bulkhead"]["access"]["users"] == ["boss"]
    assert mia.call("GET", f"/v1/files/{gone}").json()["bulkhead"]["access"] == {
        "shared": False, "users": [], "groups": [], "roles": []}
    assert mia.call("GET", f"/v1/chat/completions/{chat}").status == 404
    assert admin.call("GET", "/v1/bulkhead/erasures").body == certificates
    # Under another name as well, and no order says otherwise.
    copied = json.loads(source.restore("beta-before.bhk", "--as", "beta-copy", "--backup-key", source.key).stdout)
    assert copied["erased_since"] == 2 and copied["access_narrowed_since"] == 2
    answer = source.stack.call("POST", "/admin/restore", source.stack.operator_key,
                               {"files": ["beta-before.bhk"], "as": "x", "also_erased": True})
    assert answer.status == 400 and answer.json()["error"]["code"] == "unknown_parameter"


def test_a_tenant_is_taken_back_in_place(source):
    """Something was deleted by mistake: suspended, replaced, resumed; keys and tokens stay."""
    member = source.tenants["beta"].member
    file, store = add_document(member, "mistake.txt", "The quixotic page that was deleted by mistake.")
    source.backup("beta", "beta-mistake.bhk")
    assert member.call("DELETE", f"/v1/files/{file}").status == 200
    later, _ = add_document(member, "later.txt", "Written after the backup.")
    refused = source.restore("beta-mistake.bhk", "--replace", check=False)
    assert refused.returncode == 1 and "Suspend" in refused.stderr
    assert member.call("GET", f"/v1/files/{later}").status == 200
    source.stack.operator_cli("tenant", "suspend", "beta")
    source.restore("beta-mistake.bhk", "--replace")
    assert states(source)["beta"] == "suspended" and member.call("GET", "/v1/files").status == 403
    source.stack.operator_cli("tenant", "resume", "beta")
    found = member.call("POST", f"/v1/vector_stores/{store}/search", {"query": "the page that was deleted by mistake"})
    assert found.status == 200 and "quixotic page" in found.body.decode(), found.body
    assert member.call("GET", f"/v1/files/{later}").status == 404, "it is the state of the backup"


def test_an_altered_archive_is_refused_whole(source, target):
    source.backup("alpha", "good.bhk")
    good = (source.archives / "good.bhk").read_bytes()
    chosen = random.Random(5)
    bad = [good[:-1], good + b"\0", good[: len(good) // 2], b"", b"not a backup"]
    for _ in range(20):
        at = chosen.randrange(len(good))
        bad.append(good[:at] + bytes([good[at] ^ (1 << chosen.randrange(8))]) + good[at + 1:])
    before = states(target)
    for number, data in enumerate(bad):
        (target.archives / f"bad-{number}.bhk").write_bytes(data)
        answer = target.stack.call("POST", "/admin/restore", target.stack.operator_key,
                                   {"files": [f"bad-{number}.bhk"], "as": "bad", "backup_key": target.key.read_text().strip()})
        assert answer.status == 400 and answer.json()["error"]["code"] == "backup_refused", (number, answer.body)
        shutil.copy(target.archives / f"bad-{number}.bhk", source.archives / "bad.bhk")
        assert source.verify("bad.bhk").returncode == 1, "found offline too"
    assert states(target) == before
    assert not (target.stack.data_dir / "tenants" / "bad").exists()


def test_writes_go_on_while_a_backup_is_made(source, target):
    """By the unmodified SDK; what was acknowledged before the backup began is in it."""
    alpha = source.tenants["alpha"]
    client = OpenAI(base_url=source.stack.base_url + "/v1", api_key=alpha.member.key, max_retries=0,
                    http_client=httpx.Client(verify=str(source.stack.ca_file), trust_env=False))
    written, failed, stop = [], [], threading.Event()

    def write():
        while not stop.is_set():
            try:
                made = client.files.create(file=(f"w{len(written)}.txt", f"Number {len(written)}.".encode()), purpose="assistants")
                written.append(made.id)
            except Exception as error:
                failed.append(error)

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    eventually(lambda: len(written) > 5, "writing goes on")
    before = list(written)
    source.backup("alpha", "busy.bhk")
    stop.set()
    for writer in writers:
        writer.join()
    assert not failed, failed
    shutil.copy(source.archives / "busy.bhk", target.archives)
    target.restore("busy.bhk", "--as", "busy", "--backup-key", target.key)
    assert source.verify("busy.bhk").returncode == 0
    records = json.loads(target.stack.call("POST", "/admin/tenants/busy/backup", target.stack.operator_key,
                                           {"file": "busy-again.bhk"}).body)["records"]
    assert records >= len(before)


def killed_at_random(stack, chosen, work, most):
    """Runs `work` beside a gateway that is killed after a seeded number of other requests, and starts it again."""
    thread = threading.Thread(target=work)
    thread.start()
    steps(lambda: stack.call("GET", "/admin/tenants", stack.operator_key), most, chosen)
    stack.stop_process("gateway", signal.SIGKILL)
    thread.join()
    stack.start_gateway()


def test_a_kill_in_the_middle_of_a_backup(source):
    alpha = source.tenants["alpha"]
    chosen = random.Random(int(os.environ.get("FAULT_SEED", "11")))
    for number in range(FAULT_RUNS):
        name = f"killed-{number}.bhk"
        file, _ = add_document(alpha.member, f"k{number}.txt", f"Acknowledged number {number}.")
        killed_at_random(source.stack, chosen, lambda: source.backup("alpha", name, check=False), 50)
        assert alpha.member.call("GET", f"/v1/files/{file}/content").body.decode() == f"Acknowledged number {number}."
        assert not list(source.archives.glob(".*")), "nothing half is left"
        if (source.archives / name).exists():
            assert source.verify(name).returncode == 0, "what has its name is whole"
        source.backup("alpha", f"after-{number}.bhk")


def test_a_kill_in_the_middle_of_a_restore(source, target):
    chosen = random.Random(int(os.environ.get("FAULT_SEED", "12")))
    source.backup("alpha", "again.bhk")
    shutil.copy(source.archives / "again.bhk", target.archives)
    for number in range(FAULT_RUNS):
        name = f"half-{number}"
        arguments = ("again.bhk", "--as", name, "--backup-key", target.key)
        killed_at_random(target.stack, chosen, lambda: target.restore(*arguments, check=False), 100)
        state = states(target).get(name)
        assert state in (None, "active"), state
        if state is None:
            assert not (target.stack.data_dir / "tenants" / name).exists()
            target.restore(*arguments)
        made = target.stack.call("POST", f"/admin/tenants/{name}/backup", target.stack.operator_key,
                                 {"file": f"check-{number}.bhk"})
        assert made.status == 200 and made.json()["records"] > 5
        target.stack.operator_cli("tenant", "destroy", name, "--yes")


def test_without_a_backup_section_the_command_says_what_to_do(new_stack):
    stack = new_stack()
    start_small(stack, names=("alpha",))
    refused = stack.operator_cli("tenant", "backup", "alpha", "--to", "x", check=False)
    assert refused.returncode == 1 and "[backup]" in refused.stderr
