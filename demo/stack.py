"""Starts and stops a whole Bulkhead (development issuer, gateway, engine) in a folder of its own.

Used by the demo and by the acceptance tests; nothing here is part of the product.
"""
import base64
import contextlib
import ctypes
import http.client
import json
import os
import secrets
import signal
import socket
import ssl
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# BULKHEAD_PROGRAMS: a folder with other builds of the three programs, for example instrumented ones.
BULKHEAD = Path(os.environ.get("BULKHEAD_PROGRAMS") or ROOT / "build").resolve() / "bulkhead"

# BULKHEAD_ENGINE_THREADS: how many threads an engine worker computes with, instead of one a core.
ENGINE_THREADS = os.environ.get("BULKHEAD_ENGINE_THREADS") or "0"


# Processes that use less than this much processor time (in clock ticks, 0.2 s) in this many seconds stand still.
MOVING_TICKS = 20
STILL_SECONDS = 60


class StackError(Exception):
    """What went wrong, in words for the person at the terminal."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def write_private(path, text):
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text)


class Patience:
    """Waits as long as things move: until a process and its children have stood still for a while.

    A slow or busy machine is no failure; a process that hangs is one."""

    def __init__(self, process):
        self.process, self.ticks, self.moved = process, None, time.monotonic()

    def left(self):
        ticks = self.used()
        if self.ticks is None or abs(ticks - self.ticks) >= MOVING_TICKS:
            self.ticks, self.moved = ticks, time.monotonic()
        return time.monotonic() - self.moved < STILL_SECONDS

    def used(self):
        """Processor time, in clock ticks, of the process and its children."""
        if self.process is None:
            return 0
        folder = Path(f"/proc/{self.process.pid}")
        pids = {str(self.process.pid)}
        for file in folder.glob("task/*/children"):
            try:
                pids.update(file.read_text().split())
            except OSError:
                pass
        return sum(map(self.ticks_of, pids))

    @staticmethod
    def ticks_of(pid):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return int(fields[11]) + int(fields[12])
        except OSError:
            return 0

    @contextlib.contextmanager
    def cuts(self, connection):
        """Breaks the connection off when nothing moves any more."""
        over, wire = threading.Event(), connection.sock

        def watch():
            while not over.wait(1):
                if not self.left():
                    with contextlib.suppress(OSError):  # it was closed meanwhile
                        wire.shutdown(socket.SHUT_RDWR)
                    return

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()


class Answer:
    """An HTTP answer: status, headers, body."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)


