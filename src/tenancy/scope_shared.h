// What all scopes of one tenant and generation share. The directory's own; not for other modules.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "base/clock.h"
#include "tenancy/scope.h"

namespace bulkhead::tenancy {

struct TenantScope::Shared {
  static constexpr std::int64_t kForever = 0;

  Shared(Tenant r, const crypto::TenantKeys& first, const base::Clock& c) : record(std::move(r)), clock(c) {
    adopt(first);
  }

  const crypto::TenantKeys& keys() const { return *current.load(std::memory_order_acquire); }
  // Earlier key sets stay until the last scope is gone, because scopes hand out references.
  void adopt(const crypto::TenantKeys& next) {
    std::lock_guard lock(mutex);
    sets.push_back(std::make_unique<const crypto::TenantKeys>(next));
    current.store(sets.back().get(), std::memory_order_release);
  }
  bool key_is_good() const {
    const std::int64_t until = good_until.load(std::memory_order_acquire);
    return until == kForever || clock.monotonic().time_since_epoch().count() < until;
  }

  Tenant record;
  const base::Clock& clock;
  base::CancelToken cut;
  std::atomic<bool> alive{true};
  std::atomic<std::int64_t> last_used{0};          // monotonic; for dropping the coldest key
  std::atomic<std::int64_t> good_until{kForever};  // monotonic; for keys of a tenant's own provider

 private:
  std::mutex mutex;
  std::vector<std::unique_ptr<const crypto::TenantKeys>> sets;
  std::atomic<const crypto::TenantKeys*> current{nullptr};
};

}  // namespace bulkhead::tenancy
