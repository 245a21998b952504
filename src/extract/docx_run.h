// The text of a Word paragraph: its runs, fields, formulas and symbols, without what no reader sees.
#pragma once

#include <pugixml.hpp>
#include <string>
#include <vector>

#include "extract/docx_styles.h"

namespace bulkhead::extract {

struct ParagraphText {
  std::string text;
  std::vector<pugi::xml_node> boxes;  // contents of its text boxes, paragraphs of their own
  bool has_page_number = false;
};

// `paragraph` is a `p`. Tracked deletions, moved-away text, comments, field codes and hidden text are left
// out.
ParagraphText paragraph_text(pugi::xml_node paragraph, const DocxStyles& styles);

// Every run with text is bold, and there is one.
bool is_all_bold(pugi::xml_node node, const DocxStyles& styles);

// Deepest nesting of elements that is followed.
inline constexpr int kDocxDepthMax = 200;

}  // namespace bulkhead::extract
