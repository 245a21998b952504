// OpenDocument 1.3 (ISO/IEC 26300): text, spreadsheets, presentations, all of them in content.xml.
#include <algorithm>
#include <set>
#include <utility>

#include "extract/open_lists.h"
#include "extract/readers.h"
#include "extract/xml_names.h"

namespace bulkhead::extract {

using base::Error;
using base::Result;

namespace {

constexpr int kDepthMax = 200;
constexpr unsigned kRepeatMax = 1'000;  // of one row or cell that holds text
constexpr std::size_t kColumnsMax = 16'384;
constexpr std::size_t kCellsMax = 4'000'000;
constexpr unsigned kSpacesMax = 100;

// Names of the styles that hide what bears them.
struct Hiding {
  std::set<std::string, std::less<>> text, tables, pages;
};

Hiding hiding_styles(pugi::xml_node root) {
  Hiding out;
  for (std::string_view list : {"styles", "automatic-styles"}) {
    for (pugi::xml_node style : child_of(root, list).children()) {
      std::string name(value_of(style, "name"));
      if (value_of(child_of(style, "text-properties"), "display") == "none") out.text.insert(name);
      if (value_of(child_of(style, "table-properties"), "display") == "false") out.tables.insert(name);
      if (value_of(child_of(style, "drawing-page-properties"), "visibility") == "hidden")
        out.pages.insert(name);
      if (value_of(child_of(style, "section-properties"), "display") == "none") out.text.insert(name);
    }
  }
  return out;
}

bool among(std::initializer_list<std::string_view> names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

unsigned repeated(pugi::xml_node node, const char* attribute) {
  std::string text(value_of(node, attribute));
  int count = text.empty() ? 1 : std::atoi(text.c_str());
  return static_cast<unsigned>(std::max(1, count));
}

class Reader {
 public:
  Reader(std::string type, const Limits& limits)
      : spreadsheet_(type == "ods"), builder_(std::move(type), limits) {}

  void add_list_styles(pugi::xml_node root) {
    for (std::string_view list : {"styles", "automatic-styles"}) lists_.add_styles(child_of(root, list));
  }
  void set_title(std::string_view title) { builder_.set_title(title); }
  void hide(const Hiding& more) {
    hiding_.text.insert(more.text.begin(), more.text.end());
    hiding_.tables.insert(more.tables.begin(), more.tables.end());
    hiding_.pages.insert(more.pages.begin(), more.pages.end());
  }

  Result<Document> read(pugi::xml_node body) {
    read_blocks(body, 0, false);
    if (cells_ > kCellsMax)
      return Error(ExtractionError::TooLarge, "The document holds more cells than are taken. Split it.");
    for (const std::string& note : notes_) builder_.add(BlockKind::Paragraph, note);
    return builder_.take();
  }

 private:
  bool is_hidden(pugi::xml_node node) const {
    return value_of(node, "display") == "none" || value_of(node, "is-hidden") == "true" ||
           hiding_.text.count(value_of(node, "style-name")) > 0;
  }

  // Text, sheets and slides, whatever they stand in.
  void read_blocks(pugi::xml_node parent, int depth, bool in_list) {
    if (depth > kDepthMax || builder_.full()) return;
    for (pugi::xml_node node : parent.children()) {
      std::string_view name = local_name(node);
      if (name == "h" || name == "p") {
        read_paragraph(node, in_list);
      } else if (name == "list") {
        lists_.enter(node);
        read_blocks(node, depth + 1, true);
        lists_.leave();
      } else if (name == "list-item" && in_list) {
        label_ = lists_.item(node);
        read_blocks(node, depth + 1, true);
        label_.clear();
      } else if (name == "table") {
        read_table(node, depth + 1);
      } else if (name == "page") {
        read_page(node, depth + 1);
      } else if (among(
                     {"tracked-changes", "annotation", "forms", "sequence-decls", "variable-decls",
                      "user-field-decls", "dde-connection-decls", "calculation-settings", "named-expressions",
                      "database-ranges", "content-validations", "event-listeners", "settings"},
                     name)) {
        continue;
      } else if (!is_hidden(node)) {
        read_blocks(node, depth + 1, in_list);
      }
    }
  }

  void read_paragraph(pugi::xml_node node, bool in_list) {
    if (is_hidden(node)) return;
    std::string text;
    collect(node, text, 0);
    if (!label_.empty() && !clean_text(text, false).empty()) {
      text = std::exchange(label_, std::string()) + " " + text;
    }
    if (local_name(node) == "h") {
      int level = std::atoi(std::string(value_of(node, "outline-level")).c_str());
      builder_.add(BlockKind::Heading, text, std::clamp(level, 1, 9), page_);
    } else if (in_title_) {
      builder_.add(BlockKind::Heading, text, 1, page_);
    } else {
      builder_.add(in_list ? BlockKind::ListItem : BlockKind::Paragraph, text, 0, page_);
    }
    // Frames that are anchored in the paragraph hold paragraphs of their own.
    std::vector<pugi::xml_node> boxes = std::move(boxes_);
    boxes_.clear();
    if (++boxes_depth_ <= kBoxesDepthMax) {
      for (pugi::xml_node box : boxes) read_blocks(box, 0, false);
    }
    --boxes_depth_;
  }

  // The characters of a paragraph; boxes and notes in it are kept for later.
  void collect(pugi::xml_node node, std::string& out, int depth) {
    if (depth > kDepthMax) return;
    for (pugi::xml_node child : node.children()) {
      if (child.type() == pugi::node_pcdata || child.type() == pugi::node_cdata) {
        out += child.value();
        continue;
      }
      std::string_view name = local_name(child);
      if (name == "s") {
        out.append(std::min(repeated(child, "c"), kSpacesMax), ' ');
      } else if (name == "tab" || name == "line-break") {
        out += ' ';
      } else if (name == "note") {
        std::string note;
        collect_paragraphs(child_of(child, "note-body"), note, depth + 1);
        notes_.push_back(std::move(note));
      } else if (name == "text-box" || name == "table") {
        boxes_.push_back(child);
      } else if (!among({"annotation", "annotation-end", "ruby-text", "hidden-text", "hidden-paragraph",
                         "title", "desc", "event-listeners"},
                        name) ||
                 (name == "title" && node.attribute("text:fixed"))) {
        if (!is_hidden(child)) collect(child, out, depth + 1);
      }
    }
  }

  void collect_paragraphs(pugi::xml_node node, std::string& out, int depth) {
    if (depth > kDepthMax) return;
    for (pugi::xml_node child : node.children()) {
      std::string_view name = local_name(child);
      if (name == "p" || name == "h") {
        if (is_hidden(child)) continue;
        if (!out.empty()) out += ' ';
        collect(child, out, depth + 1);
        // Boxes in a cell are part of its text.
        std::vector<pugi::xml_node> boxes = std::move(boxes_);
        boxes_.clear();
        for (pugi::xml_node box : boxes) collect_paragraphs(box, out, depth + 1);
      } else if (name != "annotation" && name != "tracked-changes" && !is_hidden(child)) {
        collect_paragraphs(child, out, depth + 1);
      }
    }
  }

  void read_page(pugi::xml_node page, int depth) {
    ++page_;
    if (hiding_.pages.count(value_of(page, "style-name")) > 0) return;
    for (pugi::xml_node shape : page.children()) {
      in_title_ = value_of(shape, "class") == "title";
      bool placeholder = value_of(shape, "placeholder") == "true";
      if (local_name(shape) == "p" || placeholder) continue;
      // Wrapped so that the shape itself is looked at.
      read_shape(shape, depth);
      in_title_ = false;
    }
  }

  void read_shape(pugi::xml_node shape, int depth) {
    std::string_view name = local_name(shape);
    if (among({"forms", "annotation", "animations", "par"}, name) || is_hidden(shape)) return;
    if (value_of(shape, "class") == "page-number" || value_of(shape, "class") == "date-time") return;
    read_blocks(shape, depth + 1, false);
  }

  void read_table(pugi::xml_node table, int depth) {
    bool hidden =
        value_of(table, "display") == "false" || hiding_.tables.count(value_of(table, "style-name")) > 0;
    if (hidden) return;
    if (spreadsheet_ && depth < 4) builder_.add(BlockKind::Heading, value_of(table, "name"), 1);
    Table state;
    read_columns(table, state, depth);
    read_rows(table, state, depth, false);
    if (!state.header_used) builder_.add(BlockKind::TableRow, row_text({}, state.header), 0, page_);
    // Shapes on a sheet.
    read_blocks(child_of(table, "shapes"), depth + 1, false);
  }

  struct Table {
    std::vector<bool> hidden_columns;
    std::vector<std::string> header, above;
    std::vector<unsigned> rows_left;  // of cells that span rows, by column
    bool header_used = true;
  };

  static bool is_collapsed(pugi::xml_node node) {
    std::string_view visibility = value_of(node, "visibility");
    return visibility == "collapse" || visibility == "filter";
  }

  void read_columns(pugi::xml_node parent, Table& state, int depth) {
    if (depth > kDepthMax) return;
    for (pugi::xml_node node : parent.children()) {
      std::string_view name = local_name(node);
      if (name == "table-column") {
        std::size_t count =
            std::min<std::size_t>(repeated(node, "number-columns-repeated"),
                                  kColumnsMax - std::min(kColumnsMax, state.hidden_columns.size()));
        state.hidden_columns.insert(state.hidden_columns.end(), count, is_collapsed(node));
      } else if (among({"table-columns", "table-header-columns", "table-column-group"}, name)) {
        read_columns(node, state, depth + 1);
      }
    }
  }

  void read_rows(pugi::xml_node parent, Table& state, int depth, bool names_columns) {
    if (depth > kDepthMax) return;
    for (pugi::xml_node node : parent.children()) {
      if (builder_.full() || cells_ > kCellsMax) return;
      std::string_view name = local_name(node);
      if (name == "table-header-rows") {
        read_rows(node, state, depth + 1, true);
      } else if (name == "table-rows" || name == "table-row-group") {
        read_rows(node, state, depth + 1, names_columns);
      } else if (name == "table-row") {
        read_row(node, state, depth, names_columns);
      }
    }
  }

  void read_row(pugi::xml_node row, Table& state, int depth, bool names_columns) {
    std::vector<std::string> cells;
    std::string left;
    for (pugi::xml_node node : row.children()) {
      std::string_view name = local_name(node);
      if (name != "table-cell" && name != "covered-table-cell") continue;
      std::string text;
      if (name == "table-cell") collect_paragraphs(node, text, depth + 1);
      text = clean_text(text, false);
      std::size_t count = repeated(node, "number-columns-repeated");
      // Empty cells fill a sheet to its edge; only what comes before text counts.
      count = std::min(count, kColumnsMax - cells.size());
      if (!text.empty()) count = std::min<std::size_t>(count, kRepeatMax);
      unsigned span = repeated(node, "number-rows-spanned");
      for (std::size_t i = 0; i < count; ++i) {
        std::size_t column = cells.size();
        if (name == "covered-table-cell") {
          bool from_above =
              column < state.rows_left.size() && state.rows_left[column] > 0 && column < state.above.size();
          cells.push_back(from_above ? state.above[column] : names_columns ? left : "");
          if (from_above) --state.rows_left[column];
        } else {
          cells.push_back(text);
          if (state.rows_left.size() <= column) state.rows_left.resize(column + 1);
          state.rows_left[column] = span - 1;
          left = text;
        }
      }
      cells_ += count;
      if (cells_ > kCellsMax) return;
    }
    end_row(row, state, std::move(cells), names_columns);
  }

  void end_row(pugi::xml_node row, Table& state, std::vector<std::string> cells, bool names_columns) {
    while (!cells.empty() && cells.back().empty()) cells.pop_back();
    state.above = cells;
    if (cells.empty() || is_collapsed(row)) return;
    for (std::size_t i = 0; i < std::min(cells.size(), state.hidden_columns.size()); ++i) {
      if (state.hidden_columns[i]) cells[i].clear();
    }
    if (names_columns) {
      merge_header(state, cells);
      return;
    }
    state.header_used = true;
    unsigned count = std::min(repeated(row, "number-rows-repeated"), kRepeatMax);
    std::string line = row_text(state.header, cells);
    for (unsigned i = 0; i < count && !builder_.full(); ++i)
      builder_.add(BlockKind::TableRow, line, 0, page_);
    cells_ += cells.size() * count;
  }

  // Several header rows name a column together: "2025 January".
  static void merge_header(Table& state, const std::vector<std::string>& cells) {
    if (state.header.size() < cells.size()) state.header.resize(cells.size());
    for (std::size_t i = 0; i < cells.size(); ++i) {
      std::string& label = state.header[i];
      if (cells[i].empty() || label == cells[i]) continue;
      label += (label.empty() ? "" : " ") + cells[i];
    }
    state.header_used = false;
  }

  static constexpr int kBoxesDepthMax = 20;
  bool spreadsheet_;
  DocumentBuilder builder_;
  Hiding hiding_;
  OpenLists lists_;
  std::string label_;  // of the open item, until its first words
  std::vector<std::string> notes_;
  std::vector<pugi::xml_node> boxes_;
  int boxes_depth_ = 0;
  std::uint32_t page_ = 0;
  bool in_title_ = false;
  std::size_t cells_ = 0;
};

Result<void> check_readable(const Package& package) {
  if (!package.has("META-INF/manifest.xml")) return Result<void>();
  BULKHEAD_TRY(manifest, package.xml("META-INF/manifest.xml"));
  for (pugi::xml_node entry : manifest->document_element().children()) {
    if (child_of(entry, "encryption-data"))
      return Error(ExtractionError::Encrypted, "The document is protected by a password. Remove it first.");
  }
  return Result<void>();
}

}  // namespace

Result<Document> extract_open_document(const Package& package, std::string type, const Limits& limits) {
  BULKHEAD_CHECK_OK(check_readable(package));
  BULKHEAD_TRY(content, package.xml("content.xml"));
  Reader reader(std::move(type), limits);
  if (package.has("styles.xml")) {
    if (auto styles = package.xml("styles.xml")) {
      reader.hide(hiding_styles((*styles)->document_element()));
      reader.add_list_styles((*styles)->document_element());
    }
  }
  if (package.has("meta.xml")) {
    if (auto meta = package.xml("meta.xml"))
      reader.set_title(child_of(child_of((*meta)->document_element(), "meta"), "title").text().get());
  }
  pugi::xml_node root = content->document_element();
  reader.hide(hiding_styles(root));
  reader.add_list_styles(root);
  pugi::xml_node body = child_of(root, "body");
  if (!body) return Error(ExtractionError::Invalid, "The document has no text. Save it again.");
  return reader.read(body);
}

}  // namespace bulkhead::extract
