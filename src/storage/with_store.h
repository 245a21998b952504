// Work on a tenant's store from a coroutine: the one way to it that holds up no other tenant.
//
// Waits while a copy of the store has its snapshot point, so that no thread of the pool does; then opens the
// scope's own store on the pool and runs the work there. `work(store)` returns a base::Result<T>; so does
// this, or the error that opening the store gave. The scope outlives the call.
// Thread safety: awaited on an executor, where it resumes.
#pragma once

#include <type_traits>
#include <utility>

#include "base/task.h"
#include "storage/store_manager.h"

namespace bulkhead::storage {

template <typename Work>
auto with_store(StoreManager& stores, base::BlockingPool& pool, const tenancy::TenantScope& scope, Work work)
    -> base::Task<std::invoke_result_t<Work, TenantStore&>> {
  using R = std::invoke_result_t<Work, TenantStore&>;
  if (auto over = stores.held_up(scope.tenant())) co_await *over;
  auto result = co_await pool.run([&stores, &scope, &work]() -> R {
    auto store = stores.open(scope);
    if (!store) return store.take_error();
    return work(**store);
  });
  co_return std::move(result);
}

}  // namespace bulkhead::storage
