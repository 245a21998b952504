// EPUB 3.3: chapters in the order of the spine, each a page of XHTML.
#include <map>
#include <sstream>

#include "extract/encoding.h"
#include "extract/readers.h"
#include "extract/xml_names.h"

namespace bulkhead::extract {

using base::Error;
using base::Result;

namespace {

constexpr std::size_t kChaptersMax = 5'000;

// XHTML lets any element close itself, HTML only a few: "<title/>" would swallow the chapter. Entities stay
// as they are, for HTML knows more of them than XML.
Result<std::string> as_html(const std::string& xhtml) {
  pugi::xml_document tree;
  const unsigned how =
      ((pugi::parse_default | pugi::parse_ws_pcdata) & ~pugi::parse_escapes) & ~pugi::parse_doctype;
  if (!tree.load_buffer(xhtml.data(), xhtml.size(), how)) return html_to_utf8(xhtml);
  std::ostringstream out;
  tree.save(out, "",
            pugi::format_raw | pugi::format_no_empty_element_tags | pugi::format_no_escapes |
                pugi::format_no_declaration,
            pugi::encoding_utf8);
  return out.str();
}

std::string percent_decoded(std::string_view text) {
  std::string out;
  auto digit = [](char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    bool escape = text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 && digit(text[i + 2]) >= 0;
    out += escape ? static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2])) : text[i];
    if (escape) i += 2;
  }
  return out;
}

// Fonts may be obscured by a method of EPUB's own; anything else that is encrypted is rights management.
bool is_encrypted(const Package& package, const std::map<std::string, std::string>& chapters) {
  if (!package.has("META-INF/encryption.xml")) return false;
  auto list = package.xml("META-INF/encryption.xml");
  if (!list) return true;
  for (pugi::xml_node entry : (*list)->document_element().children()) {
    std::string_view target = value_of(child_of(child_of(entry, "CipherData"), "CipherReference"), "URI");
    std::string part = resolve_part("", percent_decoded(target));
    for (const auto& [id, chapter] : chapters)
      if (chapter == part) return true;
  }
  return false;
}

}  // namespace

Result<Document> extract_epub(const Package& package, const Limits& limits) {
  BULKHEAD_TRY(container, package.xml("META-INF/container.xml"));
  pugi::xml_node file = child_of(child_of(container->document_element(), "rootfiles"), "rootfile");
  std::string root_part = resolve_part("", percent_decoded(value_of(file, "full-path")));
  BULKHEAD_TRY(book, package.xml(root_part));
  pugi::xml_node root = book->document_element();
  std::map<std::string, std::string> chapters;
  for (pugi::xml_node item : child_of(root, "manifest").children()) {
    std::string_view type = value_of(item, "media-type");
    if (type == "application/xhtml+xml" || type == "text/html")
      chapters[std::string(value_of(item, "id"))] =
          resolve_part(root_part, percent_decoded(value_of(item, "href")));
  }
  if (is_encrypted(package, chapters)) {
    return Error(ExtractionError::Encrypted,
                 "The book is protected against copying. Add a copy without protection.");
  }
  DocumentBuilder builder("epub", limits);
  builder.set_title(child_of(child_of(root, "metadata"), "title").text().get());
  std::size_t count = 0;
  for (pugi::xml_node entry : child_of(root, "spine").children()) {
    auto chapter = chapters.find(std::string(value_of(entry, "idref")));
    if (chapter == chapters.end()) continue;
    if (++count > kChaptersMax)
      return Error(ExtractionError::TooLarge, "The book has more chapters than are taken. Split it.");
    BULKHEAD_TRY(xhtml, package.part(chapter->second));
    BULKHEAD_TRY(page, as_html(xhtml));
    BULKHEAD_TRY(document, extract_html(page, limits));
    append_blocks(builder, document, 0);
    if (builder.full()) break;
  }
  return builder.take();
}

}  // namespace bulkhead::extract
