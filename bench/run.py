"""`make bench`: every figure beside its peer's from the same run, as one table. bench/README.md explains."""
import argparse
import importlib
import json
import sys
import time

from rig import print_table

SECTIONS = ("gateway", "tokens", "retrieval", "shared_index", "tenant_store", "ingest", "indexing_neighbour", "tenants", "engine")


def main():
    parser = argparse.ArgumentParser(prog="bench/run.sh", description=__doc__)
    parser.add_argument("section", nargs="*", choices=[*SECTIONS, []], help="only these (default: all)")
    parser.add_argument("--json", metavar="FILE", help="write the figures there as well")
    options = parser.parse_args()
    rows = []
    for name in options.section or SECTIONS:
        began = time.monotonic()
        print(f"measuring: {name}", file=sys.stderr, flush=True)
        rows += importlib.import_module(f"section_{name}").run()
        print(f"  took {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    print_table(rows)
    if options.json:
        with open(options.json, "w") as file:
            json.dump(rows, file, indent=1)


main()
