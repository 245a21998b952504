#include "extract/html_tree.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <string_view>
#include <vector>

namespace bulkhead::extract {

namespace {

constexpr std::array kSkipped = {GUMBO_TAG_SCRIPT, GUMBO_TAG_STYLE,  GUMBO_TAG_NOSCRIPT, GUMBO_TAG_TEMPLATE,
                                 GUMBO_TAG_IFRAME, GUMBO_TAG_OBJECT, GUMBO_TAG_SVG,      GUMBO_TAG_DATALIST,
                                 GUMBO_TAG_BUTTON, GUMBO_TAG_HEAD,   GUMBO_TAG_DEL,      GUMBO_TAG_S,
                                 GUMBO_TAG_STRIKE, GUMBO_TAG_RP};

constexpr std::array kBlocks = {
    GUMBO_TAG_P,       GUMBO_TAG_DIV,    GUMBO_TAG_SECTION,  GUMBO_TAG_ARTICLE,    GUMBO_TAG_LI,
    GUMBO_TAG_UL,      GUMBO_TAG_OL,     GUMBO_TAG_TABLE,    GUMBO_TAG_TR,         GUMBO_TAG_TD,
    GUMBO_TAG_TH,      GUMBO_TAG_H1,     GUMBO_TAG_H2,       GUMBO_TAG_H3,         GUMBO_TAG_H4,
    GUMBO_TAG_H5,      GUMBO_TAG_H6,     GUMBO_TAG_HGROUP,   GUMBO_TAG_BLOCKQUOTE, GUMBO_TAG_PRE,
    GUMBO_TAG_DL,      GUMBO_TAG_DT,     GUMBO_TAG_DD,       GUMBO_TAG_MAIN,       GUMBO_TAG_BODY,
    GUMBO_TAG_FIGURE,  GUMBO_TAG_HR,     GUMBO_TAG_CAPTION,  GUMBO_TAG_FIGCAPTION, GUMBO_TAG_DETAILS,
    GUMBO_TAG_SUMMARY, GUMBO_TAG_HEADER, GUMBO_TAG_FOOTER,   GUMBO_TAG_ASIDE,      GUMBO_TAG_ADDRESS,
    GUMBO_TAG_CENTER,  GUMBO_TAG_NAV,    GUMBO_TAG_FIELDSET, GUMBO_TAG_LEGEND,     GUMBO_TAG_FORM,
    GUMBO_TAG_MENU,    GUMBO_TAG_DIR,    GUMBO_TAG_LISTING,  GUMBO_TAG_XMP,        GUMBO_TAG_TEXTAREA};

template <std::size_t N>
bool among(const std::array<GumboTag, N>& tags, GumboTag tag) {
  return std::find(tags.begin(), tags.end(), tag) != tags.end();
}

bool is_element(const GumboNode* node, GumboTag tag) {
  return node->type == GUMBO_NODE_ELEMENT && node->v.element.tag == tag;
}

bool is_called(const GumboElement& element, std::string_view name) {
  GumboStringPiece piece = element.original_tag;
  gumbo_tag_from_original_text(&piece);
  return piece.data && piece.length == name.size() &&
         std::equal(name.begin(), name.end(), piece.data, [](char expected, char c) {
           return expected == static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
         });
}

const GumboNode* child_at(const GumboVector* children, unsigned i) {
  return static_cast<const GumboNode*>(children->data[i]);
}

std::string chosen_option(const GumboNode* list, std::size_t depth = 0) {
  const GumboVector* children = children_of(list);
  for (unsigned i = 0; depth < 3 && children && i < children->length; ++i) {
    const GumboNode* child = child_at(children, i);
    if (is_element(child, GUMBO_TAG_OPTGROUP)) {
      std::string inner = chosen_option(child, depth + 1);
      if (!inner.empty()) return inner;
    }
    if (!is_element(child, GUMBO_TAG_OPTION) || !attribute_of(child->v.element, "selected")) continue;
    const GumboVector& inner = child->v.element.children;
    if (inner.length > 0 && child_at(&inner, 0)->type == GUMBO_NODE_TEXT)
      return child_at(&inner, 0)->v.text.text;
  }
  return "";
}

}  // namespace

const char* attribute_of(const GumboElement& element, const char* name) {
  const GumboAttribute* found = gumbo_get_attribute(&element.attributes, name);
  return found ? found->value : nullptr;
}

const GumboVector* children_of(const GumboNode* node) {
  if (node->type == GUMBO_NODE_DOCUMENT) return &node->v.document.children;
  return node->type == GUMBO_NODE_ELEMENT ? &node->v.element.children : nullptr;
}

int heading_level(GumboTag tag) {
  constexpr std::array kHeadings = {GUMBO_TAG_H1, GUMBO_TAG_H2, GUMBO_TAG_H3,
                                    GUMBO_TAG_H4, GUMBO_TAG_H5, GUMBO_TAG_H6};
  const auto* found = std::find(kHeadings.begin(), kHeadings.end(), tag);
  return found == kHeadings.end() ? 0 : static_cast<int>(found - kHeadings.begin()) + 1;
}

bool is_block(const GumboElement& element) { return among(kBlocks, element.tag); }

bool is_skipped(const GumboElement& element) {
  if (among(kSkipped, element.tag) || attribute_of(element, "hidden")) return true;
  if (element.tag == GUMBO_TAG_UNKNOWN && is_called(element, "dialog")) return !attribute_of(element, "open");
  const char* aria = attribute_of(element, "aria-hidden");
  return aria && std::strcmp(aria, "true") == 0;
}

const char* title_of(const GumboNode* head) {
  const GumboVector* children = children_of(head);
  for (unsigned i = 0; i < children->length; ++i) {
    const GumboNode* child = child_at(children, i);
    if (!is_element(child, GUMBO_TAG_TITLE)) continue;
    const GumboVector& inner = child->v.element.children;
    if (inner.length > 0) return child_at(&inner, 0)->v.text.text;
  }
  return "";
}

std::string field_text(const GumboNode* field) {
  const GumboElement& element = field->v.element;
  if (element.tag == GUMBO_TAG_SELECT) return chosen_option(field);
  std::string type = attribute_of(element, "type") ? attribute_of(element, "type") : "text";
  std::transform(type.begin(), type.end(), type.begin(), [](unsigned char c) { return std::tolower(c); });
  if (type == "checkbox" || type == "radio") return attribute_of(element, "checked") ? "\u2612" : "\u2610";
  for (const char* unseen :
       {"hidden", "password", "submit", "reset", "button", "image", "file", "color", "range"}) {
    if (type == unseen) return "";
  }
  return attribute_of(element, "value") ? attribute_of(element, "value") : "";
}

bool names_columns(const GumboNode* row, bool in_head, bool has_rows_before) {
  if (in_head) return true;
  std::size_t headings = 0;
  bool spans = false;
  const GumboVector* children = children_of(row);
  for (unsigned i = 0; i < children->length; ++i) {
    const GumboNode* cell = child_at(children, i);
    if (is_element(cell, GUMBO_TAG_TD)) return false;
    if (!is_element(cell, GUMBO_TAG_TH)) continue;
    const char* scope = attribute_of(cell->v.element, "scope");
    if (scope && (std::strcmp(scope, "row") == 0 || std::strcmp(scope, "rowgroup") == 0)) return false;
    spans = spans || attribute_of(cell->v.element, "colspan");
    ++headings;
  }
  // One heading over all columns below other rows parts the table; it names no column.
  bool parts = headings == 1 && spans && has_rows_before;
  return headings > 0 && !parts;
}

PageShape::PageShape(const GumboNode* root) {
  struct Step {
    const GumboNode* node;
    bool in_section, in_header;
  };
  std::vector<Step> stack = {{root, false, false}};
  while (!stack.empty()) {
    Step step = stack.back();
    stack.pop_back();
    const GumboVector* children = children_of(step.node);
    if (!children) continue;
    GumboTag tag = step.node->type == GUMBO_NODE_ELEMENT ? step.node->v.element.tag : GUMBO_TAG_UNKNOWN;
    has_main_ = has_main_ || tag == GUMBO_TAG_MAIN || tag == GUMBO_TAG_ARTICLE;
    step.in_section =
        step.in_section || tag == GUMBO_TAG_MAIN || tag == GUMBO_TAG_ARTICLE || tag == GUMBO_TAG_SECTION;
    step.in_header = step.in_header || (tag == GUMBO_TAG_HEADER && !step.in_section);
    if (tag == GUMBO_TAG_H1) (step.in_header ? header_title_ : other_title_) = true;
    for (unsigned i = 0; i < children->length; ++i) {
      stack.push_back({child_at(children, i), step.in_section, step.in_header});
    }
  }
}

bool PageShape::is_layout(const GumboNode* table) {
  const char* role = attribute_of(table->v.element, "role");
  if (role && (std::strcmp(role, "presentation") == 0 || std::strcmp(role, "none") == 0)) return true;
  bool holds_blocks = false;
  std::vector<const GumboNode*> stack = {table};
  while (!stack.empty() && !exhausted()) {
    const GumboNode* node = stack.back();
    stack.pop_back();
    ++steps_;
    const GumboVector* children = children_of(node);
    if (!children) continue;
    if (node->type == GUMBO_NODE_ELEMENT && node != table) {
      GumboTag tag = node->v.element.tag;
      if (tag == GUMBO_TAG_TH || tag == GUMBO_TAG_THEAD || tag == GUMBO_TAG_CAPTION) return false;
      bool is_table = tag == GUMBO_TAG_TABLE;
      holds_blocks = holds_blocks || is_table || heading_level(tag) > 0 || tag == GUMBO_TAG_PRE;
      if (is_table) continue;  // its own cells are its own matter
    }
    for (unsigned i = 0; i < children->length; ++i) stack.push_back(child_at(children, i));
  }
  return holds_blocks;
}

}  // namespace bulkhead::extract
