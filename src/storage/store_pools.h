// StorePools: the threads that work on tenants' stores, apart for each place where stores can be (the
// embedded one, and each [[store]]), so that a database server that hangs holds up the tenants in it and
// nobody else. In each place tenants take turns (base/fair_pool.h).
//
// Thread safety: all members from every thread; none blocks. A tenant that is not known counts as one of the
// embedded place, where its work fails.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/fair_pool.h"
#include "base/ids.h"
#include "storage/store_manager.h"
#include "tenancy/directory.h"

namespace bulkhead::storage {

class StorePools {
 public:
  // `stores`: the names of the [[store]]s.
  StorePools(const tenancy::TenantDirectory& tenants, const std::vector<std::string>& stores);

  // What a request waits for: one or a few pages of rows, one file.
  base::FairPool& requests(const base::TenantId& tenant) { return place_of(tenant).requests; }
  // Looks up API keys and opens tenants. Its threads may all wait for a key provider for once
  // (crypto::BoundedProvider), so they are nobody else's.
  base::FairPool& opening(const base::TenantId& tenant) { return place_of(tenant).opening; }
  // What takes as long as the store is large: erasures, backups, moves, a look at the walls.
  base::FairPool& long_work(const base::TenantId& tenant) { return place_of(tenant).long_work; }
  // For what is no tenant's: operators' API keys.
  base::FairPool& opening() { return places_.at("")->opening; }

  // All that waits, and all that runs, everywhere.
  base::FairPool::Stats stats() const;

 private:
  struct Place {
    base::FairPool requests, opening, long_work;
  };
  Place& place_of(const base::TenantId& tenant);

  const tenancy::TenantDirectory& tenants_;
  std::map<std::string, std::unique_ptr<Place>> places_;  // by name; "" for the embedded one; fixed
};

// Runs `work(store)` on the store of the scope's tenant, on a thread of its place. `work` returns a
// Result<T>; so does this.
template <typename Work>
auto on_store(StoreManager& stores, StorePools& pools, tenancy::TenantScope scope, base::FairPool::Turn turn,
              Work work) -> base::Task<std::invoke_result_t<Work, TenantStore&>> {
  using R = std::invoke_result_t<Work, TenantStore&>;
  if (auto over = stores.held_up(scope.tenant())) co_await *over;
  auto result = co_await pools.requests(scope.tenant()).run(std::move(turn), [&]() -> R {
    auto store = stores.open(scope);
    if (!store) return store.take_error();
    return work(**store);
  });
  co_return std::move(result);
}

}  // namespace bulkhead::storage
