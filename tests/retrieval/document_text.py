"""A second opinion on the text of the demo's documents, independent of the product's extractor."""

import re
import subprocess
import zipfile
from html.parser import HTMLParser
from xml.etree import ElementTree

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_SILENT = {"script", "style", "head", "template", "noscript"}


class _Visible(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.parts, self.depth = [], 0

    def handle_starttag(self, tag, attrs):
        self.depth += tag in _SILENT
        self.parts.append(" ")

    def handle_endtag(self, tag):
        self.depth -= tag in _SILENT
        self.parts.append(" ")

    def handle_data(self, data):
        if not self.depth:
            self.parts.append(data)


def _docx(path):
    with zipfile.ZipFile(path) as archive:
        root = ElementTree.fromstring(archive.read("word/document.xml"))
    paragraphs = ("".join(node.text or "" for node in paragraph.iter(f"{_W}t")) for paragraph in root.iter(f"{_W}p"))
    return "\n".join(paragraphs)


def _html(path):
    parser = _Visible()
    parser.feed(path.read_text(encoding="utf-8"))
    return "".join(parser.parts)


def _pdf(path):
    return subprocess.run(["pdftotext", "-enc", "UTF-8", str(path), "-"], check=True, capture_output=True).stdout.decode()


def squeeze(text):
    """One space for any white space, no-break spaces too; plain quotes for typographic ones."""
    text = text.translate(str.maketrans("\u2018\u2019\u201c\u201d", "''\"\""))
    return re.sub(r"\s+", " ", text)


def document_text(path):
    """The document's visible text, squeezed."""
    readers = {".pdf": _pdf, ".docx": _docx, ".html": _html}
    read = readers.get(path.suffix, lambda file: file.read_text(encoding="utf-8"))
    return squeeze(read(path))
