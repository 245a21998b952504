// What a page's style sheets and attributes make of its text: whether a reader sees it. The cascade of
// CSS 2.2 (chapter 6: importance, specificity, order) over the properties that hide text, for selectors of
// elements, classes and identifiers below one another. What can't be told for sure hides nothing:
// pseudo-classes, sibling selectors, conditions on the screen's size, style sheets that the page only refers
// to (none is fetched).
//
// Thread safety: none. The tree outlives the sheets.
#pragma once

#include <gumbo.h>

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace bulkhead::extract {

// What an element hands on to those inside it.
struct InheritedStyle {
  bool visible = true, sized = true;
  // "#rrggbb", or a name; empty when unknown.
  std::string color = "#000000", background = "#ffffff";
  bool shows_text() const { return visible && sized && color != "transparent" && color != background; }
};

struct ElementStyle {
  InheritedStyle inherited;
  bool removed = false;       // it and everything inside is out of sight
  bool is_block = false;      // stands on lines of its own
  bool shows_markers = true;  // a list's items bear their numbers
};

class StyleSheets {
 public:
  explicit StyleSheets(const GumboNode* root);

  // Of an element, with what its parent hands on.
  ElementStyle style_of(const GumboNode* element, const InheritedStyle& parent);
  // What the page's canvas hands on.
  InheritedStyle initial() const;
  // True once matching took more steps than are given to a page; its styles are not to be trusted then.
  bool exhausted() const { return steps_ > kStepsMax; }

  static constexpr std::size_t kRulesMax = 20'000;
  static constexpr std::size_t kStepsMax = 50'000'000;

 private:
  struct Declaration {
    std::string property, value;
    bool important = false;
  };
  // "p.note#first": empty parts match everything.
  struct Compound {
    std::string tag, id;
    std::vector<std::string> classes;
    bool child_of_next = false;  // the compound to its left is its parent, not just an ancestor
  };
  struct Rule {
    std::vector<Compound> compounds;  // from the right
    unsigned specificity = 0;
    std::size_t declarations = 0;
  };

  void collect(const GumboNode* root);
  void parse_sheet(std::string_view css);
  void add_rule(std::string_view selectors, std::string_view body);
  static std::vector<Declaration> parse_declarations(std::string_view body);
  static std::optional<Rule> parse_selector(std::string_view selector);
  bool matches(const Rule& rule, std::size_t from, const GumboNode* element);
  bool matches_compound(const Compound& compound, const GumboElement& element);

  std::vector<Rule> rules_;
  std::vector<std::vector<Declaration>> declarations_;
  std::unordered_map<std::string, std::vector<std::size_t>> by_key_;  // "#id", ".class", "tag", "*"
  bool refers_to_sheets_ = false;
  std::size_t steps_ = 0;
};

}  // namespace bulkhead::extract
