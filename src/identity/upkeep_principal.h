// The platform itself, at work on a tenant's store (re-sealing, backup, erasure): a principal of that
// tenant without any role, so every access decision denies it everything. The one caller is
// tenancy::PlatformAccess, which storage's upkeep alone is given (tests/compile_fail).
#pragma once

#include <memory>

#include "base/ids.h"
#include "identity/principal.h"

namespace bulkhead::tenancy {
class PlatformAccess;
}

namespace bulkhead::identity {

class UpkeepPrincipal {
 private:
  friend class tenancy::PlatformAccess;
  static std::shared_ptr<const Principal> make(const base::TenantId& tenant);
};

}  // namespace bulkhead::identity
