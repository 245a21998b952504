"""Lays a parsed source out on A4 and writes it as PDF 1.4 with base-14 fonts, WinAnsi encoded.

Text is written line by line in reading order; a table goes row by row, cell by cell. Times in the
file come from the source's date, so that the same source gives the same bytes.
"""

import re
import zlib
from dataclasses import dataclass

from .font_widths import FIRST_CODE, WIDTHS
from .markup import Callout, Heading, ListBlock, Paragraph, Table, plain

PAGE_WIDTH, PAGE_HEIGHT = 595.28, 841.89
LEFT, RIGHT, TOP, BOTTOM = 62.0, 62.0, 84.0, 70.0
COLUMN = PAGE_WIDTH - LEFT - RIGHT
CELL_PAD_X, CELL_PAD_Y = 6.0, 3.0


def encode(text):
    return text.encode("cp1252")  # raises on a character that WinAnsi lacks


def text_width(text, font, size):
    table = WIDTHS[font]
    return sum(table[code - FIRST_CODE] for code in encode(text)) * size / 1000


def literal(text):
    body = encode(text).replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")
    return b"(" + body + b")"


def colour(rgb):
    return " ".join(f"{int(rgb[i:i + 2], 16) / 255:.3f}" for i in (0, 2, 4))


@dataclass(frozen=True)
class Style:
    size: float
    leading: float
    bold: bool = False
    rgb: str = "1A1A1A"


class Pages:
    """A cursor over growing pages of content-stream operators."""

    def __init__(self, theme):
        self.theme = theme
        self.pages = []
        self.outline = []  # (title, page index, y)
        self.new_page()

    def new_page(self):
        self.operators = []
        self.pages.append(self.operators)
        self.y = PAGE_HEIGHT - TOP

    def room_for(self, height):
        return self.y - height >= BOTTOM

    def ensure(self, height):
        if not self.room_for(height):
            self.new_page()

    def font_of(self, run, style):
        if run.bold or style.bold:
            return self.theme.bold
        return self.theme.italic if run.italic else self.theme.regular

    def words_of(self, runs, style):
        """Words, each a list of (font, text): one word may change font inside."""
        words, joins = [], False
        for run in runs:
            font = self.font_of(run, style)
            for part in re.findall(r" +|[^ ]+", run.text):
                if part[0] == " ":
                    joins = False
                elif joins:
                    words[-1].append((font, part))
                else:
                    words.append([(font, part)])
                    joins = True
        return words

    def wrap(self, runs, style, width):
        """Breaks runs into lines, each a list of (font, text)."""
        lines, line, used = [], [], 0.0
        for word in self.words_of(runs, style):
            length = sum(text_width(text, font, style.size) for font, text in word)
            gap = text_width(" ", line[-1][0], style.size) if line else 0.0
            if line and used + gap + length > width:
                lines.append(line)
                line, used, gap = [], 0.0, 0.0
            if line:
                line.append((line[-1][0], " "))
            line.extend(word)
            used += gap + length
        if line:
            lines.append(line)
        return lines

    def show(self, x, y, line, style):
        """One line as one text object; neighbouring pieces in the same font are joined."""
        joined = []
        for font, text in line:
            if joined and joined[-1][0] == font:
                joined[-1][1] += text
            else:
                joined.append([font, text])
        ops = [b"BT", f"{colour(style.rgb)} rg".encode(), f"{x:.2f} {y:.2f} Td".encode()]
        for font, text in joined:
            ops.append(f"/{FONT_IDS[font]} {style.size:.1f} Tf ".encode() + literal(text) + b" Tj")
        ops.append(b"ET")
        self.operators.extend(ops)

    def box(self, x, y, width, height, fill=None, stroke=None, line_width=0.5):
        if fill:
            self.operators.append(f"{colour(fill)} rg {x:.2f} {y:.2f} {width:.2f} {height:.2f} re f".encode())
        if stroke:
            self.operators.append(
                f"{colour(stroke)} RG {line_width} w {x:.2f} {y:.2f} {width:.2f} {height:.2f} re S".encode())

    def rule(self, x1, y1, x2, y2, rgb, line_width=0.5):
        self.operators.append(
            f"{colour(rgb)} RG {line_width} w {x1:.2f} {y1:.2f} m {x2:.2f} {y2:.2f} l S".encode())

    def flow(self, runs, style, indent=0.0, width=COLUMN):
        lines = self.wrap(runs, style, width - indent)
        for index, line in enumerate(lines):
            last_two = index == len(lines) - 2  # no single line at the top of a page
            self.ensure(style.leading * (2 if last_two else 1))
            self.y -= style.leading
            self.show(LEFT + indent, self.y + style.leading * 0.25, line, style)


