// expect: 'platform_access' is a private member of 'bulkhead::storage::StoreManager'
// A scope without a credential is storage's upkeep's alone to open, though others hold the store manager.
#include "storage/store_manager.h"

using namespace bulkhead;

bool scope(storage::StoreManager& stores, const base::TenantId& tenant,
           const tenancy::PlatformAccess& given) {
#ifdef MISUSE
  static_cast<void>(given);
  return stores.platform_access().open_for_maintenance(tenant).ok();
#else
  static_cast<void>(stores);
  return given.open_for_maintenance(tenant).ok();
#endif
}
