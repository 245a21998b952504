#include "identity/token_verifier.h"

#include <algorithm>
#include <cmath>

#include "identity/principal_factory.h"

namespace bulkhead::identity {

namespace json = base::json;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kSubjectBytesMax = 255;
constexpr std::size_t kListMax = 64;
constexpr std::size_t kListItemBytesMax = 128;
constexpr double kLatestSecond = 4'102'444'800.0;  // 2100-01-01: no honest token lives that long

Error invalid(std::string what) {
  return Error(IdentityError::ClaimInvalid, "A claim of the token is not acceptable.", std::move(what));
}

Error missing(std::string what) {
  return Error(IdentityError::ClaimMissing, "The token lacks a claim that is needed.", std::move(what));
}

// NumericDate: a JSON number of seconds, fractions allowed (RFC 7519 section 2).
Result<std::optional<double>> read_time(const json::Value& claims, std::string_view name) {
  json::Value value = claims[name];
  if (!value.exists()) return std::optional<double>();
  auto number = value.as_double();
  if (!number || !std::isfinite(*number) || *number < 0 || *number > kLatestSecond) {
    return invalid(std::string(name) + " is not a time");
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
  if (!exp) return missing("exp");
  if (now >= *exp + leeway) return Error(IdentityError::Expired, "The token has expired. Get a new one.");
  if (nbf && *nbf > now + leeway) {
    return Error(IdentityError::NotYetValid, "The token is not valid yet. Check the clocks.");
  }
  if (iat && *iat > now + leeway) {
    return Error(IdentityError::NotYetValid, "The token was issued in the future. Check the clocks.");
  }
  if (*exp - iat.value_or(now) > age_max) return invalid("the token lives longer than token_age_max");
  expires = static_cast<std::int64_t>(*exp);
  return Result<void>();
}

Result<void> check_audience(const json::Value& claims, const IssuerConfig& issuer) {
  json::Value aud = claims["aud"];
  if (!aud.exists()) return missing("aud");
  auto accepted = [&issuer](std::string_view name) {
    return std::find(issuer.audiences.begin(), issuer.audiences.end(), name) != issuer.audiences.end();
  };
  Error wrong(IdentityError::AudienceWrong, "The token is meant for another audience.");
  if (auto single = aud.as_string()) {
    if (accepted(*single)) return Result<void>();
    return wrong;
  }
  if (!aud.is_array() || aud.size() > kListMax) return invalid("aud is neither a string nor a list");
  bool found = false;
  for (std::size_t i = 0; i < aud.size(); ++i) {
    auto name = aud.at(i).as_string();
    if (!name) return invalid("aud holds something that is not a string");
    found = found || accepted(*name);
  }
  if (!found) return wrong;
  return Result<void>();
}

// "ext.tenant_id" descends into objects; a claim literally named with dots wins.
json::Value at_path(json::Value claims, std::string_view path) {
  if (json::Value whole = claims[path]; whole.exists()) return whole;
  while (true) {
    std::size_t dot = path.find('.');
    claims = claims[path.substr(0, dot)];
    if (dot == std::string_view::npos || !claims.exists()) return claims;
    path.remove_prefix(dot + 1);
  }
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F; });
}

Result<std::vector<std::string>> read_list(const json::Value& value, std::string_view name) {
  std::vector<std::string> items;
  if (!value.exists() || value.is_null()) return items;
  auto add = [&](std::string_view item) {
    if (item.size() > kListItemBytesMax || has_control(item) || items.size() >= kListMax) return false;
    if (!item.empty()) items.emplace_back(item);
    return true;
  };
  bool fits = true;
  if (auto text = value.as_string()) {
    std::string_view rest = *text;
    while (fits && !rest.empty()) {
      std::size_t space = rest.find(' ');
      fits = add(rest.substr(0, space));
      rest = space == std::string_view::npos ? std::string_view() : rest.substr(space + 1);
    }
  } else if (value.is_array() && value.size() <= kListMax) {
    for (std::size_t i = 0; fits && i < value.size(); ++i) {
      auto item = value.at(i).as_string();
      fits = item && add(*item);
    }
  } else {
    fits = false;
  }
  if (!fits) return invalid(std::string(name) + " is not a list of short strings");
  return items;
}

