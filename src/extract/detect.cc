// Which format a document is in.
#include <algorithm>
#include <array>
#include <exception>
#include <new>
#include <string>

#include "extract/document.h"
#include "extract/encoding.h"
#include "extract/package.h"
#include "extract/readers.h"
#include "extract/unreadable.h"

namespace bulkhead::extract {

using base::Error;
using base::Result;

namespace {

constexpr std::size_t kSniffBytes = 2048;
constexpr std::size_t kPdfMarkBytes = 1024;

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c); });
  return out;
}

bool ends_with_any(const std::string& name, std::initializer_list<std::string_view> endings) {
  return std::any_of(endings.begin(), endings.end(),
                     [&name](std::string_view e) { return name.ends_with(e); });
}

bool looks_like_html(std::string_view bytes) {
  std::string head = lower(bytes.substr(0, kSniffBytes));
  return head.find("<!doctype html") != std::string::npos || head.find("<html") != std::string::npos;
}

// Bytes that no text holds; `text` is UTF-8 already.
bool looks_binary(std::string_view text) {
  std::string_view head = text.substr(0, 64 << 10);
  auto odd = std::count_if(head.begin(), head.end(), [](unsigned char c) {
    return c < 0x20 && c != '\n' && c != '\r' && c != '\t' && c != '\f' && c != '\x1B';
  });
  return head.find('\0') != std::string_view::npos || static_cast<std::size_t>(odd) * 20 > head.size();
}

bool is_tiff(std::string_view bytes) {
  using namespace std::string_view_literals;
  return bytes.starts_with("II*\0"sv) || bytes.starts_with("MM\0*"sv);
}

// PNG, JPEG, GIF, WebP.
bool is_picture(std::string_view bytes) {
  return bytes.starts_with("\x89PNG\r\n\x1A\n") || bytes.starts_with("\xFF\xD8\xFF") ||
         bytes.starts_with("GIF87a") || bytes.starts_with("GIF89a") ||
         (bytes.starts_with("RIFF") && bytes.substr(8).starts_with("WEBPVP8"));
}

bool has_part(std::string_view type, std::string_view word) {
  return type.find(word) != std::string_view::npos;
}

// Office Open XML says by the main part's media type what it is; the main part's name is the writer's choice.
Result<Document> extract_office(const Package& package, std::string_view bytes, const Limits& limits) {
  std::string main = package.main_part();
  std::string type = package.content_type(main);
  if (has_part(type, "wordprocessingml") || has_part(type, "ms-word")) return extract_docx(bytes, limits);
  if (has_part(type, "sheet.binary")) {
    return Error(ExtractionError::Unsupported, "Binary workbooks (XLSB) are not read. Save it as XLSX.");
  }
  if (has_part(type, "spreadsheetml") || has_part(type, "ms-excel"))
    return extract_xlsx(package, main, limits);
  if (has_part(type, "presentationml") || has_part(type, "ms-powerpoint"))
    return extract_pptx(package, main, limits);
  // Without a list of types the main part's folder tells.
  if (package.has("word/document.xml") || main.starts_with("word/")) return extract_docx(bytes, limits);
  if (main.starts_with("xl/")) return extract_xlsx(package, main, limits);
  if (main.starts_with("ppt/")) return extract_pptx(package, main, limits);
  return refuse_package(package);
}

Result<Document> extract_package(std::string_view bytes, const Limits& limits) {
  BULKHEAD_TRY(package, Package::open(bytes));
  if (!package.has("mimetype")) return extract_office(package, bytes, limits);
  BULKHEAD_TRY(mimetype, package.part("mimetype"));
  std::string_view type = mimetype;
  while (!type.empty() && static_cast<unsigned char>(type.back()) <= 0x20) type.remove_suffix(1);
  if (type == "application/epub+zip") return extract_epub(package, limits);
  constexpr std::string_view kOpenDocument = "application/vnd.oasis.opendocument.";
  if (!type.starts_with(kOpenDocument)) return refuse_package(package);
  type.remove_prefix(kOpenDocument.size());
  if (type.starts_with("text")) return extract_open_document(package, "odt", limits);
  if (type.starts_with("spreadsheet")) return extract_open_document(package, "ods", limits);
  if (type.starts_with("presentation")) return extract_open_document(package, "odp", limits);
  return Error(ExtractionError::Unsupported,
               "Of OpenDocument only text, spreadsheets and presentations are read. Save it as PDF.");
}