FONT_IDS = {"Helvetica": "F1", "Helvetica-Bold": "F2", "Helvetica-Oblique": "F3",
            "Times-Roman": "F4", "Times-Bold": "F5", "Times-Italic": "F6"}


def column_widths(pages, table, style):
    """Natural widths when they fit; otherwise shared by how much text each column holds."""
    rows = ([table.header] if table.header else []) + table.rows
    columns = range(len(rows[0]))
    bold = Style(style.size, style.leading, bold=True)
    natural = [max(text_width(plain(row[c]), pages.theme.bold, style.size) for row in rows) + 2 * CELL_PAD_X + 1
               for c in columns]
    if sum(natural) <= COLUMN:
        spare = COLUMN - sum(natural)
        return [width + spare * width / sum(natural) for width in natural]
    longest_word = [max(text_width(word, pages.theme.bold, bold.size)
                        for row in rows for word in (plain(row[c]).split() or [""])) + 2 * CELL_PAD_X + 1
                    for c in columns]
    share = [min(width, COLUMN * 0.62) ** 0.75 for width in natural]
    widths = [COLUMN * part / sum(share) for part in share]
    for _ in range(8):  # give narrow columns the room of their longest word
        short = [c for c in columns if widths[c] < longest_word[c]]
        if not short:
            break
        for c in short:
            widths[c] = longest_word[c]
        excess = sum(widths) - COLUMN
        wide = [c for c in columns if widths[c] > longest_word[c] + 1]
        slack = sum(widths[c] - longest_word[c] for c in wide)
        for c in wide:
            widths[c] -= excess * (widths[c] - longest_word[c]) / slack
    return widths


def draw_row(pages, cells, widths, style, align, fill=None, labels=False):
    bold = Style(style.size, style.leading, bold=True, rgb=style.rgb)
    styles = [bold if labels and index == 0 else style for index in range(len(cells))]
    wrapped = [pages.wrap(cell, cell_style, width - 2 * CELL_PAD_X)
               for cell, cell_style, width in zip(cells, styles, widths)]
    height = max(max(len(lines) for lines in wrapped), 1) * style.leading + 2 * CELL_PAD_Y
    pages.y -= height
    x = LEFT
    if fill:
        pages.box(LEFT, pages.y, sum(widths), height, fill=fill)
    for lines, cell_style, width, side in zip(wrapped, styles, widths, align):
        for number, line in enumerate(lines):
            length = sum(text_width(text, font, style.size) for font, text in line)
            at = x + width - CELL_PAD_X - length if side == "right" else x + CELL_PAD_X
            baseline = pages.y + height - CELL_PAD_Y - (number + 0.76) * style.leading
            pages.show(at, baseline, line, cell_style)
        x += width
    pages.rule(LEFT, pages.y, LEFT + sum(widths), pages.y, "B5B5B5")


def row_height(pages, cells, widths, style):
    bold = Style(style.size, style.leading, bold=True)
    lines = max(len(pages.wrap(cell, bold, width - 2 * CELL_PAD_X)) for cell, width in zip(cells, widths))
    return max(lines, 1) * style.leading + 2 * CELL_PAD_Y


def draw_table(pages, table, body):
    style = Style(body.size - 0.8, body.leading - 1.4)
    head = Style(style.size, style.leading, bold=True, rgb=pages.theme.accent)
    widths = column_widths(pages, table, style)

    def header():
        if table.header:
            draw_row(pages, table.header, widths, head, table.align, fill=pages.theme.tint)
        else:
            pages.rule(LEFT, pages.y, LEFT + sum(widths), pages.y, "B5B5B5")

    opening = row_height(pages, table.header or table.rows[0], widths, style)
    pages.ensure(opening + row_height(pages, table.rows[0], widths, style))
    header()
    heights = [row_height(pages, row, widths, style) for row in table.rows]
    for index, row in enumerate(table.rows):
        last_two = index == len(table.rows) - 2  # no single row at the top of a page
        if not pages.room_for(sum(heights[index:]) if last_two else heights[index]):
            pages.new_page()
            header()
        draw_row(pages, row, widths, style, table.align, labels=not table.header)
    pages.y -= body.leading * 0.7


