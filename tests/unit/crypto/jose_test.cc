#include "crypto/jose.h"

#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <map>
#include <string>
#include <thread>
#include <vector>

#include "base/json.h"

namespace bulkhead::crypto {
namespace {

using base::as_bytes;
using base::Bytes;

constexpr JwsAlgorithm kAll[] = {
    JwsAlgorithm::Rs256, JwsAlgorithm::Rs384, JwsAlgorithm::Rs512, JwsAlgorithm::Ps256, JwsAlgorithm::Ps384,
    JwsAlgorithm::Ps512, JwsAlgorithm::Es256, JwsAlgorithm::Es384, JwsAlgorithm::Es512, JwsAlgorithm::EdDsa};

const TokenSigningKey& signing_key(JwsAlgorithm algorithm) {
  static std::map<JwsAlgorithm, TokenSigningKey> keys;
  auto found = keys.find(algorithm);
  if (found == keys.end()) {
    found = keys.emplace(algorithm, std::move(*TokenSigningKey::generate(algorithm))).first;
  }
  return found->second;
}

base::Result<PublicKey> from_jwk(std::string_view text) {
  auto document = std::move(*base::json::Document::parse(text));
  auto member = [&document](std::string_view name) { return document.root()[name].as_string().value_or(""); };
  if (member("kty") == "RSA") return PublicKey::from_rsa(member("n"), member("e"));
  if (member("kty") == "EC") return PublicKey::from_ec(member("crv"), member("x"), member("y"));
  return PublicKey::from_okp(member("crv"), member("x"));
}

std::string public_member(JwsAlgorithm algorithm, std::string_view name) {
  auto document = std::move(*base::json::Document::parse(signing_key(algorithm).public_jwk("k")));
  return std::string(*document.root()[name].as_string());
}

Bytes decoded(std::string_view text) { return *base::base64url_decode(text); }

TEST(JoseTest, NamesOfAcceptedAlgorithmsOnly) {
  for (JwsAlgorithm algorithm : kAll)
    EXPECT_EQ(parse_jws_algorithm(jws_algorithm_name(algorithm)), algorithm);
  for (const char* name : {"none", "None", "NONE", "", "HS256", "HS384", "HS512", "rs256", "RS256 ", "ES256K",
                           "es512", "ED25519", "Ed448", "EDDSA", "RSA1_5"}) {
    EXPECT_FALSE(parse_jws_algorithm(name)) << name;
  }
  EXPECT_EQ(parse_jws_algorithm("Ed25519"), JwsAlgorithm::EdDsa) << "by its name of RFC 9864";
}

TEST(JoseTest, Rs256ExampleOfRfc7515) {
  auto key = PublicKey::from_rsa(
      "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-"
      "SFd2lZ"
      "S-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-"
      "UTo7WTBEMa2"
      "R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_"
      "h9iaGNj8q2ethFkMLs91kzk2PAcD"
      "TW9gb54h4FRWyuXpoQ",
      "AQAB");
  ASSERT_TRUE(key);
  std::string input =
      "eyJhbGciOiJSUzI1NiJ9."
      "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
  Bytes signature = decoded(
      "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_"
      "O8W2Fp5jujGbds9uJdbF9CU"
      "Ar7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_"
      "eSN9383LcOLn6_d"
      "O--xi12jzDwusC-"
      "eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0ig"
      "cN_IoypGlUPQGe77Rw");
  EXPECT_TRUE(key->verify(JwsAlgorithm::Rs256, as_bytes(input), signature));
  EXPECT_FALSE(key->verify(JwsAlgorithm::Rs384, as_bytes(input), signature));
  EXPECT_FALSE(key->verify(JwsAlgorithm::Ps256, as_bytes(input), signature));
}

TEST(JoseTest, Es256ExampleOfRfc7515) {
  auto key = PublicKey::from_ec("P-256", "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                                "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
  ASSERT_TRUE(key);
  std::string input =
      "eyJhbGciOiJFUzI1NiJ9."
      "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
  EXPECT_TRUE(key->verify(
      JwsAlgorithm::Es256, as_bytes(input),
      decoded("DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q")));
}

TEST(JoseTest, Ed25519ExampleOfRfc8037) {
  auto key = PublicKey::from_okp("Ed25519", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
  ASSERT_TRUE(key);
  EXPECT_TRUE(key->verify(
      JwsAlgorithm::EdDsa, as_bytes("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"),
      decoded("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg")));
}

class EveryAlgorithm : public testing::TestWithParam<JwsAlgorithm> {};
INSTANTIATE_TEST_SUITE_P(Jose, EveryAlgorithm, testing::ValuesIn(kAll),
                         [](const auto& info) { return std::string(jws_algorithm_name(info.param)); });

TEST_P(EveryAlgorithm, VerifiesWhatItSignedAndNothingElse) {
  const TokenSigningKey& key = signing_key(GetParam());
  auto public_key = from_jwk(key.public_jwk("kid-1"));
  ASSERT_TRUE(public_key);
  EXPECT_TRUE(public_key->fits(GetParam()));
  Bytes signature = key.sign(as_bytes("head.body"));
  ASSERT_TRUE(public_key->verify(GetParam(), as_bytes("head.body"), signature)) << "control";
  EXPECT_FALSE(public_key->verify(GetParam(), as_bytes("head.bodz"), signature));
  EXPECT_FALSE(public_key->verify(GetParam(), as_bytes(""), signature));
  for (std::size_t i = 0; i < signature.size(); i += 7) {
    Bytes bad = signature;
    bad[i] ^= 0x10;
    EXPECT_FALSE(public_key->verify(GetParam(), as_bytes("head.body"), bad)) << i;
  }
  for (std::size_t size : {std::size_t{0}, std::size_t{1}, signature.size() / 2, signature.size() - 1}) {
    EXPECT_FALSE(
        public_key->verify(GetParam(), as_bytes("head.body"), base::ByteView(signature).first(size)));
  }
  Bytes longer = signature;
  longer.push_back(0);
  EXPECT_FALSE(public_key->verify(GetParam(), as_bytes("head.body"), longer));
  Bytes padded = signature;
  padded.insert(padded.begin(), 0);
  EXPECT_FALSE(public_key->verify(GetParam(), as_bytes("head.body"), padded));
}

TEST_P(EveryAlgorithm, NoSignatureServesForAnotherAlgorithm) {
  auto public_key = from_jwk(signing_key(GetParam()).public_jwk("k"));
  ASSERT_TRUE(public_key);
  Bytes signature = signing_key(GetParam()).sign(as_bytes("m"));
  for (JwsAlgorithm other : kAll) {
    EXPECT_EQ(public_key->verify(other, as_bytes("m"), signature), other == GetParam())
        << jws_algorithm_name(other);
  }
}

TEST_P(EveryAlgorithm, ZeroSignaturesAreRefused) {
  auto public_key = from_jwk(signing_key(GetParam()).public_jwk("k"));
  Bytes signature = signing_key(GetParam()).sign(as_bytes("m"));
  // CVE-2022-21449 was an ECDSA verification that took r = s = 0.
  EXPECT_FALSE(public_key->verify(GetParam(), as_bytes("m"), Bytes(signature.size(), 0)));
  EXPECT_FALSE(public_key->verify(GetParam(), as_bytes("m"), Bytes(signature.size(), 0xff)));
}

// The TLS code asks the same queue whether its connection broke.
TEST_P(EveryAlgorithm, RefusalsLeaveNoErrorsInOpenSsl) {
  auto public_key = from_jwk(signing_key(GetParam()).public_jwk("k"));
  ERR_clear_error();
  Bytes signature = signing_key(GetParam()).sign(as_bytes("m"));
  EXPECT_EQ(ERR_peek_error(), 0u);
  signature[signature.size() / 2] ^= 1;
  EXPECT_FALSE(public_key->verify(GetParam(), as_bytes("m"), signature));
  EXPECT_FALSE(public_key->verify(GetParam(), as_bytes("m"), Bytes(signature.size(), 0)));
  EXPECT_EQ(ERR_peek_error(), 0u);
  EXPECT_FALSE(PublicKey::from_ec("P-256", std::string(43, 'A'), std::string(43, 'A')));
  EXPECT_FALSE(PublicKey::from_rsa(base::base64url_encode(Bytes(256, 0xfe)), "AQAB"));
  EXPECT_EQ(ERR_peek_error(), 0u);
  // Control: what was in the queue before is not ours to drop.
  ERR_raise(ERR_LIB_USER, 7);
  EXPECT_FALSE(public_key->verify(GetParam(), as_bytes("m"), signature));
  EXPECT_NE(ERR_peek_error(), 0u);
  ERR_clear_error();
}

TEST_P(EveryAlgorithm, OnePublicKeyServesManyThreads) {
  auto public_key = from_jwk(signing_key(GetParam()).public_jwk("k"));
  Bytes signature = signing_key(GetParam()).sign(as_bytes("m"));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, copy = *public_key] {
      for (int i = 0; i < 20; ++i) {
        ASSERT_TRUE(copy.verify(GetParam(), as_bytes("m"), signature));
        ASSERT_FALSE(copy.verify(GetParam(), as_bytes("n"), signature));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_P(EveryAlgorithm, JwkIsWellFormedWhateverTheKid) {
  auto document = base::json::Document::parse(signing_key(GetParam()).public_jwk("a\"b\\c\n"));
  ASSERT_TRUE(document);
  EXPECT_EQ(document->root()["kid"].as_string(), "a\"b\\c\n");
  EXPECT_EQ(document->root()["alg"].as_string(), jws_algorithm_name(GetParam()));
  EXPECT_EQ(document->root()["use"].as_string(), "sig");
  for (const char* secret : {"d", "p", "q", "dp", "dq", "qi", "k"})
    EXPECT_FALSE(document->root()[secret].exists());
}

// What makes a signature slow to check is said of the key, so that nobody checks it on a reactor.
TEST(JoseKeyTest, CostlyKeysAreTold) {
  const auto of_bytes = [](std::size_t bytes) {
    Bytes odd(bytes, 0xff);
    return *PublicKey::from_rsa(base::base64url_encode(odd), "AQAB");
  };
  EXPECT_FALSE(of_bytes(256).costly());
  EXPECT_FALSE(of_bytes(512).costly());
  EXPECT_TRUE(of_bytes(513).costly());
  EXPECT_TRUE(of_bytes(1'024).costly());
  EXPECT_FALSE(from_jwk(signing_key(JwsAlgorithm::Es384).public_jwk("k"))->costly());
  EXPECT_FALSE(from_jwk(signing_key(JwsAlgorithm::EdDsa).public_jwk("k"))->costly());
}

// --- Keys that must be refused ------------------------------------------------------------------

std::string modulus(int bits) {
  EVP_PKEY* key = EVP_RSA_gen(static_cast<std::size_t>(bits));
  BIGNUM* n = nullptr;
  EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n);
  Bytes bytes(static_cast<std::size_t>(BN_num_bytes(n)));
  BN_bn2bin(n, bytes.data());
  BN_free(n);
  EVP_PKEY_free(key);
  return base::base64url_encode(bytes);
}

TEST(JoseKeyTest, RsaKeysOfRefusedSizesAndExponents) {
  std::string n = public_member(JwsAlgorithm::Rs256, "n");
  ASSERT_TRUE(PublicKey::from_rsa(n, "AQAB")) << "control";
  EXPECT_TRUE(PublicKey::from_rsa(modulus(1024), "AQAB").error().is(CryptoError::BadKey));
  EXPECT_FALSE(PublicKey::from_rsa(modulus(2040), "AQAB"));
  EXPECT_FALSE(PublicKey::from_rsa(base::base64url_encode(Bytes(1025, 0xff)), "AQAB")) << "8200 bits";
  EXPECT_FALSE(PublicKey::from_rsa(n, "Aw")) << "e = 3";
  EXPECT_FALSE(PublicKey::from_rsa(n, "AQ")) << "e = 1: the signature would be the message";
  EXPECT_FALSE(PublicKey::from_rsa(n, "AA")) << "e = 0";
  EXPECT_FALSE(PublicKey::from_rsa(n, "AQAC")) << "even";
  EXPECT_FALSE(PublicKey::from_rsa(n, ""));
  EXPECT_FALSE(PublicKey::from_rsa("", "AQAB"));
  EXPECT_FALSE(PublicKey::from_rsa(n + "=", "AQAB"));
  EXPECT_FALSE(PublicKey::from_rsa(n, "AQAB=="));
  EXPECT_FALSE(PublicKey::from_rsa(n, base::base64url_encode(Bytes(5, 1)))) << "an exponent of 33 bits";
  EXPECT_FALSE(PublicKey::from_rsa(n, std::string(12, 'A') + "AQAB")) << "however many zeros lead it";
  EXPECT_FALSE(PublicKey::from_rsa(std::string(1'400, 'A') + n, "AQAB"));
  Bytes even = decoded(n);
  even.back() &= 0xfe;
  EXPECT_FALSE(PublicKey::from_rsa(base::base64url_encode(even), "AQAB"));
}

TEST(JoseKeyTest, EcPointsMustLieOnTheNamedCurveInFullLength) {
  std::string x = public_member(JwsAlgorithm::Es256, "x");
  std::string y = public_member(JwsAlgorithm::Es256, "y");
  ASSERT_TRUE(PublicKey::from_ec("P-256", x, y)) << "control";
  Bytes off = decoded(y);
  off[31] ^= 1;
  EXPECT_TRUE(PublicKey::from_ec("P-256", x, base::base64url_encode(off)).error().is(CryptoError::BadKey));
  EXPECT_FALSE(PublicKey::from_ec("P-256", y, x));
  EXPECT_FALSE(PublicKey::from_ec("P-384", x, y));
  EXPECT_FALSE(PublicKey::from_ec("P-256", public_member(JwsAlgorithm::Es384, "x"),
                                  public_member(JwsAlgorithm::Es384, "y")));
  EXPECT_FALSE(PublicKey::from_ec("P-256", base::base64url_encode(Bytes(32, 0)),
                                  base::base64url_encode(Bytes(32, 0))));
  EXPECT_FALSE(PublicKey::from_ec("P-256", base::base64url_encode(Bytes(32, 0xff)), y))
      << "not below the prime";
  EXPECT_FALSE(PublicKey::from_ec("P-256", x, ""));
  EXPECT_FALSE(PublicKey::from_ec("P-256", x + "A", y));
  Bytes longer = decoded(x);
  longer.insert(longer.begin(), 0);
  EXPECT_FALSE(PublicKey::from_ec("P-256", base::base64url_encode(longer), y));
  for (const char* curve : {"P-522", "secp256k1", "p-256", "", "prime256v1"}) {
    EXPECT_TRUE(PublicKey::from_ec(curve, x, y).error().is(CryptoError::Unsupported)) << curve;
  }
}

TEST(JoseKeyTest, Ed25519PointsMustBeUsable) {
  std::string x = public_member(JwsAlgorithm::EdDsa, "x");
  ASSERT_TRUE(PublicKey::from_okp("Ed25519", x)) << "control";
  Bytes neutral(32, 0);
  neutral[0] = 1;
  EXPECT_FALSE(PublicKey::from_okp("Ed25519", base::base64url_encode(neutral))) << "small order";
  EXPECT_FALSE(PublicKey::from_okp("Ed25519", base::base64url_encode(Bytes(32, 0))));
  EXPECT_FALSE(PublicKey::from_okp("Ed25519", base::base64url_encode(Bytes(32, 0xff)))) << "not canonical";
  EXPECT_FALSE(PublicKey::from_okp("Ed25519", base::base64url_encode(Bytes(31, 2))));
  EXPECT_FALSE(PublicKey::from_okp("Ed25519", x + "="));
  EXPECT_TRUE(PublicKey::from_okp("Ed448", x).error().is(CryptoError::Unsupported));
  EXPECT_TRUE(PublicKey::from_okp("X25519", x).error().is(CryptoError::Unsupported));
}

TEST(JoseKeyTest, RefusalsKeepTheKeyOutOfThePublicMessage) {
  auto refused = PublicKey::from_rsa(modulus(1024), "AQAB");
  EXPECT_NE(refused.error().detail().find("1024"), std::string::npos);
  EXPECT_EQ(refused.error().message().find("1024"), std::string::npos);
}

// PS256 fixes the salt to 32 bytes (RFC 7518 section 3.5).
TEST(JoseTest, PssSaltsOfOtherLengthsAreRefused) {
  EVP_PKEY* key = EVP_RSA_gen(2048);
  auto number = [key](const char* name) {
    BIGNUM* n = nullptr;
    EVP_PKEY_get_bn_param(key, name, &n);
    Bytes bytes(static_cast<std::size_t>(BN_num_bytes(n)));
    BN_bn2bin(n, bytes.data());
    BN_free(n);
    return base::base64url_encode(bytes);
  };
  auto public_key = PublicKey::from_rsa(number(OSSL_PKEY_PARAM_RSA_N), number(OSSL_PKEY_PARAM_RSA_E));
  ASSERT_TRUE(public_key);
  for (int salt : {32, 0, 20, 222}) {
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    EVP_PKEY_CTX* options = nullptr;
    EVP_DigestSignInit_ex(context, &options, "SHA256", nullptr, nullptr, key, nullptr);
    EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING);
    EVP_PKEY_CTX_set_rsa_pss_saltlen(options, salt);
    Bytes signature(256);
    std::size_t size = signature.size();
    ASSERT_EQ(EVP_DigestSign(context, signature.data(), &size, as_bytes("m").data(), 1), 1) << salt;
    EXPECT_EQ(public_key->verify(JwsAlgorithm::Ps256, as_bytes("m"), signature), salt == 32) << salt;
    EVP_MD_CTX_free(context);
  }
  EVP_PKEY_free(key);
}

}  // namespace
}  // namespace bulkhead::crypto
