// Blocks from the places of words.
#include "extract/pdf_layout.h"

#include <gtest/gtest.h>

#include <cmath>
#include <sstream>
#include <string>
#include <vector>

#include "support.h"

namespace bulkhead::extract {
namespace {

// A page under construction: words are 5 points a letter, 3 points apart.
class Page {
 public:
  Page& line(double left, double top, const std::string& text, double size = 10,
             const std::string& font = "Regular") {
    std::istringstream in(text);
    for (std::string word; in >> word;) {
      double right = left + 5.0 * static_cast<double>(word.size());
      words_.push_back({word, left, right, top, size, size, font});
      left = right + 3;
    }
    return *this;
  }
  std::vector<PdfRow> rows(std::uint32_t number = 1) const { return rows_of_page(words_, number); }

 private:
  std::vector<PdfWord> words_;
};

std::string blocks_of(const std::vector<PdfRow>& rows) {
  DocumentBuilder builder("pdf", Limits{});
  compose_blocks(rows, builder);
  return outline(builder.take());
}

TEST(PdfLayout, LinesJoinToParagraphsAndHeadingsStandOut) {
  Page page;
  page.line(60, 50, "A long", 18).line(60, 70, "title", 18).line(60, 100, "1. Part", 14);
  page.line(60, 120, "This is hyphen-").line(60, 133, "ated text.").line(60, 160, "A second paragraph.");
  EXPECT_EQ(blocks_of(page.rows()),
            "heading 1: A long title\nheading 2: 1. Part\nparagraph: This is hyphenated text.\n"
            "paragraph: A second paragraph.\n");
}

TEST(PdfLayout, ListItemsBeginAtTheirMarks) {
  Page page;
  // Bullets come first in reading order, as some writers leave them.
  page.line(60, 50, "\u2022")
      .line(60, 76, "\u2022")
      .line(80, 50, "first item that")
      .line(80, 63, "goes on")
      .line(80, 76, "second");
  page.line(60, 110, "1. one.").line(60, 123, "2. two and").line(60, 136, "3. of it.");
  EXPECT_EQ(blocks_of(page.rows()),
            "list_item: first item that goes on\nlist_item: second\nlist_item: 1. one.\n"
            "list_item: 2. two and 3. of it.\n");
}

TEST(PdfLayout, TablesWithAHeaderNameTheirColumns) {
  Page page;
  page.line(60, 50, "Dose", 10, "Bold").line(160, 50, "Route", 10, "Bold").line(260, 50, "Note", 10, "Bold");
  page.line(60, 70, "5 mg").line(160, 70, "oral").line(260, 70, "after a").line(260, 82, "meal");
  page.line(60, 100, "9 mg").line(260, 100, "slowly");
  page.line(55, 130, "Text below.");
  EXPECT_EQ(blocks_of(page.rows()),
            "table_row: Dose: 5 mg; Route: oral; Note: after a meal\n"
            "table_row: Dose: 9 mg; Note: slowly\nparagraph: Text below.\n");
}

TEST(PdfLayout, TablesWithoutAHeaderAreNamesAndValues) {
  Page page;
  page.line(60, 50, "Client", 10, "Bold")
      .line(160, 50, "Merrow")
      .line(60, 70, "Job", 10, "Bold")
      .line(160, 70, "BW-3108");
  EXPECT_EQ(blocks_of(page.rows()), "table_row: Client: Merrow\ntable_row: Job: BW-3108\n");
}

TEST(PdfLayout, AHeaderRepeatedOnTheNextPageIsDropped) {
  Page first, second;
  first.line(60, 700, "Dose", 10, "Bold")
      .line(160, 700, "Route", 10, "Bold")
      .line(60, 720, "5 mg")
      .line(160, 720, "oral");
  second.line(60, 50, "Dose", 10, "Bold")
      .line(160, 50, "Route", 10, "Bold")
      .line(60, 70, "9 mg")
      .line(160, 70, "vein");
  std::vector<PdfRow> rows = first.rows(1);
  for (PdfRow& row : second.rows(2)) rows.push_back(row);
  EXPECT_EQ(blocks_of(rows), "table_row: Dose: 5 mg; Route: oral\ntable_row: Dose: 9 mg; Route: vein\n");
}

TEST(PdfLayout, ColumnsOfAPageStayApart) {
  Page page;
  for (int i = 0; i < 20; ++i) page.line(60, 50 + 13.0 * i, "left column");
  for (int i = 0; i < 20; ++i) page.line(320, 50 + 13.0 * i, "right column");
  std::string blocks = blocks_of(page.rows());
  EXPECT_EQ(blocks.find("left column right"), std::string::npos);
  EXPECT_EQ(blocks.find("table_row"), std::string::npos);
}

TEST(PdfLayout, RunningHeadersStandOnceAndPageNumbersNowhere) {
  std::vector<PdfRow> rows;
  for (std::uint32_t number = 1; number <= 3; ++number) {
    Page page;
    page.line(60, 20, "St Brannoc")
        .line(60, 50, "Text of page " + std::string(number, 'x'))
        .line(60, 800, "Page " + std::to_string(number) + " of 3");
    for (PdfRow& row : page.rows(number)) rows.push_back(row);
  }
  drop_furniture(rows);
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_EQ(rows[0].text(), "St Brannoc");
  EXPECT_EQ(rows[2].text(), "Text of page xx");
}

TEST(PdfLayout, NothingIsHarmless) {
  EXPECT_TRUE(rows_of_page({}, 1).empty());
  EXPECT_EQ(blocks_of({}), "");
  // Places as a hostile file may give them.
  std::vector<PdfWord> odd = {{"a", 0, 0, 0, 0, 0, ""},
                              {"b", -1e300, 1e300, 5, -1, 1e300, ""},
                              {"", 0, 0, 0, 0, 0, ""},
                              {"c", std::nan(""), 1, 2, 3, 4, ""},
                              {"d", HUGE_VAL, 1, 2, 3, 4, ""}};
  EXPECT_FALSE(blocks_of(rows_of_page(odd, 1)).empty());
}

}  // namespace
}  // namespace bulkhead::extract
