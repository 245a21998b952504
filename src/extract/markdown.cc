// Markdown by md4c, CommonMark with tables. It becomes the page that a reader of it would see, which the
// reader of pages reads: HTML blocks, inline HTML and entities are those of pages.
#include <md4c-html.h>

#include <algorithm>
#include <cctype>

#include "extract/document.h"
#include "extract/html.h"

namespace bulkhead::extract {

using base::Error;
using base::Result;

namespace {

// A page around a text: beyond it lies a text that was made to grow.
constexpr std::size_t kPageBytesMax = 256u << 20;

struct Page {
  std::string html;
  bool full = false;
};

void append(const MD_CHAR* text, MD_SIZE size, void* self) {
  auto* page = static_cast<Page*>(self);
  page->full = page->full || page->html.size() + size > kPageBytesMax;
  if (!page->full) page->html.append(text, size);
}

std::string_view trimmed(std::string_view line) {
  while (!line.empty() && static_cast<unsigned char>(line.back()) <= 0x20) line.remove_suffix(1);
  while (!line.empty() && static_cast<unsigned char>(line.front()) <= 0x20) line.remove_prefix(1);
  return line;
}

// "key: value", a list's item, a value that goes on, a comment: what YAML's simple blocks are made of.
bool is_yaml_line(std::string_view line) {
  std::string_view text = trimmed(line);
  if (text.empty()) return false;
  bool continues = line.starts_with(' ') || line.starts_with('\t') || text.starts_with("- ");
  if (continues || text[0] == '#') return true;
  std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  bool ends = colon + 1 == text.size() || text[colon + 1] == ' ';
  return ends &&
         std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(colon), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '_' || c == '-' || c == '.' || c == '"' || c == '\'' ||
                  c > 0x7F;
         });
}

// A YAML block at the very front is about the document, not of it; its title is used. A rule at the front
// is a rule, and whatever stands below it is text.
std::string_view without_front_matter(std::string_view content, DocumentBuilder& builder) {
  if (!content.starts_with("---\n") && !content.starts_with("---\r\n")) return content;
  std::string_view rest = content.substr(content.find('\n') + 1), title;
  bool has_key = false;
  while (!rest.empty()) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    std::string_view text = trimmed(line);
    if (text == "---" || text == "...") {
      if (!has_key) return content;
      builder.set_title(title);
      return rest;
    }
    if (!is_yaml_line(line)) return content;
    bool key = text[0] != '#' && !line.starts_with(' ') && !line.starts_with('-');
    has_key = has_key || key;
    if (line.starts_with("title:") && title.empty()) {
      title = trimmed(line.substr(6));
      bool quoted =
          title.size() > 1 && title.front() == title.back() && (title[0] == '"' || title[0] == '\'');
      if (quoted) title = title.substr(1, title.size() - 2);
    }
  }
  return content;
}

}  // namespace

Result<Document> extract_markdown(std::string_view content, const Limits& limits) {
  DocumentBuilder builder("markdown", limits);
  content = without_front_matter(content, builder);
  Page page;
  const unsigned flags = MD_FLAG_TABLES | MD_FLAG_STRIKETHROUGH | MD_FLAG_PERMISSIVEAUTOLINKS;
  int status = md_html(content.data(), static_cast<MD_SIZE>(content.size()), append, &page, flags,
                       MD_HTML_FLAG_VERBATIM_ENTITIES);
  if (status != 0) return Error(ExtractionError::Invalid, "The Markdown could not be read.");
  if (page.full)
    return Error(ExtractionError::TooLarge, "The document holds more text than is taken. Split it.");
  BULKHEAD_CHECK_OK(read_html(page.html, PageFurniture::Kept, builder));
  return builder.take();
}

}  // namespace bulkhead::extract
