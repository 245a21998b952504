// Questions to a page's tree, as gumbo gives it, that need no walk of their own or one bounded walk.
#pragma once

#include <gumbo.h>

#include <string>

namespace bulkhead::extract {

const char* attribute_of(const GumboElement& element, const char* name);
// Of an element or the document; null for a text.
const GumboVector* children_of(const GumboNode* node);

// 1 to 6, 0 for what is no heading.
int heading_level(GumboTag tag);
// Elements that stand on lines of their own.
bool is_block(const GumboElement& element);
// Elements whose content no reader sees: scripts, closed dialogs, `hidden`; and text that is struck out.
bool is_skipped(const GumboElement& element);

// The first text of the head's `title`.
const char* title_of(const GumboNode* head);
// What a reader sees in an input or a list to choose from: its value, a mark in a box.
std::string field_text(const GumboNode* field);
// True for a row of headings: in the table's head, or of heading cells alone.
bool names_columns(const GumboNode* row, bool in_head, bool has_rows_before);

// What the page as a whole is like. The tree outlives it.
class PageShape {
 public:
  explicit PageShape(const GumboNode* root);
  bool has_main() const { return has_main_; }
  // The page's title stands in its banner and nowhere else.
  bool only_header_has_title() const { return header_title_ && !other_title_; }
  // A table without headings of its own around other tables or sections: it lays out the page.
  bool is_layout(const GumboNode* table);
  // True once looking took more steps than are given to a page.
  bool exhausted() const { return steps_ > kStepsMax; }

  static constexpr std::size_t kStepsMax = 20'000'000;

 private:
  bool has_main_ = false, header_title_ = false, other_title_ = false;
  std::size_t steps_ = 0;
};

}  // namespace bulkhead::extract
