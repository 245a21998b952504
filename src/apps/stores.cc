#include "apps/stores.h"

#include "gateway/isolation.h"
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
    if (auto given = gateway::check_isolation(config, stores, tenant.mode, tenant.policy); !given) {
      return base::Error(storage::StorageError::Misconfigured,
                         "Tenant " + tenant.id.str() + ": " + given.error().message());
    }
  }
  return {};
}

}  // namespace bulkhead::apps
