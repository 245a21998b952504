// Which format a document is in.
#include <algorithm>
#include <string>

#include "extract/document.h"

namespace bulkhead::extract {

using base::Error;
using base::Result;

namespace {

constexpr std::size_t kSniffBytes = 2048;

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c); });
  return out;
}

bool ends_with_any(const std::string& name, std::initializer_list<std::string_view> endings) {
  return std::any_of(endings.begin(), endings.end(), [&name](std::string_view e) { return name.ends_with(e); });
}

bool looks_like_html(std::string_view bytes) {
  std::string head = lower(bytes.substr(0, kSniffBytes));
  return head.find("<!doctype html") != std::string::npos || head.find("<html") != std::string::npos;
}

// NUL bytes outside UTF-16 mean that this is no text.
bool looks_binary(std::string_view bytes) {
  if (bytes.starts_with("\xFF\xFE") || bytes.starts_with("\xFE\xFF")) return false;
  std::string_view head = bytes.substr(0, 64 << 10);
  if (head.find('\0') != std::string_view::npos) return true;
  auto odd = std::count_if(head.begin(), head.end(), [](unsigned char c) {
    return c < 0x20 && c != '\n' && c != '\r' && c != '\t' && c != '\f';
  });
  return static_cast<std::size_t>(odd) * 20 > head.size();
}

}  // namespace

Result<Document> extract_any(std::string_view file_name, std::string_view bytes, const Limits& limits) {
  std::string name = lower(file_name);
  if (bytes.empty()) return Error(ExtractionError::Invalid, "The file is empty.");
  if (bytes.substr(0, 1024).find("%PDF-") != std::string_view::npos) return extract_pdf(bytes, limits);
  if (bytes.starts_with("PK\x03\x04")) {
    if (ends_with_any(name, {".docx"})) return extract_docx(bytes, limits);
    return Error(ExtractionError::Unsupported, "Only DOCX files of this kind are read; PDF, HTML, Markdown and text too.");
  }
  if (ends_with_any(name, {".pdf", ".docx"})) {
    return Error(ExtractionError::Invalid, "The file's content does not fit its name, or it is damaged.");
  }
  if (looks_binary(bytes)) {
    return Error(ExtractionError::Unsupported, "The file is none of PDF, DOCX, HTML, Markdown or text.");
  }
  if (ends_with_any(name, {".html", ".htm", ".xhtml"}) || looks_like_html(bytes)) return extract_html(bytes, limits);
  if (ends_with_any(name, {".md", ".markdown"})) return extract_markdown(bytes, limits);
  return extract_text(bytes, limits);
}

}  // namespace bulkhead::extract
