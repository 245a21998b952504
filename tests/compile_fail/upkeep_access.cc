// expect: calling a private constructor of class 'bulkhead::tenancy::TenantDirectory::UpkeepAccess'
// A scope without a credential needs a passkey that storage's upkeep alone can make.
#include "tenancy/directory.h"

using namespace bulkhead;

bool scope(tenancy::TenantDirectory& directory, const base::TenantId& tenant,
           const tenancy::TenantDirectory::UpkeepAccess& given) {
#ifdef MISUSE
  static_cast<void>(given);
  return directory.open_for_upkeep(tenant, tenancy::TenantDirectory::UpkeepAccess()).ok() &&
         directory.open_for_upkeep(tenant, tenancy::TenantDirectory::UpkeepAccess{}).ok();
#else
  return directory.open_for_upkeep(tenant, given).ok();
#endif
}
