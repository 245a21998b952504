#include "apps/stores.h"

#include "storage/postgres_backend.h"

namespace bulkhead::apps {

base::Result<void> add_stores(const gateway::Config& config, storage::PlatformDatabase& platform,
                              const tenancy::TenantDirectory& tenants, storage::StoreManager& stores,
                              const base::Clock& clock) {
  for (const storage::PostgresOptions& options : config.stores) {
    BULKHEAD_TRY(backend, storage::PostgresBackend::create(options, platform, clock));
    BULKHEAD_CHECK_OK(backend->check());
    stores.add_backend(options.name, std::move(backend));
  }
  for (const tenancy::Tenant& tenant : tenants.list()) {
    if (tenant.state == tenancy::TenantState::Destroyed) continue;
    if (auto offered = stores.check_offers(tenant.policy.store, tenant.mode); !offered) {
      return base::Error(storage::StorageError::Misconfigured,
                         "Tenant " + tenant.id.str() + ": " + offered.error().message());
    }
  }
  return {};
}

}  // namespace bulkhead::apps
