#!/usr/bin/env python3
"""Which folder of src/ may include which, and which library belongs to which folder.

    layering.py [ROOT]

Prints each forbidden include and exits 1 if there is one. The table below is the architecture: a
folder missing from it, and a cycle in it, fail too.
"""
import re
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

BASE = {"base"}
IDENTITY = BASE | {"crypto", "http"}
TENANCY = BASE | {"crypto", "identity", "access"}
STORAGE = TENANCY | {"tenancy"}
RAG = STORAGE | {"storage", "vector", "engine"}
GATEWAY = RAG | {"rag", "http", "audit", "watch", "guard"}

MAY_USE = {
    "base": set(),
    "crypto": BASE,
    "http": BASE | {"crypto"},
    "identity": IDENTITY,
    "access": BASE | {"identity"},
    "tenancy": TENANCY,
    "storage": STORAGE,
    "vector": STORAGE | {"storage"},
    "engine": STORAGE | {"http"},
    "rag": RAG,
    "audit": BASE | {"crypto"},
    "watch": BASE | {"crypto", "audit"},
    "guard": BASE,
    "gateway": GATEWAY,
    "apps": GATEWAY | {"gateway"},
    # Processes of their own, which nothing else links.
    "inference": BASE | {"crypto", "guard", "http"},
    "extract": BASE,
}

# (what, header pattern, path pattern of the files that may include it)
LIBRARIES = [
    ("OpenSSL", r"openssl/", r"crypto/|http/(detail/)?tls"),
    ("libsodium", r"sodium(\.h|/)", r"crypto/|http/(detail/)?tls"),
    ("PKCS#11", r"p11-kit/", r"crypto/pkcs11_"),
    ("Asio", r"boost/|asio(\.hpp|/)", r"http/"),
    ("libllama", r"(src/)?(llama|ggml|gguf)[^/]*\.h|llama-common/", r"inference/"),
    ("SQLite", r"(sqlcipher/)?sqlite3", r"storage/"),
    ("libpq", r"(postgresql/)?(libpq|pg_config)", r"storage/postgres_"),
    ("the table of tenants", r"tenancy/(tenant_table|key_wrapping|scope_shared)\.h", r"tenancy/"),
    ("a document parser", r"poppler|goo/|PDFDoc|GfxState|TextOutputDev|GlobalParams|zip\.h|zipconf\.h|pugi|gumbo|md4c|unicode/u|tesseract/|leptonica/|Splash|splash/", r"extract/"),
]

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')


def cycle():
    try:
        TopologicalSorter(MAY_USE).prepare()
    except CycleError as error:
        return " -> ".join(reversed(error.args[1]))
    return None


def problem(folder, path, header, quoted):
    """What is wrong with this include of a file in this folder, or None."""
    for library, pattern, owners in LIBRARIES:
        if re.match(pattern, header) and not re.match(owners, path):
            return f"{library} may not be used here"
    target, slash, _ = header.partition("/")
    if not quoted and target in MAY_USE and slash:
        return f'write "{header}" for a header of this project'
    if not quoted or target == folder:
        return None
    if ".." in header.split("/"):
        return "name a header from src/, not relative to the file"
    if target in MAY_USE and target not in MAY_USE[folder]:
        return f"{folder} may not use {target}"
    if target not in MAY_USE and not any(re.match(pattern, header) for _, pattern, _ in LIBRARIES):
        return "not a header of a folder of src/"
    return None


def check(root):
    source = root / "src"
    problems, files = [], 0
    if loop := cycle():
        problems.append(f"MAY_USE has a cycle: {loop}")
    for file in sorted(source.rglob("*")):
        if file.suffix not in (".h", ".cc", ".hpp", ".cpp", ".inc"):
            continue
        files += 1
        path = file.relative_to(source).as_posix()
        folder = path.split("/")[0]
        if folder not in MAY_USE:
            problems.append(f"src/{path}: the folder {folder} is not in MAY_USE (scripts/check/layering.py)")
            continue
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            if match := INCLUDE.match(line):
                header = match[1] or match[2]
                if what := problem(folder, path, header, match[1] is not None):
                    problems.append(f"src/{path}:{number}: {header}: {what}")
    if not files:
        problems.append(f"no source files under {source}")
    return problems, files


if __name__ == "__main__":
    found, count = check(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2])
    for line in found:
        print(line, file=sys.stderr)
    print(f"layering: {count} files, {len(found)} forbidden includes")
    sys.exit(1 if found else 0)
