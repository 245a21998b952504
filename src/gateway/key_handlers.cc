// The operator's routes about keys: the platform's and each tenant's. Neither reads content.
#include <algorithm>

#include "gateway/dto.h"
#include "gateway/handlers.h"
#include "gateway/isolation.h"
#include "gateway/store_call.h"
#include "gateway/tenant_dto.h"
#include "storage/upkeep.h"

namespace bulkhead::gateway {

namespace json = base::json;
using base::Result;

namespace {

// What can be renewed alone. Hashes can't be made anew from hashes: docs/keys.md says what to do.
constexpr crypto::Purpose kMovable[] = {crypto::Purpose::Database, crypto::Purpose::RecordSeal};

Result<std::vector<crypto::Purpose>> purposes_from(const std::optional<std::string>& text) {
  if (!text) return std::vector<crypto::Purpose>(std::begin(kMovable), std::end(kMovable));
  for (crypto::Purpose purpose : crypto::all_purposes()) {
    if (crypto::purpose_name(purpose) != *text) continue;
    if (purpose == crypto::Purpose::ApiKeyHash) {
      return api_error(ApiError::UnsupportedParameter,
                       "Stored hashes can't be made anew without the API keys themselves. Make new API "
                       "keys and revoke the old ones.",
                       "purpose");
    }
    if (purpose == crypto::Purpose::SessionId || purpose == crypto::Purpose::BlindIndex) break;
    return std::vector<crypto::Purpose>{purpose};
  }
  return api_error(ApiError::BadParameter, "'purpose' must be database, record-seal or audit-hash.",
                   "purpose");
}

}  // namespace

HandlerResult admin_rotate_keys(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  Services& services = call.services;
  auto rotated = co_await services.platform_pool.run(turn_of(call), [&]() -> Result<std::string> {
    BULKHEAD_TRY(version, services.platform_keys->add_version());
    // Old and new stand in the key file until everything is wrapped anew: a crash in between loses
    // nothing, and the next rotation cleans up.
    BULKHEAD_CHECK_OK(services.platform.rewrap(*services.platform_keys));
    BULKHEAD_TRY(tenants, services.tenants.keyring().rewrap_all());
    BULKHEAD_CHECK_OK(services.platform_keys->retire_older());
    json::Writer w;
    w.begin_object().member("object", "bulkhead.key_rotation");
    w.member("version", static_cast<std::int64_t>(version));
    w.member("tenant_keys_rewrapped", static_cast<std::uint64_t>(tenants)).end_object();
    return w.take();
  });
  if (!rotated) co_return rotated.take_error();
  co_return Reply::json(200, std::move(*rotated));
}

HandlerResult admin_rotate_tenant_keys(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  auto id = base::TenantId::parse(call.captures[0]);
  if (!id) co_return not_found("tenant");
  call.record.target = id->str();
  BULKHEAD_CO_TRY(document, read_optional_json_object(call.request()));
  ObjectReader reader(document.root());
  auto purpose = reader.text("purpose", 32);
  auto provider = reader.text("provider", 64);
  BULKHEAD_CO_CHECK_OK(reader.finish());
  BULKHEAD_CO_TRY(purposes, purposes_from(purpose));
  if (purpose && provider) {
    co_return api_error(ApiError::BadParameter,
                        "A new provider wraps the tenant key, not one purpose: "
                        "leave 'purpose' out.",
                        "purpose");
  }
  if (provider) {
    BULKHEAD_CO_CHECK_OK(check_key_provider(call.services.config, *provider, "provider"));
    call.record.note = "key wrapped by " + *provider;
  }
  tenancy::RotationOrder order{.tenant_key = !purpose, .purposes = std::move(purposes), .provider = provider};
  Services& services = call.services;
  auto begun = co_await services.pools.opening(*id).run(turn_of(call),
                                                        [&] { return services.upkeep.rotate(*id, order); });
  if (!begun) co_return begun.take_error();
  services.wake_upkeep();
  json::Writer w;
  w.begin_object().member("object", "bulkhead.tenant_keys").member("tenant", id->str());
  write_key_status(w, *begun);
  w.end_object();
  co_return Reply::json(200, w.take());
}

}  // namespace bulkhead::gateway
