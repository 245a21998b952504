// expect: no viable conversion from .*Id<.*VectorStoreTag.* to .*Id<.*FileTag
// The id of one kind of thing is not that of another.
#include "storage/store.h"

using namespace bulkhead;

bool remove(storage::TenantStore& store, const tenancy::TenantScope& scope, const base::FileId& file,
            const base::VectorStoreId& other) {
#ifdef MISUSE
  static_cast<void>(file);
  return store.delete_file(scope, other).ok();
#else
  static_cast<void>(other);
  return store.delete_file(scope, file).ok();
#endif
}
