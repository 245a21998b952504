// What all scopes of one tenant and generation share. The directory's own; not for other modules.
#pragma once

#include <atomic>
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
};

}  // namespace bulkhead::tenancy
