// PDF by poppler: the pages' words in reading order with their places and fonts; pdf_layout.h makes
// blocks of them.
#include <Catalog.h>
#include <GlobalParams.h>
#include <PDFDoc.h>
#include <Stream.h>
#include <UTF.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "extract/document.h"
#include "extract/pdf_device.h"
#include "extract/pdf_layout.h"
#include "extract/pdf_scan.h"
#include "extract/readers.h"
#include "extract/sandbox.h"

namespace bulkhead::extract {

using base::Error;
using base::Result;

namespace {

constexpr int kPagesMax = 5'000;

void silence(ErrorCategory, Goffset, const char*) {}

// poppler's settings, for the process's life.
void start_poppler() { static const GlobalParamsIniter settings(&silence); }

std::unique_ptr<PDFDoc> open_document(std::string_view bytes) {
  start_poppler();
  auto stream =
      std::make_unique<MemStream>(bytes.data(), 0, static_cast<Goffset>(bytes.size()), Object(objNull));
  return std::make_unique<PDFDoc>(stream.release());
}

std::string title_of(PDFDoc& document) {
  std::unique_ptr<GooString> entry = document.getDocInfoTitle();
  if (!entry) return "";
  Unicode* characters = nullptr;
  int length = TextStringToUCS4(entry->toStr(), &characters);
  std::string title;
  for (int i = 0; i < length; ++i) append_utf8(title, characters[i]);
  std::free(characters);
  return title;
}

// Kinds whose pages hold a notice to the reader instead of the document.
Result<void> refuse_placeholders(PDFDoc& document) {
  Object root = document.getXRef()->getCatalog();
  if (!root.isDict()) return Result<void>();
  if (root.dictLookup("Collection").isDict()) {
    return Error(ExtractionError::Unsupported,
                 "The PDF is a portfolio of other files. Save the files that it holds and add each.");
  }
  Object form = root.dictLookup("AcroForm");
  if (!form.isDict() || form.dictLookup("XFA").isNull()) return Result<void>();
  Object shown_by_program = root.dictLookup("NeedsRendering");
  Object fields = form.dictLookup("Fields");
  // A static form has its fields on its pages too.
  bool dynamic = (shown_by_program.isBool() && shown_by_program.getBool()) || !fields.isArray() ||
                 fields.arrayGetLength() == 0;
  if (dynamic) {
    return Error(
        ExtractionError::Unsupported,
        "The PDF is a dynamic XFA form, whose pages only its form program can show. Print it to a PDF "
        "there and add that.");
  }
  return Result<void>();
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

// The words of a page, recognised where it is a scan; and what was left out.
std::vector<PdfWord> words_of_page(PDFDoc& document, int number, Report& report) {
  const auto page = static_cast<std::uint32_t>(number);
  PdfPageText text = visible_text(document, number);
  report.leave_out(LeftOut::HiddenText, text.hidden, page);
  if (!is_scan(text)) {
    if (text.words.empty()) report.leave_out(LeftOut::PageWithoutText, 1, page);
    // A picture below a layer of recognised text is that text.
    if (text.from_layer == 0) report.leave_out(LeftOut::Picture, text.pictures, page);
    return std::move(text.words);
  }
  if (!can_recognise()) {
    report.leave_out(LeftOut::PageNotRecognised, 1, page);
    return std::move(text.words);
  }
  RecognisedPage read{.outcome = PageOutcome::OutOfTime};
  if (has_recognition_time()) {
    const ReadingClockPause pause(page_seconds_max());
    read = recognise_page(document, number);
  }
  note_recognised(report, page, read);
  // The stamp on a scan is in its picture too.
  const bool more = read.words.size() > text.words.size() || text.seen == 0;
  return read.outcome == PageOutcome::Recognised && more ? std::move(read.words) : std::move(text.words);
}

}  // namespace

void prepare_pdf() {
  map_pdf_tables();
  // A page of our own in the fonts that a PDF may use without bringing them: poppler and fontconfig
  // read their tables for it now, while files can still be opened.
  std::string page = warm_up_document();
  std::unique_ptr<PDFDoc> document = open_document(page);
  if (document->isOk()) static_cast<void>(visible_text(*document, 1).words.size());
}

Result<Document> extract_pdf(std::string_view bytes, const Limits& limits) {
  std::unique_ptr<PDFDoc> document = open_document(bytes);
  if (!document->isOk()) {
    if (document->getErrorCode() == errEncrypted) {
      return Error(ExtractionError::Encrypted, "The PDF is protected by a password. Remove it first.");
    }
    return Error(ExtractionError::Invalid, "The PDF is damaged.");
  }
  if (auto allowed = refuse_placeholders(*document); !allowed) return allowed.error();
  int pages = document->getNumPages();
  if (pages > kPagesMax)
    return Error(ExtractionError::TooLarge, "The PDF has more pages than are taken. Split it.");
  DocumentBuilder builder("pdf", limits);
  Report& report = builder.report();
  report.pages = static_cast<std::uint32_t>(pages);
  std::vector<PdfRow> rows;
  std::size_t text_bytes = 0;
  for (int i = 1; i <= pages && text_bytes <= limits.text_bytes_max; ++i) {
    for (PdfRow& row : rows_of_page(words_of_page(*document, i, report), static_cast<std::uint32_t>(i))) {
      text_bytes += row.text().size();
      rows.push_back(std::move(row));
    }
  }
  if (rows.empty() && can_recognise()) return no_text_in_pictures(report);
  if (rows.empty()) {
    return Error(
        ExtractionError::Invalid,
        "The PDF holds no text (scanned pages?), and text recognition is switched off here. Run it first.");
  }
  drop_furniture(rows);
  builder.set_title(title_of(*document));
  compose_blocks(rows, builder);
  return builder.take();
}

}  // namespace bulkhead::extract
