#include "extract/html_style.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <map>
#include <tuple>

#include "extract/html_style_value.h"

namespace bulkhead::extract {

namespace {

constexpr std::size_t kCompoundsMax = 12;
constexpr std::size_t kSheetDepthMax = 16;

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f'; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c); });
  return out;
}

std::string folded(std::string_view text) {
  std::string out;
  for (char c : lower(trimmed(text))) {
    if (!is_space(c)) {
      out += c;
    } else if (!out.ends_with(' ')) {
      out += ' ';
    }
  }
  return out;
}

std::string without_comments(std::string_view css) {
  std::string out;
  while (!css.empty()) {
    std::size_t begin = css.find("/*");
    out += css.substr(0, begin);
    if (begin == std::string_view::npos) break;
    std::size_t end = css.find("*/", begin + 2);
    css = end == std::string_view::npos ? std::string_view() : css.substr(end + 2);
  }
  return out;
}

// Position of the first of `stops` outside quotes, or the text's end.
std::size_t find_outside_quotes(std::string_view text, std::string_view stops) {
  char quote = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (quote != 0) {
      if (c == '\\') {
        ++i;
      } else if (c == quote || c == '\n') {
        quote = 0;
      }
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (stops.find(c) != std::string_view::npos) {
      return i;
    }
  }
  return text.size();
}

// Where the block ends whose content begins `text`.
std::size_t block_end(std::string_view text) {
  std::size_t depth = 1, at = 0;
  while (at < text.size()) {
    at += find_outside_quotes(text.substr(at), "{}");
    if (at >= text.size()) break;
    depth += text[at] == '{' ? 1 : 0;
    if (text[at] == '}' && --depth == 0) return at;
    ++at;
  }
  return text.size();
}

// Screens of every size show it.
bool is_for_screens(std::string_view media) {
  std::string query = folded(media);
  if (query.empty()) return true;
  std::string_view rest = query;
  while (!rest.empty()) {
    std::size_t comma = rest.find(',');
    std::string_view part = trimmed(rest.substr(0, comma));
    if (part == "all" || part == "screen" || part == "only screen") return true;
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
  }
  return false;
}

const char* attribute(const GumboElement& element, const char* name) {
  const GumboAttribute* found = gumbo_get_attribute(&element.attributes, name);
  return found ? found->value : nullptr;
}

bool has_class(const GumboElement& element, const std::string& name) {
  const char* value = attribute(element, "class");
  std::string_view classes = value ? value : "";
  while (!classes.empty()) {
    classes = trimmed(classes);
    std::size_t end = std::min(classes.size(), classes.find_first_of(" \t\n\r\f"));
    if (classes.substr(0, end) == name) return true;
    classes.remove_prefix(end);
  }
  return false;
}

std::string tag_name(const GumboElement& element) {
  if (element.tag != GUMBO_TAG_UNKNOWN) return gumbo_normalized_tagname(element.tag);
  GumboStringPiece piece = element.original_tag;
  gumbo_tag_from_original_text(&piece);
  return piece.data ? lower({piece.data, piece.length}) : "";
}

bool is_block_display(std::string_view display) {
  constexpr std::array<std::string_view, 9> kBlocks = {
      "block", "flex", "grid", "list-item", "table", "table-row", "table-cell", "table-caption", "flow-root"};
  return std::find(kBlocks.begin(), kBlocks.end(), display) != kBlocks.end();
}

std::string value_in(const StyleValues& values, std::string_view property) {
  auto found = values.find(property);
  return found == values.end() ? "" : found->second;
}

void apply_colors(const StyleValues& values, const GumboElement& element, InheritedStyle& style) {
  std::string color = value_in(values, "color");
  if (color.empty() && element.tag == GUMBO_TAG_FONT && attribute(element, "color")) {
    color = folded(attribute(element, "color"));
  }
  std::string background = value_in(values, "background-color");
  if (background.empty()) background = value_in(values, "background");
  if (background.empty() && attribute(element, "bgcolor")) background = folded(attribute(element, "bgcolor"));
  std::string position = value_in(values, "position");
  // What floats over other elements, or is painted by the browser, stands on a ground that isn't known.
  if (position == "absolute" || position == "fixed" || element.tag == GUMBO_TAG_MARK)
    style.background.clear();
  if (!background.empty() && background != "none" && background != "inherit") {
    std::string normal = normal_color(background);
    if (normal != "transparent") style.background = normal;
  }
  if (color.empty() || color == "inherit" || color == "currentcolor") return;
  style.color = normal_color(color);
  bool paints_text =
      value_in(values, "background-clip") == "text" || value_in(values, "-webkit-background-clip") == "text";
  if (paints_text || style.color.empty()) style.color = "unknown";
}

}  // namespace

StyleSheets::StyleSheets(const GumboNode* root) { collect(root); }

InheritedStyle StyleSheets::initial() const {
  InheritedStyle style;
  if (refers_to_sheets_) style.background.clear();
  return style;
}

