// HTML by gumbo. What a reader of the page would not see as its content is left out: scripts, styles,
// comments, hidden elements, navigation and page furniture. Walked without recursion, so depth costs
// nothing.
#include "extract/html.h"

#include <gumbo.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <memory_resource>
#include <utility>

#include "extract/docx_numbering.h"
#include "extract/html_depth.h"
#include "extract/html_math.h"
#include "extract/html_style.h"
#include "extract/html_tree.h"
#include "extract/script_text.h"
#include "extract/table.h"

namespace bulkhead::extract {

using base::Error;
using base::Result;

namespace {

constexpr std::size_t kNodesMax = 2'000'000;
constexpr std::size_t kDepthMax = 2'000;

// Memory for one tree, given back at once. Gumbo frees its tree by recursion, which a deeply nested
// page would turn into a stack overflow.
class Arena {
 public:
  static void* take(void* self, std::size_t bytes) {
    return static_cast<Arena*>(self)->memory_.allocate(bytes, alignof(std::max_align_t));
  }
  static void leave(void*, void*) {}

 private:
  std::pmr::monotonic_buffer_resource memory_;
};

bool is_blank(std::string_view text) { return text.find_first_not_of(" \t\r\n\f") == std::string_view::npos; }

std::size_t span_of(const GumboElement& cell, const char* name, std::size_t missing) {
  const char* value = attribute_of(cell, name);
  if (!value || std::isdigit(static_cast<unsigned char>(*value)) == 0) return missing;
  return static_cast<std::size_t>(std::strtoul(value, nullptr, 10));
}

// The formats that `type` names for the numbers of a list, in the words of count_text().
std::string_view count_format(const char* type) {
  switch (type ? type[0] : '1') {
    case 'a': return "lowerLetter";
    case 'A': return "upperLetter";
    case 'i': return "lowerRoman";
    case 'I': return "upperRoman";
    default: return "decimal";
  }
}

class Walker {
 public:
  Walker(const GumboNode* root, PageFurniture furniture, DocumentBuilder& builder)
      : root_(root), shape_(root), furniture_(furniture), sheets_(root), builder_(builder) {
    styles_.push_back(sheets_.initial());
  }

  Result<void> run() {
    std::vector<Step> stack;
    stack.push_back({root_, false});
    std::size_t nodes = 0;
    while (!stack.empty() && !builder_.full()) {
      Step step = stack.back();
      stack.pop_back();
      if (++nodes > kNodesMax || sheets_.exhausted() || shape_.exhausted()) {
        return Error(ExtractionError::TooLarge, "The page is larger than is taken. Split it.");
      }
      if (step.leaving) {
        leave(step.node);
        continue;
      }
      if (!enter(step.node)) continue;
      stack.push_back({step.node, true});
      const GumboVector* children = children_of(step.node);
      for (unsigned i = children->length; i > 0; --i) {
        stack.push_back({static_cast<const GumboNode*>(children->data[i - 1]), false});
      }
    }
    flush(BlockKind::Paragraph);
    return Result<void>();
  }

 private:
  struct Step {
    const GumboNode* node;
    bool leaving;
  };

  // `layout`: the table only lays out the page, and its cells hold blocks like any other element.
  struct OpenTable {
    OpenTable(TableBuilder::Sink sink, bool is_layout) : rows(std::move(sink)), layout(is_layout) {}
    TableBuilder rows;
    bool layout = false, in_head = false, in_cell = false;
    std::size_t row_count = 0;
    TableCell cell;
    std::string outer_text;  // of the cell that this table stands in
  };

  // A list whose items may be numbered.
  struct OpenList {
    bool numbered = false;
    int next = 1, step = 1;
    std::string_view format = "decimal";
  };
  static constexpr int kItemNumberMax = 1'000'000;

  bool in_cell() const { return cells_open_ > 0; }

  static int number_of(const GumboElement& element, const char* name, int missing) {
    const char* value = attribute_of(element, name);
    return value ? std::clamp(std::atoi(value), -kItemNumberMax, kItemNumberMax) : missing;
  }

