#include "crypto/signature.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "crypto/hash.h"

namespace bulkhead::crypto {
namespace {

base::Bytes bytes(std::string_view hex) { return *base::hex_decode(hex); }

struct Vector {
  std::string_view seed, key, message, signature;
};
// RFC 8032, section 7.1, tests 1 to 3.
constexpr Vector kVectors[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
     "d25bf5f0595bbe24655141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
     "387b2eaeb4302aeeb00d291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
     "4a7c15e9716ed28dc027beceea1ec40a"},
};

TEST(SignatureTest, VectorsOfRfc8032) {
  for (const Vector& vector : kVectors) {
    auto key = SigningKey::from_seed(base::Secret::copy_of(bytes(vector.seed)));
    ASSERT_TRUE(key);
    EXPECT_EQ(key->verify_key().base64url(), base::base64url_encode(bytes(vector.key)));
    SignatureBytes signature = key->sign(bytes(vector.message));
    EXPECT_EQ(base::hex_encode(signature), vector.signature);
    EXPECT_TRUE(key->verify_key().verify(bytes(vector.message), signature));
    EXPECT_EQ(base::hex_encode(key->seed().reveal()), vector.seed);
  }
}

TEST(SignatureTest, AnyChangeIsFound) {
  SigningKey key = SigningKey::generate();
  VerifyKey verify_key = key.verify_key();
  base::ByteView message = base::as_bytes("tree head 42");
  SignatureBytes signature = key.sign(message);
  ASSERT_TRUE(verify_key.verify(message, signature)) << "control";
  EXPECT_FALSE(verify_key.verify(base::as_bytes("tree head 43"), signature));
  EXPECT_FALSE(SigningKey::generate().verify_key().verify(message, signature));
  EXPECT_FALSE(verify_key.verify(message, base::ByteView(signature).first(63)));
  EXPECT_FALSE(verify_key.verify(message, {}));
  for (std::size_t i = 0; i < signature.size(); ++i) {
    SignatureBytes bad = signature;
    bad[i] ^= 1;
    EXPECT_FALSE(verify_key.verify(message, bad)) << i;
  }
}

TEST(SignatureTest, SmallOrderKeysVerifyNothing) {
  // The neutral element: with lax checks, R = identity and S = 0 would sign every message.
  std::array<std::uint8_t, 32> neutral{};
  neutral[0] = 1;
  SignatureBytes forged{};
  forged[0] = 1;
  EXPECT_FALSE(VerifyKey::from_bytes(neutral).verify(base::as_bytes("anything"), forged));
}

TEST(SignatureTest, KeysComeBackFromText) {
  VerifyKey key = SigningKey::generate().verify_key();
  auto parsed = VerifyKey::parse(key.base64url());
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->id(), key.id());
  EXPECT_EQ(key.id().size(), 16u);
  EXPECT_EQ(key.id(), base::hex_encode(sha256(*base::base64url_decode(key.base64url()))).substr(0, 16));
  for (std::string text : {std::string(), std::string("AAAA"), key.base64url() + "=", key.base64url() + "A",
                           std::string(43, '*')}) {
    EXPECT_FALSE(VerifyKey::parse(text)) << text;
  }
  EXPECT_FALSE(SigningKey::from_seed(base::Secret(31)));
  EXPECT_FALSE(SigningKey::from_seed(base::Secret(64)));
}

}  // namespace
}  // namespace bulkhead::crypto
