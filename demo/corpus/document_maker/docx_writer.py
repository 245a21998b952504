"""Writes a parsed source as a WordprocessingML document (ECMA-376): heading styles, numbered and
bulleted lists, tables with a repeating header row, running header and footer with page numbers.

Member times and document properties come from the source's date, so that the same source gives
the same bytes.
"""

import io
import zipfile
from xml.sax.saxutils import escape

from .markup import Callout, Heading, ListBlock, Paragraph, Table, plain

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
R = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
WORD_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml"
TEXT_WIDTH = 9354  # twentieths of a point: A4 less the side margins
SIDE_MARGIN = 1276


def run_xml(run, extra=""):
    properties = ("<w:b/>" if run.bold else "") + ("<w:i/>" if run.italic else "") + extra
    wrapped = f"<w:rPr>{properties}</w:rPr>" if properties else ""
    return f'<w:r>{wrapped}<w:t xml:space="preserve">{escape(run.text)}</w:t></w:r>'


def runs_xml(runs):
    return "".join(run_xml(run) for run in runs)


def paragraph_xml(content, style=None, properties=""):
    styled = f'<w:pStyle w:val="{style}"/>' if style else ""
    wrapped = f"<w:pPr>{styled}{properties}</w:pPr>" if styled or properties else ""
    return f"<w:p>{wrapped}{content}</w:p>"