Result<Document> extract_plain(const std::string& name, std::string_view bytes, const Limits& limits,
                               int depth) {
  bool named_text = ends_with_any(name, {".txt", ".md", ".markdown", ".html", ".htm", ".xhtml"});
  bool named_mail = ends_with_any(name, {".eml", ".mht", ".mhtml"});
  if (named_mail && looks_like_mail(bytes)) return extract_mail(bytes, limits, depth);
  bool is_page = ends_with_any(name, {".html", ".htm", ".xhtml"}) || (!named_text && looks_like_html(bytes));
  auto decoded = is_page ? html_to_utf8(bytes) : text_to_utf8(bytes);
  bool no_text = decoded ? looks_binary(*decoded) : looks_binary(bytes);
  if (no_text) {
    return Error(ExtractionError::Unsupported,
                 "The file is of no kind that is read. Save it as PDF or text.");
  }
  BULKHEAD_TRY(text, std::move(decoded));
  if (ends_with_any(name, {".csv", ".tsv", ".tab"}))
    return extract_delimited(text, !name.ends_with(".csv"), limits);
  if (ends_with_any(name, {".json", ".jsonl", ".ndjson"})) return extract_json(text, limits);
  if (is_page || (!named_text && looks_like_html(text))) return extract_html(text, limits);
  if (ends_with_any(name, {".md", ".markdown"})) return extract_markdown(text, limits);
  return extract_text(text, limits);
}

Result<Document> extract_by_content(const std::string& name, std::string_view bytes, const Limits& limits,
                                    int depth) {
  bool named_text =
      ends_with_any(name, {".txt", ".md", ".markdown", ".html", ".htm", ".xhtml", ".eml", ".csv", ".json"});
  // Readers of PDF accept junk before its mark; a text that speaks of PDF is still a text.
  std::size_t pdf_mark = bytes.substr(0, kPdfMarkBytes).find("%PDF-");
  if (pdf_mark == 0 || (pdf_mark != std::string_view::npos && !named_text)) return extract_pdf(bytes, limits);
  if (bytes.starts_with("PK\x03\x04") || bytes.starts_with("PK\x05\x06"))
    return extract_package(bytes, limits);
  if (bytes.starts_with("{\\rtf")) return extract_rtf(bytes, limits);
  if (is_outlook_message(bytes)) return extract_msg(bytes, limits, depth);
  if (is_tiff(bytes)) return extract_image(bytes, true, limits);
  if (is_picture(bytes)) return extract_image(bytes, false, limits);
  if (auto refusal = refuse_by_mark(bytes)) return std::move(*refusal);
  if (ends_with_any(name, {".pdf", ".docx", ".xlsx", ".pptx", ".odt", ".ods", ".odp", ".epub", ".rtf"})) {
    return Error(ExtractionError::Invalid,
                 "The file's content does not fit its name, or it is damaged. Open it in the program it is "
                 "from and save it again.");
  }
  return extract_plain(name, bytes, limits, depth);
}

}  // namespace

Result<Document> extract_attachment(std::string_view name, std::string_view bytes, const Limits& limits,
                                    int depth) {
  if (bytes.empty()) return Error(ExtractionError::Invalid, "The file is empty.");
  auto document = extract_by_content(lower(name), bytes, limits, depth);
  if (document && document->blocks.empty()) {
    return Error(ExtractionError::Invalid, "The file holds no text.");
  }
  return document;
}

Result<Document> extract_any(std::string_view file_name, std::string_view bytes, const Limits& limits) {
  // The libraries throw only when memory runs out, and then it is the document that is at fault.
  try {
    return extract_attachment(file_name, bytes, limits, 0);
  } catch (const std::bad_alloc&) {
    return Error(ExtractionError::TooLarge, "The file needs more memory to read than is given. Split it.");
  } catch (const std::exception& error) {
    return Error(ExtractionError::Invalid, "The file is damaged.", error.what());
  }
}

void append_blocks(DocumentBuilder& builder, const Document& document, int levels) {
  // Its pages are no pages of the whole.
  for (const Report::Part& part : document.report.left_out) builder.report().leave_out(part.what, part.count);
  for (const Report::Recognised& page : document.report.recognised) {
    builder.report().recognised.push_back({0, page.confidence});
  }
  for (const Block& block : document.blocks) {
    builder.add(block.kind, block.text, block.level > 0 ? block.level + levels : 0, block.page);
  }
}

}  // namespace bulkhead::extract
