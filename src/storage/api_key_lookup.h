// ApiKeyLookup: the records that authentication needs of API keys, before there is a scope: operators' from
// the platform's database, tenants' from their stores, open or closed. Only a key's own record is read.
//
// A key that was revoked stays so when a store is brought back from outside (storage/tombstones.h).
//
// Thread safety: all members from every thread; all block.
// Ownership: what it is made of must outlive it.
#pragma once

#include <mutex>
#include <optional>

#include "identity/api_key.h"
#include "storage/store_manager.h"

namespace bulkhead::storage {

class ApiKeyLookup final : public identity::ApiKeyDirectory {
 public:
  ApiKeyLookup(PlatformDatabase& platform, StoreManager& stores) : platform_(platform), stores_(stores) {}
  // ApiKeyUnknown, TenantSuspended, or why the store could not be asked.
  base::Result<Entry> find(const identity::ParsedApiKey& key, std::string_view key_text) override;

 private:
  base::Result<crypto::Digest> operator_key_hash(std::string_view key_text);
  base::Result<Entry> find_operator_key(const base::ApiKeyId& id, std::string_view key_text);

  PlatformDatabase& platform_;
  StoreManager& stores_;
  std::mutex mutex_;
  std::optional<base::Secret> operator_hash_;  // guarded by mutex_
};

}  // namespace bulkhead::storage
