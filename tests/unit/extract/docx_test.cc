// Word documents: what a reader of the printed page sees, and nothing that Word hides.
#include <gtest/gtest.h>

#include <string>

#include "support.h"

namespace bulkhead::extract {
namespace {

using Parts = std::vector<std::pair<std::string, std::string>>;

std::string run(const std::string& text, const std::string& properties = "") {
  return "<w:r>" + (properties.empty() ? "" : "<w:rPr>" + properties + "</w:rPr>") +
         "<w:t xml:space='preserve'>" + text + "</w:t></w:r>";
}
std::string paragraph(const std::string& text, const std::string& properties = "") {
  return "<w:p>" + (properties.empty() ? "" : "<w:pPr>" + properties + "</w:pPr>") + run(text) + "</w:p>";
}
std::string cell(const std::string& text, const std::string& properties = "") {
  return "<w:tc><w:tcPr>" + properties + "</w:tcPr>" + paragraph(text) + "</w:tc>";
}
std::string row(const std::string& cells, const std::string& properties = "") {
  return "<w:tr><w:trPr>" + properties + "</w:trPr>" + cells + "</w:tr>";
}
std::string bold(const std::string& text) { return "<w:tc><w:p>" + run(text, "<w:b/>") + "</w:p></w:tc>"; }
std::string relationships(const std::string& inner) {
  return "<Relationships xmlns='r'>" + inner + "</Relationships>";
}
std::string relationship(const std::string& id, const std::string& type, const std::string& target) {
  return "<Relationship Id='" + id + "' Type='http://x/" + type + "' Target='" + target + "'/>";
}
std::string styled(const std::string& styles) { return "<w:styles xmlns:w='w'>" + styles + "</w:styles>"; }
std::string numbered(const std::string& text, int level, const std::string& number = "1") {
  return paragraph(text, "<w:numPr><w:ilvl w:val='" + std::to_string(level) + "'/><w:numId w:val='" + number +
                             "'/></w:numPr>");
}
std::string level(int at, const std::string& format, const std::string& text, const std::string& more = "") {
  return "<w:lvl w:ilvl='" + std::to_string(at) + "'><w:start w:val='1'/><w:numFmt w:val='" + format +
         "'/><w:lvlText w:val='" + text + "'/>" + more + "</w:lvl>";
}
std::string numbering(const std::string& inner) {
  return "<w:numbering xmlns:w='w'>" + inner + "</w:numbering>";
}

std::string read(const std::string& body, const Parts& more = {}) {
  return outline(extract_any("a.docx", docx_of(body, more), Limits{}));
}

TEST(DocxRuns, SpacesSymbolsAndRaisedFiguresStay) {
  EXPECT_EQ(read("<w:p>" + run("exceed") + run(" ") + run("40 mg") + "</w:p>\n\n  " + paragraph("Next")),
            "paragraph: exceed 40 mg\nparagraph: Next\n");
  EXPECT_EQ(
      read("<w:p>" + run("age ") + "<w:r><w:sym w:font='Symbol' w:char='F0B3'/></w:r>" + run(" 65, ") +
           "<w:r><w:sym w:font='Wingdings' w:char='F0FE'/></w:r>" + run(" fasting ") +
           "<w:r><w:sym w:font='Odd' w:char='F041'/></w:r>" + run("\uF0B5", "<w:rFonts w:ascii='Symbol'/>") +
           run(" 10") + run("-9", "<w:vertAlign w:val='superscript'/>") + "</w:p>"),
      "paragraph: age \u2265 65, \u2611 fasting \uFFFD\u221D 10\u207B\u2079\n");
}

TEST(DocxRuns, FormulasAreReadAsALine) {
  auto math = [](const std::string& inner) {
    return read("<w:p><m:oMath xmlns:m='m'>" + inner + "</m:oMath></w:p>");
  };
  auto letter = [](const std::string& text) { return "<m:r><m:t>" + text + "</m:t></m:r>"; };
  EXPECT_EQ(math(letter("D=5 mg\u00D7kg")), "paragraph: D=5 mg\u00D7kg\n");
  EXPECT_EQ(math("<m:f><m:num>" + letter("a+b") + "</m:num><m:den>" + letter("2") + "</m:den></m:f>"),
            "paragraph: (a+b)/2\n");
  EXPECT_EQ(math("<m:sSup><m:e>" + letter("10") + "</m:e><m:sup>" + letter("-3") + "</m:sup></m:sSup>"),
            "paragraph: 10\u207B\u00B3\n");
  EXPECT_EQ(
      math("<m:rad><m:deg/><m:e>" + letter("n") + "</m:e></m:rad><m:d><m:e>" + letter("x") + "</m:e></m:d>"),
      "paragraph: \u221A(n)(x)\n");
}

TEST(DocxRuns, HiddenByStyleIsHidden) {
  const Parts styles = {
      {"word/styles.xml",
       styled("<w:style w:type='character' w:styleId='Base'><w:rPr><w:vanish/></w:rPr></w:style>"
              "<w:style w:type='character' w:styleId='Hid'><w:basedOn w:val='Base'/></w:style>"
              "<w:style w:type='character' w:styleId='Shown'><w:basedOn w:val='Base'/><w:rPr><w:vanish "
              "w:val='0'/></w:rPr></w:style>"
              "<w:style w:type='paragraph' w:styleId='P'><w:rPr><w:vanish/></w:rPr></w:style>"
              "<w:style w:type='paragraph' w:styleId='C1'><w:basedOn w:val='C2'/></w:style>"
              "<w:style w:type='paragraph' w:styleId='C2'><w:basedOn w:val='C1'/></w:style>")}};
  EXPECT_EQ(
      read("<w:p>" + run("secret", "<w:rStyle w:val='Hid'/>") + run("seen") +
               run(" too", "<w:rStyle w:val='Shown'/>") +
               run(" own", "<w:rStyle w:val='Hid'/><w:vanish w:val='0'/>") + "</w:p>" +
               paragraph("secret", "<w:pStyle w:val='P'/>") + paragraph("cycle", "<w:pStyle w:val='C1'/>") +
               // Toggles cancel out: hidden by both styles is shown (17.7.3).
               "<w:p><w:pPr><w:pStyle w:val='P'/></w:pPr>" + run("twice", "<w:rStyle w:val='Hid'/>") +
               "</w:p>",
           styles),
      "paragraph: seen too own\nparagraph: cycle\nparagraph: twice\n");
}

TEST(DocxRuns, FieldsShowTheirResultAndPromptsAreNoText) {
  auto mark = [](const char* type) {
    return std::string("<w:r><w:fldChar w:fldCharType='") + type + "'/></w:r>";
  };
  EXPECT_EQ(read("<w:p>" + run("See ") + mark("begin") + "<w:r><w:instrText>REF x</w:instrText></w:r>" +
                 mark("separate") + run("clause 4") + mark("end") + "<w:smartTag>" + run(", then") +
                 "</w:smartTag><w:customXml><w:hyperlink>" + run(" more") +
                 "</w:hyperlink></w:customXml><w:sdt><w:sdtPr><w:showingPlcHdr/></w:sdtPr><w:sdtContent>" +
                 run("Click here") + "</w:sdtContent></w:sdt><w:sdt><w:sdtContent>" + run(" filled") +
                 "</w:sdtContent></w:sdt></w:p><w:sdt><w:sdtContent><w:customXml>" + paragraph("Block") +
                 "</w:customXml></w:sdtContent></w:sdt>"),
            "paragraph: See clause 4, then more filled\nparagraph: Block\n");
}

TEST(DocxRuns, ChangesAsAccepted) {
  EXPECT_EQ(read("<w:p><w:ins>" + run("in") + "</w:ins><w:del>" + run("out") + "</w:del><w:moveTo>" +
                 run(" to") + "</w:moveTo><w:moveFrom>" + run("from") + "</w:moveFrom></w:p>"),
            "paragraph: in to\n");
}

TEST(DocxRuns, TextBoxesAreParagraphsOfTheirOwnOnce) {
  std::string box = "<w:txbxContent>" + paragraph("First") + paragraph("Second") + "</w:txbxContent>";
  EXPECT_EQ(read("<w:p>" + run("Overview") + "<w:r><mc:AlternateContent xmlns:mc='mc'><mc:Choice><wps:txbx>" +
                 box + "</wps:txbx></mc:Choice><mc:Fallback><w:pict>" + box +
                 "</w:pict></mc:Fallback></mc:AlternateContent></w:r></w:p>"),
            "paragraph: Overview\nparagraph: First\nparagraph: Second\n");
}

TEST(DocxParts, NotesHeadersAndFootersAreRead) {
  auto margin = [](const std::string& name, const std::string& inner) {
    return "<w:" + name + " xmlns:w='w'>" + inner + "</w:" + name + ">";
  };
  std::string page =
      "<w:p>" + run("Page ") + "<w:fldSimple w:instr=' PAGE '>" + run("7") + "</w:fldSimple></w:p>";
  EXPECT_EQ(
      read(
          paragraph("Body."),
          {{"word/_rels/document.xml.rels",
            relationships(relationship("a", "header", "h1.xml") +
                          relationship("b", "header", "/word/h2.xml") + relationship("c", "footer", "f.xml") +
                          relationship("d", "endnotes", "e.xml") + relationship("e", "comments", "c.xml"))},
           {"word/h1.xml", margin("hdr", paragraph("Clinic"))},
           {"word/h2.xml", margin("hdr", paragraph("Clinic"))},
           {"word/f.xml", margin("ftr", page + paragraph("Confidential"))},
           {"word/c.xml", margin("comments", paragraph("a comment"))},
           {"word/e.xml",
            margin("endnotes", "<w:endnote w:type='separator'>" + paragraph("-") + "</w:endnote><w:endnote>" +
                                   paragraph("Cap.") + "</w:endnote>")}}),
      "paragraph: Body.\nparagraph: Cap.\nparagraph: Clinic\nparagraph: Confidential\n");
}

TEST(DocxParts, MainPartByRelationshipAndAnyPrefix) {
  std::string strict =
      "<document xmlns='http://purl.oclc.org/ooxml/wordprocessingml/main'><body><p><r><t>Notice</t></r></p>"
      "</body></document>";
  EXPECT_EQ(
      outline(extract_any(
          "a.docx",
          zip_of({{"_rels/.rels", relationships(relationship("r", "officeDocument", "/word/document2.xml"))},
                  {"word/document2.xml", strict}}),
          Limits{})),
      "paragraph: Notice\n");
}

TEST(DocxParts, ImportedPartsAreReadOrRefused) {
  auto with = [](const std::string& target, const std::string& content, const char* more = "") {
    return read(paragraph("Cover") + "<w:altChunk r:id='c'/>" + paragraph("End"),
                {{"word/_rels/document.xml.rels",
                  "<Relationships><Relationship Id='c' Type='http://x/aFChunk' Target='" + target + "' " +
                      more + "/></Relationships>"},
                 {"word/" + target, content}});
  };
  EXPECT_EQ(with("c.html", "<p>Clause <b>1</b></p>"),
            "paragraph: Cover\nparagraph: Clause 1\nparagraph: End\n");
  EXPECT_EQ(with("c.txt", "Clause two."), "paragraph: Cover\nparagraph: Clause two.\nparagraph: End\n");
  EXPECT_EQ(with("c.docx", docx_of(paragraph("Clause 3"))),
            "paragraph: Cover\nparagraph: Clause 3\nparagraph: End\n");
  EXPECT_EQ(with("c.bin", "what"), "error unsupported_file");
  EXPECT_EQ(with("c.html", "<p>x</p>", "TargetMode='External'"), "error unsupported_file");
  // Documents inside documents end at a depth.
  std::string nested = docx_of(paragraph("core"));
  for (int i = 0; i < 5; ++i) {
    nested = docx_of("<w:altChunk r:id='c'/>",
                     {{"word/_rels/document.xml.rels", relationships(relationship("c", "aFChunk", "c.docx"))},
                      {"word/c.docx", nested}});
    EXPECT_EQ(error_code(extract_any("a.docx", nested, Limits{})), i < 3 ? "none" : "unsupported_file") << i;
  }
}

TEST(DocxNumbering, ClausesCarryTheirNumbers) {
  const std::string levels = level(0, "decimal", "%1.") + level(1, "decimal", "%1.%2") +
                             level(2, "lowerLetter", "(%3)") + level(3, "upperRoman", "%4)");
  const Parts parts = {{"word/numbering.xml",
                        numbering("<w:abstractNum w:abstractNumId='7'>" + levels +
                                  "</w:abstractNum>"
                                  "<w:num w:numId='1'><w:abstractNumId w:val='7'/></w:num>"
                                  "<w:num w:numId='2'><w:abstractNumId w:val='7'/><w:lvlOverride w:ilvl='0'>"
                                  "<w:startOverride w:val='5'/></w:lvlOverride></w:num>")}};
  EXPECT_EQ(
      read(numbered("Rent", 0) + numbered("Due", 1) + numbered("Late", 1) + numbered("a", 2) +
               numbered("b", 2) + numbered("i", 3) + numbered("Repairs", 0) + numbered("Who", 1) +
               numbered("New", 0, "2") + numbered("none", 0, "0") + numbered("missing", 0, "9"),
           parts),
      "list_item: 1. Rent\nlist_item: 1.1 Due\nlist_item: 1.2 Late\nlist_item: (a) a\nlist_item: (b) b\n"
      "list_item: I) i\nlist_item: 2. Repairs\nlist_item: 2.1 Who\nlist_item: 5. New\nlist_item: none\n"
      "list_item: missing\n");
}

TEST(DocxNumbering, StylesBulletsAndLegalNumbers) {
  const Parts parts = {
      {"word/styles.xml",
       styled(
           "<w:style w:type='paragraph' w:styleId='H1'><w:name w:val='heading 1'/><w:pPr><w:numPr><w:numId "
           "w:val='1'/></w:numPr></w:pPr></w:style><w:style w:type='paragraph' w:styleId='H2'><w:name "
           "w:val='heading 2'/><w:basedOn w:val='H1'/><w:pPr><w:numPr><w:numId "
           "w:val='1'/></w:numPr></w:pPr></w:style>")},
      {"word/numbering.xml", numbering("<w:abstractNum w:abstractNumId='1'>" +
                                       level(0, "upperRoman", "Article %1", "<w:pStyle w:val='H1'/>") +
                                       level(1, "decimal", "%1.%2", "<w:pStyle w:val='H2'/><w:isLgl/>") +
                                       level(2, "bullet", "\uF0B7") +
                                       "</w:abstractNum><w:num w:numId='1'><w:abstractNumId "
                                       "w:val='1'/></w:num>")}};
  EXPECT_EQ(read(paragraph("Scope", "<w:pStyle w:val='H1'/>") + paragraph("Who", "<w:pStyle w:val='H2'/>") +
                     numbered("point", 2) + paragraph("Term", "<w:pStyle w:val='H1'/>"),
                 parts),
            "heading 1: Article I Scope\nheading 2: 1.1 Who\nlist_item: point\nheading 1: Article II Term\n");
}

TEST(DocxNumbering, HostileDefinitionsAreBounded) {
  std::string long_text(100'000, '%');
  const Parts parts = {
      {"word/numbering.xml",
       numbering("<w:abstractNum w:abstractNumId='1'><w:lvl w:ilvl='0'><w:start "
                 "w:val='2147483647'/><w:numFmt w:val='lowerRoman'/><w:lvlText "
                 "w:val='%1'/></w:lvl><w:lvl w:ilvl='99'/><w:lvl w:ilvl='1'><w:lvlText w:val='" +
                 long_text +
                 "'/></w:lvl></w:abstractNum><w:num w:numId='1'><w:abstractNumId "
                 "w:val='1'/></w:num>")}};
  EXPECT_EQ(read(numbered("a", 0) + numbered("b", 1) + numbered("c", 99) + numbered("d", -1), parts),
            "list_item: 32767 a\nlist_item: b\nlist_item: c\nlist_item: d\n");
}

TEST(DocxTables, HeadingsOnlyWhereTheDocumentSaysSo) {
  std::string one = row(cell("Patient") + cell("Ada")), two = row(cell("Dose") + cell("200 mg"));
  EXPECT_EQ(read("<w:tbl>" + one + two + "</w:tbl>"), "table_row: Patient; Ada\ntable_row: Dose; 200 mg\n");
  EXPECT_EQ(read("<w:tbl>" + one + "</w:tbl>"), "table_row: Patient; Ada\n");
  EXPECT_EQ(read("<w:tbl>" + row(cell("Drug") + cell("Dose"), "<w:tblHeader/>") + row(cell("A") + cell("5")) +
                 "</w:tbl>"),
            "table_row: Drug: A; Dose: 5\n");
  EXPECT_EQ(read("<w:tbl>" + row(cell("Drug") + cell("Dose"), "<w:tblHeader w:val='0'/>") +
                 row(cell("A") + cell("5")) + "</w:tbl>"),
            "table_row: Drug; Dose\ntable_row: A; 5\n");
  EXPECT_EQ(read("<w:tbl>" + row(bold("Drug") + bold("Dose")) + row(cell("A") + cell("5")) + "</w:tbl>"),
            "table_row: Drug: A; Dose: 5\n");
  EXPECT_EQ(read("<w:tbl>" + row(bold("Patient") + cell("Ada")) + row(bold("Dose") + cell("5")) + "</w:tbl>"),
            "table_row: Patient: Ada\ntable_row: Dose: 5\n");
}

TEST(DocxTables, AFirstRowByStyleNeedsAStyleThatSetsItApart) {
  auto table = [](const std::string& style) {
    return "<w:tbl><w:tblPr><w:tblStyle w:val='" + style + "'/><w:tblLook w:val='04A0'/></w:tblPr>" +
           row(cell("Drug") + cell("Dose")) + row(cell("A") + cell("5")) + "</w:tbl>";
  };
  const Parts styles = {
      {"word/styles.xml", styled("<w:style w:type='table' w:styleId='Grid'/><w:style w:type='table' "
                                 "w:styleId='Apart'><w:tblStylePr w:type='firstRow'><w:rPr><w:b/></w:rPr>"
                                 "</w:tblStylePr></w:style>")}};
  EXPECT_EQ(read(table("Grid"), styles), "table_row: Drug; Dose\ntable_row: A; 5\n");
  EXPECT_EQ(read(table("Apart"), styles), "table_row: Drug: A; Dose: 5\n");
}

TEST(DocxTables, SpansAndMergesFillWhatTheyCover) {
  EXPECT_EQ(read("<w:tbl>" + row(cell("Year") + cell("Month") + cell("Sum"), "<w:tblHeader/>") +
                 row(cell("2025", "<w:vMerge w:val='restart'/>") + cell("May") + cell("1")) +
                 row(cell("", "<w:vMerge/>") + cell("June") + cell("2")) +
                 row(cell("all", "<w:gridSpan w:val='2'/>") + cell("3")) +
                 row(cell("July") + cell("4"), "<w:gridBefore w:val='1'/>") + "</w:tbl>"),
            "table_row: Year: 2025; Month: May; Sum: 1\ntable_row: Year: 2025; Month: June; Sum: 2\n"
            "table_row: Year, Month: all; Sum: 3\ntable_row: Month: July; Sum: 4\n");
}

TEST(DocxTables, CellsHoldParagraphsAndControlsWrapRows) {
  EXPECT_EQ(read("<w:tbl><w:sdt><w:sdtContent>" +
                 row("<w:sdt><w:sdtContent><w:tc>" + paragraph("A") + paragraph("forte") +
                     "</w:tc></w:sdtContent></w:sdt>" + cell("5 mg")) +
                 "</w:sdtContent></w:sdt></w:tbl>"),
            "table_row: A, forte; 5 mg\n");
  EXPECT_EQ(read("<w:tbl>" + row("<w:tc>" + paragraph("In a frame.") + paragraph("Second.") + "</w:tc>") +
                 "</w:tbl>"),
            "paragraph: In a frame.\nparagraph: Second.\n");
}

}  // namespace
}  // namespace bulkhead::extract
