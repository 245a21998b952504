// expect: no viable conversion from .*optional<.*to .*Id<.*TenantTag
// An operator has no tenant: whoever wants one must say what happens without (invariant I10).
#include "tenancy/directory.h"

using namespace bulkhead;

bool known(tenancy::TenantDirectory& directory, const identity::Principal& principal) {
#ifdef MISUSE
  return directory.find(principal.tenant()).has_value();
#else
  return principal.tenant() && directory.find(*principal.tenant()).has_value();
#endif
}
