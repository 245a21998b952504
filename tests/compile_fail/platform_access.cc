// expect: calling a private constructor of class 'bulkhead::tenancy::PlatformAccess'
// The capability to open tenants without a credential, and to have their database keys, is the directory's to
// give.
#include "tenancy/scope_makers.h"

using namespace bulkhead;

bool keys(tenancy::TenantTable& tenants, const base::TenantId& tenant, const tenancy::PlatformAccess& given) {
#ifdef MISUSE
  static_cast<void>(given);
  return tenancy::PlatformAccess(tenants).database_keys(tenant).ok();
#else
  static_cast<void>(tenants);
  return given.database_keys(tenant).ok();
#endif
}