  void enter_list(const GumboNode* node, bool shows_numbers) {
    OpenList list;
    const GumboElement& element = node->v.element;
    list.numbered = element.tag == GUMBO_TAG_OL && shows_numbers;
    list.format = count_format(attribute_of(element, "type"));
    if (attribute_of(element, "reversed")) {
      list.step = -1;
      list.next = 0;
      for (unsigned i = 0; i < element.children.length && list.next < kItemNumberMax; ++i) {
        const auto* child = static_cast<const GumboNode*>(element.children.data[i]);
        list.next += child->type == GUMBO_NODE_ELEMENT && child->v.element.tag == GUMBO_TAG_LI ? 1 : 0;
      }
    }
    list.next = number_of(element, "start", list.next);
    lists_.push_back(list);
  }

  // Its number stands before the item's first words, wherever in it they are.
  void enter_item(const GumboElement& item) {
    ++in_item_;
    item_label_.clear();
    if (lists_.empty()) return;
    OpenList& list = lists_.back();
    int number = number_of(item, "value", list.next);
    list.next = number + list.step;
    if (list.numbered && number > 0) item_label_ = count_text(number, list.format) + ". ";
    if (list.numbered && number <= 0) item_label_ = std::to_string(number) + ". ";
  }

  void enter_image(const GumboElement& image) {
    const char* alternative = attribute_of(image, "alt");
    bool counts_visits = number_of(image, "width", 2) < 2 || number_of(image, "height", 2) < 2;
    const char* role = attribute_of(image, "role");
    bool decorates = role && (std::strcmp(role, "presentation") == 0 || std::strcmp(role, "none") == 0);
    if (!alternative || is_blank(alternative) || counts_visits || decorates) return;
    add_text(" [" + clean_text(alternative, false) + "] ");
  }

  void flush(BlockKind kind, int level = 0) {
    if (in_cell()) {
      cell_break_ = cell_break_ || !is_blank(text_);
      return;
    }
    if (in_pre_ > 0 && kind != BlockKind::Code) {
      if (!text_.empty() && !text_.ends_with('\n')) text_ += '\n';
      return;
    }
    // A run of nothing but links is navigation, whatever element it stands in.
    bool navigation = furniture_ == PageFurniture::LeftOut && kind == BlockKind::Paragraph && links_ > 0 &&
                      words_outside_links_ == 0 && (links_ > 1 || to_anchor_);
    if (!navigation) builder_.add(kind, text_, level);
    text_.clear();
    links_ = words_outside_links_ = 0;
    to_anchor_ = false;
  }

  void flush_open() { flush(in_item_ > 0 ? BlockKind::ListItem : BlockKind::Paragraph); }

  void add_text(const std::string& text) {
    if (!styles_.back().shows_text()) {
      text_ += ' ';
      return;
    }
    if (!item_label_.empty() && !is_blank(text)) {
      text_ += std::exchange(item_label_, std::string());
    }
    if (cell_break_ && in_cell() && !is_blank(text)) {
      cell_break_ = false;
      append_to_cell(text_, in_raised_ > 0 ? superscript(text) : text);
    } else {
      text_ += in_raised_ > 0 ? superscript(text) : text;
    }
    if (in_link_ == 0 &&
        std::any_of(text.begin(), text.end(), [](unsigned char c) { return c > 0x7F || std::isalnum(c); })) {
      ++words_outside_links_;
    }
  }

  void enter_link(const GumboElement& link) {
    ++in_link_;
    ++links_;
    const char* target = attribute_of(link, "href");
    to_anchor_ = to_anchor_ || (target && target[0] == '#');
  }

  // Banners, footers and side notes of the page itself; those of an article are part of it.
  bool is_furniture(const GumboElement& element) const {
    if (furniture_ == PageFurniture::Kept) return false;
    const char* role = attribute_of(element, "role");
    for (const char* furniture : {"navigation", "banner", "contentinfo"}) {
      if (role && std::strcmp(role, furniture) == 0) return true;
    }
    if (element.tag == GUMBO_TAG_NAV) return true;
    if (in_section_ > 0) return false;
    if (element.tag == GUMBO_TAG_HEADER) return !shape_.only_header_has_title();
    if (element.tag == GUMBO_TAG_ASIDE) return shape_.has_main();
    return element.tag == GUMBO_TAG_FOOTER;
  }

