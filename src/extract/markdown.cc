// Markdown by md4c: its callbacks into blocks. Raw HTML is dropped.
#include <md4c.h>

#include <vector>

#include "extract/document.h"

namespace bulkhead::extract {

using base::Error;
using base::Result;

namespace {

struct Reader {
  explicit Reader(const Limits& limits) : builder("markdown", limits) {}
  DocumentBuilder builder;
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
      for (std::size_t i = 0; i < cells.size(); ++i) {
        if (!text.empty()) text += "; ";
        if (i < header.size() && !header[i].empty()) text += header[i] + ": ";
        text += cells[i];
      }
      flush(BlockKind::TableRow);
    }
    cells.clear();
    text.clear();
  }
};

int enter_block(MD_BLOCKTYPE type, void*, void* self) {
  auto* reader = static_cast<Reader*>(self);
  if (type == MD_BLOCK_THEAD) reader->in_head = true;
  // A nested list ends its lead-in.
  if (type == MD_BLOCK_UL || type == MD_BLOCK_OL) reader->flush(BlockKind::ListItem);
  if (type == MD_BLOCK_TH || type == MD_BLOCK_TD) reader->text.clear();
  return reader->builder.full() ? 1 : 0;
}

int leave_block(MD_BLOCKTYPE type, void* detail, void* self) {
  auto* reader = static_cast<Reader*>(self);
  switch (type) {
    case MD_BLOCK_H: reader->flush(BlockKind::Heading, static_cast<int>(static_cast<MD_BLOCK_H_DETAIL*>(detail)->level)); break;
    case MD_BLOCK_P: reader->flush(BlockKind::Paragraph); break;
    case MD_BLOCK_LI: reader->flush(BlockKind::ListItem); break;
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
  } else {
    reader->text.append(text, size);
  }
  return 0;
}

// A YAML block at the very front is about the document, not of it; its title is used.
std::string_view without_front_matter(std::string_view bytes, DocumentBuilder& builder) {
  if (!bytes.starts_with("---\n")) return bytes;
  std::size_t end = bytes.find("\n---\n", 3);
  if (end == std::string_view::npos) return bytes;
  std::string_view front = bytes.substr(4, end - 3);
  if (std::size_t at = front.find("title:"); at == 0 || (at != std::string_view::npos && front[at - 1] == '\n')) {
    std::string_view title = front.substr(at + 6);
    builder.set_title(title.substr(0, title.find('\n')));
  }
  return bytes.substr(end + 5);
}

}  // namespace

Result<Document> extract_markdown(std::string_view bytes, const Limits& limits) {
  Reader reader(limits);
  bytes = without_front_matter(bytes, reader.builder);
  MD_PARSER parser{};
  parser.flags = MD_FLAG_TABLES | MD_FLAG_STRIKETHROUGH | MD_FLAG_PERMISSIVEAUTOLINKS;
  parser.enter_block = enter_block;
  parser.leave_block = leave_block;
  parser.enter_span = ignore_span;
  parser.leave_span = ignore_span;
  parser.text = add_text;
  int status = md_parse(bytes.data(), static_cast<MD_SIZE>(bytes.size()), &parser, &reader);
  if (status < 0) return Error(ExtractionError::Invalid, "The Markdown could not be read.");
  return reader.builder.take();
}

}  // namespace bulkhead::extract