void StyleSheets::collect(const GumboNode* root) {
  std::vector<const GumboNode*> stack = {root};
  while (!stack.empty()) {
    const GumboNode* node = stack.back();
    stack.pop_back();
    if (node->type != GUMBO_NODE_ELEMENT && node->type != GUMBO_NODE_DOCUMENT) continue;
    bool is_element = node->type == GUMBO_NODE_ELEMENT;
    const GumboVector& children = is_element ? node->v.element.children : node->v.document.children;
    if (is_element && node->v.element.tag == GUMBO_TAG_LINK) {
      const char* relation = attribute(node->v.element, "rel");
      refers_to_sheets_ =
          refers_to_sheets_ || (relation && lower(relation).find("stylesheet") != std::string::npos);
    }
    if (is_element && node->v.element.tag == GUMBO_TAG_STYLE) {
      const char* media = attribute(node->v.element, "media");
      if (media && !is_for_screens(media)) continue;
      for (unsigned i = 0; i < children.length; ++i) {
        const auto* text = static_cast<const GumboNode*>(children.data[i]);
        if (text->type == GUMBO_NODE_TEXT || text->type == GUMBO_NODE_CDATA) {
          parse_sheet(without_comments(text->v.text.text));
        }
      }
      continue;
    }
    // The first child comes first: sheets count in the order of the page.
    for (unsigned i = children.length; i > 0; --i) {
      stack.push_back(static_cast<const GumboNode*>(children.data[i - 1]));
    }
  }
}

void StyleSheets::parse_sheet(std::string_view css) {
  std::size_t open_blocks = 0;  // of conditions that hold, whose rules count as the sheet's own
  while (!css.empty()) {
    std::size_t stop = find_outside_quotes(css, "{};");
    if (stop >= css.size()) return;
    std::string_view head = trimmed(css.substr(0, stop));
    char mark = css[stop];
    css.remove_prefix(stop + 1);
    if (head.starts_with("<!--")) head = trimmed(head.substr(4));
    if (mark != '{') {
      refers_to_sheets_ = refers_to_sheets_ || head.starts_with("@import");
      open_blocks -= mark == '}' && open_blocks > 0 ? 1 : 0;
      continue;
    }
    bool opens = (head.starts_with("@media") && is_for_screens(head.substr(6))) || head.starts_with("@layer");
    if (opens && open_blocks < kSheetDepthMax) {
      ++open_blocks;
      continue;
    }
    std::size_t end = block_end(css);
    if (!head.starts_with('@')) add_rule(head, css.substr(0, end));
    css.remove_prefix(std::min(css.size(), end + 1));
  }
}

std::vector<StyleSheets::Declaration> StyleSheets::parse_declarations(std::string_view body) {
  std::vector<Declaration> out;
  while (!body.empty()) {
    std::size_t end = find_outside_quotes(body, ";");
    std::string_view one = body.substr(0, end);
    body.remove_prefix(std::min(body.size(), end + 1));
    std::size_t colon = one.find(':');
    if (colon == std::string_view::npos) continue;
    Declaration declaration{folded(one.substr(0, colon)), folded(one.substr(colon + 1)), false};
    if (std::size_t bang = declaration.value.find('!'); bang != std::string::npos) {
      declaration.important = declaration.value.find("important", bang) != std::string::npos;
      declaration.value = std::string(trimmed(std::string_view(declaration.value).substr(0, bang)));
    }
    if (is_telling_property(declaration.property)) out.push_back(std::move(declaration));
  }
  return out;
}

// Nothing for a selector with parts that can't be decided from the tree alone.
std::optional<StyleSheets::Rule> StyleSheets::parse_selector(std::string_view selector) {
  Rule rule;
  Compound open;
  bool any = false, child = false;
  auto close = [&] {
    open.child_of_next = child;
    rule.compounds.push_back(std::move(open));
    open = Compound();
    any = child = false;
  };
  for (std::size_t i = 0; i < selector.size();) {
    char c = selector[i];
    if (is_space(c) || c == '>') {
      if (any) close();
      child = child || c == '>';
      ++i;
      continue;
    }
    std::size_t from = c == '.' || c == '#' ? i + 1 : i;
    std::size_t end = from;
    while (end < selector.size() && (std::isalnum(static_cast<unsigned char>(selector[end])) != 0 ||
                                     selector[end] == '-' || selector[end] == '_' || selector[end] < 0)) {
      ++end;
    }
    std::string name(selector.substr(from, end - from));
    if (c == '*') {
      end = i + 1;
    } else if (name.empty()) {
      return std::nullopt;
    } else if (c == '.') {
      open.classes.push_back(name);
      rule.specificity += 1u << 10;
    } else if (c == '#') {
      open.id = name;
      rule.specificity += 1u << 20;
    } else {
      open.tag = lower(name);
      ++rule.specificity;
    }
    any = true;
    i = end;
  }
  if (any) close();
  if (rule.compounds.empty() || rule.compounds.size() > kCompoundsMax) return std::nullopt;
  std::reverse(rule.compounds.begin(), rule.compounds.end());
  return rule;
}

