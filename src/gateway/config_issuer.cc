#include "gateway/config_issuer.h"

#include "identity/user_names.h"

namespace bulkhead::gateway {

namespace {

constexpr std::int64_t kDay = 86'400;

void read_algorithms(ConfigReader& r, std::vector<crypto::JwsAlgorithm>& out) {
  std::vector<std::string> names;
  r.texts("algorithms", names);
  if (names.empty()) return;
  out.clear();
  for (const std::string& name : names) {
    if (auto algorithm = crypto::parse_jws_algorithm(name)) {
      out.push_back(*algorithm);
    } else {
      r.fail(ConfigError::BadValue, "algorithms",
             "may hold RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA and Ed25519");
    }
  }
}

void read_issuer_tenants(ConfigReader& r, identity::IssuerConfig& out) {
  r.text("tenant", out.tenant);
  r.claim("tenant_claim", out.tenant_claim);
  r.text("tenant_scope_prefix", out.tenant_scope_prefix);
  r.text_table("tenant_map", out.tenant_map);
  r.texts("tenants", out.tenants);
}

void read_issuer_names(ConfigReader& r, identity::IssuerConfig& out) {
  r.claim("user_claim", out.user_claim);
  for (const auto& [one, several, claims] :
       {std::tuple{"roles_claim", "roles_claims", &out.roles_claims},
        std::tuple{"groups_claim", "groups_claims", &out.groups_claims}}) {
    if (r.has(one) && r.has(several)) {
      r.fail(ConfigError::Contradiction, several, "and " + std::string(one) + " exclude each other");
    }
  }
  r.claim("roles_claim", out.roles_claims.front());
  r.claim("groups_claim", out.groups_claims.front());
  r.claims("roles_claims", out.roles_claims);
  r.claims("groups_claims", out.groups_claims);
  r.text("roles_prefix", out.role_names.prefix);
  r.text("groups_prefix", out.group_names.prefix);
  r.text_table("role_map", out.role_names.map);
  r.text_table("group_map", out.group_names.map);
  if (const auto elsewhere = r.choice("claims_elsewhere", {"refuse", "ignore"})) {
    out.ignore_claims_elsewhere = *elsewhere == "ignore";
  }
}

}  // namespace

void read_issuer(ConfigReader& r, const std::filesystem::path& base, identity::IssuerConfig& out) {
  r.text("issuer", out.issuer);
  r.text("jwks_uri", out.jwks_uri);
  r.texts("audiences", out.audiences);
  r.texts("client_ids", out.client_ids);
  read_algorithms(r, out.algorithms);
  r.texts("token_types", out.token_types);
  r.flag("require_type", out.require_type);
  read_issuer_tenants(r, out);
  read_issuer_names(r, out);
  r.texts("operator_roles", out.operator_roles);
  r.seconds("clock_leeway", out.clock_leeway, 0, 300);
  r.seconds("token_age_max", out.token_age_max, 60, 30 * kDay);
  r.seconds("jwks_refresh", out.jwks_refresh, 10, kDay);
  r.seconds("jwks_stale_max", out.jwks_stale_max, 10, 7 * kDay);
  r.seconds("unknown_kid_interval_min", out.unknown_kid_interval_min, 1, 3'600);
  std::filesystem::path ca;
  r.path("ca_file", ca, base);
  out.ca_file = ca.string();
  r.flag("legacy_users", out.legacy_users);
  r.flag("allow_http", out.allow_http);
  if (const auto problem = identity::problem_of(out)) {
    r.fail(problem->key.ends_with("audiences") ? ConfigError::Missing : ConfigError::BadValue, problem->key,
           problem->what);
  }
}

void check_issuers(ConfigReader& r, const Config& config) {
  if (const auto twice = identity::duplicate_issuer(config.issuers)) {
    r.fail(ConfigError::Contradiction, "issuer",
           "stands there twice, and which of the two rules held would be a matter of order: " + *twice);
  }
  if (const auto issuer = identity::shared_legacy_users(config.issuers)) {
    r.fail(ConfigError::Contradiction, "issuer",
           "has legacy_users beside another that may speak for the same tenant: " + *issuer);
  }
}

}  // namespace bulkhead::gateway
