// A trusted token issuer, as the configuration names it.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "crypto/jose.h"

namespace bulkhead::identity {

struct IssuerConfig {
  std::string issuer;                  // exact `iss`; discovery at <issuer>/.well-known/openid-configuration
  std::string jwks_uri;                // optional: skips discovery
  std::vector<std::string> audiences;  // at least one; a token must name one of them
  std::vector<crypto::JwsAlgorithm> algorithms = {crypto::JwsAlgorithm::Rs256, crypto::JwsAlgorithm::Es256};
  std::vector<std::string> token_types = {"at+jwt",
                                          "JWT"};  // accepted `typ`, compared as RFC 9068 section 4 says
  bool require_type = true;
  std::string tenant_claim = "tenant";  // path, dots descend: "ext.tenant_id"
  std::string roles_claim = "roles";    // array of strings, or a space-separated string
  std::string groups_claim = "groups";
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
  bool allow_http = false;  // loopback issuers in development mode only
};

// An `iss` that two entries share, which makes a configuration invalid: which of their rules a token
// has to meet would be a matter of order. The Authenticator refuses such an issuer's tokens.
std::optional<std::string> duplicate_issuer(const std::vector<IssuerConfig>& issuers);

}  // namespace bulkhead::identity
