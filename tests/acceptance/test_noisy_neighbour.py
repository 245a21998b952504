"""One tenant does its worst, and its neighbour is served all the while. One attack of each kind, each with the
control that it is one."""
import json
import os
import signal

import pytest
from conftest import SMALL_USERS, add_document, add_tenant, eventually
from noise import Attack, attacks_meanwhile, metric

# More than the threads that all tenants' databases had together when they were one queue's.
MANY = 24
REQUESTS = 20


@pytest.fixture(scope="module")
def noisy(new_stack, server, password_file):
    """Two tenants in a PostgreSQL server that the tests stop, and two embedded ones."""
    section = "[[store]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in {
        "name": "pg", "kind": "postgres", "layout": "schema", "host": str(server.folder),
        "admin_password_file": str(password_file), "sslmode": "disable"}.items())
    stack = new_stack(extra=section)
    places = {"alpha": ["--store", "pg"], "beta": ["--store", "pg"], "loud": [], "quiet": []}
    for name in places:
        for user, roles, groups in SMALL_USERS:
            stack.add_client(name, user, roles, groups)
    stack.start()
    return stack, {name: add_tenant(stack, name, SMALL_USERS, options=options) for name, options in places.items()}


def listed(person):
    answer = person.call("GET", "/v1/files")
    assert answer.status == 200, answer.body
    return answer


def processes_of(server):
    """The server and what it started."""
    children = [int(pid) for pid in os.popen(f"ps -o pid= --ppid {server.process.pid}").read().split()]
    return [server.process.pid, *children]


def test_a_hung_store_holds_up_its_own_tenants_only(noisy, server):
    stack, tenants = noisy
    for tenant in tenants.values():
        listed(tenant.member)
    stopped = processes_of(server)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        people = [tenants["alpha"].member, tenants["beta"].member]
        with Attack(lambda n: people[n % 2].call("GET", "/v1/files").status, MANY) as attack:
            eventually(lambda: metric(stack, "bulkhead_blocking_running") >= 4 and
                       metric(stack, "bulkhead_blocking_waiting") >= MANY / 2, "the hung store's tenants wait")
            assert attacks_meanwhile(attack, lambda _: listed(tenants["quiet"].member), REQUESTS) == 0, \
                "control: nobody in the hung store is served"
            # A credential that was not seen before is looked up elsewhere too.
            fresh = tenants["quiet"].admin.call("POST", "/v1/bulkhead/api_keys",
                                                {"name": "new", "user": "mia", "roles": ["member"], "groups": []})
            assert fresh.status == 200, fresh.body
            assert stack.call("GET", "/v1/files", fresh.json()["key"]).status == 200
            assert stack.call("GET", "/admin/tenants", stack.operator_key).status == 200
            assert not attack.ended
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
            eventually(lambda: 200 in attack.ended, "the store answers again", 90)
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    listed(tenants["alpha"].member)


def test_large_listings_leave_the_neighbour_its_turn(noisy):
    """Files with the longest access lists there may be, in several vector stores: to list those means to look at
    every list."""
    stack, tenants = noisy
    loud, quiet = tenants["loud"], tenants["quiet"]
    fat = {kind: [f"{kind}-{n:03}-" + "x" * 60 for n in range(256)] for kind in ("users", "groups", "roles")}
    source = stack.folder / "fat.txt"
    files = []
    for number in range(40):
        source.write_text(f"Number {number}.")
        made = stack.upload(loud.admin.key, source, fat)
        assert made.status == 200, made.body
        files.append(made.json()["id"])
    for number in range(10):
        made = loud.admin.call("POST", "/v1/vector_stores", {"name": f"fat {number}", "file_ids": files})
        assert made.status == 200, made.body
    add_document(quiet.member, "small.txt", "Something small.")
    eventually(lambda: all(store["status"] == "completed" for store in
                           loud.admin.call("GET", "/v1/vector_stores").json()["data"]), "all is indexed", 300)

    def list_all(_):
        return loud.member.call("GET", "/v1/vector_stores?limit=100").status

    with Attack(list_all, MANY) as attack:
        eventually(lambda: metric(stack, "bulkhead_blocking_waiting") > 0, "the listings want more than there is")
        ended = attacks_meanwhile(attack, lambda _: listed(quiet.member), REQUESTS)
    # In one queue with them each request of the neighbour's would wait for most of those before it.
    assert ended <= REQUESTS * 2, f"{ended} listings ended while {REQUESTS} requests were served"
    assert set(attack.ended) == {200}
