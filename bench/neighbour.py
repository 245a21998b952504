"""A neighbour's p50 and p99 beside attacks on blocking work, as ratios to the same neighbour alone, in one run.

    build/venv/bin/python bench/neighbour.py [CHECKOUT]

CHECKOUT (absent: this one) is whose programs are measured, so that two builds can be set side by side. The acts
of the attacks are those of tests/acceptance/test_noisy_neighbour.py.
"""
import json
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from flood import Flood, Wire, quantiles

CHECKOUT = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent).resolve()
sys.path[:0] = [str(CHECKOUT / "demo"), str(CHECKOUT / "tests/acceptance")]
from conftest import CHAT_MODEL, SMALL_USERS, add_tenant, eventually  # noqa: E402
from postgres import Postgres  # noqa: E402
from stack import Stack  # noqa: E402

ATTACKERS = 24
WARM_UP, ALONE, BESIDE = 100, 2000, 2000
BEGIN_SECONDS = 2
STOPPED_SECONDS_MAX = 120


def latencies(stack, person, count):
    """(p50, p99) in milliseconds."""
    wire, took = Wire(stack, person.key), []
    for _ in range(count):
        began = time.monotonic()
        status, body = wire.send("GET", "/v1/files")
        took.append((time.monotonic() - began) * 1e3)
        assert status == 200, body
    return quantiles(took)


def beside(stack, person, path, measure):
    """What `measure` gives while ATTACKERS connections of `person` ask for `path` without a pause."""
    with Flood(stack, person.key, "GET", path, connections=ATTACKERS) as flood:
        time.sleep(BEGIN_SECONDS)
        measured = measure()
        print(f"  {flood.sent} answers to the attackers so far", file=sys.stderr)
        return measured


def fat_listings(stack, loud):
    """40 files with the longest access lists, in 10 vector stores; to list those is to look at every list."""
    access = {kind: [f"{kind}-{n:03}-" + "x" * 60 for n in range(256)] for kind in ("users", "groups", "roles")}
    source = stack.folder / "fat.txt"
    files = []
    for number in range(40):
        source.write_text(f"Number {number}.")
        files.append(stack.upload(loud.admin.key, source, access).json()["id"])
    for number in range(10):
        loud.admin.call("POST", "/v1/vector_stores", {"name": str(number), "file_ids": files})
    eventually(lambda: all(store["status"] == "completed" for store in
                           loud.admin.call("GET", "/v1/vector_stores").json()["data"]), "all is indexed", 600)


def measure(stack, server, tenants):
    alpha, loud, quiet = tenants["alpha"].member, tenants["loud"].member, tenants["quiet"].member
    assert alpha.call("GET", "/v1/files").status == 200
    fat_listings(stack, tenants["loud"])
    latencies(stack, quiet, WARM_UP)
    found = {"alone": latencies(stack, quiet, ALONE)}
    found["large listings"] = beside(stack, loud, "/v1/vector_stores?limit=100",
                                     lambda: latencies(stack, quiet, BESIDE))
    pids = [server.process.pid, *map(int, os.popen(f"ps -o pid= --ppid {server.process.pid}").read().split())]
    signal_all = lambda number: [os.kill(pid, number) for pid in pids]
    signal_all(signal.SIGSTOP)
    # Also when every thread of the gateway waits for it.
    again = threading.Timer(STOPPED_SECONDS_MAX, signal_all, [signal.SIGCONT])
    again.start()
    found["hung store"] = beside(stack, alpha, "/v1/files", lambda: latencies(stack, quiet, BESIDE))
    again.cancel()
    signal_all(signal.SIGCONT)
    return found


def main():
    server = Postgres()
    with tempfile.TemporaryDirectory(prefix="bulkhead-neighbour-") as folder:
        eventually(server.ready, "PostgreSQL accepts connections")
        password = Path(folder) / "password"
        password.write_text(Postgres.PASSWORD + "\n")
        password.chmod(0o600)
        section = "[[store]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in {
            "name": "pg", "kind": "postgres", "layout": "schema", "host": str(server.folder),
            "admin_password_file": str(password), "sslmode": "disable"}.items())
        home = Path(folder) / "stack"
        home.mkdir()
        stack = Stack(home, CHAT_MODEL, extra=section)
        places = {"alpha": ["--store", "pg"], "loud": [], "quiet": []}
        for name in places:
            for user, roles, groups in SMALL_USERS:
                stack.add_client(name, user, roles, groups)
        try:
            stack.start()
            tenants = {name: add_tenant(stack, name, SMALL_USERS, options=place) for name, place in places.items()}
            found = measure(stack, server, tenants)
        finally:
            stack.stop()
            server.remove()
    for name, (p50, p99) in found.items():
        print(f"{name:16} p50 {p50:9.1f} ms  {p50 / found['alone'][0]:7.2f}x    "
              f"p99 {p99:9.1f} ms  {p99 / found['alone'][1]:7.2f}x")


if __name__ == "__main__":
    main()
