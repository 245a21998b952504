// What all scopes of one tenant and generation share. The directory's own; not for other modules.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "tenancy/scope.h"

namespace bulkhead::tenancy {

struct TenantScope::Shared {
  Shared(Tenant r, std::shared_ptr<const crypto::TenantKeys> k)
      : record(std::move(r)), keys(std::move(k)) {}
  Tenant record;
  std::shared_ptr<const crypto::TenantKeys> keys;
  base::CancelToken cut;
  std::atomic<bool> alive{true};
  std::atomic<std::int64_t> last_used{0};  // monotonic; for dropping the coldest key
};

}  // namespace bulkhead::tenancy
