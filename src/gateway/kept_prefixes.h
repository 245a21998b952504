// Burning what the engine keeps of a tenant when its life changes: suspension, destruction, a new
// policy, a revoked key.
#pragma once

#include <string>

#include "gateway/call.h"

namespace bulkhead::gateway {

// Burns the session's kept prefixes, or all of the tenant's when `session` is empty, and puts the outcome
// into the audit record. The change of state stands whatever comes of it, since nobody can reach the
// prefixes any more and the engine burns them when their time is over; a failure is recorded and logged.
base::Task<void> burn_kept(Call& call, base::TenantId tenant, std::string session);

}  // namespace bulkhead::gateway
