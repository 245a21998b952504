// expect: 'tenant_' is a private member of 'bulkhead::identity::Principal'
// expect: 'operator_' is a private member of 'bulkhead::identity::Principal'
// A verified Principal can't be moved to another tenant or be made an operator.
#include "identity/principal.h"

using bulkhead::identity::Principal;

bool use(Principal& verified) {
#ifdef MISUSE
  verified.tenant_ = bulkhead::base::TenantId::parse("victim");
  verified.operator_ = true;
#endif
  return verified.tenant() && !verified.is_operator();
}
