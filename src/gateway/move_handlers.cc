// Moving a tenant to another isolation mode and store, online: the operator's, who is shown no content for it
// (invariant I10).
#include "gateway/dto.h"
#include "gateway/handlers.h"
#include "gateway/isolation.h"
#include "gateway/store_call.h"
#include "gateway/tenant_dto.h"
#include "storage/mover.h"

namespace bulkhead::gateway {

namespace json = base::json;
using base::Result;

namespace {

// Where a tenant goes that names no store: stays where it is, or else comes into the embedded one.
std::string store_for(const Services& services, const tenancy::Tenant& tenant, tenancy::IsolationMode mode) {
  return services.stores.check_offers(tenant.policy.store, mode) ? tenant.policy.store : std::string();
}

Result<tenancy::Tenant> named_tenant(Call& call) {
  auto id = base::TenantId::parse(call.captures[0]);
  auto tenant = id ? call.services.tenants.find(*id) : std::nullopt;
  if (!tenant) return not_found("tenant");
  call.record.target = id->str();
  return *tenant;
}

}  // namespace

HandlerResult admin_move_tenant(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  BULKHEAD_CO_TRY(tenant, named_tenant(call));
  BULKHEAD_CO_TRY(document, read_json_object(call.request()));
  ObjectReader reader(document.root());
  auto mode_text = reader.text("mode", 16, true);
  auto store = reader.text("store", 32);
  BULKHEAD_CO_CHECK_OK(reader.finish());
  BULKHEAD_CO_TRY(mode, parse_mode(*mode_text));
  Services& services = call.services;
  tenancy::Tenant moved = tenant;
  moved.policy.store = store ? *store : store_for(services, tenant, mode);
  change_mode(moved, mode);
  BULKHEAD_CO_CHECK_OK(check_isolation(services.config, services.stores, moved.mode, moved.policy));
  const storage::MovePlace to{moved.mode, moved.policy.store, moved.policy.engine.engine};
  auto begun = co_await services.pools.long_work(tenant.id).run(
      turn_of(call), [&] { return services.mover.begin(tenant.id, to); });
  if (!begun) co_return begun.take_error();
  call.record.note = place_text(begun->from) + " to " + place_text(begun->to);
  services.wake_mover();
  json::Writer w;
  w.begin_object().member("object", "bulkhead.move").member("tenant", tenant.id.str());
  write_move_status(w, *begun);
  w.end_object();
  co_return Reply::json(200, w.take());
}

HandlerResult admin_cancel_move(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  BULKHEAD_CO_TRY(tenant, named_tenant(call));
  auto done = co_await call.services.pools.long_work(tenant.id).run(
      turn_of(call), [&] { return call.services.mover.cancel(tenant.id); });
  if (!done) co_return done.take_error();
  call.record.note = "move given up";
  co_return Reply::json(200, deleted_body(tenant.id.str(), "bulkhead.move"));
}

HandlerResult admin_list_moves(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  BULKHEAD_CO_TRY(tenant, named_tenant(call));
  auto certificates = co_await call.services.platform_pool.run(
      turn_of(call), [&] { return call.services.mover.certificates(tenant.id); });
  if (!certificates) co_return certificates.take_error();
  std::vector<std::string> items;
  for (const std::string& certificate : *certificates) {
    // As text: a certificate must be kept byte for byte.
    json::Writer w;
    w.begin_object().member("object", "bulkhead.move").member("certificate", certificate).end_object();
    items.push_back(w.take());
  }
  co_return Reply::json(200, list_body(items, {}, false));
}

}  // namespace bulkhead::gateway
