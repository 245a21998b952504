#include "crypto/hash.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace bulkhead::crypto {
namespace {

std::string hex(base::ByteView bytes) { return base::hex_encode(bytes); }
base::Bytes counting(std::uint8_t from, std::size_t count) {
  base::Bytes out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(static_cast<std::uint8_t>(from + i));
  return out;
}

TEST(HashTest, Sha256VectorsOfFips180) {
  EXPECT_EQ(hex(sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hex(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(hex(sha256(std::string(1'000'000, 'a'))),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(HashTest, PiecesGiveTheSameAsTheWhole) {
  std::string text(1000, 'q');
  for (std::size_t cut : {0u, 1u, 63u, 64u, 65u, 999u, 1000u}) {
    Sha256 hash;
    hash.update(base::as_bytes(text).first(cut));
    static_cast<void>(sha256("another one in between"));
    hash.update(base::as_bytes(text).subspan(cut));
    EXPECT_EQ(hash.finish(), sha256(text)) << cut;
  }
}

TEST(HashTest, DifferentSplitsNeverCollide) {
  using base::as_bytes;
  EXPECT_NE(sha256_parts({as_bytes("ab"), as_bytes("c")}), sha256_parts({as_bytes("a"), as_bytes("bc")}));
  EXPECT_NE(sha256_parts({as_bytes("abc")}), sha256_parts({as_bytes("abc"), as_bytes("")}));
  EXPECT_EQ(sha256_parts({as_bytes("ab")}), sha256(std::string("\0\0\0\0\0\0\0\2ab", 10)));
  base::ByteView key = as_bytes("k");
  EXPECT_NE(hmac_sha256_parts(key, {as_bytes("ab"), as_bytes("c")}),
            hmac_sha256_parts(key, {as_bytes("a"), as_bytes("bc")}));
  EXPECT_EQ(hmac_sha256_parts(key, {as_bytes("ab")}),
            hmac_sha256(key, as_bytes(std::string("\0\0\0\0\0\0\0\2ab", 10))));
}

TEST(HashTest, HmacVectorsOfRfc4231) {
  EXPECT_EQ(hex(hmac_sha256(base::Bytes(20, 0x0b), base::as_bytes("Hi There"))),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(hex(hmac_sha256(base::as_bytes("Jefe"), base::as_bytes("what do ya want for nothing?"))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(hex(hmac_sha256(base::Bytes(131, 0xaa),
                            base::as_bytes("Test Using Larger Than Block-Size Key - Hash Key First"))),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(HashTest, HkdfVectorsOfRfc5869) {
  EXPECT_EQ(hex(hkdf_sha256(base::Bytes(22, 0x0b), counting(0, 13), base::as_text(counting(0xf0, 10)), 42)
                    .reveal()),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
  EXPECT_EQ(
      hex(hkdf_sha256(counting(0, 80), counting(0x60, 80), base::as_text(counting(0xb0, 80)), 82).reveal()),
      "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
      "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87");
  EXPECT_EQ(hex(hkdf_sha256(base::Bytes(22, 0x0b), {}, "", 42).reveal()),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

TEST(HashTest, HkdfLengthsAreFromOneStream) {
  base::Secret longest = hkdf_sha256(counting(1, 32), {}, "info", 255 * 32);
  for (std::size_t size : {1u, 31u, 32u, 33u, 64u, 8160u}) {
    base::Secret key = hkdf_sha256(counting(1, 32), {}, "info", size);
    EXPECT_EQ(hex(key.reveal()), hex(longest.reveal().first(size)));
  }
  EXPECT_FALSE(hkdf_sha256(counting(1, 32), {}, "info", 32) == hkdf_sha256(counting(1, 32), {}, "inf0", 32));
}

TEST(HashDeathTest, HkdfRefusesMoreThanItCanGive) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(hkdf_sha256(counting(1, 32), {}, "", 255 * 32 + 1), "");
}

TEST(HashTest, ThreadsHaveContextsOfTheirOwn) {
  std::vector<std::thread> threads;
  Digest expected = sha256(std::string(500, 'x'));
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) ASSERT_EQ(sha256(std::string(500, 'x')), expected);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace bulkhead::crypto
