// Bearer tokens as a stranger sends them. An accepted token is three parts that spell exactly the
// bytes it was read from, steers nothing, and verifies under no key that did not sign it.
#include "base/bytes.h"
#include "check.h"
#include "identity/token.h"

namespace {

using namespace bulkhead;
using fuzz::require;

constexpr std::size_t kTokenBytesMax = 4096;

// Keys of every kind, made once; RSA takes long enough to matter.
const crypto::PublicKey* key_for(crypto::JwsAlgorithm algorithm) {
  static const std::vector<crypto::PublicKey> keys = [] {
    std::vector<crypto::PublicKey> made;
    for (auto kind : {crypto::JwsAlgorithm::Rs256, crypto::JwsAlgorithm::Es256, crypto::JwsAlgorithm::Es384,
                      crypto::JwsAlgorithm::Es512, crypto::JwsAlgorithm::EdDsa}) {
      auto signing = crypto::TokenSigningKey::generate(kind);
      auto jwk = base::json::Document::parse(signing->public_jwk("k"));
      auto member = [&](std::string_view name) { return jwk->root()[name].as_string().value_or(""); };
      auto key = member("kty") == "RSA"  ? crypto::PublicKey::from_rsa(member("n"), member("e"))
                 : member("kty") == "EC" ? crypto::PublicKey::from_ec(member("crv"), member("x"), member("y"))
                                         : crypto::PublicKey::from_okp(member("crv"), member("x"));
      require(key.ok(), "a generated key can be read");
      made.push_back(*key);
    }
    return made;
  }();
  for (const crypto::PublicKey& key : keys) {
    if (key.fits(algorithm)) return &key;
  }
  return nullptr;
}

void check(std::string_view compact, const identity::UnverifiedToken& token) {
  require(compact.size() <= kTokenBytesMax, "a token stays in its bound");
  require(token.unverified_claims().is_object(), "claims are an object");
  require(token.key_id().size() <= 256, "a key id stays in its bound");
  require(!token.signature().empty(), "a signature is there");
  std::string spelt = std::string(token.signing_input()) + "." + base::base64url_encode(token.signature());
  require(spelt == compact, "a token has one spelling");
  require(crypto::parse_jws_algorithm(crypto::jws_algorithm_name(token.algorithm())) == token.algorithm(),
          "the algorithm is one of the list");
  require(
      identity::normal_token_type(token.type()) == token.type() || token.type().starts_with("application/"),
      "the type is in the form that is compared");
  // A key of the right kind that never signed this.
  const crypto::PublicKey* key = key_for(token.algorithm());
  require(key != nullptr, "every algorithm has a key that fits");
  require(!key->verify(token.algorithm(), base::as_bytes(token.signing_input()), token.signature()),
          "no token verifies under a foreign key");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text = fuzz::text_of(data, size);
  auto token = identity::UnverifiedToken::parse(text, kTokenBytesMax);
  if (token) {
    check(text, *token);
  } else {
    fuzz::require_told(token.error());
    require(token.error().as<identity::IdentityError>().has_value(), "an error is one of identity's own");
  }

  // The same bytes as header and claims in plain text ("header, LF, claims"), which lets the search
  // reach past base64url.
  std::string_view claims = text;
  std::string_view header = fuzz::take_line(claims);
  std::string made = base::base64url_encode(base::as_bytes(header)) + "." +
                     base::base64url_encode(base::as_bytes(claims)) + ".c2lnbmF0dXJl";
  auto encoded = identity::UnverifiedToken::parse(made, kTokenBytesMax);
  if (encoded) {
    check(made, *encoded);
    auto read = base::json::Document::parse(header);
    require(read.ok(), "an accepted header is JSON");
    for (std::string_view name : {"crit", "jku", "jwk", "x5u", "x5c", "b64", "zip", "enc"}) {
      require(!read->root()[name].exists(), "no accepted header steers the verifier");
    }
    std::string_view algorithm = read->root()["alg"].as_string().value_or("");
    require(algorithm == crypto::jws_algorithm_name(encoded->algorithm()), "the algorithm is the one named");
  } else {
    fuzz::require_told(encoded.error());
  }
  return 0;
}