def draw_list(pages, block, body):
    indent = 18.0
    for number, item in enumerate(block.items, start=1):
        lines = pages.wrap(item, body, COLUMN - indent)
        pages.ensure(body.leading * min(len(lines), 2))
        mark = f"{number}." if block.ordered else "\u2022"
        for index, line in enumerate(lines):
            pages.ensure(body.leading)
            pages.y -= body.leading
            baseline = pages.y + body.leading * 0.25
            if index == 0:
                pages.show(LEFT + (2 if block.ordered else 5), baseline, [(pages.theme.regular, mark)], body)
            pages.show(LEFT + indent, baseline, line, body)
        pages.y -= 2.0
    pages.y -= body.leading * 0.4


def draw_callout(pages, block, body):
    lines = pages.wrap(block.runs, body, COLUMN - 24)
    height = len(lines) * body.leading + 12
    pages.ensure(height + 4)
    pages.box(LEFT, pages.y - height, COLUMN, height, fill=pages.theme.tint)
    pages.box(LEFT, pages.y - height, 3, height, fill=pages.theme.accent)
    for number, line in enumerate(lines):
        pages.show(LEFT + 14, pages.y - 6 - (number + 0.76) * body.leading, line, body)
    pages.y -= height + body.leading * 0.7


def draw_heading(pages, block, body, following):
    size = {1: 19.0, 2: 13.0, 3: 11.0}[block.level]
    style = Style(size, size * 1.28, bold=True, rgb=pages.theme.accent)
    before = 0 if block.level == 1 else body.leading * 0.7
    lines = pages.wrap(block.runs, style, COLUMN)
    keep = {True: 4.2, False: 2.4}[isinstance(following, Table)] * body.leading
    pages.ensure(before + len(lines) * style.leading + keep)
    if pages.y < PAGE_HEIGHT - TOP:
        pages.y -= before
    pages.outline.append((plain(block.runs), len(pages.pages) - 1, pages.y, block.level))
    pages.flow(block.runs, style)
    pages.y -= body.leading * (0.5 if block.level == 1 else 0.25)


def draw(pages, document):
    body = Style(pages.theme.body_size, pages.theme.leading)
    for index, block in enumerate(document.blocks):
        following = document.blocks[index + 1] if index + 1 < len(document.blocks) else None
        if isinstance(block, Heading):
            draw_heading(pages, block, body, following)
        elif isinstance(block, Paragraph):
            lines = sum(len(pages.wrap(runs, body, COLUMN)) for runs in block.lines)
            attached = 4.0 if isinstance(following, Table) and lines <= 2 else 0.0
            pages.ensure(body.leading * (min(lines, 2) + attached))
            for runs in block.lines:
                pages.flow(runs, body)
            pages.y -= body.leading * 0.55
        elif isinstance(block, ListBlock):
            draw_list(pages, block, body)
        elif isinstance(block, Callout):
            draw_callout(pages, block, body)
        elif isinstance(block, Table):
            draw_table(pages, block, body)


def draw_margins(pages, meta):
    """Running header and footer, once the number of pages is known."""
    small = Style(8.0, 10.0, rgb="5A5A5A")
    left, right = meta["header"].split(" | ")
    for number, operators in enumerate(pages.pages, start=1):
        pages.operators = operators
        top, bottom = PAGE_HEIGHT - 48, 44
        regular = pages.theme.regular
        pages.show(LEFT, top, [(regular, left)], small)
        pages.show(PAGE_WIDTH - RIGHT - text_width(right, regular, 8), top, [(regular, right)], small)
        pages.rule(LEFT, top - 7, PAGE_WIDTH - RIGHT, top - 7, pages.theme.accent, 0.8)
        folio = f"Page {number} of {len(pages.pages)}"
        pages.show(LEFT, bottom, [(regular, meta["footer"])], small)
        pages.show(PAGE_WIDTH - RIGHT - text_width(folio, regular, 8), bottom, [(regular, folio)], small)


