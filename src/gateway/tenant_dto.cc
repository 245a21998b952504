#include "gateway/tenant_dto.h"

#include "base/json.h"

namespace bulkhead::gateway {

namespace {

base::json::Writer begin_tenant(const tenancy::Tenant& tenant) {
  base::json::Writer w;
  w.begin_object()
      .member("id", tenant.id.str())
      .member("object", "bulkhead.tenant")
      .member("display_name", tenant.display_name)
      .member("state", tenancy::state_name(tenant.state))
      .member("mode", tenancy::mode_name(tenant.mode))
      .member("created_at", tenant.created);
  w.key("policy").raw(tenant.policy.to_json());
  return w;
}

// Beside its bounds, which stand in the policy's `limits`.
void write_usage(base::json::Writer& w, const storage::Usage& usage) {
  w.key("usage").begin_object();
  w.member("storage_bytes", usage.bytes)
      .member("files", usage.files)
      .member("vector_stores", usage.vector_stores)
      .member("kept_chats", usage.chats)
      .member("api_keys", usage.api_keys)
      .end_object();
}

}  // namespace

std::string tenant_json(const tenancy::Tenant& tenant, const storage::Usage& usage) {
  base::json::Writer w = begin_tenant(tenant);
  write_usage(w, usage);
  w.end_object();
  return w.take();
}

std::string tenant_json(const tenancy::Tenant& tenant) {
  base::json::Writer w = begin_tenant(tenant);
  w.end_object();
  return w.take();
}

std::string_view activity_of(const tenancy::Tenant& tenant, Services& services) {
  if (tenant.state != tenancy::TenantState::Active) return tenancy::state_name(tenant.state);
  return services.stores.is_open(tenant.id) ? "active" : "cold";
}

void write_key_status(base::json::Writer& w, const tenancy::KeyStatus& keys) {
  w.member("provider", keys.provider);
  if (!keys.custody.empty()) w.member("custody", keys.custody);
  w.member("key_number", static_cast<std::int64_t>(keys.key_number))
      .member("key_id", keys.key_id)
      .member("rotation", keys.rotation.empty() ? "none" : keys.rotation)
      .member("held", keys.held)
      .member("lost", keys.lost);
}

std::string place_text(const storage::MovePlace& place) {
  return std::string(tenancy::mode_name(place.mode)) + " in " +
         (place.store.empty() ? "embedded" : place.store);
}

void write_move_status(base::json::Writer& w, const storage::MoveStatus& move) {
  w.member("phase", move.phase).member("from", place_text(move.from)).member("to", place_text(move.to));
  w.member("records", move.records).member("copied", move.copied);
  w.key("delayed");
  if (move.delayed.empty()) {
    w.null();
  } else {
    w.value(move.delayed);
  }
}

std::string tenant_json(const tenancy::Tenant& tenant, Services& services) {
  base::json::Writer w = begin_tenant(tenant);
  w.member("activity", activity_of(tenant, services));
  if (const auto usage = services.stores.usage_seen(tenant.id)) write_usage(w, *usage);
  if (const auto move = services.mover.status(tenant.id)) {
    w.key("move").begin_object();
    write_move_status(w, *move);
    w.end_object();
  }
  if (auto keys = services.tenants.keyring().status(tenant.id)) {
    w.key("keys").begin_object();
    write_key_status(w, *keys);
    w.end_object();
  }
  w.end_object();
  return w.take();
}

}  // namespace bulkhead::gateway
