// The configuration's [[store]]s made, looked over and given to the manager. Wiring only.
#pragma once

#include "base/clock.h"
#include "gateway/config.h"
#include "storage/store_manager.h"

namespace bulkhead::apps {

// Refuses a server that is not as it must be, and a configuration without the place where a tenant's data
// is: better no start than a weaker wall or half an answer.
base::Result<void> add_stores(const gateway::Config& config, storage::PlatformDatabase& platform,
                              const tenancy::TenantDirectory& tenants, storage::StoreManager& stores,
                              const base::Clock& clock);

}  // namespace bulkhead::apps
