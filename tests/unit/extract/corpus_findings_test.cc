// Faults that the corpus of public documents showed (docs/corpus.md), each as one of its kind.
#include <gtest/gtest.h>

#include <string>

#include "compound_support.h"
#include "extract/encoding.h"
#include "extract/number_format.h"
#include "office_support.h"
#include "pdf_support.h"

namespace bulkhead::extract {
namespace {

std::string read(const std::string& name, const std::string& content) {
  return outline(extract_any(name, content, Limits{}));
}

TEST(HtmlLists, ItemsBearTheNumbersThatAReaderSees) {
  EXPECT_EQ(read("a.html", "<ol><li>one<li><p>two</p><p>more</p><ol type=a><li>in</ol></ol>"),
            "list_item: 1. one\nlist_item: 2. two\nlist_item: more\nlist_item: a. in\n");
  EXPECT_EQ(read("a.html", "<ol start=7 type=I><li>x<li value=9>y<li>z</ol>"),
            "list_item: VII. x\nlist_item: IX. y\nlist_item: X. z\n");
  EXPECT_EQ(read("a.html", "<ol reversed><li>x<li>y</ol><ul><li>u</ul>"),
            "list_item: 2. x\nlist_item: 1. y\nlist_item: u\n");
  EXPECT_EQ(read("a.html", "<style>.m{list-style:none}</style><ol class=m><li>x</ol>"), "list_item: x\n");
  EXPECT_EQ(read("a.md", "3. x\n4. y\n"), "list_item: 3. x\nlist_item: 4. y\n");
}

TEST(HtmlImages, AlternativesAreReadWhereThePictureSaysSomething) {
  EXPECT_EQ(read("a.html",
                 "<p>Dose <img src=d.png alt='5 mg'> daily<img src=p.gif width=1 height=1 alt=track>"
                 "<img src=x alt=''><img src=x alt=line role=presentation></p>"),
            "paragraph: Dose [5 mg] daily\n");
}

TEST(HtmlMath, FormulasAreReadAsALine) {
  EXPECT_EQ(
      read("a.html",
           "<p>x is <math><mi>x</mi><mo>=</mo><mfrac><mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow><mn>2</mn>"
           "</mfrac></math></p>"),
      "paragraph: x is x=(a+b)/2\n");
  EXPECT_EQ(read("a.html",
                 "<p><math><semantics><msup><mn>10</mn><mrow><mo>\u2212</mo><mn>9</mn></mrow></msup>"
                 "<annotation encoding='application/x-tex'>10^{-9}</annotation></semantics></math> mol</p>"),
            "paragraph: 10⁻⁹ mol\n");
  EXPECT_EQ(read("a.html", "<p><math><msqrt><mi>n</mi></msqrt><msub><mi>k</mi><mn>1</mn></msub></math></p>"),
            "paragraph: √(n)k_1\n");
  // Deeper than is followed.
  std::string deep;
  for (int i = 0; i < 500; ++i) deep += "<mrow>";
  EXPECT_EQ(read("a.html", "<p>a</p><math>" + deep + "<mi>x</mi></math>"), "paragraph: a\n");
}

TEST(OpenDocumentLists, ItemsBearTheirNumbers) {
  const std::string styles =
      "<text:list-style style:name='L'><text:list-level-style-number text:level='1' style:num-format='1' "
      "style:num-suffix='.'/><text:list-level-style-number text:level='2' style:num-format='a' "
      "style:num-suffix=')' text:display-levels='2'/></text:list-style>";
  const std::string body =
      "<office:text><text:list text:style-name='L'><text:list-item><text:p>one</text:p></text:list-item>"
      "<text:list-item><text:p>two</text:p><text:list><text:list-item><text:p>in</text:p></text:list-item>"
      "</text:list></text:list-item></text:list><text:list text:style-name='L' "
      "text:continue-numbering='true'><text:list-item><text:p>three</text:p></text:list-item></text:list>"
      "<text:list text:style-name='none'><text:list-item><text:p>dot</text:p></text:list-item></text:list>"
      "</office:text>";
  EXPECT_EQ(
      read("a.odt", odf_of("text", body, styles)),
      "list_item: 1. one\nlist_item: 2. two\nlist_item: 2.a) in\nlist_item: 3. three\nlist_item: dot\n");
}

TEST(Encoding, TextsThatShiftBetweenCharacterSetsAreDecoded) {
  EXPECT_EQ(*text_to_utf8("\x1B$B$3$s$K$A$O\x1B(B abc"), "こんにちは abc");
  EXPECT_EQ(*text_to_utf8("a ~{VPND~} b ~{VPND~} c ~{VPND~} d ~{VPND~}"), "a 中文 b 中文 c 中文 d 中文");
  EXPECT_EQ(*text_to_utf8("a set ~{1,2~} of two"), "a set ~{1,2~} of two") << "once may be anything";
}

TEST(Encoding, FourByteCharactersTellGb18030) {
  EXPECT_EQ(
      *text_to_utf8("caf\x81\x30\x88\x38t, \x81\x30\x8A\x30t, \x81\x30\x88\x38s \x81\x30\x88\x38"),
      *decode_as("gb18030", "caf\x81\x30\x88\x38t, \x81\x30\x8A\x30t, \x81\x30\x88\x38s \x81\x30\x88\x38"));
}

TEST(Encoding, CyrillicCodePagesAreToldByHowTheyRead) {
  // "The patient takes the drug twice a day after a meal, in the morning and in the evening." in two code
  // pages that statistics of letters don't know.
  const std::string text =
      "Пациент принимает препарат два раза в день после еды, утром и вечером. Курс: три недели.";
  auto encoded = [&text](std::uint8_t upper, std::uint8_t lower, std::uint8_t lower_from_r) {
    std::string out;
    for (std::size_t i = 0; i < text.size();) {
      auto lead = static_cast<unsigned char>(text[i]);
      if (lead < 0x80) {
        out += text[i++];
        continue;
      }
      unsigned c = (lead & 0x1Fu) << 6 | (static_cast<unsigned char>(text[i + 1]) & 0x3Fu);
      unsigned at = c < 0x430   ? upper + (c - 0x410)
                    : c < 0x440 ? lower + (c - 0x430)
                                : lower_from_r + (c - 0x440);
      out += static_cast<char>(at);
      i += 2;
    }
    return out;
  };
  EXPECT_EQ(*text_to_utf8(encoded(0x80, 0xA0, 0xE0)), text) << "IBM 866";
  EXPECT_EQ(*text_to_utf8(encoded(0x80, 0xE0, 0xF0)), text) << "Macintosh";
  EXPECT_EQ(*text_to_utf8(encoded(0xC0, 0xE0, 0xF0)), text) << "Windows 1251";
  EXPECT_EQ(*text_to_utf8(encoded(0xB0, 0xD0, 0xE0)), text) << "ISO 8859-5";
}

TEST(Msg, NarrowTextsEndWithAZeroAndHaveACodePage) {
  CompoundMaker maker;
  maker.stream(0, "__substg1.0_0037001E", std::string("Rent due", 8) + std::string(2, '\0'));
  maker.stream(0, "__substg1.0_0C1A001E", "\xC8\xE2\xE0\xED");
  maker.text(0, "1000", "Body.");
  std::string properties(32, '\0');
  properties += std::string("\x03\0\xFD\x3F\0\0\0\0\xE3\x04\0\0\0\0\0\0", 16);  // 1251
  maker.stream(0, "__properties_version1.0", properties);
  EXPECT_EQ(read("a.msg", maker.bytes()), "heading 1: Rent due\nparagraph: From: Иван\nparagraph: Body.\n");
}

TEST(Msg, PeopleHaveTheirAddresses) {
  CompoundMaker maker;
  maker.text(0, "0037", "Rent");
  maker.text(0, "0C1A", "Ada");
  maker.text(0, "5D01", "ada@brannoc.example");
  maker.text(0, "0E04", "Bo; Cy");
  maker.text(0, "1000", "Body.");
  const std::pair<const char*, char> people[] = {{"Bo", 1}, {"Cy", 1}, {"Di", 2}};
  for (std::size_t i = 0; i < 3; ++i) {
    auto one = maker.storage(0, "__recip_version1.0_#0000000" + std::to_string(i));
    maker.text(one, "3001", people[i].first);
    maker.text(one, "39FE", i == 1 ? "/o=first/cn=cy" : std::string(people[i].first) + "@brannoc.example");
    std::string properties(8, '\0');
    properties += std::string("\x03\0\x15\x0C\0\0\0\0", 8) + people[i].second + std::string(7, '\0');
    maker.stream(one, "__properties_version1.0", properties);
  }
  EXPECT_EQ(
      read("a.msg", maker.bytes()),
      "heading 1: Rent\nparagraph: From: Ada <ada@brannoc.example>\nparagraph: To: Bo <Bo@brannoc.example>; "
      "Cy\nparagraph: Cc: Di <Di@brannoc.example>\nparagraph: Body.\n");
}

TEST(NumberFormat, RoundsAndCountsAsSpreadsheetsDo) {
  auto shown = [](const char* value, const char* code) { return shown_number(value, code, false); };
  EXPECT_EQ(shown("11111.25", "0.0"), "11111.3");
  EXPECT_EQ(shown("0.125", "0.00"), "0.13");
  EXPECT_EQ(shown("1.005", "0.00"), "1.01");
  EXPECT_EQ(shown("-2.5", "0"), "-3");
  EXPECT_EQ(shown("0.5", "0"), "1");
  EXPECT_EQ(shown("0.04", "0.0"), "0.0");
  EXPECT_EQ(shown("9.96", "0.0"), "10.0");
  EXPECT_EQ(shown("99.995", "#,##0.00"), "100.00");
  EXPECT_EQ(shown("198356388", "0.00E+00"), "1.98E+08");
  EXPECT_EQ(shown("0.000995", "0.0E+0"), "1.0E-3");
  EXPECT_EQ(shown("-12", "##0.0E+0"), "-1.2E+1");
  EXPECT_EQ(shown("1234567890123450", "General"), "1234567890123450");
  EXPECT_EQ(shown("8.1999999999999993", "General"), "8.2");
  EXPECT_EQ(shown("0.00001", "General"), "0.00001");
  EXPECT_EQ(shown("0", "General"), "0");
}

TEST(Xlsx, WhiteSpaceBetweenStylesCountsForNothing) {
  Workbook book;
  book.styles =
      "<styleSheet>\n <fonts>\n <font/>\n </fonts>\n <cellXfs>\n  <xf/>\n  <xf numFmtId='14'/>\n </cellXfs>\n"
      "</styleSheet>";
  book.sheets = {{"S", "<row r='1'><c r='A1'><v>7</v></c><c r='B1' s='1'><v>45292</v></c></row>"}};
  EXPECT_EQ(read("a.xlsx", book.bytes()), "heading 1: S\ntable_row: 7; 2024-01-01\n");
}

TEST(Pptx, WhiteSpaceFootersAndHeadingsOfEmptyColumns) {
  Presentation show;
  const std::string footer =
      "\n <p:sp><p:nvSpPr><p:nvPr><p:ph type='ftr'/></p:nvPr></p:nvSpPr><p:txBody><a:p><a:r><a:t>Draft</a:t>"
      "</a:r></a:p></p:txBody></p:sp>\n ";
  auto cell = [](const std::string& text) {
    return "<a:tc><a:txBody><a:p><a:r><a:t>" + text + "</a:t></a:r></a:p></a:txBody></a:tc>";
  };
  const std::string table = "<p:graphicFrame><a:graphic><a:graphicData><a:tbl><a:tblPr firstRow='1'/><a:tr>" +
                            cell("Drug") + cell("Notes") + "</a:tr><a:tr>" + cell("Ibu") + cell("") +
                            "</a:tr></a:tbl></a:graphicData></a:graphic></p:graphicFrame>";
  show.slides = {table + footer, footer};
  EXPECT_EQ(read("a.pptx", show.bytes()), "table_row: Drug: Ibu\ntable_row: Notes\nparagraph: Draft\n");
}

TEST(Docx, DropCapsAndReadingsStandWhereTheyAreRead) {
  EXPECT_EQ(
      read("a.docx", docx_of("<w:p><w:pPr><w:framePr w:dropCap='drop'/></w:pPr><w:r><w:t>D</w:t></w:r></w:p>"
                             "<w:p><w:r><w:t>rop it.</w:t></w:r></w:p>")),
      "paragraph: Drop it.\n");
  EXPECT_EQ(
      read("a.docx", docx_of("<w:p><w:r><w:ruby><w:rt><w:r><w:t>とうきょう</w:t></w:r></w:rt><w:rubyBase>"
                             "<w:r><w:t>東京</w:t></w:r></w:rubyBase></w:ruby></w:r></w:p>")),
      "paragraph: 東京(とうきょう)\n");
}

// A picture of one grey point, drawn over a rectangle.
std::string picture(const std::string& matrix) {
  return "q " + matrix + " cm BI /W 1 /H 1 /CS /G /BPC 8 ID \x7F EI Q\n";
}

TEST(Pdf, TextUnderAPictureIsLeftOutUnlessItIsAScan) {
  std::string words = line_at(100, 700, "covered words here") + line_at(100, 300, "open words");
  EXPECT_EQ(read("a.pdf", PdfFile().page(words + picture("300 0 0 60 90 680")).bytes()),
            "paragraph: open words\n");
  EXPECT_NE(read("a.pdf", PdfFile().page(words + picture("595 0 0 842 0 0")).bytes()).find("covered words"),
            std::string::npos)
      << "control: a picture of the whole page is a scan over its recognised text";
  EXPECT_NE(read("a.pdf", PdfFile().page(picture("300 0 0 60 90 680") + words).bytes()).find("covered words"),
            std::string::npos)
      << "control: what stands on a picture is seen";
}

TEST(PdfFurniture, AHeadThatSaysMoreThanAPageIsSaidOnce) {
  PdfFile file;
  for (int page = 1; page <= 3; ++page)
    file.page(line_at(72, 810, "Patient Ada Byron, ward four, page " + std::to_string(page)) +
              line_at(72, 600, "Text of sheet " + std::string(static_cast<std::size_t>(page), 'x')) +
              line_at(290, 30, "Page " + std::to_string(page) + " of 3"));
  std::string text = read("a.pdf", file.bytes());
  EXPECT_NE(text.find("Ada Byron"), std::string::npos) << text;
  EXPECT_EQ(text.find("Ada Byron"), text.rfind("Ada Byron")) << text;
  EXPECT_EQ(text.find("of 3"), std::string::npos) << text;
}

}  // namespace
}  // namespace bulkhead::extract