def table_grid(table):
    """Column widths in proportion to the text they hold, none below a twelfth of the page."""
    rows = ([table.header] if table.header else []) + table.rows
    weights = [max(max(len(plain(row[c])) for row in rows), 6) ** 0.7 for c in range(len(rows[0]))]
    widths = [max(int(TEXT_WIDTH * weight / sum(weights)), TEXT_WIDTH // 12) for weight in weights]
    widths[-1] += TEXT_WIDTH - sum(widths)
    return widths


def cell_xml(cell, width, align, style, shade=None):
    shading = f'<w:shd w:val="clear" w:color="auto" w:fill="{shade}"/>' if shade else ""
    side = '<w:jc w:val="right"/>' if align == "right" else ""
    return (f'<w:tc><w:tcPr><w:tcW w:w="{width}" w:type="dxa"/>{shading}</w:tcPr>'
            + paragraph_xml(runs_xml(cell), style, side) + "</w:tc>")


def table_xml(table, theme):
    widths = table_grid(table)
    rows = []
    if table.header:
        cells = "".join(cell_xml(cell, width, align, "TableHeading", theme.tint)
                        for cell, width, align in zip(table.header, widths, table.align))
        rows.append(f"<w:tr><w:trPr><w:cantSplit/><w:tblHeader/></w:trPr>{cells}</w:tr>")
    for row in table.rows:
        styles = ["TableText"] * len(row)
        if not table.header:
            styles[0] = "TableHeading"
        cells = "".join(cell_xml(cell, width, align, style)
                        for cell, width, align, style in zip(row, widths, table.align, styles))
        rows.append(f"<w:tr><w:trPr><w:cantSplit/></w:trPr>{cells}</w:tr>")
    grid = "".join(f'<w:gridCol w:w="{width}"/>' for width in widths)
    first_row = "1" if table.header else "0"
    first_column = "0" if table.header else "1"
    return (f'<w:tbl><w:tblPr><w:tblStyle w:val="PaperTable"/><w:tblW w:w="{sum(widths)}" w:type="dxa"/>'
            f'<w:tblLayout w:type="fixed"/><w:tblLook w:val="04A0" w:firstRow="{first_row}" w:lastRow="0" '
            f'w:firstColumn="{first_column}" w:lastColumn="0" w:noHBand="0" w:noVBand="1"/></w:tblPr>'
            f"<w:tblGrid>{grid}</w:tblGrid>{''.join(rows)}</w:tbl>"
            + paragraph_xml("", "AfterTable"))


def list_xml(block, number_id):
    """Items are set close; the last one keeps a paragraph's distance to what follows."""
    style = "ListNumber" if block.ordered else "ListBullet"
    numbering = f'<w:numPr><w:ilvl w:val="0"/><w:numId w:val="{number_id}"/></w:numPr>'
    last = len(block.items) - 1
    return "".join(
        paragraph_xml(runs_xml(item), style, numbering + ('<w:spacing w:after="140"/>' if index == last else ""))
        for index, item in enumerate(block.items))


def body_xml(document, theme):
    """The body and how many ordered lists it has; each restarts at 1 with its own number id."""
    parts, ordered_lists = [], 0
    for block in document.blocks:
        if isinstance(block, Heading):
            style = "Title" if block.level == 1 else f"Heading{block.level - 1}"
            parts.append(paragraph_xml(runs_xml(block.runs), style))
        elif isinstance(block, Paragraph):
            content = "<w:r><w:br/></w:r>".join(runs_xml(line) for line in block.lines)
            parts.append(paragraph_xml(content))
        elif isinstance(block, Callout):
            parts.append(paragraph_xml(runs_xml(block.runs), "Callout"))
        elif isinstance(block, ListBlock):
            if block.ordered:
                ordered_lists += 1
            parts.append(list_xml(block, 1 + ordered_lists if block.ordered else 1))
        elif isinstance(block, Table):
            parts.append(table_xml(block, theme))
    return "".join(parts), ordered_lists


def document_xml(body):
    section = ('<w:sectPr><w:headerReference w:type="default" r:id="rId3"/>'
               '<w:footerReference w:type="default" r:id="rId4"/>'
               '<w:pgSz w:w="11906" w:h="16838"/>'
               f'<w:pgMar w:top="1531" w:right="{SIDE_MARGIN}" w:bottom="1304" w:left="{SIDE_MARGIN}" '
               'w:header="709" w:footer="624" w:gutter="0"/></w:sectPr>')
    return f"{XML}<w:document {W} {R}><w:body>{body}{section}</w:body></w:document>"


def style_xml(kind, style_id, name, based_on=None, following=None, paragraph="", run="", extra="", priority=None):
    default = ' w:default="1"' if style_id in ("Normal", "TableNormal") else ""
    parts = [f'<w:style w:type="{kind}"{default} w:styleId="{style_id}"><w:name w:val="{name}"/>']
    if based_on:
        parts.append(f'<w:basedOn w:val="{based_on}"/>')
    if following:
        parts.append(f'<w:next w:val="{following}"/>')
    if priority is not None:
        parts.append(f'<w:uiPriority w:val="{priority}"/>')
    parts.append("<w:qFormat/>" if kind == "paragraph" else "")
    if paragraph:
        parts.append(f"<w:pPr>{paragraph}</w:pPr>")
    if run:
        parts.append(f"<w:rPr>{run}</w:rPr>")
    return "".join(parts) + extra + "</w:style>"


def styles_xml(theme):
    body, head, accent = theme.word_body_font, theme.word_heading_font, theme.accent

    def heading(level, size, before):
        return style_xml("paragraph", f"Heading{level}", f"heading {level}", "Normal", "Normal", priority=9,
                         paragraph=f'<w:keepNext/><w:keepLines/><w:spacing w:before="{before}" w:after="80"/>'
                                   f'<w:outlineLvl w:val="{level - 1}"/>',
                         run=f'<w:rFonts w:ascii="{head}" w:hAnsi="{head}" w:cs="{head}"/><w:b/>'
                             f'<w:color w:val="{accent}"/><w:sz w:val="{size}"/><w:szCs w:val="{size}"/>')

    borders = "".join(f'<w:{side} w:val="single" w:sz="4" w:space="0" w:color="B5B5B5"/>'
                      for side in ("top", "left", "bottom", "right", "insideH", "insideV"))
    return (f'{XML}<w:styles {W}><w:docDefaults><w:rPrDefault><w:rPr>'
            f'<w:rFonts w:ascii="{body}" w:hAnsi="{body}" w:eastAsia="{body}" w:cs="{body}"/>'
            '<w:sz w:val="21"/><w:szCs w:val="21"/><w:lang w:val="en-GB" w:eastAsia="en-GB" w:bidi="ar-SA"/>'
            '</w:rPr></w:rPrDefault><w:pPrDefault><w:pPr><w:spacing w:after="120" w:line="264" w:lineRule="auto"/>'
            '</w:pPr></w:pPrDefault></w:docDefaults>'
            + style_xml("paragraph", "Normal", "Normal")
            + style_xml("table", "TableNormal", "Normal Table", priority=99,
                        extra='<w:tblPr><w:tblInd w:w="0" w:type="dxa"/><w:tblCellMar>'
                              '<w:top w:w="0" w:type="dxa"/><w:left w:w="108" w:type="dxa"/>'
                              '<w:bottom w:w="0" w:type="dxa"/><w:right w:w="108" w:type="dxa"/>'
                              '</w:tblCellMar></w:tblPr>')
            + style_xml("paragraph", "Title", "Title", "Normal", "Normal", priority=10,
                        paragraph='<w:keepNext/><w:spacing w:after="200"/>',
                        run=f'<w:rFonts w:ascii="{head}" w:hAnsi="{head}" w:cs="{head}"/><w:b/>'
                            f'<w:color w:val="{accent}"/><w:sz w:val="38"/><w:szCs w:val="38"/>')
            + heading(1, 27, 280) + heading(2, 23, 200)
            + style_xml("paragraph", "ListBullet", "List Bullet", "Normal", priority=36,
                        paragraph='<w:spacing w:after="60"/>')
            + style_xml("paragraph", "ListNumber", "List Number", "Normal", priority=36,
                        paragraph='<w:spacing w:after="60"/>')
            + style_xml("paragraph", "Callout", "Call-out", "Normal",
                        paragraph=f'<w:pBdr><w:left w:val="single" w:sz="24" w:space="8" w:color="{accent}"/></w:pBdr>'
                                  f'<w:shd w:val="clear" w:color="auto" w:fill="{theme.tint}"/>'
                                  '<w:spacing w:before="120"/><w:ind w:left="227" w:right="227"/>')
            + style_xml("paragraph", "TableText", "Table Text", "Normal",
                        paragraph='<w:spacing w:before="40" w:after="40" w:line="240" w:lineRule="auto"/>',
                        run='<w:sz w:val="19"/><w:szCs w:val="19"/>')
            + style_xml("paragraph", "TableHeading", "Table Heading", "TableText", run="<w:b/>")
            + style_xml("paragraph", "AfterTable", "After Table", "Normal",
                        paragraph='<w:spacing w:after="60" w:line="120" w:lineRule="exact"/>')
            + style_xml("paragraph", "Header", "header", "Normal", priority=99,
                        paragraph=f'<w:pBdr><w:bottom w:val="single" w:sz="6" w:space="4" w:color="{accent}"/></w:pBdr>'
                                  f'<w:tabs><w:tab w:val="right" w:pos="{TEXT_WIDTH}"/></w:tabs>',
                        run='<w:color w:val="5A5A5A"/><w:sz w:val="17"/><w:szCs w:val="17"/>')
            + style_xml("paragraph", "Footer", "footer", "Normal", priority=99,
                        paragraph=f'<w:tabs><w:tab w:val="right" w:pos="{TEXT_WIDTH}"/></w:tabs>',
                        run='<w:color w:val="5A5A5A"/><w:sz w:val="17"/><w:szCs w:val="17"/>')
            + style_xml("table", "PaperTable", "Paper Table", "TableNormal",
                        extra=f"<w:tblPr><w:tblBorders>{borders}</w:tblBorders></w:tblPr>")
            + "</w:styles>")


def numbering_xml(ordered_lists):
    def abstract(number, kind, text, font=""):
        return (f'<w:abstractNum w:abstractNumId="{number}"><w:multiLevelType w:val="singleLevel"/>'
                f'<w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="{kind}"/><w:lvlText w:val="{text}"/>'
                f'<w:lvlJc w:val="left"/><w:pPr><w:ind w:left="454" w:hanging="340"/></w:pPr>{font}</w:lvl>'
                '</w:abstractNum>')

    numbers = '<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num>' + "".join(
        f'<w:num w:numId="{2 + index}"><w:abstractNumId w:val="1"/>'
        '<w:lvlOverride w:ilvl="0"><w:startOverride w:val="1"/></w:lvlOverride></w:num>'
        for index in range(ordered_lists))
    return (f"{XML}<w:numbering {W}>" + abstract(0, "bullet", "\u2022") + abstract(1, "decimal", "%1.")
            + numbers + "</w:numbering>")


def field_xml(code):
    return ('<w:r><w:fldChar w:fldCharType="begin"/></w:r>'
            f'<w:r><w:instrText xml:space="preserve"> {code} </w:instrText></w:r>'
            '<w:r><w:fldChar w:fldCharType="separate"/></w:r><w:r><w:t>1</w:t></w:r>'
            '<w:r><w:fldChar w:fldCharType="end"/></w:r>')


def text_run(text):
    return f'<w:r><w:t xml:space="preserve">{escape(text)}</w:t></w:r>'


def header_xml(meta):
    left, right = meta["header"].split(" | ")
    content = text_run(left) + "<w:r><w:tab/></w:r>" + text_run(right)
    return f'{XML}<w:hdr {W} {R}>{paragraph_xml(content, "Header")}</w:hdr>'


def footer_xml(meta):
    content = (text_run(meta["footer"]) + "<w:r><w:tab/></w:r>" + text_run("Page ") + field_xml("PAGE")
               + text_run(" of ") + field_xml("NUMPAGES"))
    return f'{XML}<w:ftr {W} {R}>{paragraph_xml(content, "Footer")}</w:ftr>'


def relationships_xml(entries):
    lines = "".join(f'<Relationship Id="rId{number}" Type="{kind}" Target="{target}"/>'
                    for number, (kind, target) in enumerate(entries, start=1))
    return f'{XML}<Relationships xmlns="{PACKAGE}/relationships">{lines}</Relationships>'


def content_types_xml():
    parts = {
        "/word/document.xml": f"{WORD_TYPE}.document.main+xml",
        "/word/styles.xml": f"{WORD_TYPE}.styles+xml",
        "/word/numbering.xml": f"{WORD_TYPE}.numbering+xml",
        "/word/settings.xml": f"{WORD_TYPE}.settings+xml",
        "/word/header1.xml": f"{WORD_TYPE}.header+xml",
        "/word/footer1.xml": f"{WORD_TYPE}.footer+xml",
        "/docProps/core.xml": "application/vnd.openxmlformats-package.core-properties+xml",
        "/docProps/app.xml": "application/vnd.openxmlformats-officedocument.extended-properties+xml",
    }
    overrides = "".join(f'<Override PartName="{name}" ContentType="{kind}"/>' for name, kind in parts.items())
    return (f'{XML}<Types xmlns="{PACKAGE}/content-types">'
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Default Extension="xml" ContentType="application/xml"/>{overrides}</Types>')


def core_xml(meta):
    stamp = f"{meta['date']}T09:00:00Z"
    return (f'{XML}<cp:coreProperties xmlns:cp="{PACKAGE}/metadata/core-properties" '
            'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/" '
            'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
            f'<dc:title>{escape(meta["title"])}</dc:title><dc:creator>{escape(meta["author"])}</dc:creator>'
            f'<cp:lastModifiedBy>{escape(meta["author"])}</cp:lastModifiedBy>'
            f'<dcterms:created xsi:type="dcterms:W3CDTF">{stamp}</dcterms:created>'
            f'<dcterms:modified xsi:type="dcterms:W3CDTF">{stamp}</dcterms:modified>'
            '<dc:language>en-GB</dc:language></cp:coreProperties>')


def app_xml(theme):
    return (f'{XML}<Properties xmlns="{OFFICE}/extended-properties">'
            f"<Company>{escape(theme.organisation)}</Company></Properties>")


def settings_xml():
    return (f'{XML}<w:settings {W}><w:defaultTabStop w:val="567"/><w:characterSpacingControl w:val="doNotCompress"/>'
            '<w:compat><w:compatSetting w:name="compatibilityMode" '
            'w:uri="http://schemas.microsoft.com/office/word" w:val="15"/></w:compat></w:settings>')


def write_docx(document, theme):
    body, ordered_lists = body_xml(document, theme)
    members = {
        "[Content_Types].xml": content_types_xml(),
        "_rels/.rels": relationships_xml([
            (f"{OFFICE}/relationships/officeDocument", "word/document.xml"),
            (f"{PACKAGE}/relationships/metadata/core-properties", "docProps/core.xml"),
            (f"{OFFICE}/relationships/extended-properties", "docProps/app.xml")]),
        "word/document.xml": document_xml(body),
        "word/_rels/document.xml.rels": relationships_xml([
            (f"{OFFICE}/relationships/styles", "styles.xml"),
            (f"{OFFICE}/relationships/numbering", "numbering.xml"),
            (f"{OFFICE}/relationships/header", "header1.xml"),
            (f"{OFFICE}/relationships/footer", "footer1.xml"),
            (f"{OFFICE}/relationships/settings", "settings.xml")]),
        "word/styles.xml": styles_xml(theme),
        "word/numbering.xml": numbering_xml(ordered_lists),
        "word/settings.xml": settings_xml(),
        "word/header1.xml": header_xml(document.meta),
        "word/footer1.xml": footer_xml(document.meta),
        "docProps/core.xml": core_xml(document.meta),
        "docProps/app.xml": app_xml(theme),
    }
    year, month, day = (int(part) for part in document.meta["date"].split("-"))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, text in members.items():
            info = zipfile.ZipInfo(name, (year, month, day, 9, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 0
            archive.writestr(info, text.encode("utf-8"))
    return out.getvalue()


def members_of(docx):
    """Names and inflated contents: what `--check` compares, as zlib builds differ."""
    with zipfile.ZipFile(io.BytesIO(docx)) as archive:
        return [(info.filename, info.date_time, archive.read(info)) for info in archive.infolist()]
