"""What all sections measure with: pinned processes, a gateway with an upstream, nginx, wrk, the table."""
import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "demo"))
from stack import Stack, die_with_parent, free_port  # noqa: E402

PROGRAMS = ROOT / "build/release/bench"
CHAT_MODEL = ROOT / "build/models/chat-test.gguf"

# The proxy under test has a core of its own; load generator and upstream share another one.
CORES = sorted(os.sched_getaffinity(0))
PROXY_CORE, LOAD_CORE = str(CORES[0]), str(CORES[-1])

NO_LIMITS = {"requests_per_minute": 10_000_000, "tokens_per_minute": 2_000_000_000, "concurrent_requests": 100_000,
             "user_requests_per_minute": 10_000_000, "user_tokens_per_minute": 2_000_000_000,
             "user_concurrent_requests": 100_000}
# The stand-in engine promises nothing.
ANY_ENGINE = {"burn": "best_effort", "prefix_isolation": "best_effort"}


@contextlib.contextmanager
def quiet_machine():
    """Holds the lock that BENCH_LOCK names, if any, so that builds elsewhere wait for a round."""
    path = os.environ.get("BENCH_LOCK")
    if not path:
        yield
        return
    with open(path, "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def median(values):
    return statistics.median(values)


class Children:
    """Processes that end with the section that started them."""

    def __init__(self):
        self.processes = []

    def start(self, command, core=None, **options):
        if core is not None:
            command = ["taskset", "-c", core, *map(str, command)]
        process = subprocess.Popen(list(map(str, command)), preexec_fn=die_with_parent, **options)
        self.processes.append(process)
        return process

    def stop(self):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def section():
    """A folder and children that go away with the section."""
    folder = Path(tempfile.mkdtemp(prefix="bulkhead-bench-"))
    children = Children()
    try:
        yield folder, children
    finally:
        children.stop()
        shutil.rmtree(folder, ignore_errors=True)


def start_upstream(children, delay_us=0):
    process = children.start([PROGRAMS / "bench_upstream", 0, delay_us], core=LOAD_CORE, stdout=subprocess.PIPE, text=True)
    return int(process.stdout.readline())


def wait_for_port(port, what):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise SystemExit(f"{what} did not open its port")


def start_nginx(children, folder, upstream, certificate=None):
    """nginx as a plain reverse proxy with kept-alive connections to the upstream and no log: its best case."""
    port = free_port()
    tls = f"ssl_certificate {certificate}/cert.pem; ssl_certificate_key {certificate}/key.pem;" if certificate else ""
    home = folder / f"nginx-{port}"
    home.mkdir()
    (home / "nginx.conf").write_text(f"""
daemon off; worker_processes 1; pid {home}/pid; error_log {home}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; client_body_buffer_size 64k;
  client_body_temp_path {home}; proxy_temp_path {home}; fastcgi_temp_path {home}; uwsgi_temp_path {home};
  scgi_temp_path {home};
  upstream engine {{ server 127.0.0.1:{upstream}; keepalive 512; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port}{" ssl" if certificate else ""}; {tls}
    location / {{ proxy_pass http://engine; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
""")
    children.start(["nginx", "-c", home / "nginx.conf", "-p", home, "-e", home / "error.log"], core=PROXY_CORE)
    wait_for_port(port, "nginx")
    return port


class Gateway(Stack):
    """A gateway in front of an upstream, on its own core, with everything on: tokens, roles, limits, audit."""

    def __init__(self, folder, upstream, plain=True, audit_dir=None, threads=1, slots=4, core=PROXY_CORE, extra=""):
        super().__init__(folder, CHAT_MODEL)
        self.upstream, self.plain, self.core = upstream, plain, core
        self.threads, self.extra = threads, extra
        if audit_dir:
            self.audit_dir = Path(audit_dir)

    def write_config(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config.write_text(f'''mode = "development"
[server]
listen = "127.0.0.1:{self.port}"
plain_http = {str(self.plain).lower()}
threads = {self.threads}
[data]
dir = "data"
platform_key_file = "platform.key"
[audit]
dir = "{self.audit_dir}"
tenant_bytes_per_hour = "1 TiB"
[[issuer]]
issuer = "http://127.0.0.1:{self.idp_port}"
audiences = ["bulkhead"]
algorithms = ["ES256"]
allow_http = true
[engine]
chat_url = "http://127.0.0.1:{self.upstream}"
chat_model = "bench"
concurrent = 2000
waiting_per_tenant = 2000
[tenant_defaults.engine]
burn = "best_effort"
prefix_isolation = "best_effort"
[dev_idp]
port = {self.idp_port}
clients_file = "clients.json"
token_lifetime = 86400
{self.extra}
''')
        clients = self.folder / "clients.json"
        clients.touch(mode=0o600)
        clients.write_text(json.dumps(self.clients))

    @property
    def base_url(self):
        return f"http{'' if self.plain else 's'}://127.0.0.1:{self.port}"

    def spawn(self, name, command):
        super().spawn(name, command)
        if self.core is not None and name == "gateway":
            # Before it has made its threads, or soon after: all of them.
            subprocess.run(["taskset", "-acp", self.core, str(self.processes[name].pid)], check=True,
                           stdout=subprocess.DEVNULL)

    def wait_ready(self):
        super().wait_ready()
        if self.core is not None:
            subprocess.run(["taskset", "-acp", self.core, str(self.processes["gateway"].pid)], check=True,
                           stdout=subprocess.DEVNULL)

    def resident_mib(self):
        return resident_mib(self.processes["gateway"].pid)


def resident_mib(pid):
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", text).group(1)) / 1024


def start_gateway(folder, upstream, **options):
    """One tenant without retrieval and without limits that anyone would meet, and a member's token."""
    gateway = Gateway(folder, upstream, **options)
    gateway.add_client("bench", "boss", ["tenant-admin"])
    member = gateway.add_client("bench", "mia", ["member"])
    gateway.start()
    gateway.create_tenant("bench", policy={"retrieval": "off", "limits": NO_LIMITS, "engine": ANY_ENGINE})
    return gateway, gateway.token(member)


# 665 bytes, as a short question with a system prompt has.
def chat_body():
    return json.dumps({"model": "bench", "temperature": 0.2, "max_tokens": 256, "messages": [
        {"role": "system", "content": "You are the assistant of a small company that sends parcels. Answer in one or two "
                                      "short sentences, politely, and say so when you do not know the answer."},
        {"role": "user", "content": "A clinic in the old town has been waiting for a parcel with spare parts since Monday. "
                                    "They have no tracking number at hand, but a yellow slip from the driver with another "
                                    "number on it. Where is the parcel now, when will it arrive, and whom should they call "
                                    "if it does not come in time?"}]})


def request_bytes(token, port):
    body = chat_body()
    return (f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}").encode()


def wrk(folder, url, token, connections=64, seconds=4):
    """Requests per second that one load generator gets through. Refusals end the bench: they are cheap."""
    script = folder / "request.lua"
    script.write_text(f"wrk.method = 'POST'\nwrk.body = [==[{chat_body()}]==]\n"
                      f"wrk.headers['Authorization'] = 'Bearer {token}'\n"
                      "wrk.headers['Content-Type'] = 'application/json'\n")
    done = subprocess.run(["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script,
                           f"{url}/v1/chat/completions"], capture_output=True, text=True, check=True)
    if "Non-2xx" in done.stdout:
        raise SystemExit(f"{url} refused requests:\n{done.stdout}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout).group(1))


def load(folder, port, token, rate, seconds=4):
    """Latencies in microseconds at a fixed rate (bench/load.cc)."""
    file = folder / "request.http"
    file.write_bytes(request_bytes(token, port))
    done = subprocess.run(["taskset", "-c", LOAD_CORE, PROGRAMS / "bench_load", str(port), file, str(rate), str(seconds)],
                          capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    if result["refused"]:
        raise SystemExit(f"port {port} refused or left open {result['refused']} of {result['sent']} requests")
    return result


def program(name, *arguments):
    done = subprocess.run([PROGRAMS / f"bench_{name}", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"bench_{name} failed:\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout)


# --- the table ----------------------------------------------------------------------------------------


def row(what, ours, peer=None, unit="", target=None, met=None, ratio=None, digits=None):
    """One line of the table. `ratio` is ours / peer's unless given."""
    if ratio is None and peer:
        ratio = ours / peer
    return {"what": what, "ours": ours, "peer": peer, "unit": unit, "ratio": ratio, "target": target, "met": met,
            "digits": digits}


def number(value, digits):
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if digits is None:
        digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def print_table(rows):
    head = ["what", "ours", "peer", "unit", "ratio", "target", "met"]
    lines = [[r["what"], number(r["ours"], r["digits"]), number(r["peer"], r["digits"]), r["unit"],
              "" if r["ratio"] is None else f"{r['ratio']:.2f}", r["target"] or "",
              "" if r["met"] is None else "yes" if r["met"] else "NO"] for r in rows]
    widths = [max(len(line[i]) for line in [head, *lines]) for i in range(len(head))]
    right = {1, 2, 4}
    for line in [head, ["-" * w for w in widths], *lines]:
        print("  ".join(cell.rjust(w) if i in right else cell.ljust(w)
                        for i, (cell, w) in enumerate(zip(line, widths))).rstrip())
