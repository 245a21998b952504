// A tenant as JSON.
#pragma once

#include <string>

#include "base/json.h"
#include "gateway/services.h"
#include "tenancy/tenant.h"

namespace bulkhead::gateway {

std::string tenant_json(const tenancy::Tenant& tenant);
// The same with what is kept of it.
std::string tenant_json(const tenancy::Tenant& tenant, const storage::Usage& usage);
// The operator's view: with what the tenant's store and keys are doing now.
std::string tenant_json(const tenancy::Tenant& tenant, Services& services);
// Members provider, custody (of a key provider), key_number, key_id, rotation, held and lost of an open
// object.
void write_key_status(base::json::Writer& w, const tenancy::KeyStatus& keys);
// "hybrid in embedded"
std::string place_text(const storage::MovePlace& place);
// Members phase, from, to, records, copied and delayed of an open object.
void write_move_status(base::json::Writer& w, const storage::MoveStatus& move);
// "active": its store is open; "cold": nobody has asked for a while; "suspended"; "destroyed".
std::string_view activity_of(const tenancy::Tenant& tenant, Services& services);

}  // namespace bulkhead::gateway
