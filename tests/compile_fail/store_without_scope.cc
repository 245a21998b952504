// expect: no viable conversion from .*Principal.* to .*TenantScope
// A store is opened by a scope; who asks is not enough.
#include "storage/store_manager.h"

using namespace bulkhead;

bool open(storage::StoreManager& manager, const tenancy::TenantScope& scope) {
#ifdef MISUSE
  const identity::Principal& who = scope.principal();
  return manager.open(who).ok();
#else
  return manager.open(scope).ok();
#endif
}
