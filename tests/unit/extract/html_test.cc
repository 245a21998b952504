// Pages: what a reader sees, and nothing that a style sheet hides; tables with their spans.
#include <gtest/gtest.h>

#include <string>

#include "support.h"

namespace bulkhead::extract {
namespace {

std::string read(const std::string& content) { return outline(extract_any("a.html", content, Limits{})); }
std::string markdown(const std::string& content) { return outline(extract_any("a.md", content, Limits{})); }

TEST(HtmlStyle, HidingRulesHide) {
  for (const char* rule :
       {".x{display:none}", "#i{visibility:hidden}", "div.x { DISPLAY : none !important }",
        "body > div{opacity:0}", "body .x{position:absolute;left:-9999px}", "@media screen{.x{display:none}}",
        ".x{position:absolute;clip:rect(0,0,0,0)}", ".x{clip-path:inset(50%)}", ".x{text-indent:-9999px}",
        ".x{height:0;overflow:hidden}", ".x{font-size:0}", ".x{color:transparent}", ".x{color:#FFF}",
        ".x{background:black}.x *{color:rgb(0,0,0)}", ".x{transform:scale(0)}", "/* } */ .x{display:none}",
        "a[href='}'],.x{display:none}", ".x{display:none}.y{display:block}"}) {
    EXPECT_EQ(
        read(std::string("<style>") + rule + "</style><p>seen</p><div class='w x' id=i><p>hidden</p></div>"),
        "paragraph: seen\n")
        << rule;
  }
}

TEST(HtmlStyle, WhatIsNotSureHidesNothing) {
  for (const char* rule :
       {".y{display:none}", ".x:hover{display:none}", "@media print{.x{display:none}}", ".x{opacity:0.5}",
        "@media (max-width:600px){.x{display:none}}", ".x{display:none}div.x{display:block}",
        ".x{display:none}.x{display:block}", ".x{backface-visibility:hidden}",
        ".x{position:relative;left:-9px}", ".x{font-size:0}.x p{font-size:16px}",
        ".x{visibility:hidden}.x p{visibility:visible}", "p > .x{display:none}", ".x + .x{display:none}",
        ".x{color:white;background:navy}", ".x{color:transparent;-webkit-background-clip:text}",
        ".x{overflow:hidden}", ".x{display:none"}) {
    std::string text = read(std::string("<style>") + rule + "</style><div class=x><p>seen</p></div>");
    // The last one is a rule that a browser closes itself.
    EXPECT_EQ(text, std::string(rule).ends_with("none") ? "error invalid_file" : "paragraph: seen\n") << rule;
  }
  EXPECT_EQ(read("<link rel=stylesheet href=a.css><p style='color:#fff'>seen</p>"), "paragraph: seen\n");
}

TEST(HtmlStyle, MatchingIsBounded) {
  std::string rules, page = "<style>";
  for (int i = 0; i < 20'000; ++i) rules += "div div div div div b{display:none}";
  page += rules + "</style>";
  for (int i = 0; i < 500; ++i) page += "<div>";
  for (int i = 0; i < 2'000; ++i) page += "<i>x</i>";
  EXPECT_EQ(error_code(extract_any("a.html", page, Limits{})), "none")
      << "control: no element is asked about";
  for (int i = 0; i < 2'000; ++i) page += "<p><b>x</b></p>";
  rules.clear();
  for (int i = 0; i < 20'000; ++i) rules += "h1 div div div div b{display:none}";
  page.replace(7, page.find("</style>") - 7, rules);
  EXPECT_EQ(error_code(extract_any("a.html", page, Limits{})), "too_large");
}

TEST(HtmlContent, HeadersNotesAndAddressesOfArticlesAreContent) {
  EXPECT_EQ(
      read("<header><a href=/>Home</a> menu</header><article><header><h1>Policy</h1><p>Valid now</p></header>"
           "<aside>Never mix with alcohol.</aside><footer>Signed by Ada</footer></article>"
           "<aside>advertisement</aside><footer>imprint</footer>"),
      "heading 1: Policy\nparagraph: Valid now\nparagraph: Never mix with alcohol.\nparagraph: Signed by "
      "Ada\n");
  EXPECT_EQ(read("<header><h1>Only title</h1></header><p>text</p>"),
            "heading 1: Only title\nparagraph: text\n");
  EXPECT_EQ(
      read("<address>Mill Road 1</address><address>Leeds</address><center>Hours</center>9 to 5"
           "<span style='display:block'>daily</span>"),
      "paragraph: Mill Road 1\nparagraph: Leeds\nparagraph: Hours\nparagraph: 9 to 5\nparagraph: daily\n");
  EXPECT_EQ(read("<details><summary>More</summary>inside</details><dialog>closed</dialog><del>old</del>"),
            "paragraph: More\nparagraph: inside\n");
}

TEST(HtmlContent, FieldsShowWhatTheyHold) {
  EXPECT_EQ(
      read("<p>Name <input value='Ada Novak'> <input type=hidden value=token><input type=checkbox checked> "
           "fasting <select><option>a<option selected>b</select></p>"),
      "paragraph: Name Ada Novak \u2612 fasting b\n");
}

TEST(HtmlContent, CodeKeepsItsLinesAndRaisedFiguresStayApart) {
  EXPECT_EQ(read("<pre><code><span>a = 1</span>\n<span>b = 2</span><br>c<div>d</div></code></pre>"),
            "code: a = 1\nb = 2\nc\nd\n");
  EXPECT_EQ(read("<p>10<sup>9</sup> cells, 10<sup>-3</sup> and H<sub>2</sub>O</p>"),
            "paragraph: 10\u2079 cells, 10\u207B\u00B3 and H2O\n");
}

TEST(HtmlTables, SpansFillWhatTheyCover) {
  EXPECT_EQ(read("<table><tr><th>Year<th>Month<th>Revenue<tr><td rowspan=2>2025<td>January<td>$134"
                 "<tr><td>February<td>$150<tr><td>2026<td>March<td>$1</table>"),
            "table_row: Year: 2025; Month: January; Revenue: $134\n"
            "table_row: Year: 2025; Month: February; Revenue: $150\n"
            "table_row: Year: 2026; Month: March; Revenue: $1\n");
  EXPECT_EQ(read("<table><thead><tr><th rowspan=2>Drug<th colspan=2>Dose<tr><th>adults<th>children</thead>"
                 "<tr><td colspan=3>Pain<tr><td>A<td>5<td>2<tr><td>B<td colspan=2>7</table>"),
            "table_row: Pain\ntable_row: Drug: A; Dose adults: 5; Dose children: 2\n"
            "table_row: Drug: B; Dose adults, Dose children: 7\n");
}

TEST(HtmlTables, HeadingsOnlyWhereThePageSaysSo) {
  EXPECT_EQ(read("<table><tr><td>Patient<td>Ada<tr><td>Dose<td>200 mg</table>"),
            "table_row: Patient; Ada\ntable_row: Dose; 200 mg\n");
  EXPECT_EQ(read("<table><tr><th>Patient<td>Ada<tr><th>Dose:<td>200 mg</table>"),
            "table_row: Patient: Ada\ntable_row: Dose: 200 mg\n");
  EXPECT_EQ(read("<table><tr><th>Emergency<th>Call 112</table>"), "table_row: Emergency; Call 112\n");
}

TEST(HtmlTables, CellsHoldBlocksListsAndTables) {
  EXPECT_EQ(read("<table><tr><th><p>Drug</p><th>Dose<tr><td><p>A</p><p>forte</p><td><ul><li>5 mg<li>9 "
                 "mg</ul></table>"),
            "table_row: Drug: A, forte; Dose: 5 mg, 9 mg\n");
  EXPECT_EQ(read("<table><tr><th>Drug<th>Doses<tr><td>A<td>see "
                 "<table><tr><td>adult<td>5<tr><td>child<td>2</table></table>"),
            "table_row: Drug: A; Doses: see (adult; 5) (child; 2)\n");
  EXPECT_EQ(read("<table><tr><td>one<td>two<table><tr><td>in</table><td>three</table>"),
            "paragraph: one\nparagraph: two\ntable_row: in\nparagraph: three\n");
}

TEST(HtmlTables, SpansAreBounded) {
  std::string page = "<table>";
  for (int i = 0; i < 200; ++i) page += "<tr><td rowspan=4294967295 colspan=999999>x";
  EXPECT_EQ(error_code(extract_any("a.html", page, Limits{})), "none");
}

TEST(HtmlTables, LongHeadingsAreRowsAndAreNotCopied) {
  std::string text(2'000, 'x');
  EXPECT_EQ(read("<table><tr><th>" + text + "<th>b<tr><td>1<td>2</table>"),
            "table_row: " + text + "; b\ntable_row: 1; 2\n");
  // A copy for each column would take 8 GB.
  std::string page = "<table>", big(1u << 20, 'y');
  for (int i = 0; i < 8; ++i) page += "<tr><th colspan=1000 rowspan=60>" + big;
  EXPECT_EQ(error_code(extract_any("a.html", page, Limits{.text_bytes_max = 64u << 20})), "none");
}

TEST(MarkdownPages, HtmlInsideIsRead) {
  EXPECT_EQ(
      markdown("# Dose\n\n<div class=note>\n<p>Never exceed 40 mg.</p>\n</div>\n\n<table>\n<tr><td>Adult</td>"
               "<td>5 mg</td></tr>\n</table>\n\n<span hidden>unseen</span>Tail <a href=x>one</a>\n"),
      "heading 1: Dose\nparagraph: Never exceed 40 mg.\ntable_row: Adult; 5 mg\nparagraph: Tail one\n");
  EXPECT_EQ(markdown("| A | B |\n|---|---|\n| one<br>two | x |\n"), "table_row: A: one two; B: x\n");
  EXPECT_EQ(markdown("[one](a) [two](b)\n"), "paragraph: one two\n");
}

TEST(MarkdownPages, OnlyYamlIsFrontMatter) {
  EXPECT_EQ(markdown("---\n\n# Policy\n\nRefunds.\n\n---\n\nSecond.\n"),
            "heading 1: Policy\nparagraph: Refunds.\nparagraph: Second.\n");
  EXPECT_EQ(markdown("---\nRefunds take 14 days.\n---\nSecond.\n"),
            "heading 2: Refunds take 14 days.\nparagraph: Second.\n");
  EXPECT_EQ(markdown("---\ntitle: T\ntags:\n  - a\n# note\n---\nText.\n"), "paragraph: Text.\n");
}

TEST(TextColumns, TwoSpacesAfterASentenceMakeNoTable) {
  EXPECT_EQ(
      outline(extract_any("a.txt",
                          "The licence ends on 1 May.  Renewal costs 200 euros.\nIt is granted to Ada.  No "
                          "other person.\nJustified lines  have gaps, too.\n",
                          Limits{})),
      "paragraph: The licence ends on 1 May. Renewal costs 200 euros. It is granted to Ada. No other "
      "person. Justified lines have gaps, too.\n");
  EXPECT_EQ(outline(extract_any("a.txt", "Drug  Dose\nAbcd  5 mg\n", Limits{})),
            "table_row: Drug; Dose\ntable_row: Abcd; 5 mg\n");
}

}  // namespace
}  // namespace bulkhead::extract
