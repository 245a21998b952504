// The operator's routes. None of them opens a tenant's scope: an operator runs the platform and reads
// no content (invariant I10).
#include "gateway/audit_query.h"
#include "gateway/dto.h"
#include "gateway/handlers.h"
#include "gateway/isolation.h"
#include "gateway/kept_prefixes.h"
#include "gateway/store_call.h"
#include "gateway/tenant_dto.h"

namespace bulkhead::gateway {

namespace json = base::json;
using base::Error;
using base::Result;
using base::Task;

namespace {

constexpr std::size_t kReasonBytesMax = 256;

Result<base::TenantId> named_tenant(Call& call) {
  auto id = base::TenantId::parse(call.captures[0]);
  if (!id) return not_found("tenant");
  call.record.target = id->str();
  return *id;
}

Result<tenancy::TenantPolicy> policy_or_default(Call& call, const json::Value& value) {
  if (!value.exists()) return call.services.config.tenant_defaults;
  BULKHEAD_TRY(policy, tenancy::TenantPolicy::from_json(value));
  BULKHEAD_CHECK_OK(check_policy(call.services.config, policy));
  return policy;
}

// A change of a tenant's state, blocking work on the pool.
template <typename Change>
HandlerResult change_tenant(Call& call, Change change) {
  auto id = named_tenant(call);
  if (!id) co_return id.take_error();
  auto changed = co_await call.services.pools.long_work(*id).run(
      turn_of(call), [&] { return change(call.services.tenants, *id); });
  if (!changed) co_return changed.take_error();
  // A suspended tenant keeps nothing in the engine, and a new policy starts with nothing kept under
  // the old one.
  co_await burn_kept(call, *id, "");
  co_return Reply::json(200, tenant_json(*changed));
}

}  // namespace

HandlerResult admin_create_tenant(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  BULKHEAD_CO_TRY(document, read_json_object(call.request()));
  ObjectReader reader(document.root());
  auto name = reader.text("id", 63, true);
  auto display_name = reader.text("display_name", 256);
  auto mode_text = reader.text("mode", 16);
  auto store = reader.text("store", 32);
  auto provider = reader.text("key_provider", 32);
  json::Value policy_value = reader.value("policy");
  BULKHEAD_CO_CHECK_OK(reader.finish());
  auto id = base::TenantId::parse(*name);
  if (!id) {
    co_return api_error(ApiError::BadParameter,
                        "'id' must be 1 to 63 lower-case letters, digits and hyphens.", "id");
  }
  BULKHEAD_CO_TRY(mode, parse_mode(mode_text.value_or("hybrid")));
  BULKHEAD_CO_TRY(policy, policy_or_default(call, policy_value));
  if (store) policy.store = *store;
  fill_in_mode(mode, policy_value, policy);
  BULKHEAD_CO_CHECK_OK(check_isolation(call.services.config, call.services.stores, mode, policy));
  if (provider) {
    BULKHEAD_CO_CHECK_OK(check_key_provider(call.services.config, *provider, "key_provider"));
    call.record.note = "key wrapped by " + *provider;
  }
  call.record.target = id->str();
  auto made = co_await call.services.pools.opening().run(turn_of(call), [&] {
    return call.services.tenants.create(*id, display_name.value_or(*name), mode, policy,
                                        provider.value_or(""));
  });
  if (!made) co_return made.take_error();
  call.record.tenant = id->str();  // theirs to read from now on
  co_return Reply::json(200, tenant_json(*made));
}

HandlerResult admin_list_tenants(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  std::vector<std::string> items, ids;
  for (const tenancy::Tenant& tenant : call.services.tenants.list()) {
    items.push_back(tenant_json(tenant, call.services));
    ids.push_back(tenant.id.str());
  }
  co_return Reply::json(200, list_body(items, ids, false));
}

HandlerResult admin_get_tenant(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  BULKHEAD_CO_TRY(id, named_tenant(call));
  auto tenant = call.services.tenants.find(id);
  if (!tenant) co_return not_found("tenant");
  co_return Reply::json(200, tenant_json(*tenant, call.services));
}

HandlerResult admin_set_policy(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  BULKHEAD_CO_TRY(document, read_json_object(call.request()));
  BULKHEAD_CO_TRY(policy, tenancy::TenantPolicy::from_json(document.root()));
  BULKHEAD_CO_CHECK_OK(check_policy(call.services.config, policy));
  BULKHEAD_CO_TRY(id, named_tenant(call));
  if (auto tenant = call.services.tenants.find(id)) fill_in_mode(tenant->mode, document.root(), policy);
  co_return co_await change_tenant(call, [&](tenancy::TenantDirectory& tenants, const base::TenantId& id) {
    return tenants.set_policy(id, policy);
  });
}

HandlerResult admin_suspend_tenant(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  BULKHEAD_CO_TRY(document, read_optional_json_object(call.request()));
  ObjectReader reader(document.root());
  auto reason = reader.text("reason", kReasonBytesMax);
  BULKHEAD_CO_CHECK_OK(reader.finish());
  call.record.statement = reason.value_or("");
  co_return co_await change_tenant(call, [&](tenancy::TenantDirectory& tenants, const base::TenantId& id) {
    return tenants.suspend(id, reason.value_or(""));
  });
}

HandlerResult admin_resume_tenant(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  co_return co_await change_tenant(
      call, [&](tenancy::TenantDirectory& tenants, const base::TenantId& id) -> Result<tenancy::Tenant> {
        // It may have been suspended since before this engine was configured.
        if (auto tenant = tenants.find(id))
          BULKHEAD_CHECK_OK(check_engine_policy(call.services.config, tenant->policy));
        return tenants.resume(id);
      });
}

HandlerResult admin_destroy_tenant(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  BULKHEAD_CO_TRY(id, named_tenant(call));
  Services& services = call.services;
  auto certificate = co_await services.pools.long_work(id).run(
      turn_of(call), [&] { return services.tenants.destroy(id, services.stores, services.signer); });
  if (!certificate) co_return certificate.take_error();
  co_await burn_kept(call, id, "");
  co_return Reply::json(200, std::move(certificate->json));
}

HandlerResult admin_query_audit(Call& call) {
  BULKHEAD_CO_TRY(query, read_audit_query(call.request()));
  query.all_tenants = true;
  query.redact_tenant_detail = true;
  co_return co_await answer_audit_query(call, std::move(query));
}

}  // namespace bulkhead::gateway
