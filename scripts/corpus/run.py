#!/usr/bin/env python3
"""run.py [--worker PROGRAM] [PATTERN]: puts every file of build/corpus through bulkhead-extract and compares it
with independent readers. Writes build/corpus/results.json and a table; exit status 1 when a target is missed.

PATTERN runs the files whose path holds it, and shows each. docs/corpus.md says how to read the figures.
"""
import argparse
import collections
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import measure
import peers

HERE = Path(__file__).resolve().parent
BUILD = HERE.parent.parent / "build"
CORPUS = BUILD / "corpus"
FILES, CACHE = CORPUS / "files", CORPUS / "peers"
SECONDS_MAX = 40
MEMORY_BYTES_MAX, TEXT_BYTES_MAX = 1 << 30, 16 << 20
# Below these a file's text is wrong unless expected.toml says why not.
RECALL_MIN, PRECISION_MIN, ORDER_MIN, FALSE_ROWS_MAX = 0.97, 0.97, 0.90, 0.05
WORDS_MIN = 3  # that a peer reads of a file for a refusal to be a question


def extract(worker, path):
    """(document, outcome, seconds, peak bytes)."""
    content = path.read_bytes()
    head = json.dumps({"name": path.name, "bytes": len(content), "memory_bytes_max": MEMORY_BYTES_MAX,
                       "text_bytes_max": TEXT_BYTES_MAX}).encode() + b"\n"
    with tempfile.NamedTemporaryFile() as usage:
        # Started by a small program: a process counts what its parent held before it as its own peak.
        command = ["/usr/bin/time", "-q", "-f", "%M", "-o", usage.name, worker]
        began = time.monotonic()
        try:
            done = subprocess.run(command, input=head + content, capture_output=True, env={}, timeout=SECONDS_MAX)
        except subprocess.TimeoutExpired:
            return None, "hang", time.monotonic() - began, 0
        seconds = time.monotonic() - began
        measured = usage.read().split()
    peak = int(measured[-1]) * 1024 if measured else 0
    try:
        document = json.loads(done.stdout)
    except ValueError:
        return None, f"crash ({done.returncode})", seconds, peak
    if "error" in document:
        return document, "refused: " + document["error"]["code"], seconds, peak
    return document, "read", seconds, peak


def own_text(entry, text):
    """A block without the words that the worker itself puts there."""
    if entry["format"] in ("eml", "msg"):
        if re.match(r"Date: |The body of this message was not read", text):
            return ""  # readers write dates in as many ways
        text = re.sub(r"^(From|To|Cc|Bcc|Attachment): ", "", text)
        text = re.sub(r" ?\(not read: .*\)$", "", text)
    return text


def judge(job):
    worker, entry = job
    path = FILES / entry["path"]
    document, outcome, seconds, peak = extract(worker, path)
    result = {**entry, "outcome": outcome, "seconds": round(seconds, 3), "peak_bytes": peak}
    texts = peers.texts_of(entry, FILES, CACHE)
    if entry["format"] == "pdf":
        texts = {name: measure.joined_at_line_ends(text) for name, text in texts.items()}
    theirs = {name: measure.words(text) for name, text in texts.items()}
    result["peers"] = {name: len(found) for name, found in theirs.items()}
    if outcome != "read":
        result["message"] = (document or {}).get("error", {}).get("message", "")
        result["asked"] = outcome.startswith("refused") and any(len(w) >= WORDS_MIN for w in theirs.values())
        return result
    ours = measure.words("\n".join(own_text(entry, block["text"]) for block in document["blocks"]))
    result["words"] = len(ours)
    named = {name: found for name, found in theirs.items() if found}
    if not named:
        return result
    result["recall"], result["missing"] = measure.recall(ours, list(named.values()))
    result["precision"], result["strange"] = measure.precision(ours, list(named.values()))
    result["order"] = max(measure.order(ours, found) for found in named.values())
    if entry["format"] == "pdf":
        rows = [b["text"] for b in document["blocks"] if b["kind"] == "table_row" and "; " in b["text"]][:300]
        wrong = measure.false_rows(rows, peers.pdftotext(path, "-layout") or "")
        result["rows"], result["false_rows"], result["false_row_texts"] = len(rows), len(wrong), wrong[:5]
    return result


