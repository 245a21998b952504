// A tenant as JSON.
#pragma once

#include <string>

#include "tenancy/tenant.h"

namespace bulkhead::gateway {

std::string tenant_json(const tenancy::Tenant& tenant);

}  // namespace bulkhead::gateway
