// expect: calling a private constructor of class 'bulkhead::tenancy::TenantDirectory::DatabaseAccess'
// The raw database key needs a passkey that storage's API key reader alone can make.
#include "tenancy/directory.h"

using namespace bulkhead;

bool key(tenancy::TenantDirectory& directory, const base::TenantId& tenant,
         const tenancy::TenantDirectory::DatabaseAccess& given) {
#ifdef MISUSE
  static_cast<void>(given);
  return directory.database_keys_for(tenant, tenancy::TenantDirectory::DatabaseAccess()).ok() &&
         directory.database_keys_for(tenant, tenancy::TenantDirectory::DatabaseAccess{}).ok();
#else
  return directory.database_keys_for(tenant, given).ok();
#endif
}
