// The tenant that a token speaks for, within what its issuer may say (invariant I1). Pure, thread safe.
#pragma once

#include <optional>

#include "base/ids.h"
#include "base/json.h"
#include "base/result.h"
#include "identity/issuer_config.h"

namespace bulkhead::identity {

// The tenant claim holds a name, a list of names, or an object whose members are organisations by their names
// (Keycloak's organizations). Of several names none is taken, unless a scope of the token chooses one
// (TenantAmbiguous). Nothing: the token has no such claim at all. Errors: ClaimMissing for a list of none,
// ClaimInvalid, TenantAmbiguous, TenantNotOfIssuer.
base::Result<std::optional<base::TenantId>> read_tenant(const base::json::Value& claims,
                                                        const IssuerConfig& issuer);

}  // namespace bulkhead::identity
