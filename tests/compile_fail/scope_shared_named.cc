// expect: 'Shared' is a private member of 'bulkhead::tenancy::TenantScope'
// What scopes share can't even be named outside.
#include "tenancy/scope.h"

using bulkhead::tenancy::TenantScope;

#ifdef MISUSE
using Inside = TenantScope::Shared;
#else
using Inside = TenantScope;
#endif

const Inside* pointer = nullptr;
