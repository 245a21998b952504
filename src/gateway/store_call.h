// Running work on the tenant's store: opened by the call's own scope, on the blocking pool.
#pragma once

#include <memory>
#include <utility>

#include "gateway/call.h"
#include "storage/with_store.h"

namespace bulkhead::gateway {

// `work(store, scope)` returns a base::Result<T>; so does this.
template <typename Work>
auto with_store(Call& call, Work work)
    -> base::Task<std::invoke_result_t<Work, storage::TenantStore&, const tenancy::TenantScope&>> {
  using R = std::invoke_result_t<Work, storage::TenantStore&, const tenancy::TenantScope&>;
  const tenancy::TenantScope& scope = call.scope();
  co_return co_await storage::with_store(
      call.services.stores, call.services.pool, scope,
      [&scope, &work](storage::TenantStore& store) -> R { return work(store, scope); });
}

}  // namespace bulkhead::gateway
