// StoreManager: the open stores of a deployment, bounded, least recently used closed first. A tenant's
// policy names its store: none for the embedded backend, or one of those that were added. Beside it the
// platform's own database (registry of tenants, operator keys, verify-key history, small settings).
//
// Layout under `data_dir`: platform.db, platform.key.box (registry key wrapped by the platform key),
// tenants/<id>/store.db (+ -wal, -shm). Nothing else is written; SQLite's temporary store is memory.
// Thread safety: all members from every thread; all block except where stated.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>

#include "base/result.h"
#include "crypto/envelope.h"
#include "crypto/signature.h"
#include "identity/api_key.h"
#include "storage/backend.h"
#include "storage/store.h"
#include "storage/watched_store.h"
#include "tenancy/directory.h"

namespace bulkhead::storage {

class PlatformDatabase final : public tenancy::Registry {
 public:
  // Opens or, when `create`, makes it. A wrong platform key is WrongKey and says so.
  static base::Result<std::unique_ptr<PlatformDatabase>> open(const std::filesystem::path& data_dir,
                                                              const crypto::PlatformKeys& keys, bool create);
  ~PlatformDatabase() override;

  base::Result<std::vector<tenancy::StoredTenant>> load_all() override;
  base::Result<std::optional<tenancy::StoredTenant>> load(const base::TenantId& tenant) override;
  base::Result<void> insert(const tenancy::StoredTenant& tenant) override;
  base::Result<void> update(const tenancy::StoredTenant& tenant) override;
  base::Result<void> remove(const base::TenantId& tenant) override;
  base::Result<void> replace_keys(
      const std::vector<std::pair<base::TenantId, crypto::WrappedKey>>& keys) override;

  // Operator API keys (no tenant).
  base::Result<void> put_operator_key(const identity::ApiKeyRecord& key);
  base::Result<std::vector<identity::ApiKeyRecord>> operator_keys();
  base::Result<void> revoke_operator_key(const base::ApiKeyId& id);
  // Stable secrets of the platform, made at first use: "audit-signing" (Ed25519 seed),
  // "api-key-tag", "operator-key-hash". Same after a rotation of the platform key.
  base::Result<base::Secret> secret(std::string_view name);
  base::Result<void> forget_secret(std::string_view name);
  // Small settings: "audit-head" and the like.
  base::Result<std::optional<std::string>> setting(std::string_view name);
  base::Result<void> set_setting(std::string_view name, std::string_view value);
  base::Result<void> forget_setting(std::string_view name);
  // Erasures (storage/eraser.h): what is to be done, and once it is done its certificate alone.
  struct PendingWork {
    std::int64_t number;
    base::TenantId tenant;
    std::string plan;
  };
  base::Result<std::int64_t> begin_erasure(const base::TenantId& tenant, std::string_view plan);
  base::Result<void> end_erasure(std::int64_t number, std::string_view certificate);
  base::Result<void> forget_erasure(std::int64_t number);
  base::Result<std::vector<PendingWork>> pending_erasures();
  base::Result<std::vector<std::string>> erasure_certificates(const base::TenantId& tenant);
  // Moves of tenants (storage/mover.h), in the same way. Busy: the tenant has one pending.
  base::Result<std::int64_t> begin_move(const base::TenantId& tenant, std::string_view plan);
  base::Result<void> change_move(std::int64_t number, std::string_view plan);
  base::Result<void> end_move(std::int64_t number, std::string_view certificate);
  base::Result<void> forget_move(std::int64_t number);
  base::Result<std::vector<PendingWork>> pending_moves();
  base::Result<std::vector<std::string>> move_certificates(const base::TenantId& tenant);
  // What no restore undoes (storage/tombstones.h). An entry that is there gets the new stamp.
  struct Tombstone {
    std::string kind, name, stamp;
  };
  base::Result<void> put_tombstone(const base::TenantId& tenant, const Tombstone& entry);
  // The same, unless the entry is there.
  base::Result<void> adopt_tombstones(const base::TenantId& tenant, const std::vector<Tombstone>& entries);
  // One entry instead of all of its kind.
  base::Result<void> replace_tombstones(const base::TenantId& tenant, const Tombstone& entry);
  base::Result<std::vector<Tombstone>> tombstones(const base::TenantId& tenant);
  base::Result<std::size_t> count_tombstones(const base::TenantId& tenant, std::string_view kind);
  base::Result<bool> has_tombstone(const base::TenantId& tenant, std::string_view kind,
                                   std::string_view name);
  // Wraps the registry key with the newest platform key version.
  base::Result<void> rewrap(const crypto::PlatformKeys& keys);

