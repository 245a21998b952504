#include "identity/jwks.h"

namespace bulkhead::identity {

namespace json = base::json;
using base::Error;
using base::Result;

namespace {

Error bad_set(std::string why) {
  return Error(IdentityError::IssuerUnavailable,
               "The identity provider's key set can't be used: " + std::move(why));
}

std::string_view text(const json::Value& object, std::string_view name) {
  return object[name].as_string().value_or("");
}

bool for_signatures(const json::Value& jwk) {
  if (json::Value use = jwk["use"]; use.exists() && use.as_string() != "sig") return false;
  json::Value operations = jwk["key_ops"];
  if (!operations.exists()) return true;
  for (std::size_t i = 0; i < operations.size(); ++i) {
    if (operations.at(i).as_string() == "verify") return true;
  }
  return false;
}

Result<crypto::PublicKey> public_key(const json::Value& jwk) {
  std::string_view type = text(jwk, "kty");
  if (type == "RSA") return crypto::PublicKey::from_rsa(text(jwk, "n"), text(jwk, "e"));
  if (type == "EC") return crypto::PublicKey::from_ec(text(jwk, "crv"), text(jwk, "x"), text(jwk, "y"));
  if (type == "OKP") return crypto::PublicKey::from_okp(text(jwk, "crv"), text(jwk, "x"));
  return Error(crypto::CryptoError::Unsupported, "Unsupported key type.");
}

// RFC 7638 section 3.2: the members that make the key, in the order of their names.
crypto::Digest thumbprint(const json::Value& jwk) {
  json::Writer w;
  w.begin_object();
  for (std::string_view member : {"crv", "e", "kty", "n", "x", "y"}) {
    if (const auto value = jwk[member].as_string()) w.member(member, *value);
  }
  w.end_object();
  return crypto::sha256(w.text());
}

}  // namespace

JwksDocument::JwksDocument(json::Document document)
    : document_(std::move(document)), list_(document_.root()["keys"]) {}

Result<JwksDocument> JwksDocument::parse(std::string_view body) {
  json::Limits limits;
  limits.bytes_max = kJwksBytesMax;
  auto document = json::Document::parse(body, limits);
  if (!document) return bad_set(document.error().message());
  JwksDocument set(std::move(*document));
  if (!set.list_.is_array() || set.list_.size() > kJwksKeysMax) {
    return bad_set("`keys` is not a list of at most " + std::to_string(kJwksKeysMax) + " keys");
  }
  return set;
}

Result<std::optional<Jwk>> JwksDocument::key(std::size_t index) const {
  const json::Value jwk = list_.at(index);
  if (!for_signatures(jwk)) return std::optional<Jwk>();
  const auto algorithm = crypto::parse_jws_algorithm(text(jwk, "alg"));
  if (jwk["alg"].exists() && !algorithm) return std::optional<Jwk>();
  auto key = public_key(jwk);
  if (!key && key.error().is(crypto::CryptoError::Unsupported)) return std::optional<Jwk>();
  if (!key) return key.take_error();
  return std::optional<Jwk>(Jwk{std::string(text(jwk, "kid")), algorithm, thumbprint(jwk), std::move(*key)});
}

const Jwk* find_key(const std::vector<Jwk>& keys, std::string_view id, crypto::JwsAlgorithm algorithm) {
  const Jwk* found = nullptr;
  for (const Jwk& key : keys) {
    if (!key.key.fits(algorithm) || (key.algorithm && *key.algorithm != algorithm)) continue;
    if (!id.empty() && key.id != id) continue;
    if (found && found->thumbprint != key.thumbprint) return nullptr;
    found = &key;
  }
  return found;
}

}  // namespace bulkhead::identity
