#include "crypto/jose.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include "base/json.h"
#include "crypto/signature.h"
#include "crypto/sodium.h"

namespace bulkhead::crypto {

using base::Bytes;
using base::ByteView;
using base::Error;
using base::Result;

namespace {

template <auto Free>
struct Deleter {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, Deleter<EVP_PKEY_CTX_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Deleter<EVP_MD_CTX_free>>;
using Number = std::unique_ptr<BIGNUM, Deleter<BN_free>>;
using ParamBuilder = std::unique_ptr<OSSL_PARAM_BLD, Deleter<OSSL_PARAM_BLD_free>>;
using Params = std::unique_ptr<OSSL_PARAM, Deleter<OSSL_PARAM_free>>;
using EcSignature = std::unique_ptr<ECDSA_SIG, Deleter<ECDSA_SIG_free>>;

// OpenSSL keeps a queue of errors for each thread, which the TLS code asks too: a refused signature
// must not be taken for a broken connection. Drops what was added while this lives.
class ErrorMark {
 public:
  ErrorMark() { ERR_set_mark(); }
  ~ErrorMark() { ERR_pop_to_mark(); }
  ErrorMark(const ErrorMark&) = delete;
  ErrorMark& operator=(const ErrorMark&) = delete;
};

enum class Kind { Rsa, P256, P384, P521, Ed25519 };

struct AlgorithmTraits {
  JwsAlgorithm algorithm;
  std::string_view name;
  Kind kind;
  const char* digest;  // nullptr: the scheme hashes itself
  bool pss;
};

constexpr std::array kAlgorithms = {
    AlgorithmTraits{JwsAlgorithm::Rs256, "RS256", Kind::Rsa, "SHA256", false},
    AlgorithmTraits{JwsAlgorithm::Rs384, "RS384", Kind::Rsa, "SHA384", false},
    AlgorithmTraits{JwsAlgorithm::Rs512, "RS512", Kind::Rsa, "SHA512", false},
    AlgorithmTraits{JwsAlgorithm::Ps256, "PS256", Kind::Rsa, "SHA256", true},
    AlgorithmTraits{JwsAlgorithm::Ps384, "PS384", Kind::Rsa, "SHA384", true},
    AlgorithmTraits{JwsAlgorithm::Ps512, "PS512", Kind::Rsa, "SHA512", true},
    AlgorithmTraits{JwsAlgorithm::Es256, "ES256", Kind::P256, "SHA256", false},
    AlgorithmTraits{JwsAlgorithm::Es384, "ES384", Kind::P384, "SHA384", false},
    AlgorithmTraits{JwsAlgorithm::Es512, "ES512", Kind::P521, "SHA512", false},
    AlgorithmTraits{JwsAlgorithm::EdDsa, "EdDSA", Kind::Ed25519, nullptr, false},
};

const AlgorithmTraits& traits_of(JwsAlgorithm algorithm) {
  for (const AlgorithmTraits& traits : kAlgorithms) {
    if (traits.algorithm == algorithm) return traits;
  }
  std::abort();
}

constexpr std::string_view kEd25519Name = "Ed25519";  // RFC 9864 section 2.2

constexpr int kRsaBitsMin = 2048;
constexpr int kRsaBitsMax = 8192;
constexpr int kRsaBitsQuick = 4096;
constexpr int kRsaExponentBitsMax = 32;
// Of base64url, with room for leading zeros; what is longer isn't even decoded.
constexpr std::size_t kRsaModulusTextMax = 1'400;
constexpr std::size_t kRsaExponentTextMax = 11;
constexpr std::size_t kEd25519Bytes = 32;

struct CurveTraits {
  Kind kind;
  std::string_view name;  // as a JWK's `crv` says it
  const char* group;      // as OpenSSL does
  std::size_t coordinate_bytes;
};
constexpr std::array kCurves = {
    CurveTraits{Kind::P256, "P-256", "prime256v1", 32},
    CurveTraits{Kind::P384, "P-384", "secp384r1", 48},
    CurveTraits{Kind::P521, "P-521", "secp521r1", 66},
};

const CurveTraits* curve_of(Kind kind) {
  for (const CurveTraits& curve : kCurves) {
    if (curve.kind == kind) return &curve;
  }
  return nullptr;
}
const CurveTraits* curve_named(std::string_view name) {
  for (const CurveTraits& curve : kCurves) {
    if (curve.name == name) return &curve;
  }
  return nullptr;
}

Error bad_key(std::string detail) {
  return Error(CryptoError::BadKey, "The key set holds a key that can't be used.", std::move(detail));
}

Number number_from(ByteView bytes) {
  return Number(BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr));
}

Result<Key> key_from_params(const char* type, OSSL_PARAM_BLD* builder) {
  Params params(OSSL_PARAM_BLD_to_param(builder));
  KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* raw = nullptr;
  if (!params || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &raw, EVP_PKEY_PUBLIC_KEY, params.get()) != 1) {
    return bad_key("OpenSSL refused the key");
  }
  return Key(raw);
}

Result<Key> checked(Key key) {
  KeyContext check(EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
  if (!check || EVP_PKEY_public_check(check.get()) != 1) return bad_key("public key check failed");
  return key;
}

// JWS carries r || s, OpenSSL wants DER (RFC 7518 section 3.4).
Bytes ec_to_der(ByteView raw) {
  std::size_t half = raw.size() / 2;
  EcSignature signature(ECDSA_SIG_new());
  Number r = number_from(raw.first(half));
  Number s = number_from(raw.subspan(half));
  if (!signature || ECDSA_SIG_set0(signature.get(), r.get(), s.get()) != 1) return {};
  static_cast<void>(r.release());
  static_cast<void>(s.release());
  int bytes = i2d_ECDSA_SIG(signature.get(), nullptr);
  if (bytes <= 0) return {};
  Bytes der(static_cast<std::size_t>(bytes));
  std::uint8_t* out = der.data();
  i2d_ECDSA_SIG(signature.get(), &out);
  return der;
}

Bytes ec_from_der(ByteView der, std::size_t half) {
  const std::uint8_t* in = der.data();
  EcSignature signature(d2i_ECDSA_SIG(nullptr, &in, static_cast<long>(der.size())));
  if (!signature) std::abort();
  const BIGNUM* r = nullptr;
  const BIGNUM* s = nullptr;
  ECDSA_SIG_get0(signature.get(), &r, &s);
  Bytes raw(half * 2);
  BN_bn2binpad(r, raw.data(), static_cast<int>(half));
  BN_bn2binpad(s, raw.data() + half, static_cast<int>(half));
  return raw;
}

bool set_padding(EVP_PKEY_CTX* context, const AlgorithmTraits& traits) {
  if (traits.kind != Kind::Rsa) return true;
  if (!traits.pss) return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1;
  // The PS algorithms fix the salt to the digest's length (RFC 7518 section 3.5).
  return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1;
}

}  // namespace

std::optional<JwsAlgorithm> parse_jws_algorithm(std::string_view name) {
  for (const AlgorithmTraits& traits : kAlgorithms) {
    if (traits.name == name) return traits.algorithm;
  }
  if (name == kEd25519Name) return JwsAlgorithm::EdDsa;
  return std::nullopt;
}

std::string_view jws_algorithm_name(JwsAlgorithm algorithm) { return traits_of(algorithm).name; }

struct PublicKey::Impl {
  Key key;
  Kind kind;
  std::optional<VerifyKey> ed25519;  // instead of `key`: libsodium takes half of OpenSSL's time

