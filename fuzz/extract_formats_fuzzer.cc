// The readers of the formats beyond text, HTML, DOCX and PDF. The first byte names one; the rest is its
// document, or the part of its package that holds the text.
#include <cstddef>
#include <cstdint>
#include <string>

#include "extract/encoding.h"
#include "extract/readers.h"
#include "extract_check.h"
#include "zip_parts.h"

namespace {

using namespace bulkhead::extract;

std::string workbook_of(std::string_view sheet) {
  return zip_parts(
      {{"_rels/.rels", "<R><r Type='x/officeDocument' Target='xl/book.xml'/></R>"},
       {"xl/book.xml", "<w xmlns:r='r'><sheets><sheet name='S' r:id='s'/></sheets></w>"},
       {"xl/_rels/book.xml.rels",
        "<R><r Id='s' Type='x/worksheet' Target='s.xml'/><r Id='t' Type='x/styles' Target='t.xml'/></R>"},
       {"xl/t.xml",
        "<s><numFmts><n numFmtId='170' formatCode='yyyy\"-\"[h]0.0,%;;@'/></numFmts><cellXfs><x "
        "numFmtId='14'/>"
        "<x numFmtId='170'/></cellXfs></s>"},
       {"xl/s.xml", sheet}});
}

std::string presentation_of(std::string_view slide) {
  return zip_parts({{"_rels/.rels", "<R><r Type='x/officeDocument' Target='ppt/show.xml'/></R>"},
                    {"ppt/show.xml", "<p xmlns:r='r'><sldIdLst><s r:id='s'/></sldIdLst></p>"},
                    {"ppt/_rels/show.xml.rels", "<R><r Id='s' Type='x/slide' Target='s.xml'/></R>"},
                    {"ppt/_rels/s.xml.rels", "<R><r Id='s' Type='x/notesSlide' Target='s.xml'/></R>"},
                    {"ppt/s.xml", slide}});
}

std::string open_document_of(std::string_view type, std::string_view content) {
  return zip_parts({{"mimetype", type}, {"content.xml", content}});
}

std::string book_of(std::string_view chapter) {
  return zip_parts({{"mimetype", "application/epub+zip"},
                    {"META-INF/container.xml", "<c><rootfiles><rootfile full-path='b.opf'/></rootfiles></c>"},
                    {"b.opf",
                     "<p><manifest><item id='a' href='c.x' media-type='text/html'/></manifest><spine>"
                     "<itemref idref='a'/></spine></p>"},
                    {"c.x", chapter}});
}

std::string utf8_of(std::string_view input) {
  auto text = text_to_utf8(input);
  return text ? *text : std::string();
}

bulkhead::base::Result<Document> read(char format, std::string_view input) {
  const Limits limits = small_limits();
  switch (format) {
    case 'r': return extract_rtf(input, limits);
    case 'm': return extract_mail(input, limits, 0);
    case 'c': return extract_delimited(utf8_of(input), false, limits);
    case 't': return extract_delimited(utf8_of(input), true, limits);
    case 'j': return extract_json(utf8_of(input), limits);
    case 'x': return extract_any("a.xlsx", workbook_of(input), limits);
    case 'p': return extract_any("a.pptx", presentation_of(input), limits);
    case 'o':
      return extract_any("a", open_document_of("application/vnd.oasis.opendocument.text", input), limits);
    case 's':
      return extract_any("a", open_document_of("application/vnd.oasis.opendocument.spreadsheet", input),
                         limits);
    case 'i':
      return extract_any("a", open_document_of("application/vnd.oasis.opendocument.presentation", input),
                         limits);
    case 'e': return extract_any("a", book_of(input), limits);
    default: return extract_any("a", input, limits);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  check_answer(read(input.front(), input.substr(1)), small_limits());
  return 0;
}
