#include "identity/token_verifier.h"

#include <algorithm>
#include <cmath>

#include "identity/claim_errors.h"
#include "identity/name_claims.h"
#include "identity/principal_factory.h"
#include "identity/tenant_claim.h"
#include "identity/token_kind.h"

namespace bulkhead::identity {

namespace json = base::json;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kSubjectBytesMax = 255;
constexpr std::size_t kAudiencesMax = 64;
constexpr double kLatestSecond = 4'102'444'800.0;  // 2100-01-01: no honest token lives that long
constexpr std::string_view kSubjectClaim = "sub";
// Where issuers say which client a token was given to: RFC 9068; Okta; Entra's version 1.
constexpr std::string_view kClientClaims[] = {"azp", "client_id", "cid", "appid"};

// NumericDate: a JSON number of seconds, fractions allowed (RFC 7519 section 2).
Result<std::optional<double>> read_time(const json::Value& claims, std::string_view name) {
  json::Value value = claims[name];
  if (!value.exists()) return std::optional<double>();
  auto number = value.as_double();
  if (!number || !std::isfinite(*number) || *number < 0 || *number > kLatestSecond) {
    return claim_invalid(name, "a number of seconds since 1970");
  }
  return number;
}

Result<void> check_times(const json::Value& claims, const IssuerConfig& issuer, double now,
                         std::int64_t& expires) {
  auto leeway = static_cast<double>(issuer.clock_leeway.count());
  auto age_max = static_cast<double>(issuer.token_age_max.count());
  BULKHEAD_TRY(exp, read_time(claims, "exp"));
  BULKHEAD_TRY(nbf, read_time(claims, "nbf"));
  BULKHEAD_TRY(iat, read_time(claims, "iat"));
  if (!exp) return claim_missing("exp");
  if (now >= *exp + leeway) {
    return Error(IdentityError::Expired, "The token has expired. Get a new one.").with_parameter("exp");
  }
  if (nbf && *nbf > now + leeway) {
    return Error(IdentityError::NotYetValid, "The token is not valid yet. Check the clocks.")
        .with_parameter("nbf");
  }
  if (iat && *iat > now + leeway) {
    return Error(IdentityError::NotYetValid, "The token was issued in the future. Check the clocks.")
        .with_parameter("iat");
  }
  if (*exp - iat.value_or(now) > age_max) {
    return claim_invalid(
        "exp", "a life of at most " + std::to_string(issuer.token_age_max.count()) + " s (token_age_max)");
  }
  expires = static_cast<std::int64_t>(*exp);
  return Result<void>();
}

Result<void> check_audience(const json::Value& claims, const IssuerConfig& issuer) {
  const json::Value aud = claims["aud"];
  if (!aud.exists()) {
    if (!issuer.client_ids.empty()) return Result<void>();  // the client stands for it
    return claim_missing("aud", one_of(issuer.audiences));
  }
  const auto accepted = [&issuer](std::string_view name) {
    return std::find(issuer.audiences.begin(), issuer.audiences.end(), name) != issuer.audiences.end();
  };
  const Error wrong = Error(IdentityError::AudienceWrong, "The token is meant for another audience.",
                            one_of(issuer.audiences))
                          .with_parameter("aud");
  if (const auto single = aud.as_string()) {
    if (accepted(*single)) return Result<void>();
    return wrong;
  }
  const Error invalid = claim_invalid("aud", "a name or a list of at most 64 names");
  if (!aud.is_array() || aud.size() > kAudiencesMax) return invalid;
  bool found = false;
  for (std::size_t i = 0; i < aud.size(); ++i) {
    const auto name = aud.at(i).as_string();
    if (!name) return invalid;
    found = found || accepted(*name);
  }
  if (!found) return wrong;
  return Result<void>();
}

bool intersects(const std::vector<std::string>& left, const std::vector<std::string>& right) {
  return std::any_of(left.begin(), left.end(), [&right](const std::string& item) {
    return std::find(right.begin(), right.end(), item) != right.end();
  });
}

Result<std::string> read_short(const json::Value& claim, std::string_view name) {
  const auto text = claim.as_string();
  if (!text || text->size() > kSubjectBytesMax || has_control(*text)) {
    return claim_invalid(name, "a text of at most 255 bytes without control characters");
  }
  return std::string(*text);
}

// A claim that is optional; when it is there it must be a short string.
Result<std::string> read_optional(const json::Value& claims, std::string_view name) {
  if (!claims[name].exists()) return std::string();
  return read_short(claims[name], name);
}

Result<std::string> read_client(const json::Value& claims, const IssuerConfig& issuer) {
  std::string_view claim = kClientClaims[0];
  for (std::string_view name : kClientClaims) {
    claim = name;
    if (claims[name].exists()) break;
  }
  if (!claims[claim].exists()) claim = "client_id";
  BULKHEAD_TRY(client, read_optional(claims, claim));
  const auto& allowed = issuer.client_ids;
  if (!allowed.empty() && std::find(allowed.begin(), allowed.end(), client) == allowed.end()) {
    return Error(IdentityError::ClientWrong, "The token was given to a client that is not accepted here.",
                 one_of(allowed))
        .with_parameter(std::string(claim));
  }
  return client;
}

Result<std::string> read_user(const json::Value& claims, const IssuerConfig& issuer) {
  const json::Value claim = issuer.user_claim.find(claims);
  if (!claim.exists()) return claim_missing(issuer.user_claim.name());
  BULKHEAD_TRY(user, read_short(claim, issuer.user_claim.name()));
  if (user.empty()) return claim_invalid(issuer.user_claim.name(), "a user's name, not an empty text");
  return user;
}

std::vector<std::string> names_of(const std::vector<crypto::JwsAlgorithm>& algorithms) {
  std::vector<std::string> names;
  for (crypto::JwsAlgorithm each : algorithms) names.emplace_back(crypto::jws_algorithm_name(each));
  return names;
}

}  // namespace