  // A context for each algorithm of this kind, made ready once and copied for each signature: what
  // makes EVP_DigestVerifyInit slow in OpenSSL 3 is finding the digest and the scheme by name.
  struct Prepared {
    JwsAlgorithm algorithm;
    DigestContext context;
  };
  std::vector<Prepared> prepared;

  bool prepare() {
    for (const AlgorithmTraits& traits : kAlgorithms) {
      if (traits.kind != kind || !key) continue;
      DigestContext context(EVP_MD_CTX_new());
      EVP_PKEY_CTX* key_context = nullptr;
      if (!context ||
          EVP_DigestVerifyInit_ex(context.get(), &key_context, traits.digest, nullptr, nullptr, key.get(),
                                  nullptr) != 1 ||
          !set_padding(key_context, traits)) {
        return false;
      }
      prepared.push_back({traits.algorithm, std::move(context)});
    }
    return true;
  }

  static Result<std::shared_ptr<const Impl>> make(Key key, Kind kind) {
    auto impl = std::make_shared<Impl>();
    impl->key = std::move(key);
    impl->kind = kind;
    if (!impl->prepare()) return bad_key("OpenSSL can't verify with the key");
    return std::shared_ptr<const Impl>(std::move(impl));
  }

  bool verify(JwsAlgorithm algorithm, ByteView message, ByteView signature) const {
    for (const Prepared& ready : prepared) {
      if (ready.algorithm != algorithm) continue;
      DigestContext context(EVP_MD_CTX_new());
      return context && EVP_MD_CTX_copy_ex(context.get(), ready.context.get()) == 1 &&
             EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(),
                              message.size()) == 1;
    }
    return false;
  }
};