def faults_of(result):
    faults = []
    if result["outcome"].startswith(("crash", "hang")):
        return [result["outcome"]]
    if result.get("asked"):
        return [result["outcome"]]
    for name, least in (("recall", RECALL_MIN), ("precision", PRECISION_MIN), ("order", ORDER_MIN)):
        if result.get(name, 1.0) < least:
            faults.append(f"{name} {result[name]:.3f}")
    if result.get("false_rows", 0) > max(1, FALSE_ROWS_MAX * result.get("rows", 0)):
        faults.append(f"{result['false_rows']} of {result['rows']} rows false")
    return faults


def table_of(results, expected):
    lines = ["| Format | Files | Read | Refused | Refused wrongly | Wrong text | Recall, median | Precision, median | Order, median "
             "| False rows | Seconds, median (most) | Peak MiB, median (most) |",
             "|---|---|---|---|---|---|---|---|---|---|---|---|"]
    by_format = collections.defaultdict(list)
    for result in results:
        by_format[result["format"]].append(result)
    for form in peers.READERS:
        group = by_format.get(form, [])
        if not group:
            continue
        read = [r for r in group if r["outcome"] == "read"]
        faulty = [r for r in group if faults_of(r) and r["sha256"][:16] not in expected]
        wrong_refusals = sum(r["outcome"] != "read" for r in faulty)
        of = lambda name: [r[name] for r in read if name in r]
        mid = lambda values: f"{statistics.median(values):.3f}" if values else ""
        seconds, peak = [r["seconds"] for r in group], [r["peak_bytes"] / 2**20 for r in group]
        rows = f"{sum(of('false_rows'))} of {sum(of('rows'))}" if form == "pdf" else ""
        lines.append(f"| {form} | {len(group)} | {len(read)} | {len(group) - len(read)} | {wrong_refusals} | "
                     f"{len(faulty) - wrong_refusals} | {mid(of('recall'))} | {mid(of('precision'))} | {mid(of('order'))} | "
                     f"{rows} | {statistics.median(seconds):.2f} ({max(seconds):.2f}) | "
                     f"{statistics.median(peak):.0f} ({max(peak):.0f}) |")
    return "\n".join(lines)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--worker", default=str(BUILD / "bulkhead-extract"))
    options.add_argument("--no-office", action="store_true", help="leave LibreOffice out")
    options.add_argument("pattern", nargs="?", default="")
    given = options.parse_args()
    CACHE.mkdir(parents=True, exist_ok=True)
    index = [e for e in json.loads((CORPUS / "index.json").read_text()) if given.pattern in e["path"]]
    expected = {e["file"]: e for e in tomllib.loads((HERE / "expected.toml").read_text()).get("expected", [])}
    if not given.no_office:
        peers.office_all(index, FILES, CACHE)
    with ProcessPoolExecutor(max_workers=2) as pool:
        results = list(pool.map(judge, [(given.worker, entry) for entry in index], chunksize=4))
    if not given.pattern:
        (CORPUS / "results.json").write_text(json.dumps(results, indent=1))
    wrong = crashed = refused = 0
    for result in results:
        faults = faults_of(result)
        known = expected.get(result["sha256"][:16])
        if faults and not known:
            crashed += result["outcome"].startswith(("crash", "hang"))
            refused += result["outcome"].startswith("refused")
            wrong += result["outcome"] == "read"
        if faults or given.pattern:
            note = f" [known: {known['reason']}]" if known else ""
            detail = result.get("message") or " ".join(
                f"-{w}" for w in result.get("missing", [])[:8]) + " " + " ".join(f"+{w}" for w in result.get("strange", [])[:8])
            print(f"{result['path']}: {', '.join(faults) or 'agrees'}{note} | {detail}")
    print(table_of(results, expected))
    print(f"{len(results)} files: {crashed} crashes or hangs, {wrong} with wrong text ({wrong / max(1, len(results)):.1%}), "
          f"{refused} refused wrongly, {sum(1 for r in results if r['sha256'][:16] in expected)} known disagreements")
    sys.exit(1 if crashed or refused or wrong > 0.01 * len(results) else 0)


if __name__ == "__main__":
    main()
