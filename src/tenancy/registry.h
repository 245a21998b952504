// What is kept of tenants, and by whom: the records, the durable list of them, and what removes a tenant's
// data. Storage implements the two interfaces over one SQLCipher file and over the tenants' stores.
//
// Thread safety: implementations may be called from every thread; all members block.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "crypto/envelope.h"
#include "tenancy/tenant.h"

namespace bulkhead::tenancy {

struct StoredTenant {
  Tenant tenant;
  crypto::WrappedKey wrapped_key;  // box empty once destroyed
  std::uint32_t key_number = 1;    // of the tenant key; grows with each rotation
  std::string provider;            // who wrapped it; "": the platform
  base::Bytes ring;                // sealed purpose keys (crypto/tenant_keys.h); empty: all derived
  std::string rotation;            // purposes whose data is being moved, with commas; "": none
};

// The durable list of tenants.
class Registry {
 public:
  virtual ~Registry() = default;
  virtual base::Result<std::vector<StoredTenant>> load_all() = 0;
  // One record as it is on disk now; nothing: there is none of this name.
  virtual base::Result<std::optional<StoredTenant>> load(const base::TenantId& tenant) = 0;
  virtual base::Result<void> insert(const StoredTenant& tenant) = 0;
  virtual base::Result<void> update(const StoredTenant& tenant) = 0;  // whole record, by id
  virtual base::Result<void> remove(const base::TenantId& tenant) = 0;
  // Replaces all wrapped keys in one transaction (rotation).
  virtual base::Result<void> replace_keys(
      const std::vector<std::pair<base::TenantId, crypto::WrappedKey>>& keys) = 0;
};

// Removes what a tenant has on disk; called after its key is destroyed.
class TenantEraser {
 public:
  virtual ~TenantEraser() = default;
  struct Report {
    std::vector<std::string> removed;  // relative names
    std::uint64_t bytes = 0;
  };
  virtual void close(const base::TenantId& tenant) = 0;  // closes open handles, waits for users
  virtual base::Result<Report> erase(const base::TenantId& tenant) = 0;
};

}  // namespace bulkhead::tenancy
