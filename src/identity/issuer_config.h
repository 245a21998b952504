// A trusted token issuer, as the configuration names it.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "crypto/jose.h"
#include "identity/claim_path.h"

namespace bulkhead::identity {

// How the names in role or group claims become names here. What `map` names is replaced by what it says;
// else, where `prefix` is set, a name counts only with it, and without it here.
struct NameRules {
  std::string prefix;
  std::map<std::string, std::string> map;
};

struct IssuerConfig {
  std::string issuer;                  // exact `iss`; discovery at <issuer>/.well-known/openid-configuration
  std::string jwks_uri;                // optional: skips discovery
  std::vector<std::string> audiences;  // a token must name one of them
  // Not empty: tokens of these clients alone are taken (`azp`, `client_id`, `cid` or `appid`), and one of
  // them needs no `aud`.
  std::vector<std::string> client_ids;
  std::vector<crypto::JwsAlgorithm> algorithms = {crypto::JwsAlgorithm::Rs256, crypto::JwsAlgorithm::Es256};
  std::vector<std::string> token_types = {"at+jwt",
                                          "JWT"};  // accepted `typ`, compared as RFC 9068 section 4 says
  bool require_type = true;
  std::string tenant;  // not empty: the issuer stands for this tenant, no claim is asked
  ClaimPath tenant_claim = "tenant";
  // Not empty: a token of several organisations chooses one by a scope, this before the organisation's name.
  std::string tenant_scope_prefix;
  // Not empty: a claim's value must stand here, and means the tenant beside it.
  std::map<std::string, std::string> tenant_map;
  ClaimPath user_claim = "sub";
  // Arrays of strings, or space-separated strings; what all of them name counts.
  std::vector<ClaimPath> roles_claims = {"roles"};
  std::vector<ClaimPath> groups_claims = {"groups"};
  NameRules role_names, group_names;
  // A token that says its roles or groups are elsewhere (OpenID Connect Core section 5.6.2; Entra's overage)
  // is taken without them; else it is refused. Nobody is asked for them.
  bool ignore_claims_elsewhere = false;
  std::vector<std::string> tenants;  // not empty: may speak for these tenants only
  std::vector<std::string>
      operator_roles;  // roles which make a tenant-less token an operator's; empty: never
  std::chrono::seconds clock_leeway{30};
  std::chrono::seconds token_age_max{86'400};  // exp - iat (or exp - now) beyond this is refused
  std::chrono::seconds jwks_refresh{300};
  std::chrono::seconds jwks_stale_max{3'600};  // older than this and unreachable: fail closed
  std::chrono::seconds unknown_kid_interval_min{10};
  // Records from before users had issuers are its users', for the tenants that it may speak for
  // (user_names.h).
  bool legacy_users = false;
  std::string ca_file;      // for https to the issuer; empty: system roots
  bool allow_http = false;  // to an issuer on loopback

  // The tenants that a token of it can name; empty: every one.
  std::vector<std::string> spoken_tenants() const;
};

// An `iss` that two entries share, which makes a configuration invalid: which of their rules a token
// has to meet would be a matter of order. The Authenticator refuses such an issuer's tokens.
std::optional<std::string> duplicate_issuer(const std::vector<IssuerConfig>& issuers);

// What can't work in one issuer's configuration: the key at fault, and a text that goes on from it.
struct IssuerProblem {
  std::string key, what;
};
std::optional<IssuerProblem> problem_of(const IssuerConfig& issuer);
// The same for the file that it names. Blocks.
std::optional<IssuerProblem> file_problem_of(const IssuerConfig& issuer);

}  // namespace bulkhead::identity