void StyleSheets::add_rule(std::string_view selectors, std::string_view body) {
  auto declarations = parse_declarations(body);
  if (declarations.empty()) return;
  declarations_.push_back(std::move(declarations));
  while (!selectors.empty() && rules_.size() < kRulesMax) {
    std::size_t comma = selectors.find(',');
    auto rule = parse_selector(trimmed(selectors.substr(0, comma)));
    selectors = comma == std::string_view::npos ? std::string_view() : selectors.substr(comma + 1);
    if (!rule) continue;
    rule->declarations = declarations_.size() - 1;
    const Compound& last = rule->compounds.front();
    std::string key = !last.id.empty()        ? "#" + last.id
                      : !last.classes.empty() ? "." + last.classes.front()
                      : !last.tag.empty()     ? last.tag
                                              : "*";
    by_key_[key].push_back(rules_.size());
    rules_.push_back(*std::move(rule));
  }
}

bool StyleSheets::matches_compound(const Compound& compound, const GumboElement& element) {
  ++steps_;
  if (!compound.tag.empty() && compound.tag != tag_name(element)) return false;
  const char* id = compound.id.empty() ? nullptr : attribute(element, "id");
  if (!compound.id.empty() && (!id || compound.id != id)) return false;
  return std::all_of(compound.classes.begin(), compound.classes.end(),
                     [&element](const std::string& name) { return has_class(element, name); });
}

// `element` is to match the rule's compound `from`, its ancestors the ones to the left. The depth of the
// recursion is the number of compounds.
bool StyleSheets::matches(const Rule& rule, std::size_t from, const GumboNode* element) {
  if (exhausted() || !matches_compound(rule.compounds[from], element->v.element)) return false;
  if (from + 1 == rule.compounds.size()) return true;
  for (const GumboNode* above = element->parent; above && above->type == GUMBO_NODE_ELEMENT;
       above = above->parent) {
    if (matches(rule, from + 1, above)) return true;
    if (rule.compounds[from].child_of_next || exhausted()) return false;
  }
  return false;
}

ElementStyle StyleSheets::style_of(const GumboNode* node, const InheritedStyle& parent) {
  const GumboElement& element = node->v.element;
  // Importance, then specificity, then order; what an attribute says counts as more specific than any rule.
  using Rank = std::tuple<bool, unsigned, std::size_t>;
  std::map<std::string, Rank, std::less<>> ranks;
  StyleValues values;
  auto weigh = [&](const std::vector<Declaration>& declarations, unsigned specificity, std::size_t order) {
    for (const Declaration& one : declarations) {
      Rank rank{one.important, specificity, order};
      auto [at, is_new] = ranks.try_emplace(one.property, rank);
      if (!is_new && at->second > rank) continue;
      at->second = rank;
      values[one.property] = one.value;
    }
  };
  auto weigh_key = [&](const std::string& key) {
    auto found = by_key_.find(key);
    if (found == by_key_.end()) return;
    for (std::size_t index : found->second) {
      const Rule& rule = rules_[index];
      if (matches(rule, 0, node)) weigh(declarations_[rule.declarations], rule.specificity, index);
    }
  };
  if (!rules_.empty()) {
    weigh_key("*");
    weigh_key(tag_name(element));
    if (const char* id = attribute(element, "id")) weigh_key("#" + std::string(id));
    std::string_view classes = attribute(element, "class") ? attribute(element, "class") : "";
    for (classes = trimmed(classes); !classes.empty(); classes = trimmed(classes)) {
      std::size_t end = std::min(classes.size(), classes.find_first_of(" \t\n\r\f"));
      weigh_key("." + std::string(classes.substr(0, end)));
      classes.remove_prefix(end);
    }
  }
  if (const char* own = attribute(element, "style")) {
    weigh(parse_declarations(without_comments(own)), ~0u, rules_.size());
  }
  ElementStyle style{parent, takes_out_of_sight(values), is_block_display(value_in(values, "display"))};
  std::string visibility = value_in(values, "visibility");
  if (!visibility.empty() && visibility != "inherit") {
    style.inherited.visible = visibility != "hidden" && visibility != "collapse";
  }
  std::string size = value_in(values, "font-size");
  if (is_zero(size)) style.inherited.sized = false;
  if (is_absolute_size(size)) style.inherited.sized = true;
  // The shorthand names position and picture too; "none" takes the number away wherever it stands.
  for (const char* property : {"list-style", "list-style-type"}) {
    std::string value = value_in(values, property);
    if (value.find("none") != std::string::npos) style.shows_markers = false;
  }
  apply_colors(values, element, style.inherited);
  return style;
}

}  // namespace bulkhead::extract
