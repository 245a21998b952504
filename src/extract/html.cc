// HTML by gumbo. What a reader of the page would not see as its content is left out: scripts, styles,
// comments, hidden elements, navigation and page furniture. Walked without recursion, so depth costs
// nothing.
#include <gumbo.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <cstring>
#include <memory_resource>
#include <unordered_map>

#include "extract/document.h"

namespace bulkhead::extract {

using base::Error;
using base::Result;

namespace {

constexpr std::size_t kNodesMax = 2'000'000;
constexpr std::size_t kDepthMax = 2'000;

constexpr std::array kSkipped = {GUMBO_TAG_SCRIPT, GUMBO_TAG_STYLE,  GUMBO_TAG_NAV,      GUMBO_TAG_HEADER,
                                 GUMBO_TAG_FOOTER, GUMBO_TAG_ASIDE,  GUMBO_TAG_NOSCRIPT, GUMBO_TAG_TEMPLATE,
                                 GUMBO_TAG_IFRAME, GUMBO_TAG_OBJECT, GUMBO_TAG_SVG,      GUMBO_TAG_DATALIST,
                                 GUMBO_TAG_BUTTON, GUMBO_TAG_SELECT, GUMBO_TAG_TEXTAREA, GUMBO_TAG_HEAD};

constexpr std::array kBlocks = {GUMBO_TAG_P,       GUMBO_TAG_DIV,  GUMBO_TAG_SECTION, GUMBO_TAG_ARTICLE,
                                GUMBO_TAG_LI,      GUMBO_TAG_UL,   GUMBO_TAG_OL,      GUMBO_TAG_TABLE,
                                GUMBO_TAG_TR,      GUMBO_TAG_H1,   GUMBO_TAG_H2,      GUMBO_TAG_H3,
                                GUMBO_TAG_H4,      GUMBO_TAG_H5,   GUMBO_TAG_H6,      GUMBO_TAG_BLOCKQUOTE,
                                GUMBO_TAG_PRE,     GUMBO_TAG_DL,   GUMBO_TAG_DT,      GUMBO_TAG_DD,
                                GUMBO_TAG_MAIN,    GUMBO_TAG_BODY, GUMBO_TAG_FIGURE,  GUMBO_TAG_FIGCAPTION,
                                GUMBO_TAG_CAPTION, GUMBO_TAG_HR,   GUMBO_TAG_DETAILS, GUMBO_TAG_SUMMARY};

template <std::size_t N>
bool among(const std::array<GumboTag, N>& tags, GumboTag tag) {
  return std::find(tags.begin(), tags.end(), tag) != tags.end();
}

// Inline styles, lower case and without spaces, of what a reader can't see. The values that continue
// ("opacity:0.5") are told apart by the semicolon.
constexpr std::array<std::string_view, 6> kHidingStyles = {
    "display:none", "visibility:hidden", "font-size:0;", "font-size:0px", "opacity:0;", "opacity:0.0;"};

bool is_hidden(const GumboElement& element) {
  if (gumbo_get_attribute(&element.attributes, "hidden")) return true;
  const GumboAttribute* aria = gumbo_get_attribute(&element.attributes, "aria-hidden");
  if (aria && std::strcmp(aria->value, "true") == 0) return true;
  const GumboAttribute* role = gumbo_get_attribute(&element.attributes, "role");
  if (role && (std::strcmp(role->value, "navigation") == 0 || std::strcmp(role->value, "banner") == 0 ||
               std::strcmp(role->value, "contentinfo") == 0)) {
    return true;
  }
  const GumboAttribute* style = gumbo_get_attribute(&element.attributes, "style");
  if (!style) return false;
  std::string text;
  for (const char* c = style->value; *c != '\0'; ++c) {
    if (static_cast<unsigned char>(*c) > ' ')
      text += *c >= 'A' && *c <= 'Z' ? static_cast<char>(*c + 32) : *c;
  }
  text += ';';
  return std::any_of(kHidingStyles.begin(), kHidingStyles.end(),
                     [&text](std::string_view hiding) { return text.find(hiding) != std::string::npos; });
}

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

int heading_level(GumboTag tag) {
  switch (static_cast<int>(tag)) {
    case GUMBO_TAG_H1: return 1;
    case GUMBO_TAG_H2: return 2;
    case GUMBO_TAG_H3: return 3;
    case GUMBO_TAG_H4: return 4;
    case GUMBO_TAG_H5: return 5;
    case GUMBO_TAG_H6: return 6;
    default: return 0;
  }
}

class Walker {
 public:
  Walker(const GumboNode* root, const Limits& limits) : root_(root), builder_("html", limits) {}

