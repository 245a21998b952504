#include "identity/tenant_claim.h"

#include <set>

#include "identity/claim_errors.h"

namespace bulkhead::identity {

namespace json = base::json;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kOrganisationsMax = 512;
constexpr std::size_t kOrganisationBytesMax = 255;

using Names = std::set<std::string, std::less<>>;

Result<Names> organisations(const json::Value& claim, const IssuerConfig& issuer) {
  const Error invalid = claim_invalid(
      issuer.tenant_claim.name(), "a name, a list of names, or an object of organisations by their names");
  Names names;
  const auto add = [&names](std::string_view name) {
    const bool fits = !name.empty() && name.size() <= kOrganisationBytesMax && !has_control(name);
    if (fits) names.emplace(name);
    return fits;
  };
  if (const auto single = claim.as_string()) {
    if (!add(*single)) return invalid;
    return names;
  }
  if (claim.size() > kOrganisationsMax || !(claim.is_array() || claim.is_object())) return invalid;
  for (std::size_t i = 0; i < claim.size(); ++i) {
    // An object of plain members describes one organisation, whose name may stand anywhere in it: not
    // guessed.
    if (claim.is_object() && !claim.at(i).is_object()) return invalid;
    const auto name = claim.is_object() ? claim.key_at(i) : claim.at(i).as_string();
    if (!name || !add(*name)) return invalid;
  }
  return names;
}

// The organisations that the token's scopes (RFC 9068 section 2.2.3; Okta and Entra: `scp`) choose.
Names chosen_by_scope(const json::Value& claims, const std::string& prefix) {
  Names chosen;
  const auto look_at = [&](std::string_view scope) {
    if (scope.starts_with(prefix)) chosen.emplace(scope.substr(prefix.size()));
  };
  for (std::string_view claim : {"scope", "scp"}) {
    const json::Value scopes = claims[claim];
    for (std::size_t i = 0; scopes.is_array() && i < scopes.size(); ++i) {
      look_at(scopes.at(i).as_string().value_or(""));
    }
    std::string_view rest = scopes.as_string().value_or("");
    while (!rest.empty()) {
      const std::size_t space = rest.find(' ');
      look_at(rest.substr(0, space));
      rest = space == std::string_view::npos ? std::string_view() : rest.substr(space + 1);
    }
  }
  // Keycloak's wishes for every organisation and for any one choose none.
  chosen.erase("*");
  chosen.erase("");
  return chosen;
}

Error ambiguous(const IssuerConfig& issuer, std::string_view message, std::string detail) {
  return Error(IdentityError::TenantAmbiguous, std::string(message), std::move(detail))
      .with_parameter(issuer.tenant_claim.name());
}

Result<std::string> organisation_of(const json::Value& claims, const json::Value& claim,
                                    const IssuerConfig& issuer) {
  BULKHEAD_TRY(names, organisations(claim, issuer));
  if (names.empty()) return claim_missing(issuer.tenant_claim.name(), "one organisation; the list is empty");
  Names chosen;
  if (!issuer.tenant_scope_prefix.empty()) chosen = chosen_by_scope(claims, issuer.tenant_scope_prefix);
  if (chosen.size() > 1) {
    return ambiguous(issuer, "The token's scopes choose several organisations. Ask for one of them.",
                     "one scope that begins with " + issuer.tenant_scope_prefix);
  }
  if (chosen.empty() && names.size() == 1) return *names.begin();
  if (chosen.empty()) {
    const std::string& prefix = issuer.tenant_scope_prefix;
    return ambiguous(issuer,
                     "The token is of several organisations. Get one for one organisation" +
                         (prefix.empty() ? std::string(".") : ": ask for the scope " + prefix + "<name>."),
                     "one organisation" + (prefix.empty() ? "" : ", or a scope " + prefix + "<name>"));
  }
  if (!names.contains(*chosen.begin())) {
    return claim_invalid(issuer.tenant_claim.name(), "the organisation that the token's scope chooses");
  }
  return *chosen.begin();
}

}  // namespace

Result<std::optional<base::TenantId>> read_tenant(const json::Value& claims, const IssuerConfig& issuer) {
  if (!issuer.tenant.empty()) {
    auto tenant = base::TenantId::parse(issuer.tenant);
    if (!tenant) return claim_invalid("tenant", "a configured tenant's name");
    return tenant;
  }
  const json::Value claim = issuer.tenant_claim.find(claims);
  if (!claim.exists()) return std::optional<base::TenantId>();
  BULKHEAD_TRY(name, organisation_of(claims, claim, issuer));
  const Error not_of_issuer =
      Error(IdentityError::TenantNotOfIssuer, "This issuer may not speak for the tenant in the token.",
            issuer.tenant_map.empty() ? one_of(issuer.tenants) : "a value that tenant_map names")
          .with_parameter(issuer.tenant_claim.name());
  if (!issuer.tenant_map.empty()) {
    const auto mapped = issuer.tenant_map.find(name);
    if (mapped == issuer.tenant_map.end()) return not_of_issuer;
    name = mapped->second;
  }
  auto tenant = base::TenantId::parse(name);
  if (!tenant) return claim_invalid(issuer.tenant_claim.name(), "a tenant's name (tenant_map may translate)");
  const bool bound = !issuer.tenants.empty();
  if (bound && std::find(issuer.tenants.begin(), issuer.tenants.end(), name) == issuer.tenants.end()) {
    return not_of_issuer;
  }
  return tenant;
}

}  // namespace bulkhead::identity
