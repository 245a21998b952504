"""Search in one tenant's vectors: time, beside a plain scan of floats, and whether nothing is lost."""
from rig import program, quiet_machine, row


def run():
    with quiet_machine():
        sizes = program("retrieval")
    rows = []
    for size in sizes:
        chunks = size["chunks"]
        bounded = chunks == 20_000
        rows.append(row(f"retrieval, {chunks:,} chunks: p50 (peer: float scan)", size["p50_ms"], size["float_scan_p50_ms"],
                        "ms", digits=3))
        rows.append(row(f"retrieval, {chunks:,} chunks: p99", size["p99_ms"], size["float_scan_p99_ms"], "ms",
                        "< 2 ms" if bounded else None, size["p99_ms"] < 2 if bounded else None, digits=3))
    rows.append(row("retrieval: best 32 found of the float scan's", min(size["recall"] for size in sizes), unit="share",
                    target="1 (exact)", met=all(size["recall"] > 0.9999 for size in sizes), digits=4))
    return rows
