// What an isolation mode asks of a deployment, layer by layer, and whether this one can give it. Asked
// when a tenant is made or gets another policy, and of every tenant at start: a mode whose walls can't
// all stand is refused, never given in part.
//
//            engine                        data
//   silo     a worker of its own           embedded file, or layout "database"
//   hybrid   shared, or its own by policy  embedded file, or layout "schema" or "database"
//   pooled   shared, or its own by policy  layout "row_level_security"
//
// Thread safety: plain functions over what they are given; none blocks.
#pragma once

#include "base/result.h"
#include "gateway/config.h"
#include "storage/store_manager.h"
#include "tenancy/tenant.h"

namespace bulkhead::gateway {

// "silo", "hybrid" or "pooled"; an error (status 400) names the parameter `mode`.
base::Result<tenancy::IsolationMode> parse_mode(const std::string& text);
// Another mode, with the engine that goes with it: a worker of its own comes and goes with a silo.
void change_mode(tenancy::Tenant& tenant, tenancy::IsolationMode mode);
// A policy that this deployment can keep.
base::Result<void> check_policy(const Config& config, const tenancy::TenantPolicy& policy);
// An external engine gives less than our own worker.
base::Result<void> check_engine_policy(const Config& config, const tenancy::TenantPolicy& policy);

// A policy text that leaves the engine open gets the one that the mode demands; one that names another
// stays as it is, for `check_isolation` to refuse.
void fill_in_mode(tenancy::IsolationMode mode, const base::json::Value& policy_text,
                  tenancy::TenantPolicy& policy);

// An error (status 400) names the parameter at fault and says what to change.
base::Result<void> check_isolation(const Config& config, const storage::StoreManager& stores,
                                   tenancy::IsolationMode mode, const tenancy::TenantPolicy& policy);

// Whether `name` is the platform's or a [[key_provider]]'s; an error (status 400) names those there are.
base::Result<void> check_key_provider(const Config& config, const std::string& name, std::string parameter);

}  // namespace bulkhead::gateway
