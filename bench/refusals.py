"""What one member's refusals cost: bytes of audit log for each, and a neighbour's p50 and p99 beside the flood as
ratios to those without it. Uses the programs in build/, or in BULKHEAD_PROGRAMS for another build.

    build/venv/bin/python bench/refusals.py [SECONDS]

The flood comes from a process of its own, so that the neighbour's client does not wait for its interpreter.
"""
import http.client
import json
import multiprocessing
import ssl
import sys
import tempfile
import threading
import time

from rig import CHAT_MODEL, NO_LIMITS, Stack

CONNECTIONS = 4
REQUESTS = 3000  # of the neighbour, each time
SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else 8


class Wire:
    """One kept connection."""

    def __init__(self, ca_file, port, key):
        context = ssl.create_default_context(cafile=ca_file)
        self.connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=60)
        self.headers = {"Authorization": f"Bearer {key}"}

    def get(self, path):
        self.connection.request("GET", path, headers=self.headers)
        answer = self.connection.getresponse()
        answer.read()
        return answer.status


def start(folder):
    """A gateway with two tenants, and the key of a member of each."""
    stack = Stack(folder, CHAT_MODEL)
    bosses = {name: stack.add_client(name, "boss", ["tenant-admin"]) for name in ("alpha", "beta")}
    stack.start()
    keys = {}
    for name, boss in bosses.items():
        stack.create_tenant(name, policy={"limits": NO_LIMITS})
        made = stack.call("POST", "/v1/bulkhead/api_keys", stack.token(boss), {"user": "mia", "roles": ["member"]})
        keys[name] = made.json()["key"]
    return stack, keys


def latencies(stack, key):
    """(p50, p99) in milliseconds."""
    wire, taken = Wire(stack.ca_file, stack.port, key), []
    for _ in range(REQUESTS):
        began = time.perf_counter()
        assert wire.get("/v1/models") == 200
        taken.append((time.perf_counter() - began) * 1000)
    taken.sort()
    return taken[len(taken) // 2], taken[len(taken) * 99 // 100]


def flood(ca_file, port, key, stopping, refused):
    """Requests over CONNECTIONS at once that are all refused, until told to stop."""
    def ask(number):
        wire = Wire(ca_file, port, key)
        while not stopping.is_set():
            assert wire.get("/v1/bulkhead/audit") in (403, 503)
            refused[number] += 1

    threads = [threading.Thread(target=ask, args=(number,), daemon=True) for number in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main():
    with tempfile.TemporaryDirectory() as folder:
        stack, keys = start(folder)
        size = lambda: sum(len(line) for path in stack.audit_dir.glob("*.jsonl") for line in path.read_bytes().splitlines()
                           if b'"tenant":"alpha"' in line)
        fork = multiprocessing.get_context("fork")
        stopping, counts = fork.Event(), fork.Array("q", CONNECTIONS)
        try:
            latencies(stack, keys["beta"])  # warm
            alone, before, began = latencies(stack, keys["beta"]), size(), time.monotonic()
            attacker = fork.Process(target=flood, args=(stack.ca_file, stack.port, keys["alpha"], stopping, counts))
            attacker.start()
            beside = latencies(stack, keys["beta"])
            stopping.wait(max(0, SECONDS - (time.monotonic() - began)))
            stopping.set()
            attacker.join()
            seconds, grown = time.monotonic() - began, size() - before
            print(json.dumps({"refusals_per_second": sum(counts) / seconds, "log_bytes_per_second": grown / seconds,
                              "log_bytes_per_refusal": grown / sum(counts), "p50_ratio": beside[0] / alone[0],
                              "p99_ratio": beside[1] / alone[1], "alone_ms": alone}))
        finally:
            stack.stop()


if __name__ == "__main__":
    main()
