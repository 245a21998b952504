"""A member who is refused again and again waits for the answers; nobody else does (AISVS C2.3, C4.5)."""
import select
import signal
import ssl
import threading
from http.client import HTTPSConnection

import pytest
from conftest import eventually, start_small
from edge import connect

AT_ONCE = 5
PACED = f"refusals_at_once_max = {AT_ONCE}\nrefusals_per_second = 1\nrefusal_wait_max = 60"


class Asker:
    """One kept connection that asks and does not wait for the answer."""

    def __init__(self, person, path="/v1/bulkhead/audit", key=None):
        self.connection = connect(person.stack)
        self.request = (f"GET {path} HTTP/1.1\r\nHost: x\r\n"
                        f"Authorization: Bearer {key or person.key}\r\n\r\n").encode()

    def ask(self):
        self.connection.sendall(self.request)

    def is_answered(self):
        return bool(self.connection.pending() or select.select([self.connection], [], [], 0)[0])

    def status(self):
        return int(self.connection.recv(65536).split()[1])


def paced(stack):
    """How many answers were made to wait since the gateway started."""
    text = stack.call("GET", "/metrics", stack.operator_key).body.decode()
    found = [line.split()[-1] for line in text.splitlines() if line.startswith("bulkhead_refusals_paced_total")]
    return int(float(found[0])) if found else 0


def get(person, path):
    context = ssl.create_default_context(cafile=person.stack.ca_file)
    wire = HTTPSConnection("127.0.0.1", person.stack.port, context=context, timeout=60)
    wire.request("GET", path, headers={"Authorization": f"Bearer {person.key}"})
    answer = wire.getresponse()
    answer.read()
    wire.close()
    return answer.status


@pytest.fixture
def waiting(new_stack):
    """A stack, its tenants, and eight connections of alpha's member whose refusals wait, the last for eight turns."""
    stack = new_stack(server=PACED)
    tenants = start_small(stack)
    member = tenants["alpha"].member
    for _ in range(AT_ONCE):
        asker = Asker(member)
        asker.ask()
        assert asker.status() == 403, "the first ones are answered at once"
    askers = [Asker(member) for _ in range(8)]
    for number, asker in enumerate(askers):
        asker.ask()
        eventually(lambda: paced(stack) == number + 1, "the answer waits")
    return stack, tenants, askers


def test_refusals_wait_for_their_turn_and_nothing_else_does(waiting):
    stack, tenants, askers = waiting
    last = askers[-1]
    assert not last.is_answered()
    # The same principal's good requests, its tenant's and a neighbour's go on meanwhile, on connections of their own.
    assert get(tenants["alpha"].member, "/v1/models") == 200
    assert get(tenants["alpha"].admin, "/v1/models") == 200
    for _ in range(20):
        assert get(tenants["beta"].member, "/v1/models") == 200
    assert not askers[-1].is_answered(), "its turn is seconds away: it was there before all of these"
    assert askers[0].status() == 403, "the answer comes when its turn does, and is the same"


def test_a_refusal_of_somebody_else_does_not_wait(waiting):
    stack, tenants, askers = waiting
    before = paced(stack)
    assert get(tenants["beta"].member, "/v1/bulkhead/audit") == 403
    assert paced(stack) == before and not askers[-1].is_answered()


def test_a_drain_and_a_client_that_leaves_end_the_wait(waiting):
    stack, _, askers = waiting
    askers[-2].connection.close()
    answered = threading.Event()
    reader = threading.Thread(target=lambda: askers[-1].status() == 403 and answered.set())
    reader.start()
    stack.processes["gateway"].send_signal(signal.SIGTERM)
    assert stack.processes.pop("gateway").wait(60) == 0
    reader.join()
    assert answered.is_set(), "what waits is answered at once"
    assert "drain_time_over" not in stack.logs["gateway"].read_text(errors="replace")


def test_invalid_credentials_of_an_address_wait_too(new_stack):
    stack = new_stack(server=PACED)
    tenants = start_small(stack, names=("alpha",))
    member = tenants["alpha"].member
    for _ in range(AT_ONCE):
        asker = Asker(member, key="bhk_not-a-key")
        asker.ask()
        assert asker.status() == 401
    asker = Asker(member, key="bhk_not-a-key")
    asker.ask()
    eventually(lambda: paced(stack) == 1, "the answer waits")
    assert get(member, "/v1/models") == 200, "a credential that is valid is answered from the same address"


def test_a_large_body_that_is_refused_counts_for_many(new_stack):
    """A prompt that can't fit is a 400, and reading it is work: whoever sends such ones waits as well."""
    stack = new_stack(server=PACED.replace("refusal_wait_max = 60", "refusal_wait_max = 1"))
    member = start_small(stack, names=("alpha",))["alpha"].member
    body = {"model": stack.options["chat"].stem, "messages": [{"role": "user", "content": "lamp " * 200_000}]}
    assert member.call("POST", "/v1/chat/completions", body).status == 400
    assert paced(stack) == 1
    assert member.call("POST", "/v1/chat/completions", {"model": "none"}).status in (400, 404)
    assert paced(stack) == 1, "control: a small one that is wrong"


def test_control_without_pacing_every_refusal_is_answered_at_once(new_stack):
    stack = new_stack()
    member = start_small(stack, names=("alpha",))["alpha"].member
    for _ in range(20 * AT_ONCE):
        asker = Asker(member)
        asker.ask()
        assert asker.status() == 403
    assert paced(stack) == 0