  Result<Document> run() {
    std::vector<Step> stack;
    stack.push_back({root_, false});
    std::size_t nodes = 0;
    while (!stack.empty() && !builder_.full()) {
      Step step = stack.back();
      stack.pop_back();
      if (++nodes > kNodesMax) {
        return Error(ExtractionError::TooLarge, "The page is larger than is taken. Split it.");
      }
      if (step.leaving) {
        leave(step.node);
        continue;
      }
      if (!enter(step.node)) continue;
      stack.push_back({step.node, true});
      const GumboVector* children = step.node->type == GUMBO_NODE_DOCUMENT ? &step.node->v.document.children
                                                                           : &step.node->v.element.children;
      for (unsigned i = children->length; i > 0; --i) {
        stack.push_back({static_cast<const GumboNode*>(children->data[i - 1]), false});
      }
    }
    flush(BlockKind::Paragraph);
    return builder_.take();
  }

 private:
  struct Step {
    const GumboNode* node;
    bool leaving;
  };

  void flush(BlockKind kind, int level = 0) {
    // A run of nothing but links is navigation, whatever element it stands in.
    bool furniture =
        kind == BlockKind::Paragraph && links_ > 0 && words_outside_links_ == 0 && (links_ > 1 || to_anchor_);
    if (!furniture) builder_.add(kind, text_, level);
    text_.clear();
    links_ = words_outside_links_ = 0;
    to_anchor_ = false;
  }

  void add_text(const char* text) {
    text_ += text;
    if (in_link_ == 0 && std::any_of(text, text + std::strlen(text),
                                     [](unsigned char c) { return c > 0x7F || std::isalnum(c); })) {
      ++words_outside_links_;
    }
  }

  void enter_link(const GumboElement& link) {
    ++in_link_;
    ++links_;
    const GumboAttribute* target = gumbo_get_attribute(&link.attributes, "href");
    to_anchor_ = to_anchor_ || (target && target->value[0] == '#');
  }

  // False when there is nothing below to walk.
  bool enter(const GumboNode* node) {
    switch (node->type) {
      case GUMBO_NODE_TEXT:
      case GUMBO_NODE_CDATA: add_text(node->v.text.text); return false;
      case GUMBO_NODE_WHITESPACE: text_ += ' '; return false;
      case GUMBO_NODE_COMMENT: return false;
      case GUMBO_NODE_DOCUMENT: return true;
      case GUMBO_NODE_TEMPLATE: return false;
      case GUMBO_NODE_ELEMENT: break;
    }
    const GumboElement& element = node->v.element;
    if (element.tag == GUMBO_TAG_HEAD) {
      read_title(node);
      return false;
    }
    if (among(kSkipped, element.tag) || is_hidden(element)) return false;
    if (element.tag == GUMBO_TAG_BR) text_ += ' ';
    if (element.tag == GUMBO_TAG_TD || element.tag == GUMBO_TAG_TH) text_.clear();
    if (among(kBlocks, element.tag)) flush(in_item_ > 0 ? BlockKind::ListItem : BlockKind::Paragraph);
    if (element.tag == GUMBO_TAG_A) enter_link(element);
    if (element.tag == GUMBO_TAG_LI) ++in_item_;
    if (element.tag == GUMBO_TAG_TABLE) header_.clear();
    if (element.tag == GUMBO_TAG_TR) {
      cells_.clear();
      header_row_ = true;
    }
    return true;
  }

