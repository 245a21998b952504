// Rows, columns and page furniture of whole PDFs, in the reading order that poppler gives them.
#include <gtest/gtest.h>

#include <algorithm>
#include <initializer_list>
#include <string>
#include <utility>

#include "extract/document.h"
#include "pdf_support.h"
#include "support.h"

namespace bulkhead::extract {
namespace {

std::string text_of(const PdfFile& file) {
  prepare_pdf();
  return outline(extract_pdf(file.bytes(), Limits{}));
}

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// A chart of which every third dose and every fourth note is empty, its lines `step` points apart.
std::string chart(int rows, int step, const std::string& unit) {
  std::string page = line_at(72, 800, "Drug", 10, "B") + line_at(250, 800, "Dose", 10, "B") +
                     line_at(400, 800, "Note", 10, "B");
  for (int i = 0; i < rows; ++i) {
    int y = 800 - step * (i + 1);
    page += line_at(72, y, "Drug" + std::to_string(i), 10);
    if (i % 3 != 1) page += line_at(250, y, std::to_string(5 + i * 10) + unit, 10);
    if (i % 4 != 2) page += line_at(400, y, "Note " + std::to_string(i), 10);
  }
  return page;
}

void expect_rows(const std::string& text, int rows, const std::string& unit) {
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), rows) << text;
  for (int i = 0; i < rows; ++i) {
    std::string row = "table_row: Drug: Drug" + std::to_string(i);
    if (i % 3 != 1) row += "; Dose: " + std::to_string(5 + i * 10) + unit;
    if (i % 4 != 2) row += "; Note: Note " + std::to_string(i);
    EXPECT_TRUE(holds(text, row + "\n")) << row << "\nin " << text;
  }
}

TEST(PdfTable, RowsOfAChartStayRowsAtAnyLineDistance) {
  for (int step : {14, 20, 36, 60, 110}) {
    SCOPED_TRACE(step);
    int rows = 770 / step;
    expect_rows(text_of(PdfFile().page(chart(rows, step, " mg"))), rows, " mg");
  }
}

TEST(PdfTable, AFormWithAnEmptyFieldKeepsItsPairs) {
  std::string form = line_at(72, 760, "Patient") + line_at(200, 760, "Ada Novak") + line_at(72, 720, "Born") +
                     line_at(200, 720, "1 May 1970") + line_at(72, 680, "Allergies") +
                     line_at(72, 640, "Ward") + line_at(200, 640, "7B");
  EXPECT_EQ(text_of(PdfFile().page(form)),
            "table_row: Patient: Ada Novak\ntable_row: Born: 1 May 1970\ntable_row: Allergies\n"
            "table_row: Ward: 7B\n");
}

TEST(PdfTable, ColumnsOfProseAreReadOneAfterTheOther) {
  const char* const lines[] = {"The tenant shall keep the flat in", "good repair and report each fault",
                               "to the landlord without delay so",  "that it can be mended in good time",
                               "and pays the rent of the month on", "the first day of it to the owner."};
  for (int count : {6, 30}) {
    std::string left, right;
    for (int i = 0; i < count; ++i) {
      left += line_at(72, 760 - 12 * i, lines[i % 6], 10);
      right += line_at(320, 760 - 12 * i, lines[(i + 1) % 6], 10);
    }
    std::string text = text_of(PdfFile().page(left + right));
    EXPECT_TRUE(holds(text, "keep the flat in good repair and report each fault to the landlord")) << text;
    EXPECT_FALSE(holds(text, "table_row")) << text;
  }
}

TEST(PdfTable, JustifiedLinesAreNoRows) {
  std::string page = line_at(72, 700, "Microscale systems have many applications in", 10);
  const std::pair<int, const char*> words[] = {
      {72, "areas"}, {120, "such"}, {165, "as"}, {200, "surveillance"}, {285, "or"}};
  for (const auto& [left, word] : words) page += line_at(left, 688, word, 10);
  page += line_at(72, 676, "microassembly. In this paper a controllable robot", 10);
  EXPECT_EQ(text_of(PdfFile().page(page)),
            "paragraph: Microscale systems have many applications in areas such as surveillance or "
            "microassembly. In this paper a controllable robot\n");
}

