#include "http/multipart.h"

#include <gtest/gtest.h>

namespace bulkhead::http {
namespace {

constexpr std::string_view kType = "multipart/form-data; boundary=\"b 1\"";

std::string form(std::string_view head, std::string_view content = "text") {
  return "--b 1\r\n" + std::string(head) + "\r\n\r\n" + std::string(content) + "\r\n--b 1--\r\n";
}

TEST(Multipart, ReadsFieldsAndFiles) {
  const std::string body =
      "--b 1\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nassistants\r\n"
      "--b 1\r\nContent-Disposition: form-data; name=file; filename=\"C:\\docs\\a \\\"b\\\".pdf\"\r\n"
      "Content-Type: application/pdf\r\n\r\n%PDF\r\n--b 2\r\n\r\n--b 1--\r\n";
  const auto parts = parse_multipart(kType, body);
  ASSERT_TRUE(parts) << parts.error().message();
  ASSERT_EQ(parts->size(), 2u);
  EXPECT_EQ((*parts)[0].name, "purpose");
  EXPECT_EQ((*parts)[0].content, "assistants");
  EXPECT_EQ((*parts)[1].file_name, "a \"b\".pdf");
  EXPECT_EQ((*parts)[1].content_type, "application/pdf");
  EXPECT_EQ((*parts)[1].content, "%PDF\r\n--b 2\r\n");
}

TEST(Multipart, KeepsTheBaseNameOnly) {
  for (const char* name : {"../../etc/passwd", "/etc/passwd", "..\\passwd", "a/passwd"}) {
    const auto parts = parse_multipart(
        kType, form("Content-Disposition: form-data; name=f; filename=\"" + std::string(name) + "\""));
    ASSERT_TRUE(parts) << name;
    EXPECT_EQ((*parts)[0].file_name, "passwd");
  }
  for (const char* name : {"", ".", "..", "a/", "x/.."}) {
    EXPECT_FALSE(parse_multipart(
        kType, form("Content-Disposition: form-data; name=f; filename=\"" + std::string(name) + "\"")))
        << name;
  }
}

TEST(Multipart, RefusesWhatIsMalformed) {
  const std::string good = form("Content-Disposition: form-data; name=f");
  ASSERT_TRUE(parse_multipart(kType, good));
  for (const char* type : {"", "text/plain", "multipart/form-data", "multipart/form-data; boundary=",
                           "multipart/form-data; boundary=\"b", "multipart/mixed; boundary=\"b 1\"",
                           "multipart/form-data; boundary=\"b 1\"; boundary=c"}) {
    EXPECT_FALSE(parse_multipart(type, good)) << type;
  }
  EXPECT_FALSE(parse_multipart(kType, good.substr(0, good.size() - 4)));
  EXPECT_FALSE(parse_multipart(kType, "preamble\r\n" + good));
  EXPECT_FALSE(parse_multipart(kType, good + "epilogue"));
  EXPECT_FALSE(parse_multipart(kType, ""));
  EXPECT_FALSE(parse_multipart(kType, "--b 1"));
  for (const char* head :
       {"X: y", "Content-Disposition: attachment; name=f", "Content-Disposition: form-data",
        "Content-Disposition: form-data; name=a; name=b", "Content-Disposition: form-data; name=\"a",
        "Content-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64",
        "Content-Disposition: form-data; name=a\r\n folded"}) {
    EXPECT_FALSE(parse_multipart(kType, form(head))) << head;
  }
}

TEST(Multipart, KeepsItsBounds) {
  std::string many;
  for (int i = 0; i < 33; ++i) many += "--b 1\r\nContent-Disposition: form-data; name=f\r\n\r\nx\r\n";
  EXPECT_FALSE(parse_multipart(kType, many + "--b 1--"));
  EXPECT_FALSE(
      parse_multipart(kType, form("Content-Disposition: form-data; name=f\r\nX: " + std::string(9000, 'a'))));
}

}  // namespace
}  // namespace bulkhead::http