class Stack:
    def __init__(self, folder, chat_model, embed_model=None, port=0, burn=True, extra="", tenant_defaults="",
                 slots=4, context=4096, engine="", external="", data="", server=""):
        self.folder = Path(folder)
        self.data_dir = self.folder / "data"
        self.audit_dir = self.data_dir / "audit"
        self.config = self.folder / "bulkhead.toml"
        self.operator_key_file = self.folder / "operator.key"
        self.port = port or free_port()
        self.idp_port = free_port()
        self.clients = []
        self.processes = {}
        self.logs = {}
        self.options = dict(chat=chat_model, embed=embed_model or ROOT / "build/models/embed.gguf", burn=burn,
                            extra=extra, tenant_defaults=tenant_defaults, slots=slots, context=context,
                            engine=engine, external=external, data=data, server=server)

    # --- life ---------------------------------------------------------------------------------------

    def add_client(self, tenant, user, roles, groups=()):
        client = {"client_id": f"{tenant}.{user}" if tenant else user, "client_secret": secrets.token_urlsafe(24),
                  "subject": user, "tenant": tenant, "roles": list(roles), "groups": list(groups)}
        self.clients.append(client)
        return client

    def write_config(self):
        o = self.options
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config.write_text(f'''# Written by demo/stack.py. docs/operator-guide.md explains every key.
mode = "development"
burn = {str(o["burn"]).lower()}
[server]
listen = "127.0.0.1:{self.port}"
{o["server"]}
[data]
dir = "data"
platform_key_file = "platform.key"
{o["data"]}
[[issuer]]
issuer = "http://127.0.0.1:{self.idp_port}"
audiences = ["bulkhead"]
algorithms = ["ES256"]
allow_http = true
[engine]
slots = {o["slots"]}
context = {o["context"]}
threads = {ENGINE_THREADS}
batch_threads = {ENGINE_THREADS}
{o["engine"]}
{o["external"] or self.own_model()}
[engine.embedding]
id = "all-minilm-l6-v2"
path = "{o["embed"]}"
[dev_idp]
port = {self.idp_port}
clients_file = "clients.json"
[tenant_defaults]
{o["tenant_defaults"]}
{o["extra"]}
''')
        write_private(self.folder / "clients.json", json.dumps(self.clients, indent=1))

    def own_model(self):
        chat = Path(self.options["chat"])
        return f'[engine.chat]\nid = "{chat.stem}"\npath = "{chat}"'

    def start(self):
        self.write_config()
        self.cli("init", "--operator-key-file", self.operator_key_file)
        self.start_idp()
        self.start_gateway()

    def start_idp(self):
        self.spawn("dev-idp", "dev-idp")
        self.wait_for(lambda: (self.data_dir / "run/dev-idp.json").exists(), "dev-idp")

    def start_gateway(self, wait=True):
        (self.data_dir / "run/serve.json").unlink(missing_ok=True)
        self.spawn("gateway", "serve")
        if wait:
            self.wait_ready()

    def wait_ready(self):
        self.wait_for(self.is_ready, "gateway")

    def is_ready(self):
        try:
            return self.call("GET", "/readyz").status == 200
        except OSError:
            return False

    def spawn(self, name, command):
        log = open(self.folder / f"{name}.log", "ab")
        self.logs[name] = self.folder / f"{name}.log"
        self.processes[name] = subprocess.Popen([BULKHEAD, command, "--config", self.config], stdout=log, stderr=log,
                                                preexec_fn=die_with_parent)

    def wait_for(self, condition, name):
        """Waits until the condition holds, as long as the process (and its children) moves."""
        patience = Patience(self.processes[name])
        while patience.left():
            if self.processes[name].poll() is not None:
                raise StackError(f"{name} ended with status {self.processes[name].returncode}:\n{self.log_tail(name)}")
            if condition():
                return
            time.sleep(0.05)
        raise StackError(f"{name} is not ready, and has stood still for {STILL_SECONDS} s:\n{self.log_tail(name)}")

    def log_tail(self, name):
        return "\n".join(self.logs[name].read_text(errors="replace").splitlines()[-15:])

    def stop_process(self, name, sig=signal.SIGTERM, seconds=40):
        process = self.processes.pop(name, None)
        if process and process.poll() is None:
            process.send_signal(sig)
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        return process.returncode if process else None

    def stop(self):
        for name in ("gateway", "dev-idp"):
            self.stop_process(name)

    def pids(self):
        state = json.loads((self.data_dir / "run/serve.json").read_text())
        engines = {f"engine:{name}": pid for name, pid in state["engines"].items() if pid != state["engine_pid"]}
        return {"gateway": self.processes["gateway"].pid, "engine": state["engine_pid"], **engines,
                "dev-idp": self.processes["dev-idp"].pid}

    # --- talking to it --------------------------------------------------------------------------------

    @property
    def base_url(self):
        return f"https://127.0.0.1:{self.port}"

    @property
    def ca_file(self):
        return self.data_dir / "tls" / "ca.pem"

    @property
    def token_url(self):
        return f"http://127.0.0.1:{self.idp_port}/token"

    @property
    def operator_key(self):
        return self.operator_key_file.read_text().strip()

    def cli(self, *arguments, config=True, check=True):
        command = [BULKHEAD, *map(str, arguments)] + (["--config", str(self.config)] if config else [])
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        if check and done.returncode != 0:
            raise StackError(f"bulkhead {' '.join(map(str, arguments))} failed:\n{done.stdout}{done.stderr}")
        return done

    def operator_cli(self, *arguments, check=True):
        return self.cli(*arguments, "--key-file", self.operator_key_file, check=check)

    def connection(self):
        if self.base_url.startswith("http:"):
            return http.client.HTTPConnection("127.0.0.1", self.port)
        context = ssl.create_default_context(cafile=self.ca_file if self.ca_file.exists() else None)
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=context)

    def call(self, method, path, key=None, body=None, headers=None, raw=None):
        """One request. `body` is sent as JSON, `raw` as it is. HTTP errors come back as answers.

        The answer is awaited as long as the gateway or its workers compute."""
        sent = dict(headers or {})
        if key is not None:
            sent["Authorization"] = f"Bearer {key}"
        data = raw
        if body is not None:
            data = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        connection = self.connection()
        try:
            connection.connect()
            with Patience(self.processes.get("gateway")).cuts(connection):
                connection.request(method, path, body=data, headers=sent)
                answer = connection.getresponse()
                return Answer(answer.status, answer.headers, answer.read())
        except http.client.HTTPException as error:
            raise OSError(f"{method} {path} got no whole answer: {error!r}") from error
        finally:
            connection.close()

    def token(self, client):
        basic = base64.b64encode(f"{client['client_id']}:{client['client_secret']}".encode()).decode()
        request = urllib.request.Request(self.token_url, data=b"grant_type=client_credentials",
                                         headers={"Authorization": f"Basic {basic}"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as answer:
            return json.load(answer)["access_token"]

    def chat(self, key, question, **options):
        body = {"model": "default", "messages": [{"role": "user", "content": question}], "temperature": 0,
                "max_tokens": 120, **options}
        return self.call("POST", "/v1/chat/completions", key, body)

    def upload(self, key, path, access=None, name=None):
        boundary = secrets.token_hex(16)
        parts = [("purpose", None, b"assistants"), ("file", name or Path(path).name, Path(path).read_bytes())]
        if access is not None:
            parts.append(("bulkhead_access", None, json.dumps(access).encode()))
        data = b""
        for field, filename, content in parts:
            disposition = f'form-data; name="{field}"' + (f'; filename="{filename}"' if filename else "")
            data += f"--{boundary}\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + content + b"\r\n"
        data += f"--{boundary}--\r\n".encode()
        return self.call("POST", "/v1/files", key, raw=data,
                         headers={"Content-Type": f"multipart/form-data; boundary={boundary}"})

    # --- tenants --------------------------------------------------------------------------------------

    def create_tenant(self, name, display_name=None, policy=None, options=()):
        arguments = ["tenant", "create", name, "--display-name", display_name or name, *options]
        if policy is not None:
            file = self.folder / f"{name}.policy.json"
            file.write_text(json.dumps(policy))
            arguments += ["--policy", file]
        return self.operator_cli(*arguments)

    def load_corpus(self, key, corpus, progress=lambda text: None):
        """Uploads a tenant's documents with their access lists into one default vector store."""
        manifest = json.loads((corpus / "manifest.json").read_text())
        file_ids = {}
        for document in manifest["documents"]:
            access = document["access"] if document["access"] else {"shared": True}
            answer = self.upload(key, corpus / document["file"], access)
            if answer.status != 200:
                raise StackError(f"{document['file']} was not taken: {answer.body.decode()}")
            file_ids[document["file"]] = answer.json()["id"]
        answer = self.call("POST", "/v1/vector_stores", key,
                           {"name": f"{manifest['tenant']} documents", "file_ids": list(file_ids.values()),
                            "bulkhead": {"default": True}})
        if answer.status != 200:
            raise StackError(f"the vector store could not be made: {answer.body.decode()}")
        store = answer.json()["id"]
        self.wait_indexed(key, store, progress)
        return store, file_ids

    def wait_indexed(self, key, store, progress=lambda text: None):
        """Until all is indexed, as long as the gateway and its workers move."""
        patience = Patience(self.processes.get("gateway"))
        while patience.left():
            counts = self.call("GET", f"/v1/vector_stores/{store}", key).json()["file_counts"]
            progress(f"{counts['completed']} of {counts['total']}")
            if counts["in_progress"] == 0:
                if counts["failed"]:
                    files = self.call("GET", f"/v1/vector_stores/{store}/files?limit=100", key).json()["data"]
                    raise StackError(f"documents failed: {[f for f in files if f['status'] == 'failed']}")
                return
            time.sleep(0.2)
        raise StackError(f"the documents are not indexed, and nothing has moved for {STILL_SECONDS} s")
