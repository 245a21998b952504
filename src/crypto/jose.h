// JSON Web Algorithms (RFC 7518, RFC 8037) for verifying and, in the development issuer, making
// token signatures. JSON stays outside: key members arrive as strings.
//
// Thread safety: a PublicKey is immutable and may be shared between threads.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"
#include "crypto/aead.h"

namespace bulkhead::crypto {

// "none" and every HMAC algorithm are absent on purpose (RFC 8725 section 3.1, 3.2).
enum class JwsAlgorithm { Rs256, Rs384, Rs512, Ps256, Ps384, Ps512, Es256, Es384, Es512, EdDsa };
inline constexpr JwsAlgorithm kJwsAlgorithms[] = {
    JwsAlgorithm::Rs256, JwsAlgorithm::Rs384, JwsAlgorithm::Rs512, JwsAlgorithm::Ps256, JwsAlgorithm::Ps384,
    JwsAlgorithm::Ps512, JwsAlgorithm::Es256, JwsAlgorithm::Es384, JwsAlgorithm::Es512, JwsAlgorithm::EdDsa};
// EdDSA has a second name, "Ed25519" (RFC 9864): the one curve of it that is accepted here.
std::optional<JwsAlgorithm> parse_jws_algorithm(std::string_view name);
std::string_view jws_algorithm_name(JwsAlgorithm algorithm);

class PublicKey {
 public:
  // RSA: base64url n and e; n odd, of 2048 to 8192 bits, e odd, from 65537 and of 32 bits at most. Takes
  // microseconds whatever is given: that n is no prime is for whoever made it to see to.
  static base::Result<PublicKey> from_rsa(std::string_view n, std::string_view e);
  // EC: crv P-256, P-384 or P-521 with base64url x, y of exactly the curve's length; on the curve.
  static base::Result<PublicKey> from_ec(std::string_view crv, std::string_view x, std::string_view y);
  // OKP: crv Ed25519.
  static base::Result<PublicKey> from_okp(std::string_view crv, std::string_view x);

  PublicKey(const PublicKey&) = default;
  PublicKey(PublicKey&&) noexcept = default;
  PublicKey& operator=(const PublicKey&) = default;
  ~PublicKey();

  // True when this key is of the kind and size that `algorithm` needs.
  bool fits(JwsAlgorithm algorithm) const;
  // True when a signature takes a millisecond rather than microseconds to check (RSA beyond 4096 bits): not
  // on a reactor.
  bool costly() const;
  // `signature` in JWS form (EC: r || s of fixed length).
  bool verify(JwsAlgorithm algorithm, base::ByteView message, base::ByteView signature) const;

 private:
  struct Impl;
  explicit PublicKey(std::shared_ptr<const Impl> impl);
  std::shared_ptr<const Impl> impl_;
};

// A private key of the development issuer (`bulkhead dev-idp`) and of tests.
class TokenSigningKey {
 public:
  static base::Result<TokenSigningKey> generate(JwsAlgorithm algorithm);
  TokenSigningKey(TokenSigningKey&&) noexcept;
  TokenSigningKey& operator=(TokenSigningKey&&) noexcept;
  ~TokenSigningKey();
  JwsAlgorithm algorithm() const;
  base::Bytes sign(base::ByteView message) const;
  // The public half as a JWK object (JSON text) with kid, alg and use "sig".
  std::string public_jwk(std::string_view kid) const;

 private:
  struct Impl;
  explicit TokenSigningKey(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bulkhead::crypto
