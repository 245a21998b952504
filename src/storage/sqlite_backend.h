// The embedded backend: each tenant's store is one SQLCipher file, tenants/<id>/store.db under the data
// folder.
//
// Thread safety: all members from every thread; all block.
#pragma once

#include <filesystem>

#include "base/clock.h"
#include "storage/backend.h"

namespace bulkhead::storage {

class SqliteBackend final : public StoreBackend {
 public:
  // The clock must outlive it.
  SqliteBackend(std::filesystem::path data_dir, const base::Clock& clock)
      : data_dir_(std::move(data_dir)), clock_(clock) {}

  bool offers(tenancy::IsolationMode mode) const override { return mode != tenancy::IsolationMode::Pooled; }
  base::Result<void> check() override { return {}; }
  base::Result<std::shared_ptr<OpenStore>> open(const tenancy::TenantScope& scope) override;
  base::Result<FoundApiKey> find_api_key(const base::TenantId& tenant, const DatabaseKeysOf& keys_of,
                                         const base::ApiKeyId& id) override;
  base::Result<tenancy::TenantEraser::Report> erase(const base::TenantId& tenant) override;
  base::Result<StoreProbe> probe(const base::TenantId& tenant, const base::TenantId& other,
                                 const DatabaseKeysOf& keys_of) override;

 private:
  base::Result<std::filesystem::path> make_folder(const base::TenantId& tenant) const;

  const std::filesystem::path data_dir_;
  const base::Clock& clock_;
};

}  // namespace bulkhead::storage
