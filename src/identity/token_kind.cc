#include "identity/token_kind.h"

#include "identity/token.h"

namespace bulkhead::identity {

namespace json = base::json;
using base::Error;
using base::Result;

namespace {

// Claims that access tokens don't have: of ID tokens (OpenID Connect Core sections 2, 3.1.3.6 and 3.3.2.11)
// and of logout tokens and other security events (Back-Channel Logout section 2.4, RFC 8417).
constexpr std::string_view kForeignClaims[] = {"at_hash", "c_hash", "s_hash", "nonce", "events"};
// Keycloak's claim `typ`; what else it issues says ID, Refresh, Offline, Logout and more. "JWT" says nothing.
constexpr std::string_view kAccessTypes[] = {"bearer", "dpop", "at+jwt", "jwt"};

Error not_access_token(std::string_view claim) {
  return Error(IdentityError::NotAccessToken,
               "This is not an access token but one for another purpose, such as an ID token (its claim " +
                   std::string(claim) + " says so). Send the access token.")
      .with_parameter(std::string(claim));
}

}  // namespace

bool says_access_token(const json::Value& claims) {
  if (claims["token_use"].exists()) return claims["token_use"].as_string() == "access";
  return claims["cid"].is_string() && claims["scp"].is_array();
}

Result<void> check_token_kind(const json::Value& claims) {
  for (std::string_view claim : kForeignClaims) {
    if (claims[claim].exists()) return not_access_token(claim);
  }
  if (claims["token_use"].exists() && claims["token_use"].as_string() != "access")
    return not_access_token("token_use");
  if (const json::Value kind = claims["typ"]; kind.exists()) {
    const std::string type = normal_token_type(kind.as_string().value_or(""));
    bool access = false;
    for (std::string_view accepted : kAccessTypes) access = access || type == accepted;
    if (!access) return not_access_token("typ");
  }
  if (claims["cnf"].exists()) {
    return Error(
               IdentityError::SenderConstrained,
               "The token is bound to a key of its sender (its claim cnf says so: DPoP or mutual TLS), which "
               "can't be proven here. Get a bearer token.")
        .with_parameter("cnf");
  }
  return Result<void>();
}

}  // namespace bulkhead::identity
