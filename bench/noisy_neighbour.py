"""How another tenant's requests fare beside an attack: p50 and p99 as ratios to its own time alone.

    build/venv/bin/python bench/noisy_neighbour.py [attack...]
    BULKHEAD_PROGRAMS=/path/to/other/build build/venv/bin/python bench/noisy_neighbour.py bodies keys

One function an attack: it gets the running stack and an event that ends it, and works in threads of its own. The
neighbour asks for its list of models on connections of its own, one after the other, so what is measured is the
gateway's edge and its reactors; give `neighbour` another request where an attack aims elsewhere. Attacker and neighbour
share the machine's cores: the ratio holds the attacker's own work too, so state the number of cores beside it.
"""
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "demo"))
sys.path.insert(0, str(ROOT / "tests" / "acceptance"))
from conftest import CHAT_MODEL, start_small  # noqa: E402
from edge import connect, form, get, head, memory  # noqa: E402
from issuer import Issuer, b64  # noqa: E402
from stack import Stack  # noqa: E402

SECONDS = 15
TIMEOUT = 30


class Scene:
    def __init__(self, folder):
        self.issuer = Issuer()
        self.stack = Stack(folder, CHAT_MODEL, extra=self.issuer.config_section(tenants=["alpha"]))
        self.tenants = start_small(self.stack)

    def neighbour(self):
        return get(self.stack, "/v1/models", self.tenants["beta"].member.key, TIMEOUT) == 200


def bodies(scene, over):
    """Sixteen connections with a token that is not valid push bodies of 60 MiB."""
    def push():
        while not over.is_set():
            try:
                with connect(scene.stack, source="127.0.0.66") as connection:
                    connection.sendall(head("POST", "/v1/files", "e30.e30.e30", 60 << 20, form(b"")[0]))
                    for _ in range(60):
                        if over.is_set():
                            break
                        connection.sendall(b"x" * (1 << 20))
            except OSError:
                pass
    return [push] * 16


def keys(scene, over):
    """An identity provider with a hundred keys of 8192 bits, asked for by tokens that name unknown ones."""
    scene.issuer.other_keys = [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": f"large-{i}", "e": "AQAB",
                                "n": b64(b"\xff" + os.urandom(1022) + b"\x01")} for i in range(60)]

    def ask():
        while not over.is_set():
            try:
                token = scene.issuer.key.sign(scene.issuer.header(kid=os.urandom(4).hex()),
                                              scene.issuer.claims(tenant="alpha", jti=os.urandom(8).hex()))
                get(scene.stack, "/v1/models", token, TIMEOUT)
            except OSError:
                pass
    return [ask] * 4


ATTACKS = {"bodies": bodies, "keys": keys}


def measure(request, seconds):
    """(times of the answered, how many were not)"""
    times, failed = [], 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        try:
            good = request()
        except OSError:
            good = False
        times.append(time.monotonic() - began)
        failed += not good
    return times, failed


def quantile(times, share):
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def run(name):
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(folder)
        try:
            pid = scene.stack.pids()["gateway"]
            alone, _ = measure(scene.neighbour, SECONDS)
            before, peak = memory(pid), 0.0
            over = threading.Event()
            attackers = [threading.Thread(target=work, daemon=True) for work in ATTACKS[name](scene, over)]
            for attacker in attackers:
                attacker.start()
            beside, failed = measure(scene.neighbour, SECONDS)
            peak = memory(pid, "VmHWM")
            over.set()
            for attacker in attackers:
                attacker.join(TIMEOUT)
        finally:
            scene.stack.stop()
            scene.issuer.stop()
    ratio = lambda share: quantile(beside, share) / quantile(alone, share)
    print(f"{name}: p50 {ratio(0.5):.2f}x, p99 {ratio(0.99):.2f}x (alone {statistics.median(alone) * 1000:.1f} and "
          f"{quantile(alone, 0.99) * 1000:.1f} ms; {len(beside)} beside it, {failed} not answered), gateway from "
          f"{before:.0f} to at most {peak:.0f} MiB", flush=True)


if __name__ == "__main__":
    for chosen in sys.argv[1:] or ATTACKS:
        run(chosen)
