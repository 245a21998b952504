// Running what blocks for a call: on the tenant's store, opened by the call's own scope, or elsewhere; in
// turn with others' calls, and not at all once the client is gone.
#pragma once

#include <memory>
#include <utility>

#include "gateway/call.h"
#include "gateway/routes.h"

namespace bulkhead::gateway {

// Tenants take turns with each other; of operators' work each kind does.
inline base::FairPool::Turn turn_of(const Call& call) {
  if (call.tenant_scope) return {.party = call.scope().tenant().str(), .cancel = call.cancel};
  return {.party = std::string(access::permission_name(call.route->permission)), .cancel = call.cancel};
}

// A listing looks at so many rows in one turn, since each may carry an access list of a hundred kilobytes and
// more; then others have theirs. A row that a page goes on after may be deleted in between: then the listing
// begins anew, a few times at most.
inline constexpr std::size_t kRowsPerTurn = 25;
inline constexpr int kListingAttemptsMax = 4;
inline base::Error listing_moved() {
  return base::Error(storage::StorageError::Busy, "The list changed while it was read. Retry in a moment.");
}

// `work(store, scope)` returns a base::Result<T>; so does this.
template <typename Work>
auto with_store(Call& call, Work work)
    -> base::Task<std::invoke_result_t<Work, storage::TenantStore&, const tenancy::TenantScope&>> {
  using R = std::invoke_result_t<Work, storage::TenantStore&, const tenancy::TenantScope&>;
  const tenancy::TenantScope& scope = call.scope();
  auto result =
      co_await storage::on_store(call.services.stores, call.services.pools, scope, turn_of(call),
                                 [&](storage::TenantStore& store) -> R { return work(store, scope); });
  co_return std::move(result);
}

}  // namespace bulkhead::gateway
