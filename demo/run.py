#!/usr/bin/env python3
"""`make demo`: three tenants on one model, a walk-through that checks the walls, then keeps serving.

Environment: MODEL (a GGUF file), DEMO_PORT (8443), WALKTHROUGH=1 (stop after the walk-through).
"""
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from attacks import run_attacks, run_audit_checks  # noqa: E402
from stack import ROOT, Stack, StackError, write_private  # noqa: E402
from talk import Talk  # noqa: E402

CORPUS = ROOT / "demo" / "corpus"
FOLDER = ROOT / "build" / "demo"
TENANTS = ("st-brannoc", "calder-rowe", "brightwave")


def stop_previous():
    """An earlier demo in the same folder is ended, so that its port and files are free."""
    state = FOLDER / "demo.json"
    if not state.exists():
        return
    def alive(pid):
        try:
            return b"bulkhead" in Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False

    pids = [pid for name, pid in json.loads(state.read_text()).get("processes", {}).items()
            if not name.startswith("engine")]
    for sign, seconds in ((signal.SIGTERM, 40), (signal.SIGKILL, 5)):
        for pid in filter(alive, pids):
            os.kill(pid, sign)
        deadline = time.monotonic() + seconds
        while any(map(alive, pids)) and time.monotonic() < deadline:
            time.sleep(0.05)


def load_tenants(stack, talk):
    """Creates the tenants, loads their documents as their administrators, makes API keys."""
    people = {}
    tenants = []
    for name in TENANTS:
        manifest = json.loads((CORPUS / name / "manifest.json").read_text())
        for user in manifest["users"]:
            people[name, user["name"]] = stack.add_client(name, user["name"], user["roles"], user.get("groups", []))
    stack.start()
    for name in TENANTS:
        manifest = json.loads((CORPUS / name / "manifest.json").read_text())
        stack.create_tenant(name, manifest["display_name"], {"retrieval": "when_relevant"})
        admin = next(u["name"] for u in manifest["users"] if "tenant-admin" in u["roles"])
        token = stack.token(people[name, admin])
        began = time.monotonic()
        store, files = stack.load_corpus(token, CORPUS / name,
                                         lambda text, n=name: talk.progress(f"{n}: indexing documents, {text}"))
        talk.line(f"{manifest['display_name']:<28} {len(files)} documents in {time.monotonic() - began:.1f} s")
        users = []
        for user in manifest["users"]:
            made = stack.call("POST", "/v1/bulkhead/api_keys", token,
                              {"name": "demo", "user": user["name"], "roles": user["roles"],
                               "groups": user.get("groups", [])})
            client = people[name, user["name"]]
            users.append({"name": user["name"], "roles": user["roles"], "groups": user.get("groups", []),
                          "client_id": client["client_id"], "client_secret": client["client_secret"],
                          "api_key": made.json()["key"]})
        tenants.append({"id": name, "display_name": manifest["display_name"], "vector_store_ids": [store],
                        "files": files, "users": users})
    return tenants


def write_state(stack, tenants):
    keep = ("name", "roles", "client_id", "client_secret", "api_key")
    state = {
        "base_url": stack.base_url + "/v1", "ca_file": str(stack.ca_file), "config": str(stack.config),
        "data_dir": str(stack.data_dir), "audit_dir": str(stack.audit_dir), "token_url": stack.token_url,
        "operator": stack.operator_key, "processes": stack.pids(),
        "tenants": [{"id": t["id"], "vector_store_ids": t["vector_store_ids"],
                     "users": [{k: u[k] for k in keep} for u in t["users"]]} for t in tenants],
    }
    write_private(FOLDER / "demo.json", json.dumps(state, indent=1) + "\n")


def key_of(tenant, user):
    return next(u["api_key"] for u in tenant["users"] if u["name"] == user)


def show_answer(talk, tenant, user, question, answer):
    body = answer.json()
    talk.question(f"{user} ({tenant['display_name']})", question)
    if answer.status != 200:
        talk.line(f"answered {answer.status}: {body['error']['message']}")
        return []
    talk.answer(body["choices"][0]["message"]["content"])
    sources = body["bulkhead"]["retrieval"]["sources"]
    for source in sources[:3]:
        page = f", page {source['page']}" if "page" in source else ""
        talk.source(f"{source['filename']}{page}: {source.get('section', '')}")
    if not sources:
        talk.source(f"no document ({body['bulkhead']['retrieval']['outcome']})")
    return [source["filename"] for source in sources]


