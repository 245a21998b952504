// Running work on the tenant's store: opened by the call's own scope, on the blocking pool.
#pragma once

#include <memory>
#include <utility>

#include "gateway/call.h"

namespace bulkhead::gateway {

// `work(store, scope)` returns a base::Result<T>; so does this.
template <typename Work>
auto with_store(Call& call, Work work)
    -> base::Task<std::invoke_result_t<Work, storage::TenantStore&, const tenancy::TenantScope&>> {
  using R = std::invoke_result_t<Work, storage::TenantStore&, const tenancy::TenantScope&>;
  Services& services = call.services;
  const tenancy::TenantScope& scope = call.scope();
  if (auto over = services.stores.held_up(scope.tenant())) co_await *over;
  auto result = co_await services.pool.run([&services, &scope, &work]() -> R {
    auto store = services.stores.open(scope);
    if (!store) return store.take_error();
    return work(**store, scope);
  });
  co_return std::move(result);
}

}  // namespace bulkhead::gateway
