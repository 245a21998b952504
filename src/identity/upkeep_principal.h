// The platform itself, at work on a tenant's store (re-sealing, backup, erasure): a principal of that
// tenant without any role, so every access decision denies it everything. The one caller is
// TenantDirectory::open_for_upkeep, which storage's upkeep alone can reach (tests/compile_fail).
#pragma once

#include <memory>

#include "base/ids.h"
#include "identity/principal.h"

namespace bulkhead::tenancy {
class TenantDirectory;
}

namespace bulkhead::identity {

class UpkeepPrincipal {
 private:
  friend class tenancy::TenantDirectory;
  static std::shared_ptr<const Principal> make(const base::TenantId& tenant);
};

}  // namespace bulkhead::identity
