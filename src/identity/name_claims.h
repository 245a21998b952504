// The roles or groups that a token names, in every claim that its issuer's configuration lists, as they are
// called here. Pure, thread safe.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "identity/issuer_config.h"

namespace bulkhead::identity {

// Of one token: its roles, and its groups.
inline constexpr std::size_t kClaimNamesMax = 1'024;
inline constexpr std::size_t kClaimNameBytesMax = 512;

// Without repetitions, in the claims' order. Errors: ClaimInvalid; ClaimElsewhere when the token refers to
// such a claim instead of holding it, which `ignore_claims_elsewhere` takes for a claim that isn't there.
base::Result<std::vector<std::string>> read_names(const base::json::Value& claims,
                                                  const std::vector<ClaimPath>& paths, const NameRules& rules,
                                                  bool ignore_claims_elsewhere);

}  // namespace bulkhead::identity
