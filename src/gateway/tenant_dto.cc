#include "gateway/tenant_dto.h"

#include "base/json.h"

namespace bulkhead::gateway {

std::string tenant_json(const tenancy::Tenant& tenant) {
  base::json::Writer w;
  w.begin_object()
      .member("id", tenant.id.str())
      .member("object", "bulkhead.tenant")
      .member("display_name", tenant.display_name)
      .member("state", tenancy::state_name(tenant.state))
      .member("mode", tenancy::mode_name(tenant.mode))
      .member("created_at", tenant.created);
  w.key("policy").raw(tenant.policy.to_json()).end_object();
  return w.take();
}

}  // namespace bulkhead::gateway
