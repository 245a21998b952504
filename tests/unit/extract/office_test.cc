// Workbooks, presentations, OpenDocument and EPUB: what must be there, and what must not.
#include <gtest/gtest.h>

#include <string>

#include "extract/number_format.h"
#include "office_support.h"

namespace bulkhead::extract {
namespace {

std::string read(const std::string& name, const std::string& content) {
  return outline(extract_any(name, content, Limits{}));
}

TEST(Xlsx, SheetsInOrderWithCellsAsShown) {
  Workbook book;
  book.styles =
      "<styleSheet><numFmts><numFmt numFmtId='164' formatCode='[$€-407] #,##0.00'/></numFmts><fonts><font/>"
      "<font><b/></font></fonts><cellXfs><xf/><xf numFmtId='14'/><xf numFmtId='9'/><xf numFmtId='164'/>"
      "</cellXfs></styleSheet>";
  book.strings =
      "<sst><si><t>Ibu</t></si><si><r><t>par</t></r><r><t xml:space='preserve'>t one</t></r><rPh><t>no</t>"
      "</rPh></si></sst>";
  book.sheets = {{"Doses",
                  "<row r='1'><c r='A1' t='s'><v>0</v></c><c r='B1' s='1'><v>45292</v></c><c r='D1' "
                  "s='2'><v>0.25</v></c></row>"
                  "<row r='2'><c r='A2' t='s'><v>1</v></c><c r='B2' s='3'><v>1234.5</v></c><c r='C2' "
                  "t='b'><v>1</v></c></row>"
                  "<row r='3'><c r='A3' t='e'><v>#DIV/0!</v></c><c r='B3'><f>SUM(B1)</f><v>7</v></c>"
                  "<c r='C3' t='str'><f>A1</f><v>text</v></c><c r='D3'><f>B9</f></c></row>"
                  "<row r='4'><c t='inlineStr'><is><t>in </t><r><t>line</t></r></is></c></row>"},
                 {"Second", "<row r='1'><c r='A1'><v>0.1</v></c></row>"}};
  EXPECT_EQ(read("a.xlsx", book.bytes()),
            "heading 1: Doses\ntable_row: Ibu; 2024-01-01; 25%\ntable_row: part one; € 1,234.50; TRUE\n"
            "table_row: #DIV/0!; 7; text; (formula without a stored value)\ntable_row: in line\n"
            "heading 1: Second\ntable_row: 0.1\n");
}

TEST(Xlsx, HiddenSheetsRowsAndColumnsAreLeftOut) {
  Workbook book;
  book.sheets = {
      {"Shown",
       "<cols><col min='2' max='2' hidden='1'/></cols><sheetData><row r='1'><c r='A1'><v>1</v></c>"
       "<c r='B1'><v>2</v></c></row><row r='2' hidden='1'><c r='A2'><v>3</v></c></row></sheetData>"},
      {"Secret", "<row r='1'><c r='A1'><v>4</v></c></row>", "hidden"},
      {"Deep", "<row r='1'><c r='A1'><v>5</v></c></row>", "veryHidden"}};
  EXPECT_EQ(read("a.xlsx", book.bytes()), "heading 1: Shown\ntable_row: 1\n");
}

TEST(Xlsx, LabelsOnlyWhereTheSheetSaysSo) {
  const std::string rows =
      "<sheetData><row r='1'><c r='A1' s='0' t='str'><v>Patient</v></c><c r='B1' "
      "t='str'><v>Dose</v></c></row>"
      "<row r='2'><c r='A2' t='str'><v>Ada Novak</v></c><c r='B2' t='str'><v>200 "
      "mg</v></c></row></sheetData>";
  Workbook book;
  book.sheets = {{"S", rows}};
  EXPECT_EQ(read("a.xlsx", book.bytes()),
            "heading 1: S\ntable_row: Patient; Dose\ntable_row: Ada Novak; 200 mg\n");
  book.sheets = {{"S", rows + "<autoFilter ref='A1:B2'/>"}};
  EXPECT_EQ(read("a.xlsx", book.bytes()), "heading 1: S\ntable_row: Patient: Ada Novak; Dose: 200 mg\n");
  book.sheets = {{"S", rows}};
  book.more = {
      {"xl/worksheets/_rels/s0.xml.rels",
       "<Relationships><Relationship Id='t' Type='x/table' Target='../tables/t.xml'/></Relationships>"},
      {"xl/tables/t.xml", "<table ref='A1:B2'/>"}};
  EXPECT_EQ(read("a.xlsx", book.bytes()), "heading 1: S\ntable_row: Patient: Ada Novak; Dose: 200 mg\n");
  book.more[1].second = "<table ref='A1:B2' headerRowCount='0'/>";
  EXPECT_EQ(read("a.xlsx", book.bytes()),
            "heading 1: S\ntable_row: Patient; Dose\ntable_row: Ada Novak; 200 mg\n");
}

TEST(Xlsx, ABoldFirstRowNamesTheColumns) {
  Workbook book;
  book.styles =
      "<styleSheet><fonts><font/><font><b/></font></fonts><cellXfs><xf/><xf "
      "fontId='1'/></cellXfs></styleSheet>";
  const std::string second =
      "<row r='2'><c r='A2' t='str'><v>Ada</v></c><c r='B2' t='str'><v>5 mg</v></c></row>";
  book.sheets = {
      {"S", "<row r='1'><c r='A1' s='1' t='str'><v>Who</v></c><c r='B1' s='1' t='str'><v>Dose</v></c></row>" +
                second}};
  EXPECT_EQ(read("a.xlsx", book.bytes()), "heading 1: S\ntable_row: Who: Ada; Dose: 5 mg\n");
  book.sheets = {
      {"S",
       "<row r='1'><c r='A1' s='1' t='str'><v>Who</v></c><c r='B1' t='str'><v>Dose</v></c></row>" + second}};
  EXPECT_EQ(read("a.xlsx", book.bytes()), "heading 1: S\ntable_row: Who; Dose\ntable_row: Ada; 5 mg\n");
}

TEST(Xlsx, MergedCellsStandInEachOfTheirRows) {
  Workbook book;
  book.sheets = {{"S",
                  "<sheetData><row r='1'><c r='A1'><v>2025</v></c><c r='B1' t='str'><v>January</v></c></row>"
                  "<row r='2'><c r='A2'/><c r='B2' t='str'><v>February</v></c></row></sheetData>"
                  "<mergeCells><mergeCell ref='A1:A2'/></mergeCells>"}};
  EXPECT_EQ(read("a.xlsx", book.bytes()),
            "heading 1: S\ntable_row: 2025; January\ntable_row: 2025; February\n");
}

TEST(NumberFormat, ShowsWhatASpreadsheetShows) {
  struct {
    const char *value, *code, *shown;
  } const kCases[] = {
      {"0.1", "General", "0.1"},
      {"0.30000000000000004", "General", "0.3"},
      {"1234.5", "#,##0.00", "1,234.50"},
      {"-5", "0.00", "-5.00"},
      {"-5", "0.00;[Red]0.00", "-5.00"},
      {"-5", "0.00;(0.00)", "(5.00)"},
      {"0.125", "0.0%", "12.5%"},
      {"0.5", "0%", "50%"},
      {"7", "00000", "00007"},
      {"5", "0 \"mg\"", "5 mg"},
      {"1500000", "0.0,,\"M\"", "1.5M"},
      {"45292.75", "yyyy-mm-dd hh:mm", "2024-01-01 18:00"},
      {"45292", "d. mmmm yyyy", "2024-01-01"},
      {"45292", "mmm yyyy", "2024-01"},
      {"59", "yyyy-mm-dd", "1900-02-28"},
      {"61", "yyyy-mm-dd", "1900-03-01"},
      {"0.5", "h:mm AM/PM", "12:00"},
      {"1.5", "[h]:mm:ss", "36:00:00"},
      {"3", "0.##", "3"},
      {"3.5", "0.0#", "3.5"},
      {"12", "@", "12"},
      {"n/a", "0.00", "n/a"},
      {"5", "\"$\"#,##0", "$5"},
      {"123456789", "000-00-0000", "123456789"},
  };
  for (const auto& each : kCases)
    EXPECT_EQ(shown_number(each.value, each.code, false), each.shown) << each.value << " " << each.code;
  EXPECT_EQ(shown_number("0", "yyyy-mm-dd", true), "1904-01-01");
}

TEST(Pptx, SlidesWithTablesAndNotes) {
  Presentation show;
  show.slides = {
      "<p:sp><p:nvSpPr><p:nvPr><p:ph "
      "type='title'/></p:nvPr></p:nvSpPr><p:txBody><a:p><a:r><a:t>Insulin</a:t></a:r>"
      "</a:p></p:txBody></p:sp><p:grpSp><p:sp><p:txBody><a:p><a:pPr><a:buChar "
      "char='-'/></a:pPr><a:r><a:t>5</a:t>"
      "</a:r><a:r><a:t> mg</a:t></a:r></a:p></p:txBody></p:sp></p:grpSp>"
      "<p:sp><p:nvSpPr><p:cNvPr "
      "hidden='1'/></p:nvSpPr><p:txBody><a:p><a:r><a:t>unseen</a:t></a:r></a:p></p:txBody>"
      "</p:sp><p:sp><p:nvSpPr><p:nvPr><p:ph "
      "type='sldNum'/></p:nvPr></p:nvSpPr><p:txBody><a:p><a:fld><a:t>17</a:t>"
      "</a:fld></a:p></p:txBody></p:sp>",
      "<p:graphicFrame><a:graphic><a:graphicData><a:tbl><a:tblPr firstRow='1'/>"
      "<a:tr><a:tc><a:txBody><a:p><a:r><a:t>Who</a:t></a:r></a:p></a:txBody></a:tc>"
      "<a:tc><a:txBody><a:p><a:r><a:t>Dose</a:t></a:r></a:p></a:txBody></a:tc></a:tr>"
      "<a:tr><a:tc><a:txBody><a:p><a:r><a:t>Ada</a:t></a:r></a:p></a:txBody></a:tc>"
      "<a:tc><a:txBody><a:p><a:r><a:t>5 mg</a:t></a:r></a:p></a:txBody></a:tc></a:tr>"
      "</a:tbl></a:graphicData></a:graphic></p:graphicFrame>"};
  show.notes =
      "<p:sp><p:nvSpPr><p:nvPr><p:ph type='body'/></p:nvPr></p:nvSpPr><p:txBody><a:p><a:r>"
      "<a:t>Say it slowly.</a:t></a:r></a:p></p:txBody></p:sp>";
  auto document = extract_any("a.pptx", show.bytes(), Limits{});
  EXPECT_EQ(outline(document),
            "heading 1: Insulin\nlist_item: 5 mg\nparagraph: Say it slowly.\n"
            "table_row: Who: Ada; Dose: 5 mg\n");
  ASSERT_TRUE(document);
  EXPECT_EQ(document->blocks.back().page, 2u);
  show.hidden = true;
  EXPECT_EQ(read("a.pptx", show.bytes()), "table_row: Who: Ada; Dose: 5 mg\n") << "the first slide is hidden";
}

TEST(OpenDocument, TextWithListsTablesNotesAndWithoutDeletions) {
  EXPECT_EQ(
      read("a.odt",
           odf_of(
               "text",
               "<office:text><text:tracked-changes><text:changed-region><text:deletion><text:p>gone</text:p>"
               "</text:deletion></text:changed-region></text:tracked-changes><text:h "
               "text:outline-level='2'>Dose"
               "</text:h><text:p>Not<text:s "
               "text:c='2'/>more<text:note><text:note-citation>1</text:note-citation>"
               "<text:note-body><text:p>A note.</text:p></text:note-body></text:note> than <text:span>40 mg"
               "</text:span><office:annotation><text:p>comment</text:p></office:annotation>.</"
               "text:p><text:list>"
               "<text:list-item><text:p>first</text:p></text:list-item></text:list><text:p "
               "text:style-name='H'>"
               "hidden</"
               "text:p><table:table><table:table-header-rows><table:table-row><table:table-cell><text:p>Who"
               "</text:p></table:table-cell><table:table-cell><text:p>Dose</text:p></table:table-cell>"
               "</table:table-row></table:table-header-rows><table:table-row><table:table-cell "
               "table:number-rows-spanned='2'><text:p>Ada</text:p></"
               "table:table-cell><table:table-cell><text:p>5 mg"
               "</text:p></table:table-cell></table:table-row><table:table-row><table:covered-table-cell/>"
               "<table:table-cell><text:p>6 mg</text:p></table:table-cell></table:table-row></table:table>"
               "</office:text>",
               "<style:style style:name='H'><style:text-properties text:display='none'/></style:style>")),
      "heading 2: Dose\nparagraph: Not more than 40 mg.\nlist_item: first\ntable_row: Who: Ada; Dose: 5 mg\n"
      "table_row: Who: Ada; Dose: 6 mg\nparagraph: A note.\n");
}

TEST(OpenDocument, SheetsWithRepeatedCells) {
  EXPECT_EQ(
      read("a.ods",
           odf_of("spreadsheet",
                  "<office:spreadsheet><table:table table:name='Doses'><table:table-row><table:table-cell "
                  "office:value='0.25'><text:p>25%</text:p></table:table-cell><table:table-cell "
                  "table:number-columns-repeated='2'><text:p>x</text:p></table:table-cell><table:table-cell "
                  "table:number-columns-repeated='16000'/></table:table-row><table:table-row "
                  "table:visibility='collapse'><table:table-cell><text:p>unseen</text:p></table:table-cell>"
                  "</table:table-row><table:table-row table:number-rows-repeated='1048000'><table:table-cell "
                  "table:number-columns-repeated='16384'/></table:table-row></table:table></"
                  "office:spreadsheet>")),
      "heading 1: Doses\ntable_row: 25%; x; x\n");
}

TEST(OpenDocument, SlidesWithTitlesAndNotes) {
  EXPECT_EQ(
      read("a.odp",
           odf_of(
               "presentation",
               "<office:presentation><draw:page><draw:frame presentation:class='title'><draw:text-box>"
               "<text:p>Insulin</text:p></draw:text-box></draw:frame><draw:g><draw:custom-shape><text:p>5 mg"
               "</text:p></draw:custom-shape></draw:g><presentation:notes><draw:frame><draw:text-box><text:p>"
               "Slowly.</text:p></draw:text-box></draw:frame></presentation:notes></draw:page><draw:page "
               "draw:style-name='H'><draw:frame><draw:text-box><text:p>unseen</text:p></draw:text-box>"
               "</draw:frame></draw:page></office:presentation>",
               "<style:style style:name='H'><style:drawing-page-properties presentation:visibility='hidden'/>"
               "</style:style>")),
      "heading 1: Insulin\nparagraph: 5 mg\nparagraph: Slowly.\n");
}

TEST(Epub, ChaptersInTheOrderOfTheSpine) {
  EXPECT_EQ(read("a.epub", epub_of({})),
            "heading 1: First\nparagraph: One two.\nparagraph: Second chapter.\n");
}

TEST(Packages, WhatIsProtectedIsToldApart) {
  EXPECT_EQ(
      error_code(extract_any(
          "a.odt",
          zip_of(
              {{"mimetype", "application/vnd.oasis.opendocument.text"},
               {"content.xml", "scrambled"},
               {"META-INF/manifest.xml",
                "<m:manifest xmlns:m='m'><m:file-entry><m:encryption-data/></m:file-entry></m:manifest>"}}),
          Limits{})),
      "encrypted_file");
  EXPECT_EQ(
      error_code(extract_any("a.epub",
                             epub_of({{"META-INF/encryption.xml",
                                       "<e><d><CipherData><CipherReference URI='OPS/c1.xhtml'/></CipherData>"
                                       "</d></e>"}}),
                             Limits{})),
      "encrypted_file");
  EXPECT_EQ(
      error_code(extract_any("a.epub",
                             epub_of({{"META-INF/encryption.xml",
                                       "<e><d><CipherData><CipherReference URI='OPS/font.otf'/></CipherData>"
                                       "</d></e>"}}),
                             Limits{})),
      "none")
      << "control: an obscured font is no protection";
}

}  // namespace
}  // namespace bulkhead::extract
