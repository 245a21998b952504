#include "crypto/aead.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "crypto/random.h"

namespace bulkhead::crypto {
namespace {

using base::as_bytes;

base::Secret key_of(std::uint8_t byte) { return base::Secret::copy_of(base::Bytes(kAeadKeyBytes, byte)); }

TEST(AeadTest, OpensWhatItSealed) {
  base::Secret key = random_secret(kAeadKeyBytes);
  for (std::size_t size : {0u, 1u, 15u, 16u, 17u, 1000u, 70'000u}) {
    base::Bytes plain = random_bytes(size);
    base::Bytes box = seal(key, plain, as_bytes("chunk 7"));
    EXPECT_EQ(box.size(), size + kAeadOverheadBytes);
    EXPECT_EQ(*open(key, box, as_bytes("chunk 7")), plain);
  }
}

// draft-irtf-cfrg-xchacha-03, appendix A.3.1, in the box's layout.
TEST(AeadTest, OpensTheDraftsVector) {
  base::Secret key = base::Secret::copy_of(
      *base::hex_decode("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"));
  base::Bytes box = *base::hex_decode(
      "01"
      "404142434445464748494a4b4c4d4e4f5051525354555657"
      "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39"
      "ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
      "21f9664c97637da9768812f615c68b13b52e"
      "c0875924c1c7987947deafd8780acf49");
  base::Bytes associated = *base::hex_decode("50515253c0c1c2c3c4c5c6c7");
  auto plain = open(key, box, associated);
  ASSERT_TRUE(plain);
  EXPECT_EQ(base::as_text(*plain),
            "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
            "sunscreen would be it.");
}

TEST(AeadTest, EveryFlippedBitIsFound) {
  base::Secret key = key_of(7);
  base::Bytes box = seal(key, as_bytes("dose"), as_bytes("id"));
  ASSERT_TRUE(open(key, box, as_bytes("id"))) << "control";
  for (std::size_t i = 0; i < box.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      base::Bytes bad = box;
      bad[i] ^= static_cast<std::uint8_t>(1 << bit);
      EXPECT_FALSE(open(key, bad, as_bytes("id"))) << i << "." << bit;
    }
  }
}

TEST(AeadTest, EveryTruncationAndExtensionIsFound) {
  base::Secret key = key_of(7);
  base::Bytes box = seal(key, as_bytes("dose"), {});
  for (std::size_t size = 0; size < box.size(); ++size) {
    EXPECT_FALSE(open(key, base::ByteView(box).first(size), {})) << size;
    EXPECT_FALSE(open_secret(key, base::ByteView(box).first(size), {})) << size;
  }
  box.push_back(0);
  EXPECT_FALSE(open(key, box, {}));
}

TEST(AeadTest, WrongKeyAndWrongIdentityAreNotToldApart) {
  base::Bytes box = seal(key_of(1), as_bytes("dose"), as_bytes("tenant-a/chunk-1"));
  ASSERT_TRUE(open(key_of(1), box, as_bytes("tenant-a/chunk-1"))) << "control";
  auto wrong_key = open(key_of(2), box, as_bytes("tenant-a/chunk-1"));
  auto wrong_identity = open(key_of(1), box, as_bytes("tenant-a/chunk-2"));
  auto no_identity = open(key_of(1), box, {});
  auto short_key = open(base::Secret::copy_of("short"), box, as_bytes("tenant-a/chunk-1"));
  for (const auto* refused : {&wrong_key, &wrong_identity, &no_identity, &short_key}) {
    ASSERT_FALSE(*refused);
    EXPECT_TRUE(refused->error().is(CryptoError::SealBroken));
    EXPECT_EQ(refused->error().describe(), wrong_key.error().describe());
  }
}

TEST(AeadTest, SecretsGoStraightIntoLockedMemory) {
  base::Secret inner = random_secret(32);
  base::Bytes box = seal(key_of(3), inner.reveal(), as_bytes("tenant"));
  EXPECT_TRUE(*open_secret(key_of(3), box, as_bytes("tenant")) == inner);
  EXPECT_TRUE(open_secret(key_of(4), box, as_bytes("tenant")).error().is(CryptoError::SealBroken));
  EXPECT_FALSE(open_secret(key_of(3), seal(key_of(3), {}, {}), {})) << "an empty key is none";
}

TEST(AeadTest, NoncesDontRepeat) {
  std::set<base::Bytes> nonces;
  for (int i = 0; i < 1000; ++i) {
    base::Bytes box = seal(key_of(1), {}, {});
    nonces.insert(base::Bytes(box.begin() + 1, box.begin() + 25));
  }
  EXPECT_EQ(nonces.size(), 1000u);
}

TEST(AeadDeathTest, SealingWithAWrongKeySizeAborts) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(seal(base::Secret::copy_of("short"), {}, {}), "");
}

TEST(RandomTest, IdsAreBase32AndDiffer) {
  std::set<std::string> ids;
  for (int i = 0; i < 1000; ++i) {
    std::string id = random_id();
    EXPECT_EQ(id.size(), 26u);
    EXPECT_EQ(id.find_first_not_of("abcdefghijklmnopqrstuvwxyz234567"), std::string::npos);
    ids.insert(id);
  }
  EXPECT_EQ(ids.size(), 1000u);
  EXPECT_EQ(random_id(64).size(), 13u);
}

TEST(RandomTest, EveryByteValueComes) {
  std::set<std::uint8_t> seen;
  for (std::uint8_t byte : random_bytes(20'000)) seen.insert(byte);
  EXPECT_EQ(seen.size(), 256u);
  EXPECT_FALSE(random_secret(32) == random_secret(32));
  EXPECT_TRUE(random_bytes(0).empty());
}

}  // namespace
}  // namespace bulkhead::crypto
