// expect: no viable conversion from .*Id<.*TenantTag.* to .*TenantScope
// A tenant named by a request body, path or header is no scope (invariant I1).
#include "storage/store.h"

using namespace bulkhead;

bool read(storage::TenantStore& store, const tenancy::TenantScope& scope, const base::FileId& id) {
#ifdef MISUSE
  auto named = base::TenantId::parse("victim");
  return store.get_file(*named, id).ok() && scope.alive();
#else
  return store.get_file(scope, id).ok();
#endif
}
