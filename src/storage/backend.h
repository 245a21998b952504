// What StoreManager needs of a backend and of its open stores.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "storage/store.h"
#include "storage/store_probe.h"
#include "tenancy/directory.h"

namespace bulkhead::storage {

using FoundApiKey = std::optional<identity::ApiKeyRecord>;

class OpenStore : public TenantStore {
 public:
  // Waits for calls that are inside, closes; every later call gives TenantGone.
  virtual void shut() = 0;
  // Gives back what memory holds of the tenant's content, if there was a use since the last time; called
  // again and again. A store that is busy just now is left for the next time; one that keeps nothing has
  // nothing to do.
  virtual void forget_pages() {}
  // What was kept after the last change that went through this handle; no statement is run.
  Usage usage_seen() const {
    std::scoped_lock lock(usage_mutex_);
    return usage_seen_;
  }
  // Something in it was found under an older key when it was opened, or was written before there were data
  // keys.
  virtual bool needs_upkeep() const = 0;
  // For authentication, which has no scope of its own yet; see StoreManager::find. `opener` is the scope
  // that the store was opened with. Nothing when the store is busy or closed: authentication doesn't wait
  // for an upload.
  virtual std::optional<Result<FoundApiKey>> try_find_api_key(const Scope& opener,
                                                              const base::ApiKeyId& id) = 0;

 protected:
  void note_usage(const Usage& usage) {
    std::scoped_lock lock(usage_mutex_);
    usage_seen_ = usage;
  }

 private:
  mutable std::mutex usage_mutex_;
  Usage usage_seen_;
};

// The keys of a tenant's database, newest first; asked for only where they are needed.
using DatabaseKeysOf = std::function<base::Result<std::vector<base::Secret>>(const base::TenantId&)>;

// A place where stores can be. Thread safe; all members block.
class StoreBackend {
 public:
  virtual ~StoreBackend() = default;
  // Whether it gives the walls of this mode.
  virtual bool offers(tenancy::IsolationMode mode) const = 0;
  // At start; an error says what to change.
  virtual base::Result<void> check() = 0;
  // Makes what isn't there yet.
  virtual base::Result<std::shared_ptr<OpenStore>> open(const tenancy::TenantScope& scope) = 0;
  // For authentication.
  virtual base::Result<FoundApiKey> find_api_key(const base::TenantId& tenant, const DatabaseKeysOf& keys_of,
                                                 const base::ApiKeyId& id) = 0;
  virtual base::Result<tenancy::TenantEraser::Report> erase(const base::TenantId& tenant) = 0;
  // Tries the walls around this tenant's place now, with `other` as the neighbour; makes nothing.
  virtual base::Result<StoreProbe> probe(const base::TenantId& tenant, const base::TenantId& other,
                                         const DatabaseKeysOf& keys_of) = 0;
};

}  // namespace bulkhead::storage
