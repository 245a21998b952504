#!/usr/bin/env python3
"""Tests neither sleep nor measure time: an order of events, a count or a state decides.

    untimed_tests.py [ROOT]

Prints each line of a test that sleeps, subtracts two readings of a clock, or compares one with anything but a
`deadline` that only a failure reaches, and exits 1 if there is one.
"""
import re
import sys
from pathlib import Path

# The helpers that poll, and the experiment whose subject is time itself.
SLEEPERS = {"tests/unit/support/eventually.h", "tests/acceptance/conftest.py"}
CLOCKS = {"tests/unit/inference/timing_proof_test.cc"}

SLEEP = re.compile(r"\b(sleep_for|sleep_until|usleep|nanosleep|clock_nanosleep|wait_until)\s*\(|::sleep\s*\(|"
                   r"\b(time|asyncio)\.sleep\s*\(|\bfrom time import .*\bsleep\b|Event\(\)\.wait\s*\(")
NOW = r"(?:(?:[Cc]lock|steady_clock|system_clock|high_resolution_clock)::now\(\)|" \
      r"\btime\.(?:monotonic|perf_counter|process_time|time)(?:_ns)?\(\))"
MEASURED = re.compile(rf"{NOW}\s*-|-\s*(?:std::chrono::)?{NOW}|\btimeit\b")
COMPARED = re.compile(rf"{NOW}\s*(?:<=?|>=?)\s*(?!\s*deadline\b)|(?<!deadline)\s(?:<=?|>=?)\s*(?:std::chrono::)?{NOW}")
# A wait whose end without an event is what the test wants is a sleep.
WAITED = re.compile(r"wait_for\s*\((?!.*\(0\)).*future_status::timeout")


def code_of(line, suffix):
    """The line without its comment."""
    return re.sub(r"\s#.*$|^#.*$" if suffix == ".py" else r"//.*$", "", line)


def problems_of(name, text):
    suffix = Path(name).suffix
    for number, line in enumerate(text.splitlines(), 1):
        code = code_of(line, suffix)
        if SLEEP.search(code) and name not in SLEEPERS or WAITED.search(code):
            yield f"{name}:{number}: a test sleeps; wait for what it waits for (eventually): {line.strip()}"
        if name not in CLOCKS and (MEASURED.search(code) or COMPARED.search(code)):
            yield f"{name}:{number}: a test measures time; assert an order or a count: {line.strip()}"


def check(root):
    """(problems, number of files read)"""
    files = [path for folder in ("tests/acceptance", "tests/unit") for path in sorted((root / folder).rglob("*"))
             if path.suffix in (".py", ".cc", ".h")]
    problems = [problem for path in files
                for problem in problems_of(path.relative_to(root).as_posix(), path.read_text())]
    return problems, len(files)


def main():
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent.parent
    problems, files = check(root)
    for problem in problems:
        print(problem)
    if files == 0:
        problems = ["nothing was read"]
    print(f"untimed tests: {files} files, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
