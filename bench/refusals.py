"""What one member's refusals cost: bytes of audit log for each, and a neighbour's p50 and p99 beside the flood as
ratios to those without it. Uses the programs in build/, or in BULKHEAD_PROGRAMS for another build.

    build/venv/bin/python bench/refusals.py [SECONDS]
"""
import http.client
import json
import ssl
import sys
import tempfile
import threading
import time

from rig import CHAT_MODEL, NO_LIMITS, Stack

CONNECTIONS = 4
REQUESTS = 400  # of the neighbour, each time
SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else 8


class Wire:
    """One kept connection."""

    def __init__(self, stack, key):
        context = ssl.create_default_context(cafile=stack.ca_file)
        self.connection = http.client.HTTPSConnection("127.0.0.1", stack.port, context=context, timeout=60)
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
    wire, taken = Wire(stack, key), []
    for _ in range(REQUESTS):
        began = time.perf_counter()
        assert wire.get("/v1/models") == 200
        taken.append((time.perf_counter() - began) * 1000)
    taken.sort()
    return taken[len(taken) // 2], taken[len(taken) * 99 // 100]


def main():
    with tempfile.TemporaryDirectory() as folder:
        stack, keys = start(folder)
        size = lambda: sum(len(line) for path in stack.audit_dir.glob("*.jsonl") for line in path.read_bytes().splitlines()
                           if b'"tenant":"alpha"' in line)
        stopping, counts = threading.Event(), [0] * CONNECTIONS

        def flood(number):
            wire = Wire(stack, keys["alpha"])
            while not stopping.is_set():
                assert wire.get("/v1/bulkhead/audit") in (403, 503)
                counts[number] += 1

        try:
            latencies(stack, keys["beta"])  # warm
            alone, before, began = latencies(stack, keys["beta"]), size(), time.monotonic()
            threads = [threading.Thread(target=flood, args=(number,)) for number in range(CONNECTIONS)]
            for thread in threads:
                thread.start()
            beside = latencies(stack, keys["beta"])
            stopping.wait(max(0, SECONDS - (time.monotonic() - began)))
            stopping.set()
            for thread in threads:
                thread.join()
            seconds, grown = time.monotonic() - began, size() - before
            print(json.dumps({"refusals_per_second": sum(counts) / seconds, "log_bytes_per_second": grown / seconds,
                              "log_bytes_per_refusal": grown / sum(counts), "p50_ratio": beside[0] / alone[0],
                              "p99_ratio": beside[1] / alone[1]}))
        finally:
            stack.stop()


if __name__ == "__main__":
    main()
