#include "identity/issuer_config.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "base/ids.h"
#include "http/tls.h"
#include "identity/issuer_documents.h"

namespace bulkhead::identity {

namespace {

constexpr std::string_view kSubjectClaim = "sub";

bool holds(const std::vector<std::string>& list, const std::string& item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

std::optional<IssuerProblem> address_problem(const IssuerConfig& issuer) {
  const auto check = [&issuer](std::string key, const std::string& address) -> std::optional<IssuerProblem> {
    if (auto usable = usable_address(address, issuer.allow_http); !usable) {
      return IssuerProblem{std::move(key), usable.error().detail()};
    }
    return std::nullopt;
  };
  if (!issuer.jwks_uri.empty()) return check("jwks_uri", issuer.jwks_uri);
  return check("issuer", issuer.issuer);
}

std::optional<IssuerProblem> tenant_problem(const IssuerConfig& issuer) {
  const auto is_tenant = [](const std::string& name) { return base::TenantId::parse(name).has_value(); };
  for (const std::string& name : issuer.tenants) {
    if (!is_tenant(name))
      return IssuerProblem{"tenants", "holds \"" + name + "\", which is no tenant's name"};
  }
  for (const auto& [value, name] : issuer.tenant_map) {
    if (!is_tenant(name)) {
      return IssuerProblem{"tenant_map", "holds \"" + name + "\", which is no tenant's name"};
    }
    if (!issuer.tenants.empty() && !holds(issuer.tenants, name)) {
      return IssuerProblem{"tenant_map", "holds \"" + name + "\", which `tenants` does not allow"};
    }
  }
  if (issuer.tenant.empty()) return std::nullopt;
  if (!is_tenant(issuer.tenant)) return IssuerProblem{"tenant", "is no tenant's name"};
  const bool other = !issuer.tenants.empty() || !issuer.tenant_map.empty() ||
                     !issuer.tenant_scope_prefix.empty() || !(issuer.tenant_claim == ClaimPath("tenant"));
  if (other) {
    return IssuerProblem{"tenant",
                         "says that every token is of this tenant: leave out tenant_claim, tenant_map, "
                         "tenant_scope_prefix and tenants"};
  }
  if (!issuer.operator_roles.empty()) {
    return IssuerProblem{"tenant",
                         "and operator_roles exclude each other: an operator's token has no tenant"};
  }
  return std::nullopt;
}

std::optional<IssuerProblem> time_problem(const IssuerConfig& issuer) {
  if (issuer.jwks_stale_max < issuer.jwks_refresh) {
    return IssuerProblem{"jwks_stale_max",
                         "is below jwks_refresh: the keys would be too old before they are renewed"};
  }
  if (issuer.unknown_kid_interval_min > issuer.jwks_refresh) {
    return IssuerProblem{"unknown_kid_interval_min",
                         "is above jwks_refresh: the keys could not be renewed in time"};
  }
  if (issuer.clock_leeway >= issuer.token_age_max) {
    return IssuerProblem{"clock_leeway",
                         "is not below token_age_max: an expired token would live twice as long"};
  }
  return std::nullopt;
}

}  // namespace

std::vector<std::string> IssuerConfig::spoken_tenants() const {
  if (!tenant.empty()) return {tenant};
  if (tenant_map.empty()) return tenants;
  std::set<std::string> named;
  for (const auto& [value, name] : tenant_map) named.insert(name);
  return {named.begin(), named.end()};
}

std::optional<std::string> duplicate_issuer(const std::vector<IssuerConfig>& issuers) {
  std::set<std::string_view> seen;
  for (const IssuerConfig& issuer : issuers) {
    if (!seen.insert(issuer.issuer).second) return issuer.issuer;
  }
  return std::nullopt;
}

std::optional<IssuerProblem> problem_of(const IssuerConfig& issuer) {
  if (issuer.issuer.empty()) return IssuerProblem{"issuer", "is needed: the exact `iss` of its tokens"};
  if (issuer.issuer.find('#') != std::string::npos) {
    return IssuerProblem{"issuer", "may not hold '#': an issuer is a URL without a fragment"};
  }
  if (issuer.audiences.empty() && issuer.client_ids.empty()) {
    return IssuerProblem{"audiences",
                         "is needed: the `aud` values meant for this gateway (or client_ids, for an issuer "
                         "whose access tokens have no `aud`)"};
  }
  if (issuer.token_types.empty()) return IssuerProblem{"token_types", "is empty: no token would be accepted"};
  if (auto problem = address_problem(issuer)) return problem;
  if (auto problem = tenant_problem(issuer)) return problem;
  if (auto problem = time_problem(issuer)) return problem;
  if (issuer.legacy_users && issuer.user_claim.name() != kSubjectClaim) {
    return IssuerProblem{"legacy_users", "and user_claim exclude each other: records of before hold `sub`"};
  }
  return std::nullopt;
}

std::optional<IssuerProblem> file_problem_of(const IssuerConfig& issuer) {
  if (issuer.ca_file.empty()) return std::nullopt;
  auto tls = http::TlsContext::client(issuer.ca_file);
  if (tls) return std::nullopt;
  return IssuerProblem{"ca_file", "can't be used. " + tls.error().message() + " " + tls.error().detail()};
}

}  // namespace bulkhead::identity
