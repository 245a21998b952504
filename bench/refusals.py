"""What one member's refusals cost: bytes of audit log for each, and a neighbour's p50 and p99 beside the flood as
ratios to those without it. Uses the programs in build/, or in BULKHEAD_PROGRAMS for another build.

    build/venv/bin/python bench/refusals.py [SECONDS]
"""
import json
import sys
import tempfile
import time

from flood import Flood, Wire, quantiles
from rig import CHAT_MODEL, NO_LIMITS, Stack

REQUESTS = 3000  # of the neighbour, each time
SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else 8


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
        assert wire.send("GET", "/v1/models")[0] == 200
        taken.append((time.perf_counter() - began) * 1000)
    return quantiles(taken)


def main():
    with tempfile.TemporaryDirectory() as folder:
        stack, keys = start(folder)
        size = lambda: sum(len(line) for path in stack.audit_dir.glob("*.jsonl") for line in path.read_bytes().splitlines()
                           if b'"tenant":"alpha"' in line)
        try:
            latencies(stack, keys["beta"])  # warm
            alone, before, began = latencies(stack, keys["beta"]), size(), time.monotonic()
            with Flood(stack, keys["alpha"], "GET", "/v1/bulkhead/audit") as flood:
                beside = latencies(stack, keys["beta"])
                time.sleep(max(0, SECONDS - (time.monotonic() - began)))
            seconds, grown = time.monotonic() - began, size() - before
            print(json.dumps({"refusals_per_second": flood.sent / seconds, "log_bytes_per_second": grown / seconds,
                              "log_bytes_per_refusal": grown / flood.sent, "p50_ratio": beside[0] / alone[0],
                              "p99_ratio": beside[1] / alone[1], "alone_ms": alone}))
        finally:
            stack.stop()


if __name__ == "__main__":
    main()
