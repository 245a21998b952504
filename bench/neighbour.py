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

CHECKOUT = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent).resolve()
sys.path[:0] = [str(CHECKOUT / "demo"), str(CHECKOUT / "tests/acceptance")]
from conftest import CHAT_MODEL, SMALL_USERS, add_tenant, eventually  # noqa: E402
from postgres import Postgres  # noqa: E402
from stack import Stack  # noqa: E402

ATTACKERS = 24
WARM_UP, ALONE, BESIDE = 50, 200, 100
BEGIN_SECONDS = 2
STOPPED_SECONDS_MAX = 120


def latencies(person, count):
    """(p50, p99) in milliseconds."""
    took = []
    for _ in range(count):
        began = time.monotonic()
        answer = person.call("GET", "/v1/files")
        took.append((time.monotonic() - began) * 1e3)
        assert answer.status == 200, answer.body
    took.sort()
    return took[len(took) // 2], took[min(len(took) - 1, len(took) * 99 // 100)]


def beside(act, measure):
    """What `measure` gives while ATTACKERS threads `act` without a pause, and how to wait for their end."""
    stop = threading.Event()

    def work():
        while not stop.is_set():
            act()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(ATTACKERS)]
    for thread in threads:
        thread.start()
    time.sleep(BEGIN_SECONDS)
    measured = measure()
    stop.set()
    return measured, lambda: [thread.join() for thread in threads]


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
    latencies(quiet, WARM_UP)
    found = {"alone": latencies(quiet, ALONE)}
    found["large listings"], wait = beside(lambda: loud.call("GET", "/v1/vector_stores?limit=100"),
                                           lambda: latencies(quiet, BESIDE))
    wait()
    pids = [server.process.pid, *map(int, os.popen(f"ps -o pid= --ppid {server.process.pid}").read().split())]
    signal_all = lambda number: [os.kill(pid, number) for pid in pids]
    signal_all(signal.SIGSTOP)
    # Also when every thread of the gateway waits for it.
    again = threading.Timer(STOPPED_SECONDS_MAX, signal_all, [signal.SIGCONT])
    again.start()
    found["hung store"], wait = beside(lambda: alpha.call("GET", "/v1/files"), lambda: latencies(quiet, BESIDE))
    again.cancel()
    signal_all(signal.SIGCONT)
    wait()
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
