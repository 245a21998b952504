// expect: ignoring return value
// A failed suspension can't be overlooked.
#include "tenancy/directory.h"

using namespace bulkhead;

bool suspend(tenancy::TenantDirectory& directory, const base::TenantId& tenant) {
#ifdef MISUSE
  directory.suspend(tenant, "unpaid");
  return true;
#else
  return directory.suspend(tenant, "unpaid").ok();
#endif
}
