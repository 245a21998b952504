"""Independent readers of each format. `texts_of` gives what each of them reads of a document, by its name; a
reader that fails gives nothing. Kept under build/corpus/peers by the document's hash."""
import csv
import email
import email.policy
import io
import json
import re
import subprocess
import tempfile
import zipfile
from pathlib import Path

SECONDS_MAX = 60
BATCH = 12


def program(command, content=None):
    try:
        done = subprocess.run(command, input=content, capture_output=True, timeout=SECONDS_MAX)
    except subprocess.TimeoutExpired:
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None


def pdftotext(path, *options):
    return program(["pdftotext", "-enc", "UTF-8", *options, str(path), "-"])


def without_heads(path, _entry):
    """pdftotext without lines that stand at the edge of neighbouring pages, equal but for their numbers: those are
    left out on purpose."""
    text = pdftotext(path)
    if text is None:
        return None
    pages = [[line for line in page.splitlines()] for page in text.split("\f")]
    plain = lambda line: re.sub(r"\d+", "#", line.strip())
    edges = [{plain(line) for line in [x for x in page if x.strip()][:6] + [x for x in page if x.strip()][-6:]}
             for page in pages]
    kept = []
    for at, page in enumerate(pages):
        near = set().union(*(edges[i] for i in (at - 2, at - 1, at + 1, at + 2) if 0 <= i < len(pages)))
        kept.append("\n".join(line for line in page if plain(line) not in near or not line.strip()))
    return "\n".join(kept)


def pandoc(form):
    def read(path, _entry):
        text = program(["pandoc", "-f", form, "-t", "plain", "--wrap=none", str(path)])
        # Its marks of notes, which it counts itself.
        return re.sub(r"\[\d+\]", "", text) if text is not None else None
    return read


# --- LibreOffice: one process for several files, since it takes seconds to start.
TEXT = "txt:Text (encoded):UTF8"
SHEETS = 'csv:Text - txt - csv (StarCalc):9,34,76,1,,0,false,true,true,false,false,-1'
OFFICE = {"docx": TEXT, "odt": TEXT, "rtf": TEXT, "xlsx": SHEETS, "ods": SHEETS, "pptx": "pdf", "odp": "pdf"}


