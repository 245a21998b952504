// The maker of the passkey to scopes without a credential. Storage's upkeep only
// (scripts/check/layering.py).
#pragma once

#include "tenancy/directory.h"

// Lives in tenancy's namespace because that is where it is befriended.
namespace bulkhead::tenancy {

class UpkeepAccessForStorage {
 public:
  static base::Result<TenantScope> open(TenantDirectory& tenants, const base::TenantId& tenant) {
    return tenants.open_for_upkeep(tenant, TenantDirectory::UpkeepAccess());
  }
};

}  // namespace bulkhead::tenancy
