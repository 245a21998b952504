#include "gateway/isolation.h"

#include "gateway/api_error.h"

namespace bulkhead::gateway {

using base::Result;

namespace {

// A tenant's own worker is a local process: an external server is shared by its nature.
Result<void> check_own_engine(const EngineConfig& engine) {
  if (engine.is_external()) {
    return api_error(
        ApiError::BadParameter,
        "Mode 'silo' needs an engine worker of the tenant's own, and this deployment's engine is "
        "an external server ([engine.external]). Configure a local model in [engine.chat], or use "
        "mode hybrid.",
        "mode");
  }
  if (engine.dedicated_max == 0) {
    return api_error(ApiError::BadParameter,
                     "Mode 'silo' needs an engine worker of the tenant's own, and engine.dedicated_max is 0. "
                     "Set it to the number of such workers that may run at once, or use mode hybrid.",
                     "mode");
  }
  return Result<void>();
}

}  // namespace

Result<tenancy::IsolationMode> parse_mode(const std::string& text) {
  if (text == "hybrid") return tenancy::IsolationMode::Hybrid;
  if (text == "pooled") return tenancy::IsolationMode::Pooled;
  if (text == "silo") return tenancy::IsolationMode::Silo;
  return api_error(ApiError::BadParameter, "'mode' must be silo, hybrid or pooled.", "mode");
}

void change_mode(tenancy::Tenant& tenant, tenancy::IsolationMode mode) {
  if (mode == tenancy::IsolationMode::Silo) {
    tenant.policy.engine.engine = tenancy::EngineMode::Dedicated;
  } else if (tenant.mode == tenancy::IsolationMode::Silo) {
    tenant.policy.engine.engine = tenancy::EngineMode::Shared;
  }
  tenant.mode = mode;
}

Result<void> check_engine_policy(const Config& config, const tenancy::TenantPolicy& policy) {
  const EngineConfig& engine = config.engine;
  return engine.is_external() ? engine::check_policy(engine.external.kind, policy.engine) : Result<void>();
}

Result<void> check_policy(const Config& config, const tenancy::TenantPolicy& policy) {
  if (policy.retrieval == tenancy::RetrievalMode::Required && config.engine.embedding.id.empty()) {
    return api_error(
        ApiError::BadParameter,
        "'retrieval' can't be \"required\" here: there is no embedding model to search documents with. "
        "Configure [engine.embedding] first.",
        "retrieval");
  }
  return check_engine_policy(config, policy);
}

void fill_in_mode(tenancy::IsolationMode mode, const base::json::Value& policy_text,
                  tenancy::TenantPolicy& policy) {
  if (mode != tenancy::IsolationMode::Silo || policy_text["engine"]["engine"].exists()) return;
  policy.engine.engine = tenancy::EngineMode::Dedicated;
}

Result<void> check_key_provider(const Config& config, const std::string& name, std::string parameter) {
  std::string known = "\"platform\"";
  if (name == "platform") return Result<void>();
  for (const KeyProviderConfig& each : config.key_providers) {
    if (each.name == name) return Result<void>();
    known += ", \"" + each.name + "\"";
  }
  return api_error(ApiError::BadParameter,
                   "There is no such key provider: '" + parameter + "' may be " + known +
                       ". Others need a [[key_provider]] section in the configuration and a restart.",
                   std::move(parameter));
}

Result<void> check_isolation(const Config& config, const storage::StoreManager& stores,
                             tenancy::IsolationMode mode, const tenancy::TenantPolicy& policy) {
  if (mode == tenancy::IsolationMode::Silo) BULKHEAD_CHECK_OK(check_own_engine(config.engine));
  BULKHEAD_CHECK_OK(tenancy::check_mode_policy(mode, policy));
  if (auto offered = stores.check_offers(policy.store, mode); !offered) {
    return api_error(ApiError::BadParameter, offered.error().message(),
                     policy.store.empty() ? "mode" : "store");
  }
  return Result<void>();
}

}  // namespace bulkhead::gateway
