#!/usr/bin/env python3
"""Makes the PDF and DOCX documents of the demo from their sources. Standard library only.

    demo/corpus/make_documents.py            write <tenant>/<name>.pdf and .docx
    demo/corpus/make_documents.py --check    exit 1 if a written document differs from its source

A source is sources/<tenant>/<name>.md; its front matter says which format it becomes. HTML,
Markdown and text documents have no source: they are kept as they are read.
"""

import argparse
import sys
from pathlib import Path

CORPUS = Path(__file__).resolve().parent
sys.path.insert(0, str(CORPUS))

from document_maker.docx_writer import members_of, write_docx  # noqa: E402
from document_maker.markup import SourceError, parse  # noqa: E402
from document_maker.pdf_writer import decoded, write_pdf  # noqa: E402
from document_maker.theme import THEMES  # noqa: E402

WRITERS = {"pdf": (write_pdf, decoded), "docx": (write_docx, members_of)}


def main():
    parser = argparse.ArgumentParser(description="Make the demo's PDF and DOCX documents from their sources.")
    parser.add_argument("--check", action="store_true", help="compare with what is there, write nothing")
    arguments = parser.parse_args()

    stale = []
    for source in sorted(CORPUS.glob("sources/*/*.md")):
        tenant = source.parent.name
        try:
            document = parse(source.read_text(encoding="utf-8"))
            write, comparable = WRITERS[document.meta["format"]]
            made = write(document, THEMES[tenant])
        except (SourceError, UnicodeEncodeError, ValueError, KeyError) as error:
            print(f"{source.relative_to(CORPUS)}: {error}", file=sys.stderr)
            return 2
        target = CORPUS / tenant / f"{source.stem}.{document.meta['format']}"
        if not arguments.check:
            target.write_bytes(made)
        elif not target.exists() or comparable(target.read_bytes()) != comparable(made):
            stale.append(str(target.relative_to(CORPUS)))

    for name in stale:
        print(f"differs from its source: {name}", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
