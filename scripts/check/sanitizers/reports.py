"""reports.py PROGRAMS STACKS OUT: what ThreadSanitizer or AddressSanitizer reported of sandboxed processes.

Those can write no file and start no symbolizer, so that their reports are in the logs of their stacks (STACKS/**/*.log),
with bare addresses, where no suppression by name can fit. Here the addresses are named, known reports left out, and the
others written to OUT, one file a log.
"""
import re
import subprocess
import sys
from pathlib import Path

BEGIN = re.compile(r"WARNING: ThreadSanitizer|ERROR: AddressSanitizer|runtime error:")
FRAME = re.compile(r"\((bulkhead[a-z-]*)\+(0x[0-9a-f]+)\)")
# Each with its reason.
KNOWN = {
    # llama.cpp's common library asks libc for the local time; the lock around that is inside libc, which is not
    # instrumented.
    "format_time(": "libc's lock around the time zone can't be seen",
}


def named(text, programs):
    def name(found):
        done = subprocess.run(["llvm-symbolizer-19", "-e", programs / found[1], "--no-inlines", found[2]],
                              capture_output=True, text=True, check=True)
        function, place = (done.stdout.splitlines() + ["", ""])[:2]
        return f"{found[0]} {function} {place}"
    return FRAME.sub(name, text)


def reports(log):
    """The log from each report's first line to the line of signs that ends it."""
    lines = log.read_text(errors="replace").splitlines()
    at = 0
    while at < len(lines):
        if not BEGIN.search(lines[at]):
            at += 1
            continue
        end = at + 1
        while end < len(lines) and not lines[end].startswith("=====") and not BEGIN.search(lines[end]):
            end += 1
        yield "\n".join(lines[at:end])
        at = end


def main():
    programs, stacks, out = map(Path, sys.argv[1:])
    for log in sorted(stacks.rglob("*.log")):
        told = [named(report, programs) for report in reports(log)]
        left = [report for report in told if not any(known in report for known in KNOWN)]
        if len(told) > len(left):
            print(f"{log.parent.name}: {len(told) - len(left)} known report(s) left out")
        if left:
            (out / f"{log.parent.name}-{log.name}").write_text("\n\n".join(left) + "\n")


main()
