// DOCX (ECMA-376, ISO/IEC 29500): the main document, then its notes, headers and footers, with the parts that
// it imports.
#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "extract/document.h"
#include "extract/docx_numbering.h"
#include "extract/docx_run.h"
#include "extract/docx_styles.h"
#include "extract/docx_table.h"
#include "extract/encoding.h"
#include "extract/html.h"
#include "extract/package.h"
#include "extract/table.h"
#include "extract/xml_names.h"

namespace bulkhead::extract {

using base::Error;
using base::Result;

namespace {

constexpr int kImportDepthMax = 3;  // of documents that import documents
constexpr std::size_t kImportsMax = 200;
constexpr std::size_t kPageLineBytesMax = 12;  // "Page of": what is left of a line of page numbers

Error invalid(std::string what) { return Error(ExtractionError::Invalid, std::move(what)); }

Error unread_import() {
  return Error(ExtractionError::Unsupported,
               "The document imports a part that is not read. Open it in Word and save it again as DOCX.");
}

struct Part {
  std::string name;
  std::unique_ptr<pugi::xml_document> xml;
  pugi::xml_node root() const { return xml ? xml->document_element() : pugi::xml_node(); }
};

// The parts of one type that a part refers to, else the one with the usual name beside it.
std::vector<Part> parts_of(const Package& package, const std::string& main, std::string_view type) {
  std::vector<std::string> names;
  for (const Relationship& one : package.relationships(main)) {
    if (one.type == type && package.has(one.target)) names.push_back(one.target);
  }
  std::string usual = main.substr(0, main.rfind('/') + 1) + std::string(type) + ".xml";
  if (names.empty() && package.has(usual)) names.push_back(usual);
  std::vector<Part> parts;
  for (const std::string& name : names) {
    auto xml = package.xml(name);
    if (xml) parts.push_back({name, *std::move(xml)});
  }
  return parts;
}

pugi::xml_node first_root(const std::vector<Part>& parts) {
  return parts.empty() ? pugi::xml_node() : parts[0].root();
}

Result<void> read_word(const Package& package, DocumentBuilder& builder, int import_depth,
                       std::size_t& imports);

class Reader {
 public:
  Reader(const Package& package, std::string main, DocumentBuilder& builder, int import_depth,
         std::size_t& imports)
      : package_(package),
        main_(std::move(main)),
        builder_(builder),
        import_depth_(import_depth),
        imports_(imports),
        styles_(first_root(parts_of(package, main_, "styles"))),
        numbering_(first_root(parts_of(package, main_, "numbering"))) {}

  Result<void> run() {
    BULKHEAD_TRY(xml, package_.xml(main_));
    pugi::xml_node body = child_of(xml->document_element(), "body");
    if (!body) return invalid("The document has no text.");
    part_ = main_;
    read_blocks(body, 0);
    if (!drop_cap_.empty()) builder_.add(BlockKind::Paragraph, std::exchange(drop_cap_, std::string()));
    read_notes("footnotes", "footnote");
    read_notes("endnotes", "endnote");
    read_margins("header");
    read_margins("footer");
    if (failure_) return *std::move(failure_);
    return Result<void>();
  }

 private:
  void read_blocks(pugi::xml_node node, int depth) {
    if (depth > kDocxDepthMax || failure_) return;
    for (pugi::xml_node child : node.children()) {
      std::string_view name = local_name(child);
      if (name == "p") {
        read_paragraph(child, depth);
      } else if (name == "tbl") {
        read_table(child, depth + 1);
      } else if (name == "altChunk") {
        read_import(value_of(child, "id"));
      } else if (name == "sdt") {
        bool is_prompt = is_on(child_of(child_of(child, "sdtPr"), "showingPlcHdr"));
        if (!is_prompt) read_blocks(child_of(child, "sdtContent"), depth + 1);
      } else if (name == "AlternateContent") {
        pugi::xml_node choice = child_of(child, "Choice");
        read_blocks(choice ? choice : child_of(child, "Fallback"), depth + 1);
      } else if (name != "del" && name != "moveFrom" && name != "sectPr") {
        read_blocks(child, depth + 1);
      }
    }
  }

  // What Word counts before a paragraph: "1.2". Nothing for a paragraph of no list.
  std::optional<std::string> label_of(pugi::xml_node properties, std::string_view style) {
    pugi::xml_node own = child_of(properties, "numPr");
    auto by_style = styles_.numbering(style);
    std::string number(value_of(child_of(own, "numId")));
    if (number.empty() && by_style) number = by_style->number;
    if (!own && !by_style) return std::nullopt;
    if (number == "0") return std::nullopt;
    int level = 0;
    if (pugi::xml_node at = child_of(own, "ilvl")) {
      level = attribute_of(at, "val").as_int();
    } else if (by_style) {
      level = by_style->level ? *by_style->level : numbering_.level_of_style(number, by_style->style);
    }
    return numbering_.next(number, level);
  }

