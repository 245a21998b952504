"""Many tenants in one gateway: memory, and the first request to a tenant nobody has asked for since the start."""
import os
import time
from concurrent.futures import ThreadPoolExecutor

from rig import ANY_ENGINE, NO_LIMITS, Gateway, quiet_machine, row, section, start_upstream

TENANTS = int(os.environ.get("BENCH_TENANTS", "1000"))
ASKED = min(TENANTS, 1000)  # of them have an API key and are asked something
RESIDENT_MAX = 200 if TENANTS <= 1000 else 500  # MiB
MAKERS = 4


def name_of(number):
    return f"tenant-{number:06d}"


def make_tenants(gateway, count):
    """Tenants, through the API; the first ones with an API key each. Returns the keys."""
    policy = {"retrieval": "off", "limits": NO_LIMITS, "engine": ANY_ENGINE}

    def make(number):
        made = gateway.call("POST", "/admin/tenants", gateway.operator_key, {"id": name_of(number), "policy": policy})
        assert made.status == 200, made.body
        if number >= ASKED:
            return None
        boss = next(c for c in gateway.clients if c["tenant"] == name_of(number))
        key = gateway.call("POST", "/v1/bulkhead/api_keys", gateway.token(boss), {"name": "bench", "user": "boss",
                                                                                 "roles": ["tenant-admin"]})
        assert key.status == 200, key.body
        return key.json()["key"]
    with ThreadPoolExecutor(MAKERS) as pool:
        return [key for key in pool.map(make, range(count)) if key]


def first_requests(gateway, upstream, keys):
    """Milliseconds of each tenant's first chat, with its own API key: opens its key, its database, its records. The
    client's own time (measured on a second, warm request) is not the gateway's."""
    cold, warm = [], []
    for key in keys:
        for times in (cold, warm):
            began = time.perf_counter()
            answer = gateway.chat(key, "Where is the parcel?")
            times.append((time.perf_counter() - began) * 1000)
            assert answer.status == 200, answer.body
    return sorted(cold), sorted(warm)


def share(values, part):
    return values[int(part * (len(values) - 1))]


def run():
    with section() as (folder, children):
        upstream = start_upstream(children)
        gateway = Gateway(folder / "gateway", upstream, threads=2, core=None)
        for number in range(ASKED):
            gateway.add_client(name_of(number), "boss", ["tenant-admin"])
        try:
            gateway.start()
            keys = make_tenants(gateway, TENANTS)
            gateway.stop_process("gateway")
            gateway.start_gateway()
            idle = gateway.resident_mib()
            with quiet_machine():
                cold, warm = first_requests(gateway, upstream, keys)
            used = gateway.resident_mib()
        finally:
            gateway.stop()
    return [
        row(f"{TENANTS:,} tenants: resident after the start", idle, unit="MiB", target=f"< {RESIDENT_MAX} MiB",
            met=idle < RESIDENT_MAX),
        row(f"{TENANTS:,} tenants: resident after requests to {ASKED:,} of them", used, unit="MiB",
            target=f"< {RESIDENT_MAX} MiB", met=used < RESIDENT_MAX),
        row("first request to a cold tenant: p50 (peer: its second)", share(cold, .5), share(warm, .5), "ms"),
        row("first request to a cold tenant: p99", share(cold, .99), share(warm, .99), "ms", "< 50 ms",
            share(cold, .99) < 50),
    ]