PublicKey::PublicKey(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
PublicKey::~PublicKey() = default;

Result<PublicKey> PublicKey::from_rsa(std::string_view n, std::string_view e) {
  ErrorMark mark;
  if (n.size() > kRsaModulusTextMax || e.size() > kRsaExponentTextMax) {
    return bad_key("RSA: n or e is longer than any that is accepted");
  }
  auto modulus = base::base64url_decode(n);
  auto exponent = base::base64url_decode(e);
  if (!modulus || !exponent || modulus->empty() || exponent->empty()) {
    return bad_key("RSA: n or e is not base64url");
  }
  Number number_n = number_from(*modulus);
  Number number_e = number_from(*exponent);
  int bits = BN_num_bits(number_n.get());
  if (bits < kRsaBitsMin || bits > kRsaBitsMax) {
    return bad_key("RSA: " + std::to_string(bits) + " bits; 2048 to 8192 are accepted");
  }
  if (!BN_is_odd(number_n.get())) return bad_key("RSA: the modulus is even");
  if (!BN_is_odd(number_e.get()) || BN_num_bits(number_e.get()) > kRsaExponentBitsMax ||
      BN_get_word(number_e.get()) < 65537) {
    return bad_key("RSA: public exponent is even, below 65537 or of more than 32 bits");
  }
  ParamBuilder builder(OSSL_PARAM_BLD_new());
  OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, number_n.get());
  OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, number_e.get());
  // OpenSSL's public key check is left out: for 8192 bits it looks for primes for up to a second, and it
  // guards an issuer against its own mistakes only, who could as well give its private key away.
  BULKHEAD_TRY(key, key_from_params("RSA", builder.get()));
  BULKHEAD_TRY(impl, Impl::make(std::move(key), Kind::Rsa));
  return PublicKey(std::move(impl));
}

Result<PublicKey> PublicKey::from_ec(std::string_view crv, std::string_view x, std::string_view y) {
  ErrorMark mark;
  const CurveTraits* curve = curve_named(crv);
  if (!curve) {
    return Error(CryptoError::Unsupported, "The key set holds a key that can't be used.",
                 "EC: only P-256, P-384 and P-521 are accepted");
  }
  auto x_bytes = base::base64url_decode(x);
  auto y_bytes = base::base64url_decode(y);
  const std::size_t width = curve->coordinate_bytes;
  if (!x_bytes || !y_bytes || x_bytes->size() != width || y_bytes->size() != width) {
    return bad_key("EC: coordinates must be base64url of the curve's full length");
  }
  Bytes point = {POINT_CONVERSION_UNCOMPRESSED};
  point.insert(point.end(), x_bytes->begin(), x_bytes->end());
  point.insert(point.end(), y_bytes->begin(), y_bytes->end());
  ParamBuilder builder(OSSL_PARAM_BLD_new());
  OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, curve->group, 0);
  OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size());
  BULKHEAD_TRY(unchecked, key_from_params("EC", builder.get()));
  BULKHEAD_TRY(key, checked(std::move(unchecked)));
  BULKHEAD_TRY(impl, Impl::make(std::move(key), curve->kind));
  return PublicKey(std::move(impl));
}

Result<PublicKey> PublicKey::from_okp(std::string_view crv, std::string_view x) {
  if (crv != "Ed25519") {
    return Error(CryptoError::Unsupported, "The key set holds a key that can't be used.",
                 "OKP: only Ed25519 is accepted");
  }
  auto bytes = base::base64url_decode(x);
  if (!bytes || bytes->size() != kEd25519Bytes) return bad_key("OKP: x must be 32 bytes");
  start_sodium();
  // Off the curve, not canonical or of small order (with which one signature fits many messages).
  if (crypto_core_ed25519_is_valid_point(bytes->data()) != 1) return bad_key("OKP: x is no usable point");
  auto impl = std::make_shared<Impl>();
  impl->kind = Kind::Ed25519;
  BULKHEAD_TRY(key, VerifyKey::parse(x));
  impl->ed25519 = key;
  return PublicKey(std::move(impl));
}

bool PublicKey::costly() const {
  return impl_->kind == Kind::Rsa && EVP_PKEY_get_bits(impl_->key.get()) > kRsaBitsQuick;
}

bool PublicKey::fits(JwsAlgorithm algorithm) const { return traits_of(algorithm).kind == impl_->kind; }