  struct Block {
    BlockKind kind = BlockKind::Paragraph;
    int level = 0;
    ParagraphText content;
  };

  Block block_of(pugi::xml_node paragraph) {
    pugi::xml_node properties = child_of(paragraph, "pPr");
    std::string_view style = value_of(child_of(properties, "pStyle"));
    Block block{BlockKind::Paragraph, styles_.heading_level(style), paragraph_text(paragraph, styles_)};
    if (pugi::xml_node outline = child_of(properties, "outlineLvl")) {
      int level = std::clamp(attribute_of(outline, "val").as_int(), 0, 9);
      block.level = level > 8 ? 0 : level + 1;
    }
    bool is_empty = clean_text(block.content.text, false).empty();
    auto label = is_empty && block.content.boxes.empty() ? std::nullopt : label_of(properties, style);
    if (block.level > 0) {
      block.kind = BlockKind::Heading;
    } else if (label || child_of(properties, "numPr") || styles_.is_list(style)) {
      block.kind = BlockKind::ListItem;
    }
    if (label && !label->empty() && !is_empty) block.content.text = *label + " " + block.content.text;
    return block;
  }

  void read_paragraph(pugi::xml_node paragraph, int depth) {
    Block block = block_of(paragraph);
    // A large first letter is a paragraph of its own in a frame, and part of the next one's first word.
    std::string_view cap = value_of(child_of(child_of(paragraph, "pPr"), "framePr"), "dropCap");
    if (cap == "drop" || cap == "margin") {
      drop_cap_ += clean_text(block.content.text, false);
      return;
    }
    if (!drop_cap_.empty()) block.content.text.insert(0, std::exchange(drop_cap_, std::string()));
    builder_.add(block.kind, block.content.text, block.level);
    for (pugi::xml_node box : block.content.boxes) read_blocks(box, depth + 1);
  }

  // Paragraphs and tables of a cell as one text.
  void read_cell(pugi::xml_node node, std::string& out, int depth) {
    if (depth > kDocxDepthMax) return;
    for (pugi::xml_node child : node.children()) {
      std::string_view name = local_name(child);
      if (name == "p") {
        Block block = block_of(child);
        append_to_cell(out, clean_text(block.content.text, false));
        for (pugi::xml_node box : block.content.boxes) read_cell(box, out, depth + 1);
      } else if (name == "tbl") {
        read_rows(child, depth + 1, [&out](const std::string& line) {
          if (!out.empty()) out += ' ';
          out += "(" + line + ")";
        });
      } else if (name == "altChunk") {
        failure_ = unread_import();
      } else if (name == "sdt") {
        bool is_prompt = is_on(child_of(child_of(child, "sdtPr"), "showingPlcHdr"));
        if (!is_prompt) read_cell(child_of(child, "sdtContent"), out, depth + 1);
      } else if (name != "del" && name != "moveFrom" && name != "tcPr") {
        read_cell(child, out, depth + 1);
      }
    }
  }

  void read_rows(pugi::xml_node table, int depth, const TableBuilder::Sink& sink) {
    if (depth > kDocxDepthMax || failure_) return;
    TableBuilder builder(sink);
    for (const DocxRow& row : table_rows(table, styles_)) {
      builder.begin_row(row.names_columns);
      if (row.columns_before > 0) builder.add({"", row.columns_before, 1, false});
      for (const DocxCell& cell : row.cells) {
        if (cell.continues) continue;
        std::string text;
        read_cell(cell.node, text, depth + 1);
        builder.add({clean_text(text, false), cell.columns, cell.rows, cell.header});
      }
      builder.end_row();
    }
    builder.end();
  }

  // A frame of one cell around paragraphs is no table.
  static bool is_frame(const std::vector<DocxRow>& rows) {
    if (rows.size() != 1 || rows[0].cells.size() != 1) return false;
    auto blocks = rows[0].cells[0].node.children();
    return std::count_if(blocks.begin(), blocks.end(),
                         [](pugi::xml_node one) { return local_name(one) != "tcPr"; }) > 1;
  }

