"""Several models at once; loading, replacing, rolling out, rolling back and unloading while serving; workers of
single tenants. AISVS 3.1.1, 3.1.2, 3.3.1 to 3.3.3, 4.1.1, 5.2.1 in the names of the tests that speak for them."""
import hashlib
import json
import os
import secrets
import shutil
import signal
import threading

import pytest
from conftest import CHAT_MODEL, SMALL_USERS, WIDE_LIMITS, add_tenant, eventually, start_small
from memory import memory_hits
from test_audit import records
from test_identity import Stream

DEFAULT = CHAT_MODEL.stem
OWN = {"engine": {"engine": "dedicated"}}


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Files:
    """The model under several names and hashes: bytes after the last tensor change the hash, not the model."""

    def __init__(self, folder):
        self.folder = folder
        self.first, self.second = folder / "first.gguf", folder / "second.gguf"
        shutil.copy(CHAT_MODEL, self.first)
        shutil.copy(CHAT_MODEL, self.second)
        with open(self.second, "ab") as file:
            file.write(b"\0" * 32)

    def options(self, path, digest=None):
        return ["--path", path, "--sha256", digest or sha256(path), "--origin", "tests", "--licence", "Apache-2.0"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return Files(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def serving(new_stack, files):
    stack = new_stack(
        engine=f'model_dir = "{files.folder}"\ndedicated_max = 1\ndedicated_idle_time = 5',
        extra=f'[[engine.models]]\nid = "side"\npath = "{files.first}"\nslots = 2\ncontext = 2048\nlicence = "Apache-2.0"',
        slots=4, context=2048)
    names = ("alpha", "beta", "gamma", "delta")
    for name in names:
        for user, roles, groups in SMALL_USERS:
            stack.add_client(name, user, roles, groups)
    stack.start()
    policies = {"alpha": {"allowed_models": ["side", "third"]}, "gamma": OWN, "delta": OWN}
    tenants = {name: add_tenant(stack, name, SMALL_USERS, policies.get(name)) for name in names}
    eventually(lambda: state_of(stack, "side") == "ready", "the second model is ready", 60)
    return stack, tenants


def registry(stack):
    answer = stack.call("GET", "/admin/models", stack.operator_key)
    assert answer.status == 200, answer.body
    return {entry["id"]: entry for entry in answer.json()["data"]}


def state_of(stack, model):
    return registry(stack)[model].get("state")


def engines(stack):
    return json.loads((stack.data_dir / "run/serve.json").read_text())["engines"]


def alive(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def say(person, model="default", tokens=4, **options):
    return person.stack.chat(person.key, options.pop("text", "Say hello."), model=model, max_tokens=tokens, **options)


def shown_models(person):
    return {model["id"] for model in person.call("GET", "/v1/models").json()["data"]}


def audited(stack, event, **wanted):
    def found():
        return [r for r in records(stack.audit_dir) if r.get("event") == event
                and all(r.get(key) == value for key, value in wanted.items())]
    return eventually(found, f"an audit record {event} with {wanted}", 5)


def model_cli(stack, verb, *arguments, check=True):
    return stack.operator_cli("model", verb, *arguments, check=check)


# --- several models -----------------------------------------------------------------------------------------------

def test_aisvs_3_1_1_two_models_are_served_side_by_side_and_registered(serving, files):
    stack, tenants = serving
    member = tenants["alpha"].member
    for model in ("default", DEFAULT, "side"):
        answer = say(member, model)
        assert answer.status == 200, answer.body
        assert answer.json()["model"] == (DEFAULT if model == "default" else model)
    pids = engines(stack)
    assert len({pids[DEFAULT], pids["side"], pids["all-minilm-l6-v2"]}) == 3 and all(map(alive, pids.values()))
    side = registry(stack)["side"]
    assert side["current"]["sha256"] == sha256(files.first) and side["current"]["licence"] == "Apache-2.0"
    assert side["from_config"] and side["current"]["loaded_by"] == "config" and side["state"] == "ready"
    listed = model_cli(stack, "list").stdout
    assert all(part in listed for part in ("side", DEFAULT, "embedding", sha256(files.first)[:16]))
    audited(stack, "model_loaded", model="side", target="sha256:" + sha256(files.first))


def test_aisvs_5_2_1_a_tenant_sees_and_uses_the_models_it_was_given_and_no_other(serving):
    stack, tenants = serving
    assert {DEFAULT, "side"} <= shown_models(tenants["alpha"].member)
    assert "side" not in shown_models(tenants["beta"].member)
    beta = tenants["beta"].member
    refused, unknown = say(beta, "side"), say(beta, "nowhere")
    assert refused.status == unknown.status == 404
    assert refused.json()["error"]["code"] == unknown.json()["error"]["code"] == "model_unknown"
    assert beta.call("GET", "/v1/models/side").status == 404
    assert tenants["alpha"].member.call("GET", "/v1/models/side").status == 200


def test_a_killed_worker_takes_no_other_with_it(serving):
    stack, tenants = serving
    member = tenants["alpha"].member
    before = engines(stack)
    os.kill(before["side"], signal.SIGKILL)
    assert say(member).status == 200
    eventually(lambda: say(member, "side").status == 200, "the killed model is back", 60)
    after = eventually(lambda: engines(stack)["side"] not in (0, before["side"]) and engines(stack), "the new pid is told")
    assert after[DEFAULT] == before[DEFAULT] and after["all-minilm-l6-v2"] == before["all-minilm-l6-v2"]
    audited(stack, "engine_died", model="side", note="signal 9")
    metrics = stack.call("GET", "/metrics", stack.operator_key).body.decode()
    assert 'bulkhead_model_restarts_total{model="side"} 1' in metrics
    assert f'bulkhead_model_ready{{model="{DEFAULT}"}} 1' in metrics


# --- changes while serving ----------------------------------------------------------------------------------------

def test_a_model_is_loaded_used_and_unloaded_while_serving(serving, files):
    stack, tenants = serving
    member = tenants["alpha"].member
    assert say(member, "third").status == 404
    model_cli(stack, "add", "third", *files.options("second.gguf", sha256(files.second)), "--slots", 2, "--context", 1024)
    assert say(member, "third").status == 200 and "third" in shown_models(member)
    pid = eventually(lambda: engines(stack).get("third"), "its pid is told")
    again = model_cli(stack, "add", "third", *files.options(files.second), check=False)
    assert again.returncode == 1 and "served already" in again.stderr
    model_cli(stack, "remove", "third")
    assert say(member, "third").status == 404 and "third" not in shown_models(member)
    eventually(lambda: not alive(pid), "its process is gone")
    key_id = records(stack.audit_dir)[-1] and audited(stack, "model_added", model="third", status=200)[0]["credential_id"]
    digest = "sha256:" + sha256(files.second)
    for event in ("model_added", "model_removed"):
        record = audited(stack, event, model="third", status=200, target=digest)[0]
        assert record["principal"] == "operator" and record["credential_id"] == key_id and key_id
    assert model_cli(stack, "remove", "side", check=False).returncode == 1, "the file's models stay"
    assert say(member, "side").status == 200


def bad_files(files, folder):
    outside = folder / "outside.gguf"
    shutil.copy(CHAT_MODEL, outside)
    link = files.folder / "link.gguf"
    if not link.is_symlink():
        link.symlink_to(outside)
    text = files.folder / "text.gguf"
    text.write_text("not a model")
    broken = files.folder / "broken.gguf"
    broken.write_bytes(CHAT_MODEL.read_bytes()[:200_000])
    good = sha256(CHAT_MODEL)
    return {"another hash": (files.second, "0" * 64, "not the announced one"),
            "outside": (outside, good, "no such model file"), "a link out": ("link.gguf", good, "no such model file"),
            "upwards": (f"../{folder.name}/outside.gguf", good, '".."'),
            "missing": ("missing.gguf", good, "no such model file"), "not GGUF": (text, sha256(text), "not a GGUF"),
            "a damaged file": (broken, sha256(broken), "ended while it loaded"),
            "no hash": (files.second, "", "sha256")}


def test_aisvs_3_1_2_what_is_not_the_announced_model_is_refused_and_the_old_one_goes_on(serving, files, tmp_path):
    stack, tenants = serving
    member = tenants["alpha"].member
    before = engines(stack)
    for name, (path, digest, words) in bad_files(files, tmp_path).items():
        body = {"path": str(path), "sha256": digest, "origin": "tests", "licence": "none"}
        for route, more in (("/admin/models", {"id": "third"}), (f"/admin/models/{DEFAULT}/replace", {})):
            answer = stack.call("POST", route, stack.operator_key, {**body, **more})
            expected = {"a damaged file": (503, "unavailable"), "no hash": (400, "invalid_parameter")}
            assert (answer.status, answer.json()["error"]["code"]) == expected.get(name, (400, "model_refused")), \
                (name, answer.body)
            assert words in answer.json()["error"]["message"], (name, answer.body)
        assert say(member).status == 200, name
    assert registry(stack)[DEFAULT]["current"]["sha256"] == sha256(CHAT_MODEL) and "third" not in registry(stack)
    assert engines(stack)[DEFAULT] == before[DEFAULT], "the old one was never stopped"
    refused = audited(stack, "request_failed", model=DEFAULT, target="sha256:" + "0" * 64)
    assert refused[0]["reason"] == "model_refused" and refused[0]["status"] == 400
    # The control: the same file with its right hash is taken, so it is the hash that was refused.
    model_cli(stack, "add", "third", *files.options(files.second), "--slots", 1, "--context", 512)
    model_cli(stack, "remove", "third")


def test_aisvs_3_3_1_replacing_under_load_loses_no_request(serving, files):
    stack, tenants = serving
    people = [tenants[name].people[user] for name in ("alpha", "beta") for user in ("mia", "ned")]
    statuses, stop = [], threading.Event()

    def ask(person):
        while not stop.is_set():
            answer = say(person, tokens=12, stream=len(statuses) % 2 == 0)
            body = answer.body.decode()
            statuses.append(answer.status if '"error"' not in body else body)

    threads = [threading.Thread(target=ask, args=(person,)) for person in people]
    for thread in threads:
        thread.start()
    eventually(lambda: len(statuses) >= 8, "requests are under way")
    old = engines(stack)[DEFAULT]
    try:
        model_cli(stack, "replace", DEFAULT, *files.options(files.second))
        during = len(statuses)
        eventually(lambda: len(statuses) >= during + 8, "requests after the change")
        eventually(lambda: not alive(old), "the old version drained and stopped", 60)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert set(statuses) == {200}, [s for s in statuses if s != 200][:3]
    new = registry(stack)[DEFAULT]
    assert new["current"]["sha256"] == sha256(files.second) and new["pid"] != old
    model = people[0].call("GET", f"/v1/models/{DEFAULT}").json()
    assert model["bulkhead"]["sha256"] == sha256(files.second)
    audited(stack, "model_replaced", model=DEFAULT, status=200, target="sha256:" + sha256(files.second), note="share 1.000")


def processor_time(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def serving_version(stack, person, pids):
    """Which of the processes worked for this person's request."""
    before = [processor_time(pid) for pid in pids]
    assert say(person, "side", tokens=64, temperature=1.5, seed=1).status == 200
    spent = [processor_time(pid) - b for pid, b in zip(pids, before)]
    assert max(spent) > 3 * min(spent) + 2, spent
    return spent.index(max(spent))


def test_aisvs_3_3_1_a_version_is_rolled_out_in_steps_and_rolled_back_whole(serving, files):
    stack, tenants = serving
    people = list(tenants["alpha"].people.values())
    people = [p for p in people if p.roles != ["auditor"]]
    old = engines(stack)["side"]
    model_cli(stack, "replace", "side", *files.options(files.second), "--share", 0.5)
    new = eventually(lambda: engines(stack).get("side@next"), "the new version's pid is told")
    assert registry(stack)["side"]["next_share"] == 0.5
    busy = model_cli(stack, "replace", "side", *files.options(files.second), check=False)
    assert busy.returncode == 1 and "being rolled out" in busy.stderr
    places = {p.name: serving_version(stack, p, [old, new]) for p in people}
    assert {p.name: serving_version(stack, p, [old, new]) for p in people} == places, "a user stays where it was put"
    model_cli(stack, "replace", "side", "--share", 0.999999)
    assert all(serving_version(stack, p, [old, new]) == 1 for p in people)
    # A version that dies gives its share back.
    os.kill(new, signal.SIGKILL)
    eventually(lambda: all(say(p, "side").status == 200 for p in people), "the old version serves everybody")
    model_cli(stack, "replace", "side", "--share", 0)
    entry = registry(stack)["side"]
    assert "next" not in entry and entry["pid"] == old and entry["current"]["sha256"] == sha256(files.first)
    eventually(lambda: "side@next" not in engines(stack), "the new version is gone")
    assert all(say(p, "side").status == 200 for p in people) and alive(old)
    shares = [r["note"] for r in audited(stack, "model_share_set", model="side", status=200)]
    assert shares == ["share 1.000", "share 0.000"]


def test_tenants_people_do_not_reach_the_operators_routes(serving, files):
    stack, tenants = serving
    body = {"id": "third", "path": "second.gguf", "sha256": sha256(files.second), "origin": "x", "licence": "x"}
    calls = [("GET", "/admin/models", None), ("POST", "/admin/models", body), ("DELETE", "/admin/models/side", None),
             ("POST", "/admin/models/side/replace", {k: v for k, v in body.items() if k != "id"}),
             ("POST", "/admin/models/side/share", {"share": 1})]
    for person in (tenants["alpha"].member, tenants["alpha"].admin):
        for method, path, sent in calls:
            assert person.call(method, path, sent).status == 403, (person.name, path)
    assert "third" not in registry(stack)


# --- workers of single tenants ------------------------------------------------------------------------------------

def own_pid(stack, tenant):
    return engines(stack).get(f"{tenant}/{DEFAULT}", 0)


def test_aisvs_4_1_1_a_dedicated_tenant_gets_a_process_of_its_own_once(serving):
    stack, tenants = serving
    gamma = tenants["gamma"]
    assert own_pid(stack, "gamma") == 0, "none is started before it is needed"
    started = len([r for r in records(stack.audit_dir) if r.get("event") == "engine_started" and r.get("tenant") == "gamma"])
    answers = []
    people = [gamma.people["mia"], gamma.people["ned"], gamma.people["boss"]]
    threads = [threading.Thread(target=lambda p=p: answers.append(say(p).status)) for p in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200, 200, 200]
    pid = eventually(lambda: own_pid(stack, "gamma"), "its pid is told")
    assert pid not in [p for name, p in engines(stack).items() if not name.startswith("gamma/")]
    now = [r for r in records(stack.audit_dir) if r.get("event") == "engine_started" and r.get("tenant") == "gamma"]
    assert len(now) == started + 1, "three first requests start one worker"
    dedicated = registry(stack)[DEFAULT]["dedicated"]
    assert [d["tenant"] for d in dedicated] == ["gamma"]


def test_a_further_dedicated_worker_beyond_the_bound_is_refused_clearly(serving):
    stack, tenants = serving
    stream = Stream(tenants["gamma"].member)
    next(stream.lines())
    answer = say(tenants["delta"].member)
    assert answer.status == 503 and "engine of a tenant's own" in answer.json()["error"]["message"]
    assert say(tenants["alpha"].member).status == 200
    stream.connection.close()
    stream.answer.close()


def test_an_idle_dedicated_worker_stops_and_the_next_tenant_gets_one(serving):
    stack, tenants = serving
    assert say(tenants["gamma"].member).status == 200
    pid = eventually(lambda: own_pid(stack, "gamma"), "its pid is told")
    eventually(lambda: not alive(pid) and own_pid(stack, "gamma") == 0, "the idle worker stops", 60)
    assert say(tenants["delta"].member).status == 200
    pid = eventually(lambda: own_pid(stack, "delta"), "its pid is told")
    eventually(lambda: not alive(pid), "the idle worker stops", 60)


def marked_stream(person, marks):
    """A long answer that is being streamed to a prompt with these words."""
    body = {"model": "default", "stream": True, "max_tokens": 1200, "temperature": 1.5, "seed": 1,
            "messages": [{"role": "user", "content": f"Tell a long story of {marks[0]}, {marks[1]} and {marks[2]}."}]}
    import http.client
    import ssl
    context = ssl.create_default_context(cafile=person.stack.ca_file)
    connection = http.client.HTTPSConnection("127.0.0.1", person.stack.port, context=context, timeout=60)
    connection.request("POST", "/v1/chat/completions", json.dumps(body),
                       {"Authorization": f"Bearer {person.key}", "Content-Type": "application/json"})
    answer = connection.getresponse()
    assert answer.status == 200
    for _ in range(4):
        answer.readline()
    return connection, answer




def where_seen(stack, person):
    """Names of the engine processes that hold any word of a prompt that is being answered, or was."""
    marks = ["zq" + secrets.token_hex(10) for _ in range(3)]
    connection, answer = marked_stream(person, marks)
    try:
        return {name for name, pid in engines(stack).items() if pid and memory_hits(pid, [m.encode() for m in marks])}
    finally:
        connection.close()
        answer.close()


def test_aisvs_5_3_1_a_dedicated_tenants_prompt_is_never_in_a_shared_process(new_stack):
    """With wiping off, so that whatever a process ever held stays to be found. The control is a shared tenant's
    prompt on the same stack, which the scan finds in the shared processes."""
    stack = new_stack(burn=False, context=2048)
    for name in ("alpha", "gamma"):
        for user, roles, groups in SMALL_USERS:
            stack.add_client(name, user, roles, groups)
    stack.start()
    shared = add_tenant(stack, "alpha", SMALL_USERS)
    own = add_tenant(stack, "gamma", SMALL_USERS, OWN)
    assert say(own.member).status == 200
    eventually(lambda: own_pid(stack, "gamma"), "its pid is told")
    assert where_seen(stack, own.member) == {f"gamma/{DEFAULT}"}
    assert where_seen(stack, shared.member) == {DEFAULT, "all-minilm-l6-v2"}, "the control"


def test_suspending_a_tenant_ends_its_worker_at_once(serving):
    stack, tenants = serving
    gamma, delta = tenants["gamma"], tenants["delta"]
    eventually(lambda: own_pid(stack, "delta") == 0, "the place is free", 60)
    stream = Stream(gamma.member)
    lines = stream.lines()
    next(lines)
    pid = eventually(lambda: own_pid(stack, "gamma"), "its pid is told")
    stack.operator_cli("tenant", "suspend", "gamma")
    assert not alive(pid), "it is gone when the suspension is answered"
    assert '[DONE]' not in "".join(lines)
    assert say(gamma.member).status == 403
    assert say(tenants["alpha"].member).status == 200
    stack.operator_cli("tenant", "resume", "gamma")
    assert say(gamma.member).status == 200
    assert eventually(lambda: own_pid(stack, "gamma"), "a new one runs") != pid


# --- what lasts ---------------------------------------------------------------------------------------------------

def test_the_registry_outlives_a_restart(new_stack, files):
    stack = new_stack(engine=f'model_dir = "{files.folder}"', context=1024, slots=2)
    tenants = start_small(stack, names=("alpha",), policy={"allowed_models": ["third"]})
    member = tenants["alpha"].member
    model_cli(stack, "add", "third", *files.options(files.first), "--slots", 1, "--context", 512)
    model_cli(stack, "replace", DEFAULT, *files.options(files.second))
    stack.stop_process("gateway")
    stack.start_gateway()
    eventually(lambda: state_of(stack, "third") == "ready", "the added model is back", 60)
    entries = registry(stack)
    assert entries[DEFAULT]["current"]["sha256"] == sha256(files.second)
    assert entries["third"]["current"]["loaded_by"] not in ("", "config")
    assert say(member).status == 200 and say(member, "third").status == 200
    # The file is swapped behind our back: at its next load the worker refuses it.
    pid = engines(stack)["third"]
    kept = files.first.read_bytes()
    try:
        files.first.write_bytes(files.second.read_bytes())
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: len(audited(stack, "engine_died", model="third")) >= 2, "the changed file does not load", 60)
        assert state_of(stack, "third") == "starting" and say(member, "third").status == 503
        assert say(member).status == 200
    finally:
        files.first.write_bytes(kept)
    eventually(lambda: say(member, "third").status == 200, "the right file loads again", 60)
