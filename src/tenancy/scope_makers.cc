// Every expression that makes a TenantScope.
#include "tenancy/scope_makers.h"

#include "identity/api_key.h"
#include "identity/upkeep_principal.h"
#include "tenancy/directory.h"
#include "tenancy/tenant_table.h"

namespace bulkhead::tenancy {

using base::Error;
using base::Result;
using base::TenantId;
using Wanted = TenantTable::Wanted;

Result<TenantScope> TenantDirectory::open(std::shared_ptr<const identity::Principal> principal) {
  if (!principal || !principal->tenant() || principal->is_operator()) {
    return Error(TenancyError::NotATenantPrincipal,
                 "This credential belongs to no tenant, so it opens no tenant's data.");
  }
  BULKHEAD_TRY(shared, table_->open_shared(*principal->tenant(), Wanted::Active));
  return TenantScope(std::move(shared), std::move(principal));
}

Result<std::optional<TenantScope>> TenantDirectory::open_at_once(
    std::shared_ptr<const identity::Principal> principal) {
  if (principal && principal->tenant() && !principal->is_operator()) {
    BULKHEAD_TRY(shared, table_->held_shared(*principal->tenant()));
    if (!shared) return std::optional<TenantScope>();
    return std::optional<TenantScope>(TenantScope(std::move(shared), std::move(principal)));
  }
  BULKHEAD_TRY(scope, open(std::move(principal)));
  return std::optional<TenantScope>(std::move(scope));
}

Result<TenantScope> PlatformAccess::open_for_maintenance(const TenantId& id) const {
  BULKHEAD_TRY(shared, tenants_->open_shared(id, Wanted::Any));
  return TenantScope(std::move(shared), identity::UpkeepPrincipal::make(id));
}

Result<crypto::Digest> PlatformAccess::api_key_hash(const TenantId& tenant, std::string_view text) const {
  BULKHEAD_TRY(shared, tenants_->open_shared(tenant, Wanted::Active));
  return identity::api_key_hash(shared->keys().key(crypto::Purpose::ApiKeyHash), text);
}

Result<std::vector<base::Secret>> PlatformAccess::database_keys(const TenantId& tenant) const {
  BULKHEAD_TRY(shared, tenants_->open_shared(tenant, Wanted::Active));
  const crypto::TenantKeys& keys = shared->keys();
  std::vector<base::Secret> all;
  for (std::uint32_t version : keys.versions(crypto::Purpose::Database)) {
    all.push_back(keys.key(crypto::Purpose::Database, version)->clone());
  }
  return all;
}

}  // namespace bulkhead::tenancy
