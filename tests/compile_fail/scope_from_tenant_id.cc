// expect: no viable conversion from .*Id<.*TenantTag.* to 'std::shared_ptr<const
// A tenant's name opens nothing: open() takes a Principal.
#include "tenancy/directory.h"

using namespace bulkhead;

bool open(tenancy::TenantDirectory& directory, const base::TenantId& named,
          std::shared_ptr<const identity::Principal> verified) {
#ifdef MISUSE
  static_cast<void>(verified);
  return directory.open(named).ok();
#else
  static_cast<void>(named);
  return directory.open(std::move(verified)).ok();
#endif
}
