#include "identity/token.h"

#include <algorithm>

namespace bulkhead::identity {

namespace json = base::json;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kKeyIdBytesMax = 256;
constexpr std::string_view kSteeringMembers[] = {"crit", "jku", "jwk", "x5u", "x5c", "b64", "zip", "enc"};

Error malformed(std::string detail) {
  return Error(IdentityError::Malformed, "The bearer token is not a valid token or API key.",
               std::move(detail));
}

Result<json::Document> parse_part(std::string_view part, const char* what) {
  auto bytes = base::base64url_decode(part);
  if (!bytes) return malformed(std::string(what) + " is not base64url");
  json::Limits limits;
  limits.depth_max = 16;
  auto document = json::Document::parse(base::as_text(*bytes), limits);
  // Only the kind of mistake: the parser's message may quote the token, and this goes to the log.
  if (!document) return malformed(std::string(what) + ": " + std::string(document.error().name().code));
  if (!document->root().is_object()) return malformed(std::string(what) + " is not an object");
  return document;
}

}  // namespace

std::string normal_token_type(std::string_view type) {
  std::string lower(type);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c); });
  constexpr std::string_view kApplication = "application/";
  if (lower.starts_with(kApplication)) lower.erase(0, kApplication.size());
  return lower;
}

Result<UnverifiedToken> UnverifiedToken::parse(std::string_view compact, std::size_t bytes_max) {
  if (compact.size() > bytes_max) return malformed("longer than " + std::to_string(bytes_max));
  std::size_t first = compact.find('.');
  std::size_t second = first == std::string_view::npos ? first : compact.find('.', first + 1);
  if (second == std::string_view::npos || compact.find('.', second + 1) != std::string_view::npos) {
    return malformed("not three parts");
  }
  BULKHEAD_TRY(header_document, parse_part(compact.substr(0, first), "header"));
  json::Value header = header_document.root();
  for (std::string_view member : kSteeringMembers) {
    if (header[member].exists()) {
      return Error(IdentityError::HeaderRefused, "The token's header holds a member that is not accepted.",
                   std::string(member));
    }
  }
  auto algorithm_text = header["alg"].as_string();
  if (!algorithm_text) return malformed("alg is missing");
  auto algorithm = crypto::parse_jws_algorithm(*algorithm_text);
  if (!algorithm) {
    return Error(IdentityError::AlgorithmRefused, "The token's signature algorithm is not accepted.");
  }
  BULKHEAD_TRY(claims, parse_part(compact.substr(first + 1, second - first - 1), "claims"));
  auto signature = base::base64url_decode(compact.substr(second + 1));
  if (!signature || signature->empty()) return malformed("signature is missing or not base64url");
  for (std::string_view member : {"typ", "kid"}) {
    if (header[member].exists() && !header[member].is_string())
      return malformed("typ or kid is not a string");
  }
  auto key_id = header["kid"].as_string().value_or("");
  if (key_id.size() > kKeyIdBytesMax) return malformed("kid is too long");

  UnverifiedToken token(std::move(claims));
  token.algorithm_ = *algorithm;
  token.type_ = normal_token_type(header["typ"].as_string().value_or(""));
  token.key_id_ = std::string(key_id);
  token.signing_input_ = std::string(compact.substr(0, second));
  token.signature_ = std::move(*signature);
  return token;
}

}  // namespace bulkhead::identity
