// expect: no matching constructor for initialization of .*TenantScope
// A scope has no default.
#include "tenancy/directory.h"

using namespace bulkhead::tenancy;

bool alive(const TenantScope& opened) {
#ifdef MISUSE
  TenantScope scope;
#else
  TenantScope scope = opened;
#endif
  return scope.alive();
}
