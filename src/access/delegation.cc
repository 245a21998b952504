#include "access/delegation.h"

#include <algorithm>

namespace bulkhead::access {

namespace {

constexpr std::string_view kAdministrator = "tenant-admin";
constexpr std::string_view kOperator = "operator";

bool contains(const std::vector<std::string>& list, std::string_view item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

DelegationDecision refuse(DelegationRefusal refusal, std::string_view name = {}) {
  return {.refusal = refusal, .name = name};
}

// The latest end that the maker may give; 0: none is set.
std::int64_t latest_end(const identity::Principal& maker, bool administrator, std::int64_t now) {
  if (maker.credential() == identity::CredentialKind::ApiKey) return maker.expires_unix_seconds();
  return administrator ? 0 : now + kDelegatedLifetimeMax;
}

}  // namespace

DelegationDecision decide_delegation(const RoleTable& roles, const identity::Principal& maker,
                                     const Delegation& wanted, std::int64_t now) {
  const bool administrator = contains(maker.roles(), kAdministrator);
  const PermissionSet own = roles.permissions_of(maker.roles());
  for (const std::string& role : wanted.roles) {
    const PermissionSet* set = roles.find(role);
    if (!set || role == kOperator) return refuse(DelegationRefusal::UnknownRole, role);
    if ((*set & ~own).any()) return refuse(DelegationRefusal::WiderRights, role);
    if (!administrator && !contains(maker.roles(), role)) return refuse(DelegationRefusal::ForeignRole, role);
  }
  if (!administrator) {
    if (wanted.user != maker.user()) return refuse(DelegationRefusal::ForeignUser);
    for (const std::string& group : wanted.groups) {
      if (!contains(maker.groups(), group)) return refuse(DelegationRefusal::ForeignGroup, group);
    }
  }
  const std::int64_t latest = latest_end(maker, administrator, now);
  if (latest != 0 && wanted.expires > latest) return refuse(DelegationRefusal::LongerLife);
  return {.expires = wanted.expires == 0 ? latest : wanted.expires};
}

}  // namespace bulkhead::access