def office_batch(paths, form, keep):
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        out = Path(folder) / "out"
        command = ["soffice", f"-env:UserInstallation=file://{home}", "--headless", "--norestore", "--convert-to", form,
                   "--outdir", str(out), *map(str, paths)]
        try:
            subprocess.run(command, capture_output=True, timeout=20 + 15 * len(paths), stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            pass
        for path in paths:
            made = sorted(out.glob(f"{path.stem}*")) if out.exists() else []
            made = [p for p in made if p.stem == path.stem or p.name.startswith(path.stem + "-")]
            texts = [pdftotext(p) or "" if p.suffix == ".pdf" else p.read_text("utf-8-sig", "replace") for p in made]
            texts += [p.stem[len(path.stem) + 1:] for p in made]  # a sheet's name
            if made:
                keep(path, "\n".join(texts))


def office_all(entries, files, cache):
    """Fills the cache with LibreOffice's reading of every document that it opens."""
    for form in dict.fromkeys(OFFICE.values()):
        left = [files / e["path"] for e in entries if OFFICE.get(e["format"]) == form]
        place = {files / e["path"]: cache / f"{e['sha256']}.libreoffice" for e in entries}
        keep = lambda path, text: place[path].write_text(text)
        for size in (BATCH, 1):  # alone again where one of a batch ended the process
            left = [p for p in left if not place[p].exists()]
            for at in range(0, len(left), size):
                office_batch(left[at:at + size], form, keep)
        for path in left:
            if not place[path].exists():
                place[path].write_text("\0")


# --- libraries
def by_openpyxl(path, _entry):
    import openpyxl
    book = openpyxl.load_workbook(path, data_only=True, read_only=False)
    lines = []
    for sheet in book.worksheets:
        lines.append(sheet.title)
        for row in sheet.iter_rows(values_only=True):
            cells = ["" if v is None else str(v) for v in row]
            if any(cells):
                lines.append("\t".join(cells))
    return "\n".join(lines)


def by_python_pptx(path, _entry):
    from pptx import Presentation
    lines = []

    def walk(shapes):
        for shape in shapes:
            if shape.shape_type == 6:
                walk(shape.shapes)
            elif shape.has_text_frame:
                lines.append(shape.text_frame.text)
            elif getattr(shape, "has_table", False) and shape.has_table:
                for row in shape.table.rows:
                    lines.append("\t".join(cell.text for cell in row.cells))
    for slide in Presentation(str(path)).slides:
        walk(slide.shapes)
        if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
            lines.append(slide.notes_slide.notes_text_frame.text)
    return "\n".join(lines)


def xml_text(content, skip=()):
    from lxml import etree
    root = etree.fromstring(content, etree.XMLParser(resolve_entities=False, huge_tree=True, recover=True))
    lines = []

    def walk(node):
        name = etree.QName(node).localname if isinstance(node.tag, str) else "!"
        if name not in skip and name != "!":
            if name in ("p", "h", "tr", "table-row"):
                lines.append("\n")
            if name in ("tab", "s", "line-break", "br", "table-cell"):
                lines.append(" ")
            if name == "table":
                lines.append("\n" + next((v for k, v in node.attrib.items() if k.endswith("}name")), "") + "\n")
            lines.append(node.text or "")
            for child in node:
                walk(child)
        lines.append(node.tail or "")
    walk(root)
    return "".join(lines)


def by_lxml_package(part, skip=()):
    def read(path, _entry):
        with zipfile.ZipFile(path) as package:
            return xml_text(package.read(part), skip)
    return read


def by_lxml_parts(pattern, text="t", block="p"):
    """Every text element of the parts whose names fit, in the order of the names."""
    def read(path, _entry):
        from lxml import etree
        lines = []
        with zipfile.ZipFile(path) as package:
            for name in sorted(package.namelist()):
                if not re.search(pattern, name):
                    continue
                for node in etree.fromstring(package.read(name), etree.XMLParser(recover=True, huge_tree=True)).iter():
                    local = etree.QName(node).localname if isinstance(node.tag, str) else ""
                    if local == block:
                        lines.append("\n")
                    elif local in ("tab", "br"):
                        lines.append(" ")
                    elif local in (text, "v") and node.text:
                        lines.append(node.text)
                    elif local == "sym":
                        lines.append(" ")
        return "".join(lines)
    return read


def by_lxml_book(path, _entry):
    lines = []
    with zipfile.ZipFile(path) as package:
        for name in package.namelist():
            if re.search(r"\.x?html?$", name) and not re.search(r"\b(nav|toc)\.x?html", name):
                lines.append(html_text(package.read(name)))
    return "\n".join(lines)


def html_text(content):
    from lxml import etree
    import lxml.html
    if isinstance(content, str):
        # An encoding that is declared inside is no longer the text's.
        root = lxml.html.document_fromstring(re.sub(r"^\s*<\?xml[^>]*\?>", "", content) or " ")
    else:
        root = lxml.html.document_fromstring(content, parser=lxml.html.HTMLParser(encoding=None))
    for node in root.xpath("//script|//style|//noscript|//template|//head|//comment()|//iframe|//svg|//object"):
        if node.getparent() is not None:
            node.drop_tree()
    inline = {"a", "b", "i", "em", "strong", "span", "font", "sub", "sup", "code", "u", "small", "big", "tt", "abbr",
              "mark", "q", "cite", "wbr", "acronym", "kbd", "var", "samp", "ins", "label", "time"}
    parts = []
    for event, node in etree.iterwalk(root, events=("start", "end")):
        if not isinstance(node.tag, str):
            continue
        if node.tag not in inline:
            parts.append("\n")
        if event == "start" and node.tag in ("img", "input"):
            parts.append(f" {node.get('alt') or node.get('value') or ''} ")
        parts.append((node.text if event == "start" else node.tail) or "")
    return "".join(parts)


def by_lxml(path, entry):
    content = path.read_bytes()
    name = entry.get("encoding") and codec(entry["encoding"])
    if not name:
        try:
            return html_text(content.decode("utf-8-sig") or " ")
        except UnicodeDecodeError:
            return html_text(content)
    return html_text(content.decode(name, "replace"))


def by_trafilatura(path, _entry):
    import trafilatura
    return trafilatura.extract(path.read_bytes(), favor_recall=True, include_comments=True, include_tables=True)


def by_markdown_it(path, _entry):
    from markdown_it import MarkdownIt
    text = path.read_text("utf-8", "replace")
    return html_text(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text) or "<p></p>")


