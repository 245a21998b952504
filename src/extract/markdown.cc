// Markdown by md4c: its callbacks into blocks. Raw HTML is dropped.
#include <md4c.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>
#include <vector>

#include "extract/document.h"

namespace bulkhead::extract {

using base::Error;
using base::Result;

namespace {

// Entities by name that occur in prose; others stay as they are written.
constexpr std::array<std::pair<std::string_view, std::string_view>, 24> kEntities = {{
    {"&amp;", "&"},        {"&lt;", "<"},          {"&gt;", ">"},         {"&quot;", "\""},
    {"&apos;", "'"},       {"&nbsp;", " "},        {"&copy;", "\u00A9"},  {"&reg;", "\u00AE"},
    {"&trade;", "\u2122"}, {"&ndash;", "\u2013"},  {"&mdash;", "\u2014"}, {"&hellip;", "\u2026"},
    {"&lsquo;", "\u2018"}, {"&rsquo;", "\u2019"},  {"&ldquo;", "\u201C"}, {"&rdquo;", "\u201D"},
    {"&bull;", "\u2022"},  {"&middot;", "\u00B7"}, {"&deg;", "\u00B0"},   {"&plusmn;", "\u00B1"},
    {"&times;", "\u00D7"}, {"&euro;", "\u20AC"},   {"&pound;", "\u00A3"}, {"&micro;", "\u00B5"},
}};

std::string entity_text(std::string_view entity) {
  if (entity.starts_with("&#")) {
    bool hexadecimal = entity.size() > 2 && (entity[2] == 'x' || entity[2] == 'X');
    std::string_view digits = entity.substr(hexadecimal ? 3 : 2);
    std::uint32_t code = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), code, hexadecimal ? 16 : 10);
    std::string out;
    append_utf8(out, code);
    return out;
  }
  for (const auto& [name, text] : kEntities) {
    if (name == entity) return std::string(text);
  }
  return std::string(entity);
}

struct Reader {
  explicit Reader(const Limits& limits) : builder("markdown", limits) {}
  DocumentBuilder builder;
  int items_open = 0;
  std::string text;
  std::vector<std::string> header, cells;
  bool in_head = false;

  void flush(BlockKind kind, int level = 0) {
    builder.add(kind, text, level);
    text.clear();
  }

  void end_row() {
    if (in_head) {
      header = std::move(cells);
    } else {
      builder.add(BlockKind::TableRow, row_text(header, cells));
    }
    cells.clear();
    text.clear();
  }
};

int enter_block(MD_BLOCKTYPE type, void*, void* self) {
  auto* reader = static_cast<Reader*>(self);
  if (type == MD_BLOCK_THEAD) reader->in_head = true;
  // A nested list ends its lead-in.
  if (type == MD_BLOCK_LI) ++reader->items_open;
  if (type == MD_BLOCK_UL || type == MD_BLOCK_OL) reader->flush(BlockKind::ListItem);
  if (type == MD_BLOCK_TH || type == MD_BLOCK_TD) reader->text.clear();
  return reader->builder.full() ? 1 : 0;
}

int leave_block(MD_BLOCKTYPE type, void* detail, void* self) {
  auto* reader = static_cast<Reader*>(self);
  switch (type) {
    case MD_BLOCK_H:
      reader->flush(BlockKind::Heading, static_cast<int>(static_cast<MD_BLOCK_H_DETAIL*>(detail)->level));
      break;
    case MD_BLOCK_P:
      reader->flush(reader->items_open > 0 ? BlockKind::ListItem : BlockKind::Paragraph);
      break;
    case MD_BLOCK_LI:
      reader->flush(BlockKind::ListItem);
      --reader->items_open;
      break;
    case MD_BLOCK_CODE: reader->flush(BlockKind::Code); break;
    case MD_BLOCK_TH:
    case MD_BLOCK_TD:
      reader->cells.push_back(clean_text(reader->text, false));
      reader->text.clear();
      break;
    case MD_BLOCK_TR: reader->end_row(); break;
    case MD_BLOCK_THEAD: reader->in_head = false; break;
    case MD_BLOCK_TABLE: reader->header.clear(); break;
    case MD_BLOCK_HTML: reader->text.clear(); break;
    case MD_BLOCK_DOC:
    case MD_BLOCK_QUOTE:
    case MD_BLOCK_UL:
    case MD_BLOCK_OL:
    case MD_BLOCK_HR:
    case MD_BLOCK_TBODY: break;
  }
  return reader->builder.full() ? 1 : 0;
}

int ignore_span(MD_SPANTYPE, void*, void*) { return 0; }

int add_text(MD_TEXTTYPE type, const MD_CHAR* text, MD_SIZE size, void* self) {
  auto* reader = static_cast<Reader*>(self);
  if (type == MD_TEXT_HTML) return 0;
  if (type == MD_TEXT_BR || type == MD_TEXT_SOFTBR) {
    reader->text += ' ';
  } else if (type == MD_TEXT_ENTITY) {
    reader->text += entity_text(std::string_view(text, size));
  } else {
    reader->text.append(text, size);
  }
  return 0;
}

// A YAML block at the very front is about the document, not of it; its title is used.
std::string_view without_front_matter(std::string_view content, DocumentBuilder& builder) {
  if (!content.starts_with("---\n") && !content.starts_with("---\r\n")) return content;
  std::size_t end = content.find("\n---", 3);
  if (end == std::string_view::npos) return content;
  std::string_view front = content.substr(0, end);
  if (std::size_t at = front.find("\ntitle:"); at != std::string_view::npos) {
    std::string_view title = front.substr(at + 7);
    title = title.substr(0, title.find('\n'));
    title = title.substr(std::min(title.size(), title.find_first_not_of(" \"'")));
    builder.set_title(title.substr(0, title.find_last_not_of(" \"'\r") + 1));
  }
  std::size_t rest = content.find('\n', end + 1);
  return rest == std::string_view::npos ? std::string_view() : content.substr(rest + 1);
}

}  // namespace

Result<Document> extract_markdown(std::string_view content, const Limits& limits) {
  Reader reader(limits);
  content = without_front_matter(content, reader.builder);
  MD_PARSER parser{};
  parser.flags = MD_FLAG_TABLES | MD_FLAG_STRIKETHROUGH | MD_FLAG_PERMISSIVEAUTOLINKS;
  parser.enter_block = enter_block;
  parser.leave_block = leave_block;
  parser.enter_span = ignore_span;
  parser.leave_span = ignore_span;
  parser.text = add_text;
  int status = md_parse(content.data(), static_cast<MD_SIZE>(content.size()), &parser, &reader);
  if (status < 0) return Error(ExtractionError::Invalid, "The Markdown could not be read.");
  return reader.builder.take();
}

}  // namespace bulkhead::extract
