"""Reads the sources: a small, strict subset of Markdown with a front matter.

Blocks: `#` to `###` headings, paragraphs (a trailing backslash breaks the line), `-` and `1.`
lists without nesting, `>` call-outs, and pipe tables whose second row gives the alignment. A table
whose header cells are all empty has no header row; its first column is then a column of labels.
Inline: **bold** and *italic*. Anything else is plain text.
"""

import re
from dataclasses import dataclass, field


class SourceError(Exception):
    pass


@dataclass(frozen=True)
class Run:
    text: str
    bold: bool = False
    italic: bool = False


@dataclass(frozen=True)
class Heading:
    level: int
    runs: list


@dataclass(frozen=True)
class Paragraph:
    lines: list  # each a list of runs


@dataclass(frozen=True)
class Callout:
    runs: list


@dataclass(frozen=True)
class ListBlock:
    ordered: bool
    items: list  # each a list of runs


@dataclass(frozen=True)
class Table:
    header: list  # cells, each a list of runs; empty for a table of labels
    rows: list
    align: list = field(default_factory=list)  # "left", "right" per column


@dataclass(frozen=True)
class Document:
    meta: dict
    blocks: list


_INLINE = re.compile(r"\*\*(.+?)\*\*|\*(.+?)\*")
_REQUIRED = ("format", "title", "author", "date", "header", "footer")


def parse_runs(text):
    runs, at = [], 0
    for match in _INLINE.finditer(text):
        if match.start() > at:
            runs.append(Run(text[at:match.start()]))
        if match.group(1) is not None:
            runs.append(Run(match.group(1), bold=True))
        else:
            runs.append(Run(match.group(2), italic=True))
        at = match.end()
    if at < len(text):
        runs.append(Run(text[at:]))
    return runs


def plain(runs):
    return "".join(run.text for run in runs)


def _cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _parse_table(lines):
    header, rule, rows = _cells(lines[0]), _cells(lines[1]), [_cells(line) for line in lines[2:]]
    if any(len(row) != len(header) for row in [rule, *rows]):
        raise SourceError(f"table rows of different length near: {lines[0]}")
    align = ["right" if cell.endswith("-:") else "left" for cell in rule]
    runs = [[parse_runs(cell) for cell in row] for row in rows]
    labelled = not any(header)
    return Table([] if labelled else [parse_runs(cell) for cell in header], runs, align)


def _parse_block(lines):
    first = lines[0]
    if heading := re.fullmatch(r"(#{1,3}) (.+)", first):
        if len(lines) != 1:
            raise SourceError(f"text directly under a heading: {first}")
        return Heading(len(heading.group(1)), parse_runs(heading.group(2)))
    if first.startswith("|"):
        return _parse_table(lines)
    if first.startswith("> "):
        return Callout(parse_runs(" ".join(line[2:] for line in lines)))
    for ordered, marker in ((False, r"- "), (True, r"\d+\. ")):
        if re.match(marker, first):
            if not all(re.match(marker, line) for line in lines):
                raise SourceError(f"a list item is one line: {first}")
            return ListBlock(ordered, [parse_runs(re.sub(marker, "", line, count=1)) for line in lines])
    pieces = [[]]
    for line in lines:
        pieces[-1].append(line.rstrip("\\"))
        if line.endswith("\\"):
            pieces.append([])
    return Paragraph([parse_runs(" ".join(piece)) for piece in pieces if piece])


def parse(text):
    _, front, body = text.split("---\n", 2)
    meta = dict(line.split(": ", 1) for line in front.splitlines())
    if missing := [key for key in _REQUIRED if key not in meta]:
        raise SourceError(f"front matter lacks {', '.join(missing)}")
    blocks = [_parse_block(chunk.splitlines()) for chunk in re.split(r"\n\s*\n", body.strip())]
    return Document(meta, blocks)