bool PublicKey::verify(JwsAlgorithm algorithm, ByteView message, ByteView signature) const {
  const AlgorithmTraits& traits = traits_of(algorithm);
  if (traits.kind != impl_->kind) return false;
  if (impl_->ed25519) return impl_->ed25519->verify(message, signature);
  ErrorMark mark;
  Bytes der;
  if (const CurveTraits* curve = curve_of(traits.kind)) {
    if (signature.size() != curve->coordinate_bytes * 2) return false;
    der = ec_to_der(signature);
    if (der.empty()) return false;
    signature = der;
  }
  return impl_->verify(algorithm, message, signature);
}

struct TokenSigningKey::Impl {
  Key key;
  JwsAlgorithm algorithm;
};

TokenSigningKey::TokenSigningKey(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TokenSigningKey::TokenSigningKey(TokenSigningKey&&) noexcept = default;
TokenSigningKey& TokenSigningKey::operator=(TokenSigningKey&&) noexcept = default;
TokenSigningKey::~TokenSigningKey() = default;

Result<TokenSigningKey> TokenSigningKey::generate(JwsAlgorithm algorithm) {
  Key key;
  switch (traits_of(algorithm).kind) {
    case Kind::Rsa: key.reset(EVP_RSA_gen(2048)); break;
    case Kind::P256: key.reset(EVP_EC_gen("P-256")); break;
    case Kind::P384: key.reset(EVP_EC_gen("P-384")); break;
    case Kind::P521: key.reset(EVP_EC_gen("P-521")); break;
    case Kind::Ed25519: key.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")); break;
  }
  if (!key) return bad_key("key generation failed");
  return TokenSigningKey(std::make_unique<Impl>(Impl{std::move(key), algorithm}));
}

JwsAlgorithm TokenSigningKey::algorithm() const { return impl_->algorithm; }

Bytes TokenSigningKey::sign(ByteView message) const {
  const AlgorithmTraits& traits = traits_of(impl_->algorithm);
  DigestContext context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* key_context = nullptr;
  std::size_t bytes = 0;
  if (!context ||
      EVP_DigestSignInit_ex(context.get(), &key_context, traits.digest, nullptr, nullptr, impl_->key.get(),
                            nullptr) != 1 ||
      !set_padding(key_context, traits) ||
      EVP_DigestSign(context.get(), nullptr, &bytes, message.data(), message.size()) != 1) {
    std::abort();
  }
  Bytes signature(bytes);
  if (EVP_DigestSign(context.get(), signature.data(), &bytes, message.data(), message.size()) != 1) {
    std::abort();
  }
  signature.resize(bytes);
  if (const CurveTraits* curve = curve_of(traits.kind)) {
    return ec_from_der(signature, curve->coordinate_bytes);
  }
  return signature;
}

std::string TokenSigningKey::public_jwk(std::string_view kid) const {
  const AlgorithmTraits& traits = traits_of(impl_->algorithm);
  auto number = [this](const char* name, std::size_t width) {
    BIGNUM* raw = nullptr;
    if (EVP_PKEY_get_bn_param(impl_->key.get(), name, &raw) != 1) std::abort();
    Number value(raw);
    Bytes bytes(width > 0 ? width : static_cast<std::size_t>(BN_num_bytes(raw)));
    BN_bn2binpad(raw, bytes.data(), static_cast<int>(bytes.size()));
    return base::base64url_encode(bytes);
  };
  // All but `kid` is an identifier or base64url and needs no escaping.
  std::string members;
  if (traits.kind == Kind::Rsa) {
    members = "\"kty\":\"RSA\",\"n\":\"" + number(OSSL_PKEY_PARAM_RSA_N, 0) + "\",\"e\":\"" +
              number(OSSL_PKEY_PARAM_RSA_E, 0) + "\"";
  } else if (const CurveTraits* curve = curve_of(traits.kind)) {
    const std::size_t width = curve->coordinate_bytes;
    members = std::string("\"kty\":\"EC\",\"crv\":\"") + std::string(curve->name) + "\",\"x\":\"" +
              number(OSSL_PKEY_PARAM_EC_PUB_X, width) + "\",\"y\":\"" +
              number(OSSL_PKEY_PARAM_EC_PUB_Y, width) + "\"";
  } else {
    Bytes bytes(kEd25519Bytes);
    std::size_t size = bytes.size();
    if (EVP_PKEY_get_raw_public_key(impl_->key.get(), bytes.data(), &size) != 1) std::abort();
    members = "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" + base::base64url_encode(bytes) + "\"";
  }
  return "{" + members + ",\"use\":\"sig\",\"alg\":\"" + std::string(traits.name) +
         "\",\"kid\":" + base::json::quote(kid) + "}";
}

}  // namespace bulkhead::crypto