 private:
  struct Impl;
  explicit PlatformDatabase(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

class StoreManager final : public tenancy::TenantEraser {
 public:
  StoreManager(std::filesystem::path data_dir, tenancy::TenantDirectory& tenants, const base::Clock& clock,
               std::size_t open_stores_max = 128);
  ~StoreManager() override;
  // Before any other call. `name` is what tenants' policies name.
  void add_backend(std::string name, std::unique_ptr<StoreBackend> backend);
  // Whether a store of this name ("" for the embedded one) is there and gives the walls of `mode`; an
  // error says what to change.
  base::Result<void> check_offers(const std::string& store, tenancy::IsolationMode mode) const;

  // The scope's own store; opened (and made) when needed. The handle keeps it open. Handles are for one
  // piece of work: while a copy is being made, new ones wait for its instant (Busy when that lasts too long).
  base::Result<std::shared_ptr<TenantStore>> open(const tenancy::TenantScope& scope);

  // While a copy has its instant: set when it is over. Whoever takes a thread of a shared pool to call `open`
  // waits for it first, so that one tenant's requests don't hold the threads of all. Nothing otherwise.
  std::shared_ptr<base::Event> held_up(const base::TenantId& tenant) const;

  // Watches a tenant's store while a copy of it is made. Busy: another copy is being made, or somebody holds
  // a handle for longer than `time`. One watch a tenant; ends with the object, which must go before the
  // manager.
  class Watch {
   public:
    virtual ~Watch() = default;
    // What was written since the watch began.
    virtual Journal& journal() = 0;
    // The store for whoever copies it: is not held up by `freeze`.
    virtual base::Result<std::shared_ptr<TenantStore>> store(const tenancy::TenantScope& scope) = 0;
    // True: nobody holds a handle and nobody gets one until `thaw`. False: somebody stayed inside for all of
    // `time`.
    virtual bool freeze(std::chrono::milliseconds time) = 0;
    virtual void thaw() = 0;
  };
  base::Result<std::unique_ptr<Watch>> watch(const base::TenantId& tenant, std::chrono::milliseconds time);

  // The tenant's store at another place than its policy names ("" the embedded one), while it is moved
  // there: made when needed, and known to nobody else.
  base::Result<std::shared_ptr<OpenStore>> open_at(const tenancy::TenantScope& scope,
                                                   const std::string& place);
  // Removes what is at that place; no open store may be there.
  base::Result<Report> erase_at(const base::TenantId& tenant, const std::string& place);

  void close(const base::TenantId& tenant) override;
  base::Result<Report> erase(const base::TenantId& tenant) override;
  std::size_t open_count() const;
  // What is kept of a tenant whose store is open, after its last change; of all those together. No store is
  // asked: nothing for one that is closed or is being opened or closed just now.
  std::optional<Usage> usage_seen(const base::TenantId& tenant) const;
  Usage usage_seen() const;
  // Tries the walls around an active tenant's store now, with `other` as the neighbour that tries to get
  // in (a key of nobody's when there is no such tenant). Reads no content.
  base::Result<StoreProbe> probe(const base::TenantId& tenant, const base::TenantId& other);
  // Removes kept chats that have expired from every open store (a store that is closed is swept when it
  // is next opened). How many. Blocks; see StoreSweeper.
  std::size_t delete_expired_chats();
  // What is asked before expired chats are removed, and told of each tenant's that were. Nothing is removed
  // while `may_remove` says no: what could not be recorded must not go. Call before use.
  struct ExpiryRecords {
    std::function<bool()> may_remove;
    std::function<void(const base::TenantId&, std::size_t count)> removed;
  };
  void record_expiry(ExpiryRecords records);
  // Gives back what the open stores' caches hold of their tenants' content.
  void forget_pages();
  // Active tenants with an open store are "active", the others "cold". Never blocks on I/O.
  bool is_open(const base::TenantId& tenant) const;
  // Tenants whose store was opened and found to hold records under older keys; each once.
  std::vector<base::TenantId> take_upkeep();

 private:
  friend class ApiKeyLookup;  // alone reads a record before there is a credential
  friend class Upkeep;        // alone opens scopes without one
  const tenancy::PlatformAccess& platform_access() const;
  // The record of this key alone, without a scope; nothing: the tenant has none of this id. Reads an open
  // store where it is not busy, else what is on disk.
  base::Result<FoundApiKey> find_api_key(const base::TenantId& tenant, const base::ApiKeyId& id);
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bulkhead::storage
