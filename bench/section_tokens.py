"""Verified tokens: what the cache saves, and its bound."""
from rig import program, quiet_machine, row


def run():
    with quiet_machine():
        figures = program("token_cache")
    rows = []
    for algorithm in ("RS256", "ES256", "EdDSA"):
        cost = figures[algorithm]
        rows.append(row(f"token {algorithm}: in the cache (peer: verified anew)", cost["hit_us"], cost["miss_us"], "us",
                        digits=2))
    bounded = figures["entries"] <= figures["entries_max"] * 1.05
    rows.append(row(f"token cache: entries after {figures['flood_tokens']} tokens", figures["entries"], unit="entries",
                    target=f"~{figures['entries_max']}", met=bounded, digits=0))
    return rows