bool intersects(const std::vector<std::string>& left, const std::vector<std::string>& right) {
  return std::any_of(left.begin(), left.end(), [&right](const std::string& item) {
    return std::find(right.begin(), right.end(), item) != right.end();
  });
}

// A claim that is optional; when it is there it must be a short string.
Result<std::string> read_name(const json::Value& claims, std::string_view claim) {
  if (!claims[claim].exists()) return std::string();
  auto text = claims[claim].as_string();
  if (!text) return invalid(std::string(claim) + " is not a string");
  if (text->size() > kSubjectBytesMax || has_control(*text)) return invalid(std::string(claim));
  return std::string(*text);
}

// The tenant that the token speaks for, within what the issuer may say.
Result<std::optional<base::TenantId>> read_tenant(const json::Value& claims, const IssuerConfig& issuer) {
  json::Value claim = at_path(claims, issuer.tenant_claim);
  if (!claim.exists()) return std::optional<base::TenantId>();
  auto name = claim.as_string();
  auto tenant = name ? base::TenantId::parse(*name) : std::nullopt;
  if (!tenant) return invalid(issuer.tenant_claim + " is not a tenant's name");
  bool bound = !issuer.tenants.empty();
  if (bound &&
      std::find(issuer.tenants.begin(), issuer.tenants.end(), tenant->str()) == issuer.tenants.end()) {
    return Error(IdentityError::TenantNotOfIssuer, "This issuer may not speak for the tenant in the token.");
  }
  return tenant;
}

}  // namespace

Result<void> check_header(const UnverifiedToken& token, const IssuerConfig& issuer) {
  if (std::find(issuer.algorithms.begin(), issuer.algorithms.end(), token.algorithm()) ==
      issuer.algorithms.end()) {
    return Error(IdentityError::AlgorithmRefused, "The token's signature algorithm is not accepted.",
                 std::string(crypto::jws_algorithm_name(token.algorithm())));
  }
  if (token.type().empty() && !issuer.require_type) return Result<void>();
  for (const std::string& type : issuer.token_types) {
    if (normal_token_type(type) == token.type()) return Result<void>();
  }
  return Error(IdentityError::HeaderRefused, "The token is of a type that is not accepted here.",
               "typ \"" + token.type() + "\"");
}

Result<std::shared_ptr<const Principal>> principal_from_verified(const UnverifiedToken& token,
                                                                 const IssuerConfig& issuer,
                                                                 const UserNames& names,
                                                                 const base::Clock& clock) {
  json::Value claims = token.unverified_claims();
  PrincipalFacts facts;
  auto now = static_cast<double>(clock.unix_seconds());
  if (claims["iss"].as_string() != issuer.issuer) return invalid("iss differs from the issuer");
  BULKHEAD_CHECK_OK(check_times(claims, issuer, now, facts.expires));
  BULKHEAD_CHECK_OK(check_audience(claims, issuer));
  if (!claims["sub"].exists()) return missing("sub");
  auto subject = claims["sub"].as_string();
  if (!subject || subject->empty()) return invalid("sub is not a name");
  if (subject->size() > kSubjectBytesMax || has_control(*subject)) return invalid("sub");
  BULKHEAD_TRY(token_id, read_name(claims, "jti"));
  BULKHEAD_TRY(client, read_name(claims, claims["azp"].exists() ? "azp" : "client_id"));
  BULKHEAD_TRY(login, read_name(claims, "sid"));
  BULKHEAD_TRY(tenant, read_tenant(claims, issuer));
  BULKHEAD_TRY(roles, read_list(at_path(claims, issuer.roles_claim), issuer.roles_claim));
  BULKHEAD_TRY(groups, read_list(at_path(claims, issuer.groups_claim), issuer.groups_claim));
  facts.subject = std::string(*subject);
  facts.user_issuer = issuer.issuer;
  facts.earlier_user = tenant && names.legacy_issuer(*tenant) == issuer.issuer;
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
  if (!intersects(roles, issuer.operator_roles)) return missing(issuer.tenant_claim);
  facts.is_operator = true;
  facts.roles = {"operator"};
  return PrincipalFactory::make(std::move(facts));
}

}  // namespace bulkhead::identity
