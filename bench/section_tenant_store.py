"""What the operations of one tenant's embedded store take."""
from rig import program, quiet_machine, row


def run():
    with quiet_machine():
        figures = program("tenant_store")
    return [row(f"tenant store, {figure['what']}: {share}", figure[f"{share}_ms"], None, "ms", digits=3)
            for figure in figures for share in ("p50", "p99")]
