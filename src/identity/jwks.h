// A JSON Web Key Set (RFC 7517) as an issuer serves it: untrusted text until it is read here.
// Pure functions, thread safe. Fuzzed by fuzz/identity_jwks_fuzzer.cc.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "crypto/jose.h"
#include "identity/error.h"

namespace bulkhead::identity {

inline constexpr std::size_t kJwksKeysMax = 64;

struct Jwk {
  std::string id;                                 // "" when the key names none
  std::optional<crypto::JwsAlgorithm> algorithm;  // when the key names one
  crypto::PublicKey key;
};

// Keys that aren't for verifying signatures with an accepted algorithm are passed over: sets of real
// providers hold encryption keys too. Errors: IssuerUnavailable; the message is for the operator of
// the issuer, no token's sender ever sees it.
base::Result<std::vector<Jwk>> parse_jwks(std::string_view body);

// The one key that fits, or nothing: with an empty id the set must hold exactly one that fits, and
// two keys under one id are not guessed between. Points into `keys`.
const Jwk* find_key(const std::vector<Jwk>& keys, std::string_view id, crypto::JwsAlgorithm algorithm);

}  // namespace bulkhead::identity