  // False when there is nothing below to walk.
  bool enter(const GumboNode* node) {
    switch (node->type) {
      case GUMBO_NODE_TEXT:
      case GUMBO_NODE_CDATA: add_text(node->v.text.text); return false;
      case GUMBO_NODE_WHITESPACE: text_ += in_pre_ > 0 ? node->v.text.text : " "; return false;
      case GUMBO_NODE_COMMENT: return false;
      case GUMBO_NODE_DOCUMENT: return true;
      case GUMBO_NODE_TEMPLATE: return false;
      case GUMBO_NODE_ELEMENT: break;
    }
    const GumboElement& element = node->v.element;
    if (element.tag == GUMBO_TAG_HEAD) {
      builder_.set_title(title_of(node));
      return false;
    }
    if (is_skipped(element) || is_furniture(element)) return false;
    ElementStyle style = sheets_.style_of(node, styles_.back());
    if (style.removed) return false;
    if (element.tag == GUMBO_TAG_INPUT || element.tag == GUMBO_TAG_SELECT) {
      add_text(" " + field_text(node) + " ");
      return false;
    }
    if (element.tag == GUMBO_TAG_IMG) {
      enter_image(element);
      return false;
    }
    if (element.tag == GUMBO_TAG_MATH) {
      add_text(page_math_text(node));
      return false;
    }
    bool block = style.is_block || is_block(element);
    bool shows_numbers = style.shows_markers;
    styles_.push_back(std::move(style.inherited));
    blocks_.push_back(block);
    bool cell = element.tag == GUMBO_TAG_TD || element.tag == GUMBO_TAG_TH;
    if (block && !cell && element.tag != GUMBO_TAG_TR) flush_open();
    if (element.tag == GUMBO_TAG_OL || element.tag == GUMBO_TAG_UL) enter_list(node, shows_numbers);
    enter_element(node, element);
    return true;
  }

  void enter_element(const GumboNode* node, const GumboElement& element) {
    switch (static_cast<int>(element.tag)) {
      case GUMBO_TAG_BR: text_ += in_pre_ > 0 ? '\n' : ' '; break;
      case GUMBO_TAG_A: enter_link(element); break;
      case GUMBO_TAG_LI: enter_item(element); break;
      case GUMBO_TAG_RT: text_ += "("; break;
      case GUMBO_TAG_SUP: ++in_raised_; break;
      case GUMBO_TAG_Q: text_ += "\u201C"; break;
      case GUMBO_TAG_PRE: ++in_pre_; break;
      case GUMBO_TAG_ARTICLE:
      case GUMBO_TAG_MAIN:
      case GUMBO_TAG_SECTION: ++in_section_; break;
      case GUMBO_TAG_TABLE: enter_table(node); break;
      case GUMBO_TAG_THEAD:
        if (!tables_.empty()) tables_.back()->in_head = true;
        break;
      case GUMBO_TAG_TR: enter_row(node); break;
      case GUMBO_TAG_TD:
      case GUMBO_TAG_TH: enter_cell(element); break;
      default: break;
    }
  }

  void enter_table(const GumboNode* node) {
    auto table = std::make_unique<OpenTable>([this](std::string line) { end_line(std::move(line)); },
                                             shape_.is_layout(node));
    if (!table->layout && in_cell()) table->outer_text = std::exchange(text_, std::string());
    tables_.push_back(std::move(table));
  }

  // A line of the innermost table: a block, or a part of the cell that the table stands in.
  void end_line(std::string line) {
    if (tables_.size() > 1 && in_cell()) {
      std::string& outer = tables_.back()->outer_text;
      outer += (outer.empty() ? "(" : " (") + std::move(line) + ")";
    } else {
      builder_.add(BlockKind::TableRow, line);
    }
  }

  void leave_table() {
    if (tables_.empty()) return;
    if (!tables_.back()->layout) {
      tables_.back()->rows.end();
      if (in_cell()) {
        text_ = std::move(tables_.back()->outer_text);
        cell_break_ = true;
      }
    }
    tables_.pop_back();
    if (!in_cell()) cell_break_ = false;
  }

  void enter_row(const GumboNode* row) {
    if (tables_.empty() || tables_.back()->layout) return flush_open();
    OpenTable& table = *tables_.back();
    table.rows.begin_row(names_columns(row, table.in_head, table.row_count > 0));
    ++table.row_count;
  }

