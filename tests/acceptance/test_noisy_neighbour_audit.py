"""One tenant's noise is its own: attacks by one member, and what a neighbour notices of them."""
import http.client
import ssl
import threading

from conftest import eventually, start_small
from test_audit import records

REFUSALS = 400  # by each of four connections


class Wire:
    """One kept connection, so that a flood costs the sender little."""

    def __init__(self, person):
        context = ssl.create_default_context(cafile=person.stack.ca_file)
        self.connection = http.client.HTTPSConnection("127.0.0.1", person.stack.port, context=context, timeout=60)
        self.headers = {"Authorization": f"Bearer {person.key}"}

    def get(self, path):
        self.connection.request("GET", path, headers=self.headers)
        answer = self.connection.getresponse()
        return answer.status, answer.read()


def flood(person, path, times, connections=4):
    """Statuses of `times` requests on each connection, while the neighbour's are sent by the caller."""
    statuses = []

    def send():
        wire = Wire(person)
        statuses.extend([wire.get(path)[0] for _ in range(times)])

    threads = [threading.Thread(target=send) for _ in range(connections)]
    for thread in threads:
        thread.start()
    return threads, statuses


def refusals(stack, reason):
    """(records of their own, how many counted records stand for)"""
    mine = [r for r in records(stack.audit_dir) if r.get("reason") == reason and r.get("tenant") == "alpha"]
    return (sum(r["event"] == "request_refused" for r in mine),
            sum(r["count"] for r in mine if r["event"] == "refusals_counted"))


def refused_all_along(stack, tenants):
    """A member asks for what it may not have, again and again, and a neighbour for what it may."""
    wire = Wire(tenants["beta"].member)
    threads, statuses = flood(tenants["alpha"].member, "/v1/bulkhead/audit", REFUSALS)
    neighbour = []
    while any(thread.is_alive() for thread in threads):
        neighbour.append(wire.get("/v1/models")[0])
    assert set(neighbour) == {200} and set(statuses) == {403}


def test_a_members_refusals_fill_no_log_and_slow_nobody(new_stack):
    """1,600 refusals are one record and a count; each is accounted for when the gateway has stopped."""
    stack = new_stack(extra="[audit]\nrefusal_window = 3600\n")
    tenants = start_small(stack)
    refused_all_along(stack, tenants)
    assert refusals(stack, "forbidden") == (1, 0)
    stack.stop_process("gateway")
    assert refusals(stack, "forbidden") == (1, 4 * REFUSALS - 1), "nothing is lost at a stop"


def test_a_window_ends_by_itself(new_stack):
    stack = new_stack(extra="[audit]\nrefusal_window = 1\n")
    tenants = start_small(stack)
    threads, _ = flood(tenants["alpha"].member, "/v1/bulkhead/audit", 50)
    for thread in threads:
        thread.join()
    eventually(lambda: sum(refusals(stack, "forbidden")) == 200, "all refusals are on record")
    assert refusals(stack, "forbidden")[0] < 20


def test_control_without_counting_each_refusal_is_a_record(new_stack):
    stack = new_stack(extra="[audit]\nrefusal_window = 0\n")
    tenants = start_small(stack)
    refused_all_along(stack, tenants)
    eventually(lambda: refusals(stack, "forbidden") == (4 * REFUSALS, 0), "each has its record")


def test_refusals_draw_from_the_limits(new_stack):
    """Limits come first: who is refused all the time reaches its limit as everybody does."""
    stack = new_stack()
    tenants = start_small(stack)
    file = stack.folder / "tight.json"
    file.write_text('{"limits": {"requests_per_minute": 20, "user_requests_per_minute": 20}}')
    stack.operator_cli("tenant", "policy", "alpha", "--policy", file)
    threads, statuses = flood(tenants["alpha"].member, "/v1/bulkhead/audit", 50, connections=1)
    threads[0].join()
    assert {403, 429} == set(statuses), statuses


def test_a_tenants_share_of_the_log_is_its_own(new_stack):
    """Who has used its share is told so; neighbour and operator go on, and so do records about the tenant."""
    stack = new_stack(extra="[audit]\ntenant_bytes_per_hour = 65536\n")
    tenants = start_small(stack)
    wire = Wire(tenants["alpha"].member)
    answers = (wire.get("/v1/models") for _ in range(1000))
    status, body = next(answer for answer in answers if answer[0] != 200)
    assert status == 429 and b"audit_share_used" in body
    assert tenants["beta"].member.call("GET", "/v1/models").status == 200
    assert stack.call("POST", "/admin/tenants/alpha/suspend", stack.operator_key, {}).status == 200
    assert any(r["event"] == "tenant_suspended" for r in records(stack.audit_dir))
