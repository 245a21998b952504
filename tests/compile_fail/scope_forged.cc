// expect: calling a private constructor of class 'bulkhead::tenancy::TenantScope'
// Nor can one be put together from a principal: only TenantDirectory::open makes it.
#include "tenancy/directory.h"

using namespace bulkhead;

base::Result<tenancy::TenantScope> scope_for(tenancy::TenantDirectory& directory,
                                             std::shared_ptr<const identity::Principal> verified) {
#ifdef MISUSE
  static_cast<void>(directory);
  return tenancy::TenantScope(nullptr, std::move(verified));
#else
  return directory.open(std::move(verified));
#endif
}
