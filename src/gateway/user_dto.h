// Users in requests and answers: names there, user ids in the stores (identity/user_id.h).
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "gateway/call.h"

namespace bulkhead::gateway {

// The user id that the caller means by `name`: of their own issuer, unless it says another. BadParameter,
// naming `parameter`, when it is no name of anybody.
base::Result<std::string> named_user(const Call& call, std::string_view name, std::string parameter);
// The same for an operator, who is of no tenant: of the tenant's one issuer, unless the name says its issuer.
base::Result<std::string> named_user_of(const Services& services, const base::TenantId& tenant,
                                        std::string_view name, std::string parameter);
// A stored user's id now: an earlier name is the tenant's legacy issuer's, if there is one.
std::string current_user(const Call& call, std::string_view stored);
// A stored user as the caller names them.
std::string shown_user(const Call& call, std::string_view stored);

}  // namespace bulkhead::gateway
