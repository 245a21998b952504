// Which format a document is in.
#include <algorithm>
#include <exception>
#include <new>
#include <string>

#include "extract/document.h"
#include "extract/encoding.h"

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

// A password turns a DOCX into a compound file (MS-CFB) that holds this stream; names are UTF-16.
Result<Document> refuse_compound_file(std::string_view bytes) {
  std::string stream;
  for (char c : std::string_view("EncryptedPackage")) stream += {c, '\0'};
  if (bytes.find(stream) != std::string_view::npos) {
    return Error(ExtractionError::Encrypted, "The document is protected by a password. Remove it first.");
  }
  return Error(ExtractionError::Unsupported,
               "Files of old Office versions are not read. Save it as DOCX or PDF.");
}

Result<Document> extract_by_content(const std::string& name, std::string_view bytes, const Limits& limits) {
  bool named_text = ends_with_any(name, {".txt", ".md", ".markdown", ".html", ".htm", ".xhtml"});
  // Readers of PDF accept junk before its mark; a text that speaks of PDF is still a text.
  std::size_t pdf_mark = bytes.substr(0, kPdfMarkBytes).find("%PDF-");
  if (pdf_mark == 0 || (pdf_mark != std::string_view::npos && !named_text)) return extract_pdf(bytes, limits);
  if (bytes.starts_with("PK\x03\x04")) return extract_docx(bytes, limits);
  if (bytes.starts_with("\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1")) return refuse_compound_file(bytes);
  if (ends_with_any(name, {".pdf", ".docx"})) {
    return Error(ExtractionError::Invalid, "The file's content does not fit its name, or it is damaged.");
  }
  bool is_page = ends_with_any(name, {".html", ".htm", ".xhtml"}) || (!named_text && looks_like_html(bytes));
  auto decoded = is_page ? html_to_utf8(bytes) : text_to_utf8(bytes);
  bool no_text = decoded ? looks_binary(*decoded) : looks_binary(bytes);
  if (no_text) {
    return Error(ExtractionError::Unsupported, "The file is none of PDF, DOCX, HTML, Markdown or text.");
  }
  BULKHEAD_TRY(text, std::move(decoded));
  if (is_page || (!named_text && looks_like_html(text))) return extract_html(text, limits);
  if (ends_with_any(name, {".md", ".markdown"})) return extract_markdown(text, limits);
  return extract_text(text, limits);
}

}  // namespace

Result<Document> extract_any(std::string_view file_name, std::string_view bytes, const Limits& limits) {
  if (bytes.empty()) return Error(ExtractionError::Invalid, "The file is empty.");
  // The libraries throw only when memory runs out, and then it is the document that is at fault.
  try {
    auto document = extract_by_content(lower(file_name), bytes, limits);
    if (document && document->blocks.empty()) {
      return Error(ExtractionError::Invalid, "The file holds no text.");
    }
    return document;
  } catch (const std::bad_alloc&) {
    return Error(ExtractionError::TooLarge, "The file needs more memory to read than is given. Split it.");
  } catch (const std::exception& error) {
    return Error(ExtractionError::Invalid, "The file is damaged.", error.what());
  }
}

}  // namespace bulkhead::extract