def by_striprtf(path, _entry):
    from striprtf.striprtf import rtf_to_text
    return rtf_to_text(path.read_bytes().decode("latin-1"), errors="ignore")


CODECS = {"utf-8-sig": "utf-8-sig", "MacCyrillic": "mac_cyrillic", "IBM866": "cp866", "IBM855": "cp855",
          "TIS-620": "cp874", "EUC-TW": None, "GB2312": "gb18030", "EUC-KR": "cp949", "SHIFT_JIS": "cp932"}


def codec(name):
    name = re.sub(r"-(cyrillic|bulgarian|hebrew|greek|hungarian|turkish|arabic)$", "", name)
    return CODECS.get(name, name)


def by_declared_encoding(path, entry):
    """The text under the encoding that the test corpus itself names, in a folder or in the file's name."""
    name = entry["encoding"]
    if not name:
        found = re.search(r"-(windows-\d+|euc-\w\w|gb18030|gbk|big5|utf-\d+(?:[bl]e)?|shift-jis|iso-2022-jp|hz-gb2312)\.txt$",
                          entry["name"])
        name = found.group(1) if found else None
    if not name:
        return None
    name = {"hz-gb2312": "hz", "shift-jis": "cp932", "utf-32be": "utf-32", "utf-16le": "utf-16"}.get(name, codec(name))
    return path.read_bytes().decode(name, "replace") if name else None


def by_charset_normalizer(path, _entry):
    from charset_normalizer import from_bytes
    best = from_bytes(path.read_bytes()).best()
    return str(best) if best else None


def by_csv(path, _entry):
    text = path.read_bytes().decode("utf-8-sig", "replace")
    try:
        rows = csv.reader(io.StringIO(text), csv.Sniffer().sniff(text[:65536], ",;\t|"))
    except csv.Error:
        rows = csv.reader(io.StringIO(text))
    return "\n".join("\t".join(row) for row in rows)


def by_json(path, _entry):
    parts = []

    def walk(value):
        if isinstance(value, dict):
            for key, inner in value.items():
                parts.append(key)
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)
        elif value is not None:
            parts.append(str(value) if not isinstance(value, bool) else str(value).lower())
    walk(json.loads(path.read_bytes().decode("utf-8-sig"), parse_float=str, parse_int=str))
    return "\n".join(parts)


def by_email(path, _entry):
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    parts = [str(message[name]) for name in ("subject", "from", "to", "cc") if message[name]]
    body = message.get_body(("html", "plain"))
    if body is not None:
        text = body.get_content()
        parts.append(html_text(text) if body.get_content_type() == "text/html" and text.strip() else text)
    return "\n".join(parts)


