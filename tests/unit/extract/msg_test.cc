// Messages of Outlook: what must be there, what must not, and files made to hurt.
#include <gtest/gtest.h>

#include <string>

#include "compound_support.h"
#include "support.h"

namespace bulkhead::extract {
namespace {

base::Result<Document> read(const std::string& bytes) { return extract_any("a.msg", bytes, Limits{}); }

CompoundMaker simple_message() {
  CompoundMaker maker;
  maker.text(0, "0037", "Rent");
  maker.text(0, "0C1A", "Ada");
  maker.text(0, "0E04", "Bo");
  maker.text(0, "1000", "The rent is 500 euros.");
  return maker;
}

TEST(Msg, FieldsBodyAndDate) {
  CompoundMaker maker = simple_message();
  // 2024-01-02 10:30 UTC.
  std::uint64_t time = (1'704'191'400ULL + 11'644'473'600ULL) * 10'000'000ULL;
  std::string properties(32, '\0');
  properties += std::string("\x40\0\x39\0\0\0\0\0", 8);
  for (int i = 0; i < 8; ++i) properties += static_cast<char>(time >> (8 * i) & 0xFF);
  maker.stream(0, "__properties_version1.0", properties);
  EXPECT_EQ(
      outline(read(maker.bytes())),
      "heading 1: Rent\nparagraph: From: Ada\nparagraph: To: Bo\nparagraph: Date: 2024-01-02 10:30 UTC\n"
      "paragraph: The rent is 500 euros.\n");
}

TEST(Msg, PagesAttachmentsAndMessagesInside) {
  CompoundMaker maker = simple_message();
  maker.stream(0, "__substg1.0_10130102", "<p>Rich <b>body</b></p>" + std::string(5'000, ' '));
  auto first = maker.storage(0, "__attach_version1.0_#00000000");
  maker.text(first, "3707", "d.csv");
  maker.stream(first, "__substg1.0_37010102", "name,mg\nIbu,200\n");
  auto second = maker.storage(0, "__attach_version1.0_#00000001");
  maker.text(second, "3704", "p.png");
  maker.stream(second, "__substg1.0_37010102", "\x89PNG\r\n\x1A\n...");
  auto third = maker.storage(0, "__attach_version1.0_#00000002");
  auto inner = maker.storage(third, "__substg1.0_3701000D");
  maker.text(inner, "0037", "Inner");
  maker.text(inner, "1000", "Inner text.");
  EXPECT_EQ(
      outline(read(maker.bytes())),
      "heading 1: Rent\nparagraph: From: Ada\nparagraph: To: Bo\nparagraph: Rich body\n"
      "heading 2: Attachment: d.csv\ntable_row: name: Ibu; mg: 200\n"
      "paragraph: Attachment: p.png (not read: Pictures are not read here. Save it as a PDF with text.)\n"
      "heading 2: Attachment: message\nheading 3: Inner\nparagraph: Inner text.\n");
}

TEST(Msg, ABodyThatIsNotReadIsSaid) {
  CompoundMaker maker;
  maker.text(0, "0037", "Rent");
  maker.stream(0, "__substg1.0_10090102", "packed");
  EXPECT_EQ(
      outline(read(maker.bytes())),
      "heading 1: Rent\nparagraph: The body of this message was not read: it is rich text only. Save it as "
      "EML.\n");
}

TEST(HostileMsg, MessagesInMessagesAreBounded) {
  CompoundMaker maker;
  std::size_t at = 0;
  for (int i = 0; i < 10; ++i) {
    maker.text(at, "0037", "Level " + std::to_string(i));
    at = maker.storage(maker.storage(at, "__attach_version1.0_#00000000"), "__substg1.0_3701000D");
  }
  auto document = read(maker.bytes());
  ASSERT_TRUE(document);
  EXPECT_NE(all_text(*document).find("Level 3"), std::string::npos);
  EXPECT_EQ(all_text(*document).find("Level 4"), std::string::npos);
  EXPECT_NE(all_text(*document).find("nested too deeply"), std::string::npos);
}

TEST(HostileMsg, AnyDamageEndsInAnErrorOrInText) {
  CompoundMaker maker = simple_message();
  maker.stream(0, "__substg1.0_10130102", "<p>Rich body</p>" + std::string(5'000, ' '));
  const std::string whole = maker.bytes();
  ASSERT_TRUE(read(whole));
  for (std::size_t end = 8; end < whole.size(); end += 61) static_cast<void>(read(whole.substr(0, end)));
  // Each number of the header and the tables in turn points at the start, which makes circles, or far away.
  for (std::size_t at = 24; at + 4 < whole.size(); at += 4) {
    for (char byte : {'\0', '\1', '\x7F'}) {
      std::string broken = whole;
      broken.replace(at, 4, std::string(4, byte));
      auto document = read(broken);
      if (!document) EXPECT_FALSE(document.error().message().empty());
    }
  }
}

}  // namespace
}  // namespace bulkhead::extract
