// Workbooks, presentations, messages and the like made to hurt: each ends in a clean error or in harmless
// text, within bounds.
#include <gtest/gtest.h>

#include <string>

#include "extract/package.h"
#include "office_support.h"

namespace bulkhead::extract {
namespace {

base::Result<Document> read(const std::string& name, const std::string& content) {
  return extract_any(name, content, Limits{});
}

std::string repeated(const std::string& text, std::size_t times) {
  std::string out;
  out.reserve(text.size() * times);
  for (std::size_t i = 0; i < times; ++i) out += text;
  return out;
}

// Text that hardly packs, so that a document of it counts as no bomb.
std::string noise(std::size_t words) {
  std::string out;
  for (std::uint32_t i = 0, x = 1; i < words; ++i) out += std::to_string(x = x * 1'664'525 + 1'013'904'223);
  return out;
}

TEST(HostileOffice, RepeatedCellsAreBounded) {
  auto sheet = [](const std::string& repeats) {
    return odf_of("spreadsheet",
                  "<office:spreadsheet><table:table table:name='S'>" +
                      repeated("<table:table-row><table:table-cell table:number-columns-repeated='" +
                                   repeats + "'><text:p>x</text:p></table:table-cell></table:table-row>",
                               20) +
                      "</table:table><!--" + noise(2'000) + "--></office:spreadsheet>");
  };
  auto document = read("a.ods", sheet("2000000000"));
  ASSERT_TRUE(document);
  EXPECT_LT(all_text(*document).size(), 200'000u) << "a thousand cells of each row at most";
  EXPECT_EQ(outline(read("a.ods", sheet("2"))).substr(0, 34), "heading 1: S\ntable_row: x; x\ntable")
      << "control: what a sheet repeats is there";
}

TEST(HostileOffice, EmptyCellsBeforeTextAreBounded) {
  const std::string row =
      "<table:table-row><table:table-cell "
      "table:number-columns-repeated='16000'/><table:table-cell><text:p>x</text:p>"
      "</table:table-cell></table:table-row>";
  auto sheet = [&row](std::size_t rows) {
    return odf_of("spreadsheet", "<office:spreadsheet><table:table table:name='S'>" + repeated(row, rows) +
                                     "</table:table><!--" + noise(20'000) + "--></office:spreadsheet>");
  };
  EXPECT_EQ(error_code(read("a.ods", sheet(400))), "too_large");
  EXPECT_EQ(error_code(read("a.ods", sheet(4))), "none");
}

TEST(HostileOffice, MergedAreasAreBounded) {
  auto book = [](std::size_t columns) {
    Workbook out;
    std::string rows = "<row r='1'>", merges;
    for (std::size_t c = 0; c < columns; ++c) {
      std::string letters = {static_cast<char>('A' + c / 26), static_cast<char>('A' + c % 26)};
      rows += "<c r='" + letters + "1'><v>" + std::to_string(c * 7'919) + "</v></c>";
      merges += "<mergeCell ref='" + letters + "1:" + letters + "1048576'/>";
    }
    rows += "</row>";
    for (int i = 2; i <= 3'000; ++i)
      rows += "<row r='" + std::to_string(i) + "'><c r='A" + std::to_string(i) + "'><v>1</v></c></row>";
    out.sheets = {{"S", "<sheetData>" + rows + "</sheetData><mergeCells>" + merges + "</mergeCells>"}};
    return out.bytes();
  };
  EXPECT_EQ(error_code(read("a.xlsx", book(400))), "too_large");
  EXPECT_EQ(error_code(read("a.xlsx", book(3))), "none");
}

TEST(HostileOffice, CellsPastASheetsEndAreRefusedOrLeftOut) {
  Workbook book;
  book.sheets = {{"S", "<row r='4000000000'><c r='A1'><v>1</v></c></row>"}};
  EXPECT_EQ(error_code(read("a.xlsx", book.bytes())), "invalid_file");
  book.sheets = {{"S",
                  "<row r='1'><c r='ZZZZZZ1'><v>1</v></c><c r='A1'><v>2</v></c><c r='C1' t='s'><v>99</v></c>"
                  "<c r='D1' s='99'><v>3</v></c></row>"}};
  EXPECT_EQ(outline(read("a.xlsx", book.bytes())), "heading 1: S\ntable_row: 1; 3\n");
}

TEST(HostileOffice, AMillionCellsAreReadWithinTheLimits) {
  Workbook book;
  std::string rows;
  for (int i = 1; i <= 100'000; ++i) {
    rows += "<row>";
    for (int c = 0; c < 10; ++c) rows += "<c><v>" + std::to_string((i * 10 + c) % 997) + "</v></c>";
    rows += "</row>";
  }
  book.sheets = {{"S", rows}};
  auto document = read("a.xlsx", book.bytes());
  ASSERT_TRUE(document) << document.error().message();
  EXPECT_EQ(document->blocks.size(), 100'001u);
}

TEST(HostileOffice, RelationshipsInACircleEnd) {
  Workbook book;
  book.sheets = {{"S", "<row><c><v>1</v></c></row>"}};
  book.more = {{"xl/worksheets/_rels/s0.xml.rels",
                "<Relationships><Relationship Id='d' Type='x/drawing' Target='s0.xml'/><Relationship Id='t' "
                "Type='x/table' Target='../book.xml'/></Relationships>"}};
  EXPECT_EQ(outline(read("a.xlsx", book.bytes())), "heading 1: S\ntable_row: 1\n");
}

TEST(HostileOffice, TargetsOutsideThePackageAreNeverRead) {
  EXPECT_EQ(resolve_part("ppt/slides/s1.xml", "../media/a.xml"), "ppt/media/a.xml");
  EXPECT_EQ(resolve_part("xl/book.xml", "../../../etc/passwd"), "etc/passwd") << "a part's name, no path";
  EXPECT_EQ(resolve_part("xl/book.xml", "/xl/a.xml#x"), "xl/a.xml");
  auto book = [](const std::string& target, const std::string& mode) {
    return zip_of({{"[Content_Types].xml", content_types("xl/book.xml", "spreadsheetml.sheet")},
                   {"_rels/.rels", root_relationship("xl/book.xml")},
                   {"xl/book.xml", "<w xmlns:r='r'><sheets><sheet name='S' r:id='s'/></sheets></w>"},
                   {"xl/s.xml", "<w><sheetData><row><c><v>7</v></c></row></sheetData></w>"},
                   {"xl/_rels/book.xml.rels",
                    "<R><r Id='s' Type='x/worksheet' Target='" + target + "'" + mode + "/></R>"}});
  };
  EXPECT_EQ(error_code(read("a.xlsx", book("s.xml", " TargetMode='External'"))), "invalid_file");
  EXPECT_EQ(outline(read("a.xlsx", book("s.xml", ""))), "heading 1: S\ntable_row: 7\n") << "control";
}

TEST(HostileOffice, EntitiesAreNotExpanded) {
  Workbook book;
  book.strings =
      "<!DOCTYPE s [<!ENTITY a \"boom\"><!ENTITY f SYSTEM "
      "\"file:///etc/passwd\">]><sst><si><t>x&a;&f;y</t></si></sst>";
  book.sheets = {{"S", "<row><c t='s'><v>0</v></c></row>"}};
  EXPECT_EQ(outline(read("a.xlsx", book.bytes())), "heading 1: S\ntable_row: x&a;&f;y\n");
}

TEST(HostileOffice, DeepPartsAreRefusedOrCutOff) {
  Workbook book;
  book.sheets = {{"S", repeated("<x>", 5'000) + noise(1'000) + repeated("</x>", 5'000)}};
  EXPECT_EQ(error_code(read("a.xlsx", book.bytes())), "invalid_file");
  Presentation show;
  show.slides = {repeated("<p:grpSp>", 5'000) + repeated("</p:grpSp>", 5'000) +
                 "<p:sp><p:txBody><a:p><a:r><a:t>" + noise(1'000) + "</a:t></a:r></a:p></p:txBody></p:sp>"};
  EXPECT_EQ(error_code(read("a.pptx", show.bytes())), "none");
  EXPECT_EQ(
      outline(read("a.odt",
                   odf_of("text", "<office:text><text:p>top</text:p>" + repeated("<text:section>", 5'000) +
                                      "<text:p>deep</text:p>" + repeated("</text:section>", 5'000) + "<!--" +
                                      noise(2'000) + "--></office:text>"))),
      "paragraph: top\n");
}

TEST(HostileOffice, PartsThatAreSmallEachAreBoundedTogether) {
  // However often a part is read: references in a circle would unpack it again and again.
  const std::string bytes = zip_of({{"a", noise(100)}, {"b", noise(100)}});
  auto package = Package::open(bytes, 2'500);
  ASSERT_TRUE(package);
  EXPECT_TRUE(package->part("a"));
  EXPECT_TRUE(package->part("b"));
  auto third = package->part("a");
  ASSERT_FALSE(third);
  EXPECT_TRUE(third.error().is(ExtractionError::TooLarge));
  EXPECT_TRUE(Package::open(bytes)->part("a")) << "control: an ordinary bound";
}

TEST(HostileText, DeepGroupsAndValuesAreRefused) {
  EXPECT_EQ(error_code(read("a.rtf", "{\\rtf1 " + repeated("{", 100'000) + "x")), "invalid_file");
  EXPECT_EQ(outline(read("a.rtf", "{\\rtf1 " + repeated("{", 100) + "x" + repeated("}", 300))),
            "paragraph: x\n");
  EXPECT_EQ(error_code(read("a.json", repeated("[", 100'000))), "invalid_file");
  EXPECT_EQ(outline(read("a.json", repeated("[", 50) + "1" + repeated("]", 50))), "list_item: 1\n");
}

TEST(HostileText, OddRtfIsText) {
  EXPECT_EQ(outline(read("a.rtf", "{\\rtf1\\bin99999999999 x")), "error invalid_file");
  EXPECT_EQ(outline(read("a.rtf", "{\\rtf1\\u0?\\u55357?a\\'zz\\cell\\row\\nestcell b")),
            "table_row: \uFFFDazz\nparagraph: b\n");
  EXPECT_EQ(outline(read("a.rtf", "{\\rtf1\\cellx1" + repeated("\\cell", 5'000) + " x\\row y}")),
            "paragraph: y\n");
}

std::string nested_multipart(int depth) {
  std::string out = "Subject: s\n", end;
  for (int i = 0; i < depth; ++i) {
    std::string b = "b" + std::to_string(i) + "x";
    out += "Content-Type: multipart/mixed; boundary=" + b + "\n\n--" + b + "\n";
    end = "\n--" + b + "--" + end;
  }
  return out + "\ntext" + end;
}

TEST(HostileMail, PartsAreBoundedInDepthAndNumber) {
  EXPECT_EQ(error_code(read("a.eml", nested_multipart(15))), "none");
  EXPECT_EQ(error_code(read("a.eml", nested_multipart(40))), "invalid_file");
  auto wide = [](std::size_t parts) {
    std::string text = "Subject: s\nContent-Type: multipart/mixed; boundary=b\n\n";
    return text +
           repeated("--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\nx\n--c\n\ny\n--c--\n", parts);
  };
  EXPECT_EQ(error_code(read("a.eml", wide(600))), "too_large");
  EXPECT_EQ(error_code(read("a.eml", wide(20))), "none");
}

TEST(HostileMail, MessagesInMessagesAreBounded) {
  std::string message = "Subject: innermost\n\nThe core.\n";
  for (int i = 0; i < 10; ++i) message = "Subject: s\nContent-Type: message/rfc822\n\n" + message;
  auto document = read("a.eml", message);
  ASSERT_TRUE(document);
  EXPECT_EQ(all_text(*document).find("The core."), std::string::npos);
  EXPECT_NE(all_text(*document).find("nested too deeply"), std::string::npos) << "what is left out is said";
}

TEST(HostileText, CutDocumentsAreErrorsOrText) {
  Workbook book;
  book.sheets = {{"S", "<row><c><v>1</v></c></row>"}};
  const std::pair<const char*, std::string> kWhole[] = {
      {"a.xlsx", book.bytes()},
      {"a.epub", epub_of({})},
      {"a.odt", odf_of("text", "<office:text><text:p>x</text:p></office:text>")},
      {"a.rtf", "{\\rtf1\\ansi{\\fonttbl{\\f0 T;}}\\trowd\\cellx1 a\\cell\\row\\u8364?\\'c4 x\\par}"},
      {"a.eml",
       "Subject: =?utf-8?B?UmVudA==?=\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b--\n"},
      {"a.csv", "a;b\n\"x \"\"y\"\"\";1\n"},
      {"a.json", "{\"a\":[1,{\"b\":\"\\u20ac\"}],\"c\":null}"}};
  for (const auto& [name, whole] : kWhole) {
    for (std::size_t end = 1; end < whole.size(); ++end) {
      auto document = read(name, whole.substr(0, end));
      if (!document) continue;
      for (const Block& block : document->blocks)
        EXPECT_EQ(clean_text(block.text, false), block.text) << name;
    }
  }
}

}  // namespace
}  // namespace bulkhead::extract
