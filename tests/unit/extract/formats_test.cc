// What each format's reader makes of small documents.
#include <gtest/gtest.h>

#include <string>

#include "support.h"

namespace bulkhead::extract {
namespace {

std::string read(const std::string& name, const std::string& content) {
  return outline(extract_any(name, content, Limits{}));
}

TEST(Text, HeadingsListsAndParagraphs) {
  EXPECT_EQ(
      read("a.txt",
           "HANDBOOK\n\nOne line\nand its rest.\n\nLeave\n-----\n- first\n  and more\n- second\n\n3.1  "
           "EXPENSES\n\nClaims.\n"),
      "heading 1: HANDBOOK\nparagraph: One line and its rest.\nheading 2: Leave\nlist_item: first and more\n"
      "list_item: second\nheading 2: 3.1 EXPENSES\nparagraph: Claims.\n");
}

TEST(Text, ColumnsStayRowsAndTakeTheirHeadings) {
  EXPECT_EQ(read("a.txt",
                 "            5 Oct       12 Oct\nMedicine    Dr A        Dr B\nCritical    Dr C        Dr "
                 "D\n  care\n"),
            "table_row: Medicine; 5 Oct: Dr A; 12 Oct: Dr B\ntable_row: Critical care; 5 Oct: Dr C; 12 Oct: "
            "Dr D\n");
  EXPECT_EQ(read("a.txt", "Press   the duty officer; do not\n        put through\n2222    Arrest\n"),
            "table_row: Press; the duty officer; do not put through\ntable_row: 2222; Arrest\n");
}

TEST(Text, Encodings) {
  std::string utf16 = {'\xFF', '\xFE', '\xAC', '\x20', '5', '\0', '\x3D', '\xD8', '\0', '\xDE'};
  EXPECT_EQ(read("a.txt", utf16), "paragraph: \u20AC5\U0001F600\n");
  std::string big = {'\xFE', '\xFF', '\0', 'a', '\x20', '\xAC'};
  EXPECT_EQ(read("a.txt", big), "paragraph: a\u20AC\n");
  EXPECT_EQ(read("a.txt",
                 "\xEF\xBB\xBF"
                 "caf\u00e9"),
            "paragraph: caf\u00e9\n");
  EXPECT_EQ(read("a.txt",
                 "\x93"
                 "caf\xE9\x94 \x80 5"),
            "paragraph: \u201Ccaf\u00e9\u201D \u20AC 5\n");
}

TEST(Text, InvisibleCharactersAreDropped) {
  EXPECT_EQ(read("a.txt", "do\u200Bse\u202E \u2066x\u2069\x07y\u00AD \U000E0041\U000E0042z"),
            "paragraph: dose xy z\n");
}

TEST(Markdown, BlocksWithTheirLevels) {
  EXPECT_EQ(read("a.md",
                 "# Title\n\nA *b* `c`\nd.\n\n## Part\n\n- one\n- two\n  - inner\n\n1. loose\n\n2. "
                 "items\n\n```\nx = 1\ny\n```\n"),
            "heading 1: Title\nparagraph: A b c d.\nheading 2: Part\nlist_item: one\nlist_item: "
            "two\nlist_item: inner\n"
            "list_item: 1. loose\nlist_item: 2. items\ncode: x = 1\ny\n");
}

TEST(Markdown, TableRowsNameTheirColumns) {
  EXPECT_EQ(read("a.md", "| Dose | Route |\n|---|---|\n| 5 mg | oral |\n| 9 mg | |\n"),
            "table_row: Dose: 5 mg; Route: oral\ntable_row: Dose: 9 mg\n");
}

TEST(Markdown, EntitiesAreTheirCharactersAndHtmlIsRead) {
  EXPECT_EQ(read("a.md",
                 "A &amp; B &lt;5 &#8364; &#x20AC; &#xD800; &unknown;\n\n<!-- secret "
                 "-->\n\n<div>raw</div>\n\nx <b>y</b>\n"),
            "paragraph: A & B <5 \u20AC \u20AC \uFFFD &unknown;\nparagraph: raw\nparagraph: x y\n");
}

TEST(Markdown, FrontMatterGivesTheTitleOnly) {
  auto document =
      extract_any("a.md", "---\r\ntitle: \"Cold chain\"\r\nowner: x\r\n---\r\n# Keep cold\r\n", Limits{});
  ASSERT_TRUE(document);
  EXPECT_EQ(document->title, "Cold chain");
  EXPECT_EQ(outline(document), "heading 1: Keep cold\n");
}

TEST(Html, KeepsWhatAReaderSees) {
  EXPECT_EQ(
      read("a.html",
           "<!doctype "
           "html><title>T</title><style>.x{}</style><body><nav>menu</nav><header>top</header><h1>Head</h1>"
           "<!-- comment --><p>One <b>two</b><br>three<script>evil()</script></p><ul><li>a<li>b</ul>"
           "<pre>x\ny</pre><footer>foot</footer><form><p>in a form</p></form></body>"),
      "heading 1: Head\nparagraph: One two three\nlist_item: a\nlist_item: b\ncode: x\ny\nparagraph: in a "
      "form\n");
}

TEST(Html, HiddenElementsAreLeftOut) {
  for (const char* hiding :
       {"hidden", "aria-hidden=true", "style='DISPLAY : none'", "style='visibility:hidden;'",
        "style='font-size:0'", "style='opacity: 0'", "role=navigation"}) {
    EXPECT_EQ(read("a.html", std::string("<p>seen</p><div ") + hiding + "><p>hidden</p></div>"),
              "paragraph: seen\n")
        << hiding;
  }
  EXPECT_EQ(read("a.html", "<p style='opacity:0.5; font-size: 0.9em'>seen</p>"), "paragraph: seen\n");
}

TEST(Html, TableRowsNameTheirColumns) {
  EXPECT_EQ(read("a.html", "<table><tr><th>Dose<th>Route<tr><td>5&nbsp;mg<td>oral<tr><td>9 mg<td></table>"),
            "table_row: Dose: 5 mg; Route: oral\ntable_row: Dose: 9 mg\n");
}

TEST(Html, RunsOfLinksAreNavigation) {
  EXPECT_EQ(
      read("a.html",
           "<a href='#main'>Skip to content</a><div><a href=/a>Home</a> | <a href=/b>Forms</a></div>"
           "<p>See <a href=/c>the form</a> and <a href=/d>the guide</a>.</p><p><a href=/e>Only link</a></p>"),
      "paragraph: See the form and the guide.\nparagraph: Only link\n");
}

TEST(Docx, HeadingsListsTablesAndNotes) {
  std::string body =
      "<w:p><w:pPr><w:pStyle w:val='T'/></w:pPr><w:r><w:t>Minutes</w:t></w:r></w:p>"
      "<w:p><w:pPr><w:pStyle w:val='H2'/></w:pPr><w:r><w:t>Dose</w:t></w:r></w:p>"
      "<w:p><w:r><w:t>60 "
      "</w:t></w:r><w:hyperlink><w:r><w:t>mg</w:t><w:tab/><w:t>daily</w:t></w:r></w:hyperlink></w:p>"
      "<w:p><w:pPr><w:numPr/></w:pPr><w:r><w:t>first</w:t></w:r></w:p>"
      "<w:tbl><w:tr><w:trPr><w:tblHeader/></w:trPr><w:tc><w:p><w:r><w:t>Who</w:t></w:r></w:p></"
      "w:tc><w:tc><w:p><w:r><w:t>What</w:t></w:r></"
      "w:p></w:tc></w:tr>"
      "<w:tr><w:tc><w:p><w:r><w:t>Ward</w:t></w:r></w:p></"
      "w:tc><w:tc><w:tbl><w:tr><w:tc><w:p><w:r><w:t>inner</w:t></w:r></w:p>"
      "</w:tc></w:tr></w:tbl><w:p/></w:tc></w:tr></w:tbl>";
  std::string styles =
      "<w:styles xmlns:w='w'><w:style w:styleId='T'><w:name w:val='Title'/></w:style>"
      "<w:style w:styleId='H2'><w:name w:val='heading 2'/></w:style></w:styles>";
  std::string notes =
      "<w:footnotes xmlns:w='w'><w:footnote "
      "w:type='separator'><w:p><w:r><w:t>-</w:t></w:r></w:p></w:footnote>"
      "<w:footnote><w:p><w:r><w:t>A note.</w:t></w:r></w:p></w:footnote></w:footnotes>";
  EXPECT_EQ(read("a.docx", docx_of(body, {{"word/styles.xml", styles}, {"word/footnotes.xml", notes}})),
            "heading 1: Minutes\nheading 2: Dose\nparagraph: 60 mg daily\nlist_item: first\ntable_row: Who: "
            "Ward; What: (inner)\n"
            "paragraph: A note.\n");
}

TEST(Docx, DeletedAndHiddenTextIsNotPartOfTheDocument) {
  std::string body =
      "<w:p><w:ins><w:r><w:t>kept</w:t></w:r></w:ins><w:del><w:r><w:delText>gone</w:delText></w:r></w:del>"
      "<w:moveFrom><w:r><w:t>moved</w:t></w:r></w:moveFrom>"
      "<w:r><w:rPr><w:vanish/></w:rPr><w:t>vanished</w:t></w:r>"
      "<w:r><w:rPr><w:vanish w:val='false'/></w:rPr><w:t> "
      "shown</w:t></w:r><w:r><w:instrText>PAGE</w:instrText></w:r></w:p>"
      "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>row</w:t></w:r></w:p></w:tc></w:tr>"
      "<w:tr><w:trPr><w:del/></w:trPr><w:tc><w:p><w:r><w:t>deleted "
      "row</w:t></w:r></w:p></w:tc></w:tr></w:tbl>";
  EXPECT_EQ(read("a.docx", docx_of(body)), "paragraph: kept shown\ntable_row: row\n");
}

TEST(Detection, GoesByContentFirst) {
  std::string docx = docx_of("<w:p><w:r><w:t>text</w:t></w:r></w:p>");
  EXPECT_EQ(read("upload", docx), "paragraph: text\n");
  EXPECT_EQ(read("a.txt", docx), "paragraph: text\n");
  EXPECT_EQ(read("upload", "<html><p>x"), "paragraph: x\n");
  EXPECT_EQ(read("notes.md", "About `<html>` and %PDF-1.4."), "paragraph: About <html> and %PDF-1.4.\n");
  EXPECT_EQ(read("a.pdf", "plain"), "error invalid_file");
  EXPECT_EQ(read("a.docx", "plain"), "error invalid_file");
  EXPECT_EQ(read("a.zip", zip_of({{"a.txt", "x"}})), "error unsupported_file");
  EXPECT_EQ(read("a.png", std::string("\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16)), "error unsupported_file");
  EXPECT_EQ(read("a.txt", ""), "error invalid_file");
  EXPECT_EQ(read("a.txt", " \n\t\n"), "error invalid_file");
}

}  // namespace
}  // namespace bulkhead::extract
