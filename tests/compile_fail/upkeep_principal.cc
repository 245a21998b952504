// expect: 'make' is a private member of 'bulkhead::identity::UpkeepPrincipal'
// The platform's own principal is the tenant directory's to make.
#include "identity/upkeep_principal.h"

#include "tenancy/directory.h"

using namespace bulkhead;

base::Result<tenancy::TenantScope> scope(tenancy::TenantDirectory& directory, const base::TenantId& tenant,
                                         std::shared_ptr<const identity::Principal> verified) {
#ifdef MISUSE
  static_cast<void>(verified);
  return directory.open(identity::UpkeepPrincipal::make(tenant));
#else
  static_cast<void>(tenant);
  return directory.open(std::move(verified));
#endif
}