  void enter_cell(const GumboElement& element) {
    if (tables_.empty() || tables_.back()->layout || tables_.back()->in_cell) return flush_open();
    OpenTable& table = *tables_.back();
    text_.clear();
    cell_break_ = false;
    table.cell = {"", span_of(element, "colspan", 1), span_of(element, "rowspan", 1),
                  element.tag == GUMBO_TAG_TH};
    table.in_cell = true;
    ++cells_open_;
  }

  void leave_cell() {
    if (tables_.empty() || tables_.back()->layout || !tables_.back()->in_cell) return flush_open();
    OpenTable& table = *tables_.back();
    table.cell.text = clean_text(text_, false);
    table.rows.add(std::move(table.cell));
    table.in_cell = false;
    --cells_open_;
    text_.clear();
    cell_break_ = false;
    links_ = words_outside_links_ = 0;
    to_anchor_ = false;
  }

  void leave(const GumboNode* node) {
    if (node->type != GUMBO_NODE_ELEMENT) return;
    bool block = blocks_.back();
    styles_.pop_back();
    blocks_.pop_back();
    GumboTag tag = node->v.element.tag;
    if (int level = heading_level(tag); level > 0) return flush(BlockKind::Heading, level);
    switch (static_cast<int>(tag)) {
      case GUMBO_TAG_A: --in_link_; break;
      case GUMBO_TAG_SUP: --in_raised_; break;
      case GUMBO_TAG_Q: text_ += "\u201D"; break;
      case GUMBO_TAG_ARTICLE:
      case GUMBO_TAG_MAIN:
      case GUMBO_TAG_SECTION: --in_section_; break;
      case GUMBO_TAG_LI:
        flush(BlockKind::ListItem);
        --in_item_;
        item_label_.clear();
        return;
      case GUMBO_TAG_OL:
      case GUMBO_TAG_UL:
        if (!lists_.empty()) lists_.pop_back();
        break;
      case GUMBO_TAG_RT: text_ += ")"; break;
      case GUMBO_TAG_PRE:
        flush(BlockKind::Code);
        --in_pre_;
        return;
      case GUMBO_TAG_THEAD:
        if (!tables_.empty()) tables_.back()->in_head = false;
        break;
      case GUMBO_TAG_TD:
      case GUMBO_TAG_TH: return leave_cell();
      case GUMBO_TAG_TR:
        if (!tables_.empty() && !tables_.back()->layout) return tables_.back()->rows.end_row();
        break;
      case GUMBO_TAG_TABLE: return leave_table();
      default: break;
    }
    if (block) flush_open();
  }

  const GumboNode* root_;
  PageShape shape_;
  PageFurniture furniture_;
  StyleSheets sheets_;
  DocumentBuilder& builder_;
  std::string text_;
  std::vector<InheritedStyle> styles_;  // of the open elements, the page's own first
  std::vector<bool> blocks_;            // which of the open elements stand on lines of their own
  std::vector<std::unique_ptr<OpenTable>> tables_;
  std::vector<OpenList> lists_;
  std::string item_label_;  // of the open item, until its first words
  std::size_t cells_open_ = 0;
  bool cell_break_ = false;  // the open cell's next word begins a paragraph or an item
  int in_item_ = 0, in_pre_ = 0, in_raised_ = 0, in_section_ = 0;
  int in_link_ = 0, links_ = 0, words_outside_links_ = 0;  // of the open text
  bool to_anchor_ = false;
};

}  // namespace

Result<void> read_html(std::string_view content, PageFurniture furniture, DocumentBuilder& builder) {
  if (deepest_elements(content) > kDepthMax) {
    return Error(ExtractionError::Invalid, "The page's elements are nested too deeply.");
  }
  std::string copy(content);  // gumbo wants a terminated buffer that outlives the tree
  Arena arena;
  GumboOptions options = kGumboDefaultOptions;
  options.max_errors = 0;
  options.allocator = Arena::take;
  options.deallocator = Arena::leave;
  options.userdata = &arena;
  GumboOutput* output = gumbo_parse_with_options(&options, copy.data(), copy.size());
  if (!output) return Error(ExtractionError::Invalid, "The page could not be read.");
  return Walker(output->document, furniture, builder).run();
}

Result<Document> extract_html(std::string_view content, const Limits& limits) {
  DocumentBuilder builder("html", limits);
  BULKHEAD_CHECK_OK(read_html(content, PageFurniture::LeftOut, builder));
  return builder.take();
}

}  // namespace bulkhead::extract
