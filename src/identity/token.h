// JSON Web Tokens (RFC 7515, 7519) as untrusted text. An UnverifiedToken has been taken apart and
// bounded, nothing more: its claims are not to be believed, and no Principal comes from it but
// through token_verifier.h.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/json.h"
#include "base/result.h"
#include "crypto/jose.h"
#include "identity/error.h"

namespace bulkhead::identity {

// A `typ` as it is compared (RFC 7515 section 4.1.9, RFC 9068 section 4): lower case, without a
// leading "application/".
std::string normal_token_type(std::string_view type);

class UnverifiedToken {
 public:
  // A compact JWS: three parts, strict base64url, header and claims strict JSON objects. Header
  // members that would steer the verifier (crit, jku, jwk, x5u, x5c, b64, zip, enc) are refused.
  static base::Result<UnverifiedToken> parse(std::string_view compact, std::size_t bytes_max);

  crypto::JwsAlgorithm algorithm() const { return algorithm_; }
  const std::string& type() const { return type_; }      // lower case, without "application/"
  const std::string& key_id() const { return key_id_; }  // "" when absent
  std::string_view signing_input() const { return signing_input_; }
  base::ByteView signature() const { return signature_; }
  base::json::Value unverified_claims() const { return claims_.root(); }

 private:
  explicit UnverifiedToken(base::json::Document claims) : claims_(std::move(claims)) {}
  crypto::JwsAlgorithm algorithm_ = crypto::JwsAlgorithm::Es256;
  std::string type_, key_id_, signing_input_;
  base::Bytes signature_;
  base::json::Document claims_;
};

}  // namespace bulkhead::identity