  void read_table(pugi::xml_node table, int depth) {
    if (depth > kDocxDepthMax) return;
    auto rows = table_rows(table, styles_);
    if (is_frame(rows)) return read_blocks(rows[0].cells[0].node, depth + 1);
    read_rows(table, depth, [this](const std::string& line) { builder_.add(BlockKind::TableRow, line); });
  }

  void read_import(std::string_view id) {
    if (failure_) return;
    auto relationships = package_.relationships(part_);
    auto found = std::find_if(relationships.begin(), relationships.end(),
                              [id](const Relationship& one) { return one.id == id; });
    auto read = found == relationships.end() || found->external ? Result<void>(unread_import())
                                                                : read_imported_part(found->target);
    if (!read) failure_ = read.error();
  }

  Result<void> read_imported_part(const std::string& name) {
    if (++imports_ > kImportsMax || import_depth_ >= kImportDepthMax) return unread_import();
    auto bytes = package_.part(name);
    if (!bytes)
      return bytes.error().name().code == error_name(ExtractionError::Invalid).code ? unread_import()
                                                                                    : bytes.error();
    if (bytes->starts_with("PK\x03\x04")) {
      BULKHEAD_TRY(inner, Package::open(*bytes));
      return read_word(inner, builder_, import_depth_ + 1, imports_);
    }
    std::string ending = name.substr(std::min(name.size(), name.rfind('.')));
    if (ending == ".htm" || ending == ".html" || ending == ".xhtml") {
      BULKHEAD_TRY(text, html_to_utf8(*bytes));
      return read_html(text, PageFurniture::Kept, builder_);
    }
    if (ending != ".txt") return unread_import();
    BULKHEAD_TRY(text, text_to_utf8(*bytes));
    BULKHEAD_TRY(document, extract_text(text, builder_.limits()));
    for (const extract::Block& block : document.blocks) builder_.add(block.kind, block.text, block.level);
    return Result<void>();
  }

  void read_notes(std::string_view type, std::string_view element) {
    for (const Part& part : parts_of(package_, main_, type)) {
      part_ = part.name;
      for (pugi::xml_node note : part.root().children()) {
        std::string_view kind = value_of(note, "type");
        bool is_separator = !kind.empty() && kind != "normal";
        if (local_name(note) == element && !is_separator) read_blocks(note, 0);
      }
    }
  }

  // Headers and footers, each text once: those of the first, odd and even pages mostly say the same.
  void read_margins(std::string_view type) {
    for (const Part& part : parts_of(package_, main_, type)) {
      part_ = part.name;
      for (pugi::xml_node child : part.root().children()) {
        if (local_name(child) != "p") {
          wrap_and_read(child);
          continue;
        }
        Block block = block_of(child);
        std::string text = clean_text(block.content.text, false);
        bool is_page_line = block.content.has_page_number && text.size() <= kPageLineBytesMax;
        if (!is_page_line && margins_.insert(text).second) builder_.add(BlockKind::Paragraph, text);
        for (pugi::xml_node box : block.content.boxes) read_blocks(box, 1);
      }
    }
  }

  void wrap_and_read(pugi::xml_node child) {
    std::string_view name = local_name(child);
    if (name == "tbl") {
      read_rows(child, 1, [this](const std::string& line) {
        if (margins_.insert(line).second) builder_.add(BlockKind::TableRow, line);
      });
    } else if (name == "sdt") {
      read_blocks(child_of(child, "sdtContent"), 1);
    } else {
      read_blocks(child, 1);
    }
  }

  const Package& package_;
  std::string main_, part_;  // `part_`: the one being read, whose relationships its references mean
  DocumentBuilder& builder_;
  int import_depth_;
  std::size_t& imports_;
  DocxStyles styles_;
  DocxNumbering numbering_;
  std::set<std::string> margins_;
  std::string drop_cap_;
  std::optional<Error> failure_;
};

Result<void> read_word(const Package& package, DocumentBuilder& builder, int import_depth,
                       std::size_t& imports) {
  std::string main = package.main_part();
  if (!package.has(main) && package.has("word/document.xml")) main = "word/document.xml";
  if (main.empty()) return Error(ExtractionError::Unsupported, "Of files of this kind only DOCX is read.");
  return Reader(package, std::move(main), builder, import_depth, imports).run();
}

}  // namespace

Result<Document> extract_docx(std::string_view bytes, const Limits& limits) {
  BULKHEAD_TRY(package, Package::open(bytes));
  DocumentBuilder builder("docx", limits);
  std::size_t imports = 0;
  BULKHEAD_CHECK_OK(read_word(package, builder, 0, imports));
  return builder.take();
}

}  // namespace bulkhead::extract
