// expect: too few arguments to function call, expected 2, have 1
// Each call to an open store takes the scope again.
#include "storage/store.h"

using namespace bulkhead;

bool read(storage::TenantStore& store, const tenancy::TenantScope& scope, const base::FileId& id) {
#ifdef MISUSE
  static_cast<void>(scope);
  return store.file_content(id).ok();
#else
  return store.file_content(scope, id).ok();
#endif
}
