"""Attacks on the edge of the gateway, and how another tenant's requests fare beside them. One test an attack.

Judged by outcomes: every request of the neighbour's is answered within ten seconds, which a frozen reactor or a full
machine would not let happen.
"""
import os
import threading

import pytest
from conftest import eventually, start_small
from edge import connect, forget_peak, form, get, head, memory
from issuer import Issuer, b64

MEBI = 1 << 20
REQUESTS = 40


@pytest.fixture(scope="module")
def hostile():
    running = Issuer()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def both(new_stack, hostile):
    """The attacker's tenant with an identity provider of its own, and the neighbour."""
    stack = new_stack(extra=hostile.config_section(tenants=["alpha"]))
    return stack, start_small(stack)


class Attack:
    """Runs `step` over and over in threads while the block runs."""

    def __init__(self, step, threads):
        self.step, self.over = step, threading.Event()
        self.steps = 0
        self.threads = [threading.Thread(target=self.work) for _ in range(threads)]

    def work(self):
        while not self.over.is_set():
            try:
                self.step(self.over)
            except OSError:
                pass  # refused, as it should be
            self.steps += 1

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()


def neighbours_answers(member):
    """Each on a connection of its own, so that every reactor gets some."""
    return [get(member.stack, "/v1/models", member.key) for _ in range(REQUESTS)]


def test_a_flood_of_bodies_without_a_valid_token(both):
    stack, tenants = both
    pid = stack.pids()["gateway"]
    before = memory(pid)
    forget_peak(pid)

    def push(over):
        with connect(stack, source="127.0.0.66") as connection:
            connection.sendall(head("POST", "/v1/files", "e30.e30.e30", 60 * MEBI, form(b"")[0]))
            for _ in range(60):
                if over.is_set():
                    return
                connection.sendall(b"x" * MEBI)

    with Attack(push, 16) as attack:
        assert neighbours_answers(tenants["beta"].member) == [200] * REQUESTS
        eventually(lambda: attack.steps >= 16, "the attack gets through its first round", 120)
    assert memory(pid, "VmHWM") - before < 64


def test_an_identity_provider_with_large_keys(both, hostile):
    """A hundred keys of 8192 bits: reading them took most of a second each, on the reactor."""
    stack, tenants = both
    hostile.other_keys = [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": f"large-{i}", "e": "AQAB",
                           "n": b64(b"\xff" + os.urandom(1022) + b"\x01")} for i in range(100)]
    claims = dict(tenant="alpha", sub="mia", roles=["member"])

    def ask(over):
        get(stack, "/v1/models", hostile.token(jti=os.urandom(8).hex(), **claims), timeout=60)

    with Attack(ask, 2) as attack:
        assert neighbours_answers(tenants["beta"].member) == [200] * REQUESTS
        eventually(lambda: attack.steps >= 2, "the set was read", 60)
    assert stack.call("GET", "/v1/models", hostile.token(**claims)).status == 200, "control: its tokens are taken"
