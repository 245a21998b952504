// From the words of a PDF's pages to blocks: a PDF says where words stand, not what they belong to.
// Knows nothing of poppler. Lengths in points, y grows downwards.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "extract/document.h"

namespace bulkhead::extract {

struct PdfWord {
  std::string text;
  double left = 0, right = 0, top = 0, height = 0;
  double size = 0;   // of the font
  std::string font;  // its name, to tell a table's header from its rows
  double base = 0;   // the line on which its letters stand
  int rotation = 0;  // of the text, in quarter turns; places are those of the page turned upright
};

// Words without a wide gap between them: a line of text, or a line of a table's cell.
struct PdfRun {
  std::string text;
  double left = 0, right = 0, top = 0, height = 0, size = 0;
  std::string font;  // empty when there are several
  double base = 0;
};

// Runs on one height, from left to right.
struct PdfRow {
  std::vector<PdfRun> runs;
  std::uint32_t page = 0;
  int rotation = 0;

  double top() const { return runs.front().top; }
  double left() const { return runs.front().left; }
  double right() const { return runs.back().right; }
  double size() const;  // the largest
  std::string text() const;
};

// Words in reading order to rows. Runs that share a height are one row only when they are near each
// other in reading order too, so that the columns of a page stay apart.
std::vector<PdfRow> rows_of_page(const std::vector<PdfWord>& words, std::uint32_t page);

// Takes out what repeats at the top or foot of pages in one place: the same text, or the same but for
// numbers that count the pages. No page loses all of its rows.
void drop_furniture(std::vector<PdfRow>& rows);

// Adds all rows' blocks to the builder: headings by size, list items, rows of tables, paragraphs.
void compose_blocks(const std::vector<PdfRow>& rows, DocumentBuilder& builder);

}  // namespace bulkhead::extract
