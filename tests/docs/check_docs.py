#!/usr/bin/env python3
"""Is the documentation whole and true to the source?

    check_docs.py [ROOT]

Fails when the source has a configuration key, route, error, metric, permission, audit member or command that its page
does not list, when a page lists one that is gone, and when a link, a path or a test that a page names does not exist.
"""
import importlib.util
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import source_facts as facts  # noqa: E402

ROW = re.compile(r"^\|(.+)\|\s*$", re.M)
NAME = r"`([^`]+)`"


def rows(text):
    """Cells of every table row, header and rule lines included."""
    return [[cell.strip() for cell in line.split("|")] for line in ROW.findall(text)]


def quoted(cell):
    match = re.fullmatch(NAME, cell)
    return match[1] if match else None


class Docs:
    def __init__(self, root):
        self.root, self.problems = root, []

    def page(self, name):
        return (self.root / name).read_text(encoding="utf-8")

    def source(self, name):
        return (self.root / "src" / name).read_text(encoding="utf-8")

    def sources(self, *folders):
        return [file.read_text(encoding="utf-8") for folder in folders
                for file in sorted((self.root / "src" / folder).rglob("*.cc"))]

    def compare(self, page, what, wanted, listed):
        for item in sorted(set(wanted) - set(listed), key=str):
            self.problems.append(f"{page}: {what} {item} is missing")
        for item in sorted(set(listed) - set(wanted), key=str):
            self.problems.append(f"{page}: {what} {item} is listed, but the source has no such thing")

    # --- pages against the source ---

    def check_config(self):
        page = "docs/operator-guide.md"
        files = sorted(file.name for file in (self.root / "src/gateway").glob("config*.cc") if file.stem != "config_reader")
        source = "\n".join(self.source(f"gateway/{name}") for name in files)
        wanted = {(section, key): bounds for section, keys in facts.config_keys(source).items()
                  for key, bounds in keys.items()}
        listed = {}
        chapter = self.page(page).split("## Configuration", 1)[1].split("\n## ", 1)[0]
        for part in re.split(r"^### ", chapter, flags=re.M)[1:]:
            title = re.match(rf"{NAME}|(Top level)", part)
            if not title:
                continue
            for cells in rows(part):
                if key := quoted(cells[0]):
                    listed[title[1] or "", key] = " | ".join(cells)
        self.compare(page, "configuration key", wanted, listed)
        for name, bounds in wanted.items():
            row = listed.get(name, "").replace(",", "")
            if bounds and row and f"{bounds[0]} to {bounds[1]}" not in row and f"from {bounds[0]}" not in row:
                self.problems.append(f"{page}: {name} is allowed from {bounds[0]} to {bounds[1]}, which its row does not say")

    def check_operator_guide(self):
        page = "docs/operator-guide.md"
        text = self.page(page)
        names = re.findall(rf"^\| {NAME} \|", text, re.M)
        metrics = facts.metrics(self.sources("gateway", "apps", "inference", "rag", "engine", "watch", "storage"))
        self.compare(page, "metric", metrics, [n for n in names if re.match(r"(bulkhead|gen_ai)_", n)])
        permissions = facts.permissions(self.source("access/permission.cc")).values()
        self.compare(page, "permission", permissions,
                     [n for n in names if re.fullmatch(r"(models|chat|embeddings|rerank|files|stores|keys|data|audit|tenant|receipts"
                                                       r"|platform)\.\w+", n)])
        for member in facts.policy_members(self.source("tenancy/tenant.cc")) - set(re.findall(NAME, text)):
            self.problems.append(f"{page}: the policy member {member} is missing")
        for command in facts.commands(self.sources("apps")):
            if not re.search(rf"bulkhead ([\w-]+ )?{command}\b", text):
                self.problems.append(f"{page}: the command {command} is missing")

    def check_api(self):
        page = "docs/api.md"
        text = self.page(page)
        wanted = facts.routes(self.source("gateway/routes.cc"), facts.permissions(self.source("access/permission.cc")))
        listed = {}
        errors = set()
        for cells in rows(text):
            method = quoted(cells[0])
            if method in ("GET", "POST", "PUT", "DELETE") and len(cells) >= 4:
                listed[method, quoted(cells[1])] = (cells[2], quoted(cells[3]) or "")
            if re.fullmatch(r"\d{3}", cells[0]) and len(cells) >= 2 and quoted(cells[1]):
                errors.add((int(cells[0]), quoted(cells[1])))
        self.compare(page, "route", wanted.items(), listed.items())
        codes = facts.error_codes(self.sources(""))
        self.compare(page, "error", facts.error_statuses(self.source("gateway/api_error.cc"), codes), errors)
        refused = set()
        for name in ("chat_request", "model_handlers", "vector_store_handlers", "vector_store_file_handlers"):
            refused |= facts.refused_parameters(self.source(f"gateway/{name}.cc"))
        for name in refused - set(re.findall(NAME, text)):
            self.problems.append(f"{page}: the refused parameter {name} is missing")

    def check_audit(self):
        page = "docs/audit-format.md"
        before, reasons = self.page(page).split("\n### Finish reasons\n", 1)
        reasons, after = reasons.split("\n### ", 1)
        listed = [name for cells in rows(reasons) for name in re.findall(NAME, cells[0])]
        told = re.findall(r'return "(\w+)";', self.source("engine/finish_reason.cc"))
        self.compare(page, "finish reason", told, listed)
        names = re.findall(rf"^\| {NAME} \|", before + after, re.M)
        source = self.source("audit/record.cc")
        members = {next(filter(None, found)) for found in facts.audit_members(source)}
        wanted = members | set(facts.audit_events(source)) | {"seq", "prev", "checkpoint"}
        self.compare(page, "member or event", wanted, [n for n in names if not n.startswith("checkpoint.")])

    def check_schemas(self):
        page = "docs/formats.md"
        for source, title in (("storage/platform_database.cc", "Platform database"),
                              ("storage/tenant_schema.cc", "Tenant database")):
            chapter = self.page(page).split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]
            listed = {cells[0]: " ".join(cells[1:]) for cells in rows(chapter)}
            for table, columns in facts.tables(self.source(source)).items():
                row = listed.get(table)
                if row is None:
                    self.problems.append(f"{page}: {title} lacks the table {table}")
                elif not row.startswith("as in "):
                    self.problems += [f"{page}: the table {table} lacks the column {column}" for column in columns
                                      if not re.search(rf"\b{column}\b", row)]

    def check_modules(self):
        page = "docs/architecture.md"
        wanted = {folder: frozenset(used) for folder, used in self.may_use().items()}
        listed = {}
        for cells in rows(self.page(page).split("## Modules", 1)[1].split("\n## ", 1)[0]):
            if folder := quoted(cells[0]):
                listed[folder] = frozenset(filter(None, cells[2].replace("\u2013", "").replace(",", " ").split()))
        self.compare(page, "module", wanted.items(), listed.items())

    def may_use(self):
        spec = importlib.util.spec_from_file_location("layering", self.root / "scripts/check/layering.py")
        layering = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(layering)
        return layering.MAY_USE

    # --- what pages name ---

    def pages(self):
        skip = {"build", "third_party", ".git", "node_modules", "corpus"}
        return [file for file in sorted(self.root.rglob("*.md"))
                if not skip & set(file.relative_to(self.root).parts[:-1]) or file.name == "README.md"
                and "build" not in file.relative_to(self.root).parts]

    def anchors(self, file):
        text = re.sub(r"^```.*?^```", "", file.read_text(encoding="utf-8"), flags=re.M | re.S)
        found = set()
        for title in re.findall(r"^#+ (.+)$", text, re.M):
            slug = re.sub(r"[^\w\- ]", "", title.strip().lower().replace("`", "")).replace(" ", "-")
            found.add(slug)
        return found

    def check_links(self, file, text):
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            goal = (file.parent / path).resolve() if path else file
            name = file.relative_to(self.root)
            if not goal.exists():
                self.problems.append(f"{name}: the link {target} leads nowhere")
            elif anchor and goal.suffix == ".md" and anchor not in self.anchors(goal):
                self.problems.append(f"{name}: the link {target} names a heading that is not there")

    def check_paths(self, file, text):
        name = file.relative_to(self.root)
        folders = "src|tests|docs|scripts|demo|fuzz|cmake|third_party|bench"
        for path, function in re.findall(rf"`((?:{folders})/[\w./*<>{{}},-]*)(?::(\w+))?`", text):
            if re.search(r"[*<>{},]|NNNN", path):
                continue
            goal = self.root / path
            if not goal.exists():
                self.problems.append(f"{name}: {path} does not exist")
            elif function and goal.is_file() and not re.search(rf"\b{function}\b", goal.read_text(encoding="utf-8")):
                self.problems.append(f"{name}: {path} has no {function}")

    def test_names(self):
        names = set()
        for file in (self.root / "tests").rglob("*"):
            if file.suffix == ".py":
                names |= set(re.findall(r"def (test_\w+)", file.read_text(encoding="utf-8")))
                names.add(file.stem)
            elif file.suffix in (".cc", ".h"):
                found = re.findall(r"TEST(?:_[FP])?\(\s*(\w+),\s*(\w+)\s*\)", file.read_text(encoding="utf-8"))
                names |= {f"{suite}.{test}" for suite, test in found} | {suite for suite, _ in found}
                names.add(f"compile_fail.{file.stem}")
        return names

    def check_tests(self, file, text, names):
        suites = {name.split(".")[0] for name in names if "." in name}
        wanted = set(re.findall(r"`(test_\w+)`", text))
        wanted |= {f"{suite}.{test}" for suite, test in re.findall(r"`(\w+)\.(\w+)`", text)
                   if suite in suites and suite[0].isupper() or suite == "compile_fail"}
        for name in sorted(wanted - names):
            self.problems.append(f"{file.relative_to(self.root)}: there is no test {name}")

    def check_pages(self):
        names = self.test_names()
        pages = facts.some(self.pages(), "pages")
        for file in pages:
            text = file.read_text(encoding="utf-8")
            self.check_links(file, text)
            self.check_paths(file, text)
            self.check_tests(file, text, names)
        return len(pages)

    def check_pointers(self):
        """Pages that the source sends its reader to."""
        files = [file for folder in ("src", "scripts", "demo", "fuzz", "cmake", "tests")
                 for file in (self.root / folder).rglob("*") if file.suffix in (".cc", ".h", ".py", ".sh", ".cmake", ".txt")]
        for file in files + [self.root / "CMakeLists.txt"]:
            if not file.exists() or "docs" in file.relative_to(self.root).parts[:2]:
                continue
            for page in re.findall(r"docs/[\w/-]+\.md", file.read_text(encoding="utf-8", errors="replace")):
                if not (self.root / page).exists():
                    self.problems.append(f"{file.relative_to(self.root)}: points at {page}, which does not exist")


def check(root):
    docs = Docs(root)
    docs.check_config()
    docs.check_operator_guide()
    docs.check_api()
    docs.check_audit()
    docs.check_modules()
    docs.check_schemas()
    docs.check_pointers()
    count = docs.check_pages()
    return docs.problems, count


if __name__ == "__main__":
    found, pages = check(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2])
    for line in found:
        print(line, file=sys.stderr)
    print(f"docs: {pages} pages, {len(found)} problems")
    sys.exit(1 if found else 0)
