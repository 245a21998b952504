"""The database goes away in the middle of work: it crashes and recovers, or its standby takes over. Afterwards every
acknowledged record is there, no deleted one is, one place answers, and what was under way ends or can be begun again."""
import json
import os
import random
import signal
import threading

import pytest
from conftest import add_document, eventually
from postgres import Postgres
from test_backup import FAULT_RUNS, Place, backup_section
from test_migrate import everything_is_there, migrate, show, start_tenants
from test_stores import store_sections
from traffic import Traffic, steps


class Worked:
    """A deployment whose tenant alpha is in the database, and beta beside it in the embedded store."""

    def __init__(self, stack, place):
        self.stack, self.place = stack, place
        tenants = start_tenants(stack, ("alpha", "beta"))
        self.alpha, self.beta = tenants["alpha"], tenants["beta"]
        migrate(stack, "alpha", "hybrid", "schema")

    def under_way(self, kind, number):
        """Begins a piece of work; returns what waits for its end and looks at it, once the database is back."""
        stack, alpha = self.stack, self.alpha
        if kind == "ingest":
            return lambda: None  # the traffic attaches files, and all of them are waited for below
        if kind == "migrate":
            layouts = [("pooled", "row-level-security"), ("hybrid", "database"), ("hybrid", "schema"), ("hybrid", "embedded")]
            mode, store = layouts[number % len(layouts)]
            now = show(stack, "alpha")["policy"]["store"] or "embedded"
            if store == now:
                mode, store = layouts[(number + 1) % len(layouts)]
            migrate(stack, "alpha", mode, store, "--no-wait")
            return lambda: self.moved(mode, store)
        if kind == "backup":
            return self.beside(lambda: self.place.backup("alpha", f"under-{number}.bhk", check=False),
                               lambda: self.backed_up(number))
        if kind == "rotate":
            before = show(stack, "alpha")["keys"]["key_number"]
            return self.beside(lambda: stack.operator_cli("keys", "rotate", "--tenant", "alpha", "--no-wait", check=False),
                               lambda: self.rotated(before))
        assert kind == "erase"
        file, _ = add_document(alpha.admin, f"erased-{number}.txt", f"To be shredded: quixotic {number}.")
        return self.beside(lambda: self.try_to_erase(file), lambda: self.erased(file))

    @staticmethod
    def beside(work, then):
        thread = threading.Thread(target=work)
        thread.start()

        def ended():
            thread.join(120)
            assert not thread.is_alive(), "it hangs"
            then()
        return ended

    def moved(self, mode, store):
        eventually(lambda: "move" not in show(self.stack, "alpha"), "the move goes on by itself", 60)
        shown = show(self.stack, "alpha")
        assert (shown["mode"], shown["policy"]["store"] or "embedded") == (mode, store)
        assert (self.stack.data_dir / "tenants" / "alpha" / "store.db").exists() == (store == "embedded")

    def backed_up(self, number):
        name = f"under-{number}.bhk"
        assert not list(self.place.archives.glob(".*")), "nothing half is left"
        if (self.place.archives / name).exists():
            assert self.place.verify(name).returncode == 0, "what has its name is whole"
        self.place.backup("alpha", f"after-{number}.bhk")
        assert self.place.verify(f"after-{number}.bhk").returncode == 0

    def rotated(self, before):
        eventually(lambda: show(self.stack, "alpha")["keys"]["rotation"] == "none", "the rotation ends by itself", 90)
        assert show(self.stack, "alpha")["keys"]["key_number"] in (before, before + 1)

    def try_to_erase(self, file):
        return self.alpha.admin.call("POST", "/v1/bulkhead/erasures", {"file": file})

    def certified(self, file):
        listed = self.alpha.admin.call("GET", "/v1/bulkhead/erasures").json()["data"]
        return any(json.loads(each["certificate"])["subject"] == file for each in listed)

    def erased(self, file):
        """With a certificate the file is gone; without, the order is given again."""
        def done():
            return self.certified(file) or self.try_to_erase(file).status == 200
        eventually(done, "it is shredded", 60)
        assert self.alpha.admin.call("GET", f"/v1/files/{file}/content").status == 404

    def interrupted(self, kind, number, chosen, interrupt):
        with Traffic(self.alpha, threads=2) as traffic:
            eventually(lambda: len(traffic.kept) > 2, "writing goes on")
            ended = self.under_way(kind, number)
            steps(lambda: self.beta.member.call("GET", "/v1/files"), 60, chosen)
            traffic.outage_is_fine = True
            interrupt()
            eventually(lambda: self.alpha.member.call("GET", "/v1/files").status == 200, "files are listed again", 60)
            ended()
        traffic.check()
        self.stack.wait_indexed(self.alpha.member.key, self.alpha.store)
        everything_is_there(self.alpha)
        everything_is_there(self.beta)
        for file in list(traffic.kept):
            assert self.alpha.member.call("DELETE", f"/v1/files/{file}").status == 200


@pytest.fixture(scope="module")
def worked(new_stack, server, password_file, tmp_path_factory):
    section, archives, key = backup_section(tmp_path_factory.mktemp("backups"))
    stack = new_stack(extra=store_sections(server, password_file) + section)
    return Worked(stack, Place(stack, archives, key))


@pytest.mark.parametrize("kind", ["ingest", "rotate", "backup", "erase", "migrate"])
def test_a_crash_of_the_database_in_the_middle(worked, server, kind):
    chosen = random.Random(f"{os.environ.get('FAULT_SEED', '17')} {kind}")

    def crash():
        server.crash()
        elsewhere = lambda: worked.beta.member.call("GET", "/v1/files")
        assert elsewhere().status == 200, "who is elsewhere goes on"
        steps(elsewhere, 50, chosen)
        server.start()
        eventually(server.ready, "the database is back")

    for number in range(FAULT_RUNS):
        worked.interrupted(kind, number, chosen, crash)
    assert worked.stack.cli("audit", "verify", "--dir", worked.stack.audit_dir, config=False, check=False).returncode == 0


def test_the_standby_takes_over(new_stack, password_file, tmp_path_factory):
    """A standby that every commit waits for is promoted while the tenant is written to and its keys are renewed."""
    first = Postgres(settings=("fsync=off",))
    second = None
    try:
        eventually(first.ready, "the database is there")
        second = Postgres(settings=("fsync=off",), standby_of=first)
        eventually(second.ready, "its standby is there")
        first.stop()
        first.settings += ("synchronous_standby_names=*",)
        first.start()
        eventually(lambda: first.ready() and first.sql("SELECT sync_state FROM pg_stat_replication").strip() == "sync",
                   "the standby follows")
        section, archives, key = backup_section(tmp_path_factory.mktemp("backups"))
        stack = new_stack(extra=store_sections(first, password_file, host=f"{first.folder},{second.folder}") + section)
        worked = Worked(stack, Place(stack, archives, key))
        served = second.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'bulkhead'")
        assert second.sql("SELECT pg_is_in_recovery()").strip() == "t" and int(served) == 0, "control: nobody asks the standby"

        def fail_over():
            first.stop(signal.SIGQUIT)
            second.sql("SELECT pg_promote()")

        worked.interrupted("rotate", 0, random.Random(3), fail_over)
        assert second.sql("SELECT pg_is_in_recovery()").strip() == "f"
        served = second.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'bulkhead'")
        assert int(served) > 0, "the gateway's connections are at the new primary"
    finally:
        for each in (second, first):
            if each:
                each.remove()