  void leave(const GumboNode* node) {
    if (node->type != GUMBO_NODE_ELEMENT) return;
    GumboTag tag = node->v.element.tag;
    if (tag == GUMBO_TAG_A) --in_link_;
    if (int level = heading_level(tag); level > 0) return flush(BlockKind::Heading, level);
    if (tag == GUMBO_TAG_LI) {
      flush(BlockKind::ListItem);
      --in_item_;
    } else if (tag == GUMBO_TAG_PRE) {
      flush(BlockKind::Code);
    } else if (tag == GUMBO_TAG_TD || tag == GUMBO_TAG_TH) {
      cells_.push_back(clean_text(text_, false));
      header_row_ = header_row_ && tag == GUMBO_TAG_TH;
      text_.clear();
    } else if (tag == GUMBO_TAG_TR) {
      end_row();
    } else if (among(kBlocks, tag)) {
      flush(in_item_ > 0 ? BlockKind::ListItem : BlockKind::Paragraph);
    }
  }

  void end_row() {
    if (header_row_ && header_.empty() && !cells_.empty()) {
      header_ = std::move(cells_);
    } else {
      builder_.add(BlockKind::TableRow, row_text(header_, cells_));
    }
    cells_.clear();
    text_.clear();
  }

  void read_title(const GumboNode* head) {
    const GumboVector& children = head->v.element.children;
    for (unsigned i = 0; i < children.length; ++i) {
      const auto* child = static_cast<const GumboNode*>(children.data[i]);
      if (child->type != GUMBO_NODE_ELEMENT || child->v.element.tag != GUMBO_TAG_TITLE) continue;
      const GumboVector& inner = child->v.element.children;
      if (inner.length > 0) builder_.set_title(static_cast<const GumboNode*>(inner.data[0])->v.text.text);
    }
  }

  const GumboNode* root_;
  DocumentBuilder builder_;
  std::string text_;
  std::vector<std::string> header_, cells_;
  bool header_row_ = false;
  int in_item_ = 0;
  int in_link_ = 0, links_ = 0, words_outside_links_ = 0;  // of the open text
  bool to_anchor_ = false;
};

// Elements that HTML lets stand open or that hold nothing: an opening tag of theirs says nothing of depth.
constexpr std::array<std::string_view, 30> kNotNesting = {
    "p",     "li",    "td",    "th",    "tr",    "dt",       "dd",       "br",   "hr",    "img",
    "meta",  "link",  "col",   "wbr",   "input", "option",   "area",     "base", "embed", "source",
    "track", "param", "thead", "tbody", "tfoot", "colgroup", "optgroup", "html", "head",  "body"};

// How many elements stand open at most, estimated from the tags. Gumbo's time grows with the square of
// the depth, so that a small page could hold a processor until its limit.
class DepthEstimate {
 public:
  explicit DepthEstimate(std::string_view content) {
    for (std::size_t at = content.find('<'); at != std::string_view::npos; at = content.find('<', at + 1)) {
      bool closing = content.substr(at + 1).starts_with('/');
      std::string name = name_at(content.substr(at + (closing ? 2 : 1)));
      if (name.empty()) continue;
      if (closing) {
        close(name);
      } else if (open_["svg"] + open_["math"] > 0 ||
                 std::find(kNotNesting.begin(), kNotNesting.end(), name) == kNotNesting.end()) {
        // In drawings and formulas every element nests.
        ++open_[name];
        deepest_ = std::max(deepest_, ++depth_);
      }
    }
  }
  std::size_t deepest() const { return deepest_; }

 private:
  // Long enough to tell HTML's own elements apart.
  static constexpr std::size_t kNameBytesMax = 12;

  static std::string name_at(std::string_view text) {
    std::string name;
    for (std::size_t i = 0; i < std::min(text.size(), kNameBytesMax); ++i) {
      auto c = static_cast<unsigned char>(text[i]);
      if (!std::isalnum(c)) break;
      name += static_cast<char>(std::tolower(c));
    }
    return name;
  }

  void close(const std::string& name) {
    auto found = open_.find(name);
    if (found == open_.end() || found->second == 0) return;
    --found->second;
    --depth_;
  }

  std::unordered_map<std::string, std::size_t> open_;
  std::size_t depth_ = 0, deepest_ = 0;
};

}  // namespace

Result<Document> extract_html(std::string_view content, const Limits& limits) {
  if (DepthEstimate(content).deepest() > kDepthMax) {
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
  return Walker(output->document, limits).run();
}

}  // namespace bulkhead::extract
