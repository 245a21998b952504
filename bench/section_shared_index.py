"""Search in a tenant's own index beside one pgvector index over all tenants, filtered by tenant."""
import os
import sys
import time

from rig import ROOT, program, quiet_machine, row

sys.path.insert(0, str(ROOT / "tests/acceptance"))
from postgres import Postgres  # noqa: E402

TENANTS = int(os.environ.get("BENCH_INDEX_TENANTS", "20"))
CHUNKS = int(os.environ.get("BENCH_INDEX_CHUNKS", "2500"))  # of each
QUESTIONS = 1000
# All of it fits in memory, and nothing is written while it is measured.
SETTINGS = ("fsync=off", "shared_buffers=1GB", "maintenance_work_mem=1GB", "max_parallel_maintenance_workers=1",
            "dynamic_shared_memory_type=mmap")


def run():
    server = Postgres(SETTINGS)
    try:
        while not server.ready():
            time.sleep(0.1)
        where = f"host={server.folder} user=postgres password={server.PASSWORD} dbname=bulkhead"
        server.run("psql", where, "-qc", "CREATE EXTENSION vector", env={"LD_LIBRARY_PATH": ""})
        server.with_pgvector("searching", "bulkhead")
        password = server.folder / "admin-password"
        password.touch(mode=0o600)
        password.write_text(server.PASSWORD)
        with quiet_machine():
            seen = program("shared_index", where, TENANTS, CHUNKS, QUESTIONS, server.folder, password)
    finally:
        server.remove()
    what = f"own index of {CHUNKS:,} chunks (peer: one pgvector index over {TENANTS} tenants, filtered)"
    times = seen["shared_p99_ms"] / seen["p99_ms"]
    return [
        row(f"{what}: p50", seen["p50_ms"], seen["shared_p50_ms"], "ms", digits=3),
        row(f"{what}: p99", seen["p99_ms"], seen["shared_p99_ms"], "ms", "<= 0.1 x", times >= 10, digits=3),
        row(f"{what}: best 10 found", seen["recall"], seen["shared_recall"], "share", ">= 0.99", seen["recall"] >= 0.99,
            digits=4),
        row('store with vectors = "pgvector", compared one by one: p99', seen["compared_p99_ms"], seen["shared_p99_ms"],
            "ms", digits=3),
        row("compared one by one: best 10 found", seen["compared_recall"], seen["shared_recall"], "share", ">= 0.99",
            seen["compared_recall"] >= 0.99, digits=4),
        row('store with vectors = "pgvector", by its index: p99', seen["indexed_p99_ms"], seen["shared_p99_ms"], "ms",
            digits=3),
        row("by its index: best 10 found", seen["indexed_recall"], seen["shared_recall"], "share", digits=4),
    ]
