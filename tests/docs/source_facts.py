"""What the documentation must list, read out of the source: configuration keys, routes, errors, metrics and the rest.

Each function reads plain text by the form that the code is written in; a function that finds nothing at all raises,
so that a change of form is noticed instead of silently checking nothing.
"""
import re


class FormChanged(Exception):
    """The source is no longer written as this reader expects."""


def some(found, what):
    if not found:
        raise FormChanged(f"no {what} found: the source's form changed, mend tests/docs/source_facts.py")
    return found


def body_at(text, brace):
    """The text between the brace at `brace` and its partner."""
    depth = 0
    for at in range(brace, len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return text[brace + 1:at]
    raise FormChanged("unbalanced braces")


READS = "text|path|flag|real|texts|text_table|claim|claims|seconds|bytes|choice|number"


def config_keys(source):
    """{section: {key: range}} of gateway/config*.cc; "" is the top level, "[[issuer]]" a list of sections. The range is
    (least, most) where both stand there as plain numbers, else None."""
    functions = {m[1]: (m[2], body_at(source, source.index("{", m.end())))
                 for m in re.finditer(r"^(?:static )?void (?:\w+::)?(read_\w+)\(ConfigReader& (\w+)", source, re.M)}
    sections = {}

    def walk(body, reader, section):
        pattern = re.compile(rf'\b{reader}\.(section|each)\("(\w+)", \[&\]\(ConfigReader& (\w+)\) (?=\{{)')
        while match := pattern.search(body):
            inner = body_at(body, match.end())
            name = f"{section.strip('[]')}.{match[2]}".lstrip(".")
            walk(inner, match[3], f"[[{name}]]" if match[1] == "each" else f"[{name}]")
            body = body[:match.start()] + body[match.end() + len(inner) + 2:]
        for kind, key, rest in re.findall(rf'\b{reader}\.({READS})\("(\w+)"([^;]*)', body):
            plain = re.search(r", ([\d']+), ([\d']+)\)$", rest.strip()) if kind in ("number", "seconds") else None
            bounds = tuple(int(number.replace("'", "")) for number in plain.groups()) if plain else None
            sections.setdefault(section, {})[key] = bounds
        for function in re.findall(rf"\b(read_\w+)\({reader}\b", body):
            if function not in functions:
                raise FormChanged(f"{function}(), which reads {section}, is in no gateway/config*.cc")
            inner_reader, inner = functions[function]
            walk(inner, inner_reader, section)

    walk(functions["read_root"][1], functions["read_root"][0], "")
    return some(sections, "configuration keys")


def permissions(source):
    """{enumerator: name} of access/permission.cc."""
    return some(dict(re.findall(r'Name\{Permission::(\w+), "([^"]+)"\}', source)), "permissions")


def routes(source, names):
    """{(method, path): (audience, permission)} of gateway/routes.cc."""
    found = {}
    for method, path, audience, permission in re.findall(
            r'Route\{(\w+), "([^"]+)", Audience::(\w+), Permission::(\w+)', source):
        found[method.upper(), path] = (audience.lower(), "" if audience == "Public" else names[permission])
    if len(found) != source.count("Route{"):
        raise FormChanged("not every Route{ of routes.cc was read")
    return some(found, "routes")


def error_codes(sources):
    """{(enum, enumerator): code} of every error_name()."""
    found = {}
    for text in sources:
        for enum, enumerator, code in re.findall(r'case (\w+)::(\w+):\s*return \{"\w+", "(\w+)"\};', text):
            found[enum, enumerator] = code
    return some(found, "error codes")


def error_statuses(source, codes):
    """{(status, code)} that gateway/api_error.cc can answer."""
    constants = {name: int(status) for name, status in re.findall(r"HttpMapping (k\w+)\{(\d+),", source)}
    found, waiting = set(), []
    # The formatter may put a return below its case.
    table = re.sub(r":\n\s*return", ": return", source[:source.index("first_match")])
    for line in table.splitlines():
        if not (match := re.match(r"\s*case (\w+)::(\w+):(?:\s*return (?:\{(\d+),|(k\w+);))?", line)):
            continue
        waiting.append((match[1], match[2]))
        if match[3] or match[4]:
            status = int(match[3]) if match[3] else constants[match[4]]
            found |= {(status, codes[key]) for key in waiting}
            waiting = []
    if waiting:
        raise FormChanged(f"no status for {waiting}")
    return some(found, "error statuses")


# Literals that look like a metric's name and are none.
NOT_METRICS = {"bulkhead_access", "bulkhead_scrub_heap_linked"}


def metrics(sources):
    found = {name for text in sources for name in re.findall(r'"((?:bulkhead|gen_ai)_[a-z0-9_]+)"', text)}
    return some(found - NOT_METRICS, "metrics")


def audit_members(source):
    """Members of an audit record, in their order."""
    body = source[source.index("record_members"):]
    return some(re.findall(r'(?:text|number|time)\(w, "(\w+)"|\.?member\("(\w+)"|w\.key\("(\w+)"\)', body), "audit members")


def audit_events(source):
    return some(re.findall(r'case Event::\w+:\s*return "(\w+)";', source), "audit events")


def refused_parameters(source):
    return some(set(re.findall(r'unsupported(?:_unless|_unless_false)?\("(\w+)"', source)), "refused parameters")


def policy_members(source):
    return some(set(re.findall(r'\.member\("(\w+)"', source[source.index("TenantPolicy::to_json"):])), "policy members")


def commands(sources):
    """Names of the command line's subcommands."""
    found = set()
    for text in sources:
        found |= set(re.findall(r'add_subcommand\("([\w-]+)"', text))
        found |= set(re.findall(r'add_verb\(group, "([\w-]+)"', text))
        found |= set(re.findall(r'add_document\(app, action, "([\w-]+)"', text))
    return some(found, "commands")


def tables(source):
    """{table: [column]} of the CREATE TABLE statements of a schema."""
    found = {}
    for name, fts, columns in re.findall(r"CREATE (?:VIRTUAL )?TABLE (?:IF NOT EXISTS )?(\w+) (USING fts5 )?\((.*?)\)(?: WITHOUT ROWID)?;",
                                         source, re.S):
        if fts:
            names = [c.strip() for c in columns.split(",") if "=" not in c and re.fullmatch(r"\s*\w+\s*", c)]
        else:
            columns = re.sub(r"\([^()]*\)", "", columns)
            names = [c.split()[0] for c in columns.split(",") if c.strip() and c.split()[0] not in ("PRIMARY", "UNIQUE", "FOREIGN")]
        found[name] = names
    for name, column in re.findall(r"ALTER TABLE (\w+) ADD (?:COLUMN )?(\w+)", source):
        found.setdefault(name, []).append(column)
    return some(found, "tables")