def ask(stack, talk, tenants, script):
    """Each tenant's people ask; the documents that answered are checked, not the model's wit."""
    for part in script["tenants"]:
        tenant = next(t for t in tenants if t["id"] == part["tenant"])
        talk.heading(tenant["display_name"])
        for item in part["answered"]:
            answer = stack.chat(key_of(tenant, item["user"]), item["question"])
            files = show_answer(talk, tenant, item["user"], item["question"], answer)
            talk.check(item["expect"] in files, f"answered from {item['expect']}")
        restricted = part["restricted"]
        for user, allowed in ((restricted["allowed_user"], True), (restricted["denied_user"], False)):
            answer = stack.chat(key_of(tenant, user), restricted["question"])
            files = show_answer(talk, tenant, user, restricted["question"], answer)
            if allowed:
                talk.check(restricted["document"] in files, f"{user} may read {restricted['document']}")
            else:
                talk.check(answer.status == 200 and restricted["document"] not in files,
                           f"{user} may not: the document was never searched")
        foreign = part["foreign"]
        answer = stack.chat(key_of(tenant, foreign["user"]), foreign["question"])
        files = show_answer(talk, tenant, foreign["user"], foreign["question"], answer)
        own = set(tenant["files"])
        text = answer.body.decode()
        leaked = [s for s in foreign["must_not_contain"] if s in text]
        talk.check(set(files) <= own and not leaked,
                   f"only own documents were used (the answer lies at {foreign['answered_at']})")


def goodbye(stack, tenants):
    ca = os.path.relpath(stack.ca_file, ROOT)
    for tenant in tenants:
        user = next(u for u in tenant["users"] if "member" in u["roles"])
        print(f'''
{tenant["display_name"]}, as {user["name"]}:
  curl --cacert {ca} {stack.base_url}/v1/chat/completions \\
    -H "Authorization: Bearer {user["api_key"]}" -H "Content-Type: application/json" \\
    -d '{{"model":"default","messages":[{{"role":"user","content":"What changed in June 2026?"}}]}}'

  SSL_CERT_FILE={ca} build/venv/bin/python - <<'EOF'
  from openai import OpenAI
  client = OpenAI(base_url="{stack.base_url}/v1", api_key="{user["api_key"]}")
  print(client.chat.completions.create(model="default",
        messages=[{{"role": "user", "content": "What changed in June 2026?"}}]).choices[0].message.content)
  EOF''')
    print(f"\nServing at {stack.base_url}. Keys and addresses: build/demo/demo.json. Ctrl-C stops.")


def main():
    model = Path(os.environ.get("MODEL") or ROOT / "build/models/chat-demo.gguf").resolve()
    if not model.exists():
        raise StackError(f"there is no model at {model}: run `make demo`, or name one with MODEL=/path/to.gguf")
    stop_previous()
    shutil.rmtree(FOLDER, ignore_errors=True)
    stack = Stack(FOLDER, model, port=int(os.environ.get("DEMO_PORT") or 8443))
    talk = Talk()
    talk.title("Bulkhead: three tenants, one model, nothing crosses")
    try:
        talk.heading("Loading")
        tenants = load_tenants(stack, talk)
        write_state(stack, tenants)
        ask(stack, talk, tenants, json.loads((CORPUS / "walkthrough.json").read_text()))
        run_attacks(stack, talk, tenants)
        run_audit_checks(stack, talk, tenants)
        talk.summary()
        if os.environ.get("WALKTHROUGH"):
            return 0 if talk.failed == 0 else 1
        goodbye(stack, tenants)
        while stack.processes["gateway"].poll() is None:
            time.sleep(0.5)
        raise StackError(f"the gateway ended:\n{stack.log_tail('gateway')}")
    except KeyboardInterrupt:
        print("\nStopping.")
        return 0
    finally:
        stack.stop()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        sys.exit(main())
    except StackError as error:
        print(f"\nmake demo stopped: {error}", file=sys.stderr)
        sys.exit(1)