def pdf_string(text):
    try:
        text.encode("ascii")
        return literal(text)
    except UnicodeEncodeError:
        return b"<" + (b"\xfe\xff" + text.encode("utf-16-be")).hex().encode() + b">"


def outline_objects(outline, first_id, root_id, page_ids):
    """A flat outline: one entry for each heading below the title."""
    entries = [entry for entry in outline if entry[3] > 1]
    objects = []
    for index, (title, page, y, _) in enumerate(entries):
        own = first_id + index
        links = b""
        if index > 0:
            links += b" /Prev %d 0 R" % (own - 1)
        if index + 1 < len(entries):
            links += b" /Next %d 0 R" % (own + 1)
        objects.append(b"<< /Title " + pdf_string(title) + b" /Parent %d 0 R" % root_id + links
                       + b" /Dest [%d 0 R /XYZ 0 %d null] >>" % (page_ids[page], int(y) + 6))
    root = b"<< /Type /Outlines /Count %d" % len(entries)
    if entries:
        root += b" /First %d 0 R /Last %d 0 R" % (first_id, first_id + len(entries) - 1)
    return [root + b" >>"] + objects


def serialise(objects, root_id, info_id):
    """Numbers the objects from 1 and writes body, cross-reference table and trailer."""
    out = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n" % number + body + b"\nendobj\n"
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    for offset in offsets:
        out += b"%010d 00000 n \n" % offset
    out += b"trailer\n<< /Size %d /Root %d 0 R /Info %d 0 R >>\n" % (len(objects) + 1, root_id, info_id)
    out += b"startxref\n%d\n%%%%EOF\n" % start
    return bytes(out)


def write_pdf(document, theme):
    pages = Pages(theme)
    draw(pages, document)
    draw_margins(pages, document.meta)

    fonts = [theme.regular, theme.bold, theme.italic]
    catalog_id, tree_id, info_id = 1, 2, 3
    font_ids = [4 + index for index in range(len(fonts))]
    page_ids = [7 + 2 * index for index in range(len(pages.pages))]
    outline_root = 7 + 2 * len(pages.pages)

    stamp = "D:" + document.meta["date"].replace("-", "") + "090000Z"
    resources = b"<< /Font << " + b" ".join(
        b"/%s %d 0 R" % (FONT_IDS[font].encode(), number) for font, number in zip(fonts, font_ids)) + b" >> >>"
    objects = [
        b"<< /Type /Catalog /Pages %d 0 R /Outlines %d 0 R /Lang (en-GB) "
        b"/ViewerPreferences << /DisplayDocTitle true >> >>" % (tree_id, outline_root),
        b"<< /Type /Pages /Count %d /Kids [%s] /MediaBox [0 0 %.2f %.2f] /Resources %s >>" % (
            len(page_ids), b" ".join(b"%d 0 R" % page for page in page_ids), PAGE_WIDTH, PAGE_HEIGHT, resources),
        b"<< /Title " + pdf_string(document.meta["title"]) + b" /Author " + pdf_string(document.meta["author"])
        + b" /Subject " + pdf_string(theme.organisation)
        + b" /CreationDate (%s) /ModDate (%s) >>" % (stamp.encode(), stamp.encode()),
    ]
    objects += [b"<< /Type /Font /Subtype /Type1 /BaseFont /%s /Encoding /WinAnsiEncoding >>" % font.encode()
                for font in fonts]
    for index, operators in enumerate(pages.pages):
        stream = zlib.compress(b"\n".join(operators), 9)
        objects.append(b"<< /Type /Page /Parent %d 0 R /Contents %d 0 R >>" % (tree_id, page_ids[index] + 1))
        objects.append(b"<< /Length %d /Filter /FlateDecode >>\nstream\n" % len(stream) + stream + b"\nendstream")
    objects += outline_objects(pages.outline, outline_root + 1, outline_root, page_ids)
    return serialise(objects, catalog_id, info_id)


def decoded(pdf):
    """The file with its streams inflated: what `--check` compares, as zlib builds differ."""
    return re.sub(rb"(/Length )\d+(.*?stream\n)(.*?)(\nendstream)",
                  lambda match: match[1] + match[2] + zlib.decompress(match[3]) + match[4], pdf, flags=re.S)
