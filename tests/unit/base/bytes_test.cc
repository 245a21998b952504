#include "base/bytes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace bulkhead::base {
namespace {

std::string text_of(const std::optional<Bytes>& bytes) {
  return bytes ? std::string(as_text(*bytes)) : "refused";
}

TEST(BytesTest, Base64VectorsOfRfc4648) {
  const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"}};
  for (auto [plain, encoded] : vectors) {
    EXPECT_EQ(base64_encode(as_bytes(plain)), encoded);
    EXPECT_EQ(text_of(base64_decode(encoded)), plain);
    std::string url(encoded);
    url.erase(std::min(url.find('='), url.size()));
    EXPECT_EQ(base64url_encode(as_bytes(plain)), url);
    EXPECT_EQ(text_of(base64url_decode(url)), plain);
  }
}

TEST(BytesTest, AlphabetsDifferInTwoCharacters) {
  Bytes bytes = {0xfb, 0xff};
  EXPECT_EQ(base64_encode(bytes), "+/8=");
  EXPECT_EQ(base64url_encode(bytes), "-_8");
  EXPECT_FALSE(base64url_decode("+/8"));
  EXPECT_FALSE(base64_decode("-_8="));
}

TEST(BytesTest, Base64RefusesEverySecondSpelling) {
  EXPECT_EQ(text_of(base64url_decode("Zg")), "f");
  EXPECT_FALSE(base64url_decode("Zh")) << "trailing bits";
  EXPECT_FALSE(base64url_decode("Zm9")) << "trailing bits";
  EXPECT_FALSE(base64url_decode("Zg==")) << "padding";
  EXPECT_FALSE(base64url_decode("Z")) << "half a byte";
  EXPECT_FALSE(base64url_decode("Zg ")) << "space";
  EXPECT_FALSE(base64url_decode("Zg\n"));
  EXPECT_FALSE(base64url_decode(std::string_view("Zg\0v", 4)));
  for (const char* text : {"Zg", "Zg=", "Zh==", "=", "==", "====", "A===", "Zm9v====", "Zg==Zg=="}) {
    EXPECT_FALSE(base64_decode(text)) << text;
  }
}

TEST(BytesTest, EveryByteStringHasOneBase64UrlSpelling) {
  // All two-character texts: decoding and encoding again must give the text back.
  int accepted = 0;
  for (int a = 0; a < 256; ++a) {
    for (int b = 0; b < 256; ++b) {
      std::string text = {static_cast<char>(a), static_cast<char>(b)};
      auto bytes = base64url_decode(text);
      if (!bytes) continue;
      ++accepted;
      EXPECT_EQ(base64url_encode(*bytes), text);
    }
  }
  EXPECT_EQ(accepted, 256);
}

TEST(BytesTest, Hex) {
  EXPECT_EQ(hex_encode(Bytes{0x00, 0x9f, 0xff}), "009fff");
  EXPECT_EQ(hex_decode("009fFf"), (Bytes{0x00, 0x9f, 0xff}));
  EXPECT_EQ(hex_decode(""), Bytes{});
  EXPECT_FALSE(hex_decode("0"));
  EXPECT_FALSE(hex_decode("0g"));
  EXPECT_FALSE(hex_decode("0x00"));
}

TEST(BytesTest, WipeReachesWhatShrinkingLeftBehind) {
  Bytes bytes(64, 0xAA);
  const std::uint8_t* data = bytes.data();
  bytes.resize(4);
  ASSERT_EQ(bytes.capacity(), 64u);
  ASSERT_EQ(data[63], 0xAA) << "shrinking alone leaves it";
  wipe(bytes);
  EXPECT_TRUE(bytes.empty());
  for (int i = 0; i < 64; ++i) EXPECT_EQ(data[i], 0) << i;

  std::string text(64, 'x');
  const char* characters = text.data();
  text.resize(3);
  wipe(text);
  EXPECT_TRUE(text.empty());
  for (int i = 0; i < 64; ++i) EXPECT_EQ(characters[i], 0) << i;
}

TEST(BytesTest, ComparesWhole) {
  EXPECT_TRUE(equal_constant_time({}, {}));
  EXPECT_TRUE(equal_constant_time(as_bytes("abc"), as_bytes("abc")));
  EXPECT_FALSE(equal_constant_time(as_bytes("abc"), as_bytes("abd")));
  EXPECT_FALSE(equal_constant_time(as_bytes("abc"), as_bytes("ab")));
}

}  // namespace
}  // namespace bulkhead::base
