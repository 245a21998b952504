"""Looks for bytes in a process's memory, in files, and stays out of its own way while doing so."""
import os
import re

import pytest

CHUNK = 16 << 20


# Only the shadow memory of a sanitizer is as large; asked of the process itself, so that no setting skips a scan.
INSTRUMENTED_BYTES = 8 << 40


def mapped_bytes(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmSize:"))


def is_instrumented(pid):
    return mapped_bytes(pid) > INSTRUMENTED_BYTES


def memory_hits(pid, needles):
    """{needle: places} of every readable page of the process that holds anything."""
    if is_instrumented(pid):
        pytest.skip("instrumented programs have terabytes of shadow memory and an allocator that keeps what is freed")
    hits = {needle: [] for needle in needles}
    overlap = max(map(len, needles)) - 1
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            found = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ (\d+)\s*(.*)", line)
            low, high, mode, inode, name = (int(found[1], 16), int(found[2], 16), found[3], int(found[4]), found[5])
            if "r" not in mode or name in ("[vvar]", "[vsyscall]") or (inode and "w" not in mode):
                continue
            at, tail = low, b""
            while at < high:
                try:
                    memory.seek(at)
                    data = memory.read(min(CHUNK, high - at))
                except (OSError, ValueError):
                    break
                if not data:
                    break
                window = tail + data
                for needle in needles:
                    where = window.find(needle)
                    if where >= 0:
                        hits[needle].append(f"{name or 'anonymous'}+{at - low + where - len(tail):#x} ({mode})")
                tail = window[-overlap:] if overlap else b""
                at += len(data)
    return {needle: places for needle, places in hits.items() if places}


def file_hits(folders, needles):
    """{needle: files} over every file below the folders, names included."""
    hits = {}
    for folder in folders:
        for parent, _, names in os.walk(folder):
            for name in names:
                path = os.path.join(parent, name)
                try:
                    with open(path, "rb") as file:
                        data = name.encode() + b"\0" + file.read()
                except OSError:
                    continue
                for needle in needles:
                    if needle in data:
                        hits.setdefault(needle, []).append(path)
    return hits


def forms(text):
    """A text as it could stand in memory or on disk: plain, as JSON would escape it, in UTF-16, in hex, in base64."""
    import base64
    raw = text.encode()
    middle = base64.b64encode(raw + b"\0" * (-len(raw) % 3))[4:-8]  # the same at an aligned offset
    return [raw, text.encode("utf-16-le"), raw.hex().encode(), middle]
