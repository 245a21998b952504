// Which API keys a principal may make: a key never permits what its maker may not do.
//
// Roles and groups are more than sets of permissions: access lists name them, so a key with a role that
// permits nothing new may still read documents that its maker can't. Hence a maker gives only roles and
// groups of their own, and only their own user. The one exception is the role `tenant-admin`, which speaks
// for the whole tenant: it gives any user, any group and any role of the tenant whose permissions it has. No
// maker gives the operator's role, a permission that they lack, or a life longer than that of the API key
// they use.
//
// Pure functions; thread safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "access/permission.h"
#include "identity/principal.h"

namespace bulkhead::access {

// The longest life of a key that somebody other than a tenant-admin makes with a token, in seconds: Bulkhead
// never hears that an issuer took its maker's role away.
inline constexpr std::int64_t kDelegatedLifetimeMax = 90LL * 86'400;

struct Delegation {
  std::string user;  // as Principal::user() has it
  std::vector<std::string> roles, groups;
  std::int64_t expires = 0;  // unix seconds; 0: when not said, as late as its maker may give
};

enum class DelegationRefusal { UnknownRole, ForeignRole, WiderRights, ForeignUser, ForeignGroup, LongerLife };

struct DelegationDecision {
  std::optional<DelegationRefusal> refusal;
  std::string_view name;     // the role or group that is refused; points into the request
  std::int64_t expires = 0;  // when the key ends; 0: never
  bool allowed() const { return !refusal; }
};

// `now` in unix seconds.
DelegationDecision decide_delegation(const RoleTable& roles, const identity::Principal& maker,
                                     const Delegation& wanted, std::int64_t now);

}  // namespace bulkhead::access
