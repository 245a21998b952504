// The one maker of Principals. Included by identity's own sources alone (scripts/check enforces it);
// everything else must bring a credential to the Authenticator.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "identity/principal.h"
#include "identity/user_id.h"

namespace bulkhead::identity {

struct PrincipalFacts {
  std::optional<base::TenantId> tenant;
  bool is_operator = false;
  bool is_upkeep = false;
  // Of the user: a local one's issuer is empty. `earlier_user` when it is the tenant's legacy issuer.
  std::string user_issuer, subject;
  bool earlier_user = false;
  std::vector<std::string> roles, groups;
  CredentialKind credential = CredentialKind::Jwt;
  std::string credential_id, issuer, client, login;
  std::int64_t expires = 0;
};

class PrincipalFactory {
 public:
  static std::shared_ptr<const Principal> make(PrincipalFacts facts) {
    std::shared_ptr<Principal> principal(new Principal);
    principal->tenant_ = std::move(facts.tenant);
    principal->operator_ = facts.is_operator;
    principal->upkeep_ = facts.is_upkeep;
    principal->user_ = user_id(facts.user_issuer, facts.subject);
    principal->user_issuer_ = std::move(facts.user_issuer);
    if (facts.earlier_user) principal->earlier_user_ = std::move(facts.subject);
    principal->roles_ = std::move(facts.roles);
    principal->groups_ = std::move(facts.groups);
    principal->credential_ = facts.credential;
    principal->credential_id_ = std::move(facts.credential_id);
    principal->issuer_ = std::move(facts.issuer);
    principal->client_ = std::move(facts.client);
    principal->login_ = std::move(facts.login);
    principal->expires_ = facts.expires;
    return principal;
  }
};

}  // namespace bulkhead::identity