Result<void> check_header(const UnverifiedToken& token, const IssuerConfig& issuer) {
  if (std::find(issuer.algorithms.begin(), issuer.algorithms.end(), token.algorithm()) ==
      issuer.algorithms.end()) {
    return Error(IdentityError::AlgorithmRefused, "The token's signature algorithm is not accepted.",
                 one_of(names_of(issuer.algorithms)) + "; the token has " +
                     std::string(crypto::jws_algorithm_name(token.algorithm())))
        .with_parameter("alg");
  }
  const bool needs_type = issuer.require_type && !says_access_token(token.unverified_claims());
  if (token.type().empty() && !needs_type) return Result<void>();
  // A token without a type may still say what it is, which is the better reason.
  if (token.type().empty()) BULKHEAD_CHECK_OK(check_token_kind(token.unverified_claims()));
  for (const std::string& type : issuer.token_types) {
    if (normal_token_type(type) == token.type()) return Result<void>();
  }
  return Error(IdentityError::HeaderRefused, "The token is of a type that is not accepted here.",
               one_of(issuer.token_types))
      .with_parameter("typ");
}

Result<std::shared_ptr<const Principal>> principal_from_verified(const UnverifiedToken& token,
                                                                 const IssuerConfig& issuer,
                                                                 const UserNames& names,
                                                                 const base::Clock& clock) {
  json::Value claims = token.unverified_claims();
  PrincipalFacts facts;
  auto now = static_cast<double>(clock.unix_seconds());
  if (claims["iss"].as_string() != issuer.issuer) return claim_invalid("iss", issuer.issuer);
  BULKHEAD_CHECK_OK(check_token_kind(claims));
  BULKHEAD_CHECK_OK(check_times(claims, issuer, now, facts.expires));
  BULKHEAD_CHECK_OK(check_audience(claims, issuer));
  BULKHEAD_TRY(client, read_client(claims, issuer));
  BULKHEAD_TRY(user, read_user(claims, issuer));
  BULKHEAD_TRY(token_id, read_optional(claims, "jti"));
  BULKHEAD_TRY(login, read_optional(claims, "sid"));
  BULKHEAD_TRY(tenant, read_tenant(claims, issuer));
  const bool ignore = issuer.ignore_claims_elsewhere;
  BULKHEAD_TRY(roles, read_names(claims, issuer.roles_claims, issuer.role_names, ignore));
  BULKHEAD_TRY(groups, read_names(claims, issuer.groups_claims, issuer.group_names, ignore));
  facts.subject = std::move(user);
  facts.user_issuer = issuer.issuer;
  // Records of before hold `sub`: another claim's value that happens to be the same is somebody else.
  facts.earlier_user =
      tenant && issuer.user_claim.name() == kSubjectClaim && names.legacy_issuer(*tenant) == issuer.issuer;
  facts.credential_id = std::move(token_id);
  facts.client = std::move(client);
  facts.login = std::move(login);
  facts.issuer = issuer.issuer;
  facts.groups = std::move(groups);
  if (tenant) {
    facts.tenant = std::move(tenant);
    facts.roles = std::move(roles);
    return PrincipalFactory::make(std::move(facts));
  }
  if (!intersects(roles, issuer.operator_roles)) return claim_missing(issuer.tenant_claim.name(), "a tenant");
  facts.is_operator = true;
  facts.roles = {"operator"};
  return PrincipalFactory::make(std::move(facts));
}

}  // namespace bulkhead::identity
