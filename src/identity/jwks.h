// A JSON Web Key Set (RFC 7517) as an issuer serves it: untrusted text until it is read here.
// Pure functions, thread safe. Fuzzed by fuzz/identity_jwks_fuzzer.cc.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "crypto/hash.h"
#include "crypto/jose.h"
#include "identity/error.h"

namespace bulkhead::identity {

// Large providers list some dozens; a set of this many keys of the largest size, with their certificates,
// fits kJwksBytesMax.
inline constexpr std::size_t kJwksKeysMax = 128;
inline constexpr std::size_t kJwksBytesMax = 1 << 20;

struct Jwk {
  std::string id;                                 // "" when the key names none
  std::optional<crypto::JwsAlgorithm> algorithm;  // when the key names one
  crypto::Digest thumbprint{};                    // SHA-256 of the key itself (RFC 7638)
  crypto::PublicKey key;
};

// A key set that has been taken apart, its keys not yet made: making a large one takes time, so the caller
// decides where and when. Immutable.
class JwksDocument {
 public:
  // Errors: IssuerUnavailable, for what is no key set within the bounds; the message is for the operator of
  // the issuer, no token's sender ever sees it.
  static base::Result<JwksDocument> parse(std::string_view body);
  std::size_t size() const { return list_.size(); }
  // Nothing for a key that isn't for verifying signatures with an accepted algorithm: sets of real providers
  // hold encryption keys too. An error (CryptoError) for one that says it is, and can't be used: it is no
  // reason to do without the others.
  base::Result<std::optional<Jwk>> key(std::size_t index) const;

 private:
  explicit JwksDocument(base::json::Document document);
  base::json::Document document_;
  base::json::Value list_;
};

// The one key that fits, or nothing: with an empty id the set must hold exactly one that fits, and
// two different keys under one id are not guessed between. A key that is listed again is the same key. Points
// into `keys`.
const Jwk* find_key(const std::vector<Jwk>& keys, std::string_view id, crypto::JwsAlgorithm algorithm);

}  // namespace bulkhead::identity
