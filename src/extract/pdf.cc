// PDF by poppler: the pages' words in reading order with their places and fonts; pdf_layout.h makes
// blocks of them.
#include <poppler-document.h>
#include <poppler-global.h>
#include <poppler-page.h>

#include <memory>
#include <string>
#include <vector>

#include "extract/document.h"
#include "extract/pdf_layout.h"

namespace bulkhead::extract {

using base::Error;
using base::Result;

namespace {

constexpr int kPagesMax = 5'000;

std::string utf8(const poppler::ustring& text) {
  poppler::byte_array bytes = text.to_utf8();
  return std::string(bytes.begin(), bytes.end());
}

void silence(const std::string&, void*) {}

std::vector<PdfWord> words_of(poppler::page& page) {
  std::vector<PdfWord> words;
  for (const poppler::text_box& box : page.text_list(poppler::page::text_list_include_font)) {
    poppler::rectf area = box.bbox();
    bool known = box.has_font_info();
    words.push_back({utf8(box.text()), area.left(), area.right(), area.top(), area.height(),
                     known ? box.get_font_size() : area.height(),
                     known ? box.get_font_name() : std::string()});
  }
  return words;
}

constexpr const char* kBaseFonts[] = {"Helvetica",
                                      "Helvetica-Bold",
                                      "Helvetica-Oblique",
                                      "Helvetica-BoldOblique",
                                      "Times-Roman",
                                      "Times-Bold",
                                      "Times-Italic",
                                      "Times-BoldItalic",
                                      "Courier",
                                      "Courier-Bold",
                                      "Courier-Oblique",
                                      "Courier-BoldOblique",
                                      "Symbol",
                                      "ZapfDingbats",
                                      "Arial",
                                      "TimesNewRoman"};

// A correct PDF (ISO 32000-1, 7.5) of one page with a word in each base font.
std::string warm_up_document() {
  std::string fonts, words = "BT 20 700 Td 14 TL ";
  std::vector<std::string> objects(4);
  for (const char* name : kBaseFonts) {
    std::string id = "F" + std::to_string(objects.size());
    fonts += "/" + id + " " + std::to_string(objects.size() + 1) + " 0 R ";
    words += "/" + id + " 12 Tf (word) Tj T* ";
    objects.push_back(std::string("<</Type/Font/Subtype/Type1/BaseFont/") + name +
                      "/Encoding/WinAnsiEncoding>>");
  }
  words += "ET";
  objects[0] = "<</Type/Catalog/Pages 2 0 R>>";
  objects[1] = "<</Type/Pages/Kids[3 0 R]/Count 1>>";
  objects[2] =
      "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<<" + fonts + ">>>>>>";
  objects[3] = "<</Length " + std::to_string(words.size()) + ">>stream\n" + words + "\nendstream";
  std::string out = "%PDF-1.4\n";
  std::string table = "xref\n0 " + std::to_string(objects.size() + 1) + "\n0000000000 65535 f \n";
  for (std::size_t i = 0; i < objects.size(); ++i) {
    std::string offset = std::to_string(out.size());
    table += std::string(10 - offset.size(), '0') + offset + " 00000 n \n";
    out += std::to_string(i + 1) + " 0 obj\n" + objects[i] + "\nendobj\n";
  }
  std::size_t table_at = out.size();
  out += table + "trailer<</Size " + std::to_string(objects.size() + 1) + "/Root 1 0 R>>\nstartxref\n" +
         std::to_string(table_at) + "\n%%EOF\n";
  return out;
}

}  // namespace

void prepare_pdf() {
  poppler::set_debug_error_function(&silence, nullptr);
  // A page of our own in the fonts that a PDF may use without bringing them: poppler and fontconfig
  // read their tables for it now, while files can still be opened.
  std::string page = warm_up_document();
  std::unique_ptr<poppler::document> document(
      poppler::document::load_from_raw_data(page.data(), static_cast<int>(page.size())));
  if (!document) return;
  std::unique_ptr<poppler::page> first(document->create_page(0));
  if (first) static_cast<void>(first->text_list(poppler::page::text_list_include_font).size());
}

Result<Document> extract_pdf(std::string_view bytes, const Limits& limits) {
  std::unique_ptr<poppler::document> document(
      poppler::document::load_from_raw_data(bytes.data(), static_cast<int>(bytes.size())));
  if (!document) return Error(ExtractionError::Invalid, "The PDF is damaged.");
  if (document->is_locked()) {
    return Error(ExtractionError::Encrypted, "The PDF is protected by a password. Remove it first.");
  }
  int pages = document->pages();
  if (pages > kPagesMax)
    return Error(ExtractionError::TooLarge, "The PDF has more pages than are taken. Split it.");
  std::vector<PdfRow> rows;
  std::size_t text_bytes = 0;
  for (int i = 0; i < pages && text_bytes <= limits.text_bytes_max; ++i) {
    std::unique_ptr<poppler::page> page(document->create_page(i));
    if (!page) continue;
    for (PdfRow& row : rows_of_page(words_of(*page), static_cast<std::uint32_t>(i + 1))) {
      text_bytes += row.text().size();
      rows.push_back(std::move(row));
    }
  }
  if (rows.empty()) {
    return Error(ExtractionError::Invalid,
                 "The PDF holds no text (scanned pages?). Run text recognition first.");
  }
  drop_furniture(rows);
  DocumentBuilder builder("pdf", limits);
  builder.set_title(utf8(document->get_title()));
  compose_blocks(rows, builder);
  return builder.take();
}

}  // namespace bulkhead::extract