// Words of two wide lines stand below each other by chance; those of a chart under a caption do not.
TEST(PdfTable, WideLinesBelowEachOtherAreTextOrAChart) {
  auto words = [](int top, std::initializer_list<std::pair<int, const char*>> placed) {
    std::string line;
    for (const auto& [left, word] : placed) line += line_at(left, top, word, 10);
    return line;
  };
  std::string text = text_of(PdfFile().page(
      line_at(72, 700, "The court heard the parties and their counsel", 10) +
      words(688, {{72, "over"}, {112, "two"}, {150, "days"}, {190, "and"}, {230, "then"}, {270, "it"}}) +
      words(676, {{72, "went"}, {113, "out"}, {150, "to"}, {178, "consider"}, {240, "what"}}) +
      line_at(72, 664, "had been said on both sides of the case.", 10)));
  EXPECT_EQ(text,
            "paragraph: The court heard the parties and their counsel over two days and then it went out to "
            "consider what had been said on both sides of the case.\n");
  text = text_of(PdfFile().page(line_at(72, 700, "Patients on each ward by the day of week", 10) +
                                words(686, {{72, "Mon"}, {122, "Tue"}, {172, "Wed"}, {222, "Thu"}}) +
                                words(672, {{72, "11"}, {122, "12"}, {172, "13"}, {222, "14"}}) +
                                words(658, {{72, "21"}, {122, "22"}, {172, "23"}, {222, "24"}})));
  EXPECT_TRUE(holds(text, "11; 12; 13; 14\n")) << text;
  EXPECT_TRUE(holds(text, "21; 22; 23; 24\n")) << text;
}

TEST(PdfFurniture, ColumnsOfFiguresStayWhole) {
  PdfFile file;
  for (int page = 0; page < 3; ++page) {
    std::string content = line_at(72, 810, "Schedule of drugs") +
                          line_at(290, 30, "Page " + std::to_string(page + 1) + " of 3");
    for (int i = 0; i < 30; ++i)
      content += line_at(72, 780 - 18 * i, std::to_string(10000 + page * 1000 + i * 7));
    file.page(content);
  }
  std::string text = text_of(file);
  for (int page = 0; page < 3; ++page) {
    for (int i = 0; i < 30; ++i) EXPECT_TRUE(holds(text, std::to_string(10000 + page * 1000 + i * 7)));
  }
  std::size_t head = text.find("Schedule of drugs");
  ASSERT_NE(head, std::string::npos) << text;
  EXPECT_EQ(text.find("Schedule of drugs", head + 1), std::string::npos)
      << "the control: what repeats at the edge stands once";
  EXPECT_FALSE(holds(text, "Page 2")) << text;
}

TEST(PdfFurniture, OnlyWhatRepeatsInPlaceGoes) {
  PdfFile values;
  for (const char* value : {"4500", "3100"}) {
    values.page(line_at(72, 780, value) + line_at(72, 740, "Some text of this page"));
  }
  EXPECT_TRUE(holds(text_of(values), "4500")) << "figures that don't count the pages";
  EXPECT_TRUE(holds(text_of(values), "3100"));
  PdfFile moved;
  moved.page(line_at(72, 780, "Confirmed") + line_at(72, 740, "First text"));
  moved.page(line_at(72, 640, "Confirmed") + line_at(72, 600, "Second text"));
  std::string text = text_of(moved);
  EXPECT_NE(text.find("Confirmed"), text.rfind("Confirmed")) << "the same words in another place: " << text;
  PdfFile middle;
  for (int page = 0; page < 2; ++page) {
    middle.page(line_at(72, 780, "Top " + std::string(page == 0 ? "one" : "two")) +
                line_at(72, 500, "Take with food.") +
                line_at(72, 100, "Foot " + std::string(page == 0 ? "one" : "two")));
  }
  text = text_of(middle);
  EXPECT_NE(text.find("Take with food."), text.rfind("Take with food.")) << "not at an edge: " << text;
}

TEST(PdfFurniture, APageOfOneLineKeepsIt) {
  PdfFile file;
  file.page(line_at(72, 700, "Voucher 4711")).page(line_at(72, 700, "Voucher 4712"));
  file.page(line_at(72, 700, "Paid")).page(line_at(72, 700, "Paid"));
  std::string text = text_of(file);
  EXPECT_TRUE(holds(text, "Voucher 4711")) << text;
  EXPECT_TRUE(holds(text, "Voucher 4712")) << text;
  EXPECT_TRUE(holds(text, "Paid")) << text;
}

}  // namespace
}  // namespace bulkhead::extract