def by_email_parts(path, _entry):
    """Every text of every part, and all fields."""
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    parts = []
    for part in message.walk():
        parts += [f"{name}: {value}" for name, value in part.items()]
        parts.append(part.get_filename() or "")
        if part.get_content_maintype() == "text":
            text = part.get_content()
            parts.append(html_text(text) if part.get_content_type() == "text/html" and text.strip() else text)
        elif not part.is_multipart():
            content = part.get_payload(decode=True) or b""
            parts.append(content.decode("utf-8", "replace"))
    parts += [message.preamble or "", message.epilogue or ""]
    return "\n".join(parts)


def by_extract_msg(path, _entry):
    import extract_msg
    with extract_msg.openMsg(str(path)) as message:
        parts = [getattr(message, name, None) for name in ("subject", "sender", "to", "cc", "bcc", "body")]
        return "\n".join(p for p in parts if isinstance(p, str))


def by_extract_msg_parts(path, _entry):
    """The same with its date, its attachments and the fields that it came with."""
    import extract_msg
    with extract_msg.openMsg(str(path)) as message:
        parts = [by_extract_msg(path, None), str(message.date), str(getattr(message, "header", ""))]
        parts += [f"{at:%Y %m %d %H %M UTC}" for at in [getattr(message, "parsedDate", None)] if hasattr(at, "year")]
        body = getattr(message, "htmlBody", None)
        parts.append(html_text(body) if body else "")
        for attached in message.attachments:
            parts.append(attached.longFilename or attached.shortFilename or "")
            data = attached.data
            if isinstance(data, bytes):
                parts.append(data.decode("utf-8", "replace"))
            elif data is not None:
                parts += [str(getattr(data, name, "")) for name in ("subject", "sender", "to", "cc", "body", "date")]
        return "\n".join(parts)


READERS = {
    "pdf": {"pdftotext": lambda path, _: pdftotext(path), "pdftotext without heads": without_heads},
    "docx": {"pandoc": pandoc("docx"), "lxml": by_lxml_parts(r"^word/\w*(document|header|footer|footnotes|endnotes)\w*\.xml$")},
    "xlsx": {"openpyxl": by_openpyxl},
    "pptx": {"python-pptx": by_python_pptx,
             "lxml": by_lxml_parts(r"^ppt/(slides|notesSlides|charts|diagrams)/(slide|notesSlide|chart|data)\d+\.xml$")},
    "odt": {"pandoc": pandoc("odt")},
    "ods": {"lxml": by_lxml_package("content.xml", ("annotation",))},
    "odp": {"lxml": by_lxml_package("content.xml", ("annotation",))},
    "rtf": {"striprtf": by_striprtf, "pandoc": pandoc("rtf")},
    "epub": {"pandoc": pandoc("epub"), "lxml": by_lxml_book},
    "html": {"lxml": by_lxml, "trafilatura": by_trafilatura},
    "md": {"markdown-it": by_markdown_it, "pandoc": pandoc("commonmark_x-smart")},
    "txt": {"declared": by_declared_encoding, "charset-normalizer": by_charset_normalizer},
    "csv": {"csv": by_csv},
    "json": {"json": by_json},
    "eml": {"email": by_email, "email, all parts": by_email_parts},
    "msg": {"extract-msg": by_extract_msg, "extract-msg, all parts": by_extract_msg_parts},
}


def texts_of(entry, files, cache):
    path, found = files / entry["path"], {}
    for name, read in READERS[entry["format"]].items():
        kept = cache / f"{entry['sha256']}.{name}"
        if not kept.exists():
            try:
                text = read(path, entry)
            except Exception:  # a peer's failure of any kind says only that it does not read this file
                text = None
            kept.write_text("\0" if text is None else text.encode("utf-8", "replace").decode("utf-8"))
        found[name] = kept.read_text(errors="replace")
    if entry["format"] in OFFICE:
        kept = cache / f"{entry['sha256']}.libreoffice"
        if kept.exists():
            found["libreoffice"] = kept.read_text(errors="replace")
    return {name: text for name, text in found.items() if text != "\0"}
