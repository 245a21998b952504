// expect: call to deleted constructor of 'base::Secret'
// A key is copied by clone() alone, where a reader of the diff sees it.
#include "tenancy/scope.h"

using namespace bulkhead;

base::Secret take(const tenancy::TenantScope& scope) {
#ifdef MISUSE
  base::Secret key = scope.key(crypto::Purpose::Database);
#else
  base::Secret key = scope.key(crypto::Purpose::Database).clone();
#endif
  return key;
}
