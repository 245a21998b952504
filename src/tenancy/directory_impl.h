// The directory's own state; directory.cc (life), directory_keys.cc (keys) and directory_loss.cc (keys that
// are lost) share it.
#pragma once

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>
#include <unordered_set>

#include "tenancy/directory.h"
#include "tenancy/scope_shared.h"

namespace bulkhead::tenancy {

// How the platform is named where a provider's name stands.
inline constexpr std::string_view kPlatformProvider = "platform";

base::Error unknown_tenant();
base::Error tenant_suspended();

struct TenantDirectory::Impl {
  std::shared_ptr<crypto::PlatformKeys> platform;
  Registry& registry;
  const base::Clock& clock;
  const std::size_t open_keys_max;

  struct Entry {
    StoredTenant stored;
    std::shared_ptr<TenantScope::Shared> shared;  // when its keys are open
    // Every generation that scopes may still hold: a policy change or an LRU close starts a new one,
    // and a suspension must cut them all.
    std::vector<std::weak_ptr<TenantScope::Shared>> generations;
    // Set while its key could not be had when it was last asked for: why, and from when on a request may ask
    // again.
    std::optional<base::Error> lost;
    std::int64_t ask_again = 0;  // monotonic
  };
  struct NameHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view name) const { return std::hash<std::string_view>()(name); }
  };
  mutable std::shared_mutex mutex;  // guards tenants and open_names
  std::unordered_map<std::string, Entry, NameHash, std::equal_to<>> tenants;
  std::unordered_set<std::string> open_names;  // whose `shared` may be set; no other's is
  std::mutex change_mutex;                     // one life-cycle change at a time
  std::vector<std::function<void(const base::TenantId&)>> listeners;
  std::vector<std::function<void(const base::TenantId&, const base::Error&)>> lost_listeners;
  std::vector<std::function<void(const base::TenantId&)>> returned_listeners;
  std::map<std::string, std::shared_ptr<crypto::KeyProvider>> providers;  // fixed after start
  std::atomic<std::chrono::milliseconds> key_lifetime{std::chrono::milliseconds(60'000)};

  Impl(std::shared_ptr<crypto::PlatformKeys> p, Registry& r, const base::Clock& c, std::size_t k)
      : platform(std::move(p)), registry(r), clock(c), open_keys_max(k) {}

  // The entry of an active tenant. Called with the lock, shared at least.
  base::Result<Entry*> active(const base::TenantId& id) {
    auto found = tenants.find(id.str());
    if (found == tenants.end()) return unknown_tenant();
    switch (found->second.stored.tenant.state) {
      case TenantState::Active: return &found->second;
      case TenantState::Suspended: return tenant_suspended();
      case TenantState::Destroyed:
      case TenantState::Restoring: break;
    }
    return unknown_tenant();
  }

  std::shared_ptr<TenantScope::Shared> used_now(const Entry& entry) const {
    entry.shared->last_used.store(clock.monotonic().time_since_epoch().count(), std::memory_order_relaxed);
    return entry.shared;
  }

  // The open state of an active tenant; unwraps its key when needed. Called without the lock.
  base::Result<std::shared_ptr<TenantScope::Shared>> open_shared(const base::TenantId& id);
  // The same whatever state it is in, a destroyed one aside; `entry_of` finds and judges.
  using EntryOf = base::Result<Entry*> (Impl::*)(const base::TenantId&);
  base::Result<std::shared_ptr<TenantScope::Shared>> open_shared(const base::TenantId& id, EntryOf entry_of);
  // What is held already, or null when opening may block.
  base::Result<std::shared_ptr<TenantScope::Shared>> held_shared(const base::TenantId& id);
  // Why a key was refused that is not to be asked for again yet: a closed tenant's requests must not keep its
  // provider, and the threads that ask, busy. Whoever gets nothing asks, and nobody else for a while.
  std::optional<base::Error> refused_lately(const base::TenantId& id);
  base::Result<Entry*> present(const base::TenantId& id);

  // Tenant key and purpose keys of a stored tenant, by its provider. Blocks; without the lock.
  struct Unwrapped {
    base::Secret tenant_key;
    crypto::TenantKeys keys;
  };
  base::Result<Unwrapped> unwrap(const StoredTenant& stored) const;
  base::Result<crypto::WrappedKey> wrap(const base::Secret& key, const std::string& provider,
                                        const std::string& context) const;
  base::Result<std::shared_ptr<crypto::KeyProvider>> provider_of(const std::string& name) const;
  std::int64_t now() const { return clock.monotonic().time_since_epoch().count(); }
  std::int64_t good_until() const {
    return now() + std::chrono::duration_cast<base::MonotonicTime::duration>(key_lifetime.load()).count();
  }
  base::Result<void> replace_keys(const StoredTenant& before, const StoredTenant& after,
                                  const crypto::TenantKeys& keys);
  // Whether a tenant of this name may be made; and making it, durably.
  base::Result<void> check_new(const base::TenantId& id, std::string_view display_name);
  base::Result<Tenant> add(const StoredTenant& stored);
  bool holds_good_keys(const base::TenantId& id) const;
  // Cuts a tenant whose key can't be had, and says so to the listeners; once, until it is had again. Nothing
  // when the key that was asked for (`asked`) is no longer the tenant's.
  void lose_keys(const StoredTenant& asked, const base::Error& why);
  void tell_lost(const base::TenantId& id, const base::Error& why) const;
  void note_opened(const base::TenantId& id);

  // Makes room for one more open key, of tenant `opening`: that of the tenant nobody has opened for longest
  // is dropped. Running scopes keep theirs alive. Looks at the open ones only, never at all tenants.
  void close_coldest(const base::TenantId& opening) {
    Entry* coldest = nullptr;
    for (auto name = open_names.begin(); name != open_names.end();) {
      const auto found = tenants.find(*name);
      if (found == tenants.end() || !found->second.shared) {
        name = open_names.erase(name);  // closed for another reason
        continue;
      }
      Entry& entry = found->second;
      if (!coldest || entry.shared->last_used < coldest->shared->last_used) coldest = &entry;
      ++name;
    }
    if (coldest && open_names.size() >= open_keys_max) {
      open_names.erase(coldest->stored.tenant.id.str());
      coldest->shared.reset();
    }
    open_names.insert(opening.str());
  }

  // Cuts all running scopes of the tenant, outside the lock.
  static void cut(const std::vector<std::weak_ptr<TenantScope::Shared>>& generations,
                  base::CancelReason why) {
    for (const auto& generation : generations) {
      if (auto shared = generation.lock()) {
        shared->alive.store(false, std::memory_order_release);
        shared->cut.cancel(why);
      }
    }
  }

  void tell(const base::TenantId& id) {
    for (const auto& listener : listeners) listener(id);
  }

  // Writes a changed record durably, then puts it in place; any `cut_reason` but None ends its running
  // scopes.
  base::Result<Tenant> change(const base::TenantId& id,
                              const std::function<base::Result<void>(StoredTenant&)>& edit,
                              base::CancelReason cut_reason) {
    std::lock_guard one(change_mutex);
    std::optional<StoredTenant> copy;
    {
      std::shared_lock lock(mutex);
      auto entry = tenants.find(id.str());
      if (entry == tenants.end()) return unknown_tenant();
      copy = entry->second.stored;
    }
    BULKHEAD_CHECK_OK(edit(*copy));
    BULKHEAD_CHECK_OK(registry.update(*copy));
    std::vector<std::weak_ptr<TenantScope::Shared>> running;
    {
      std::unique_lock lock(mutex);
      Entry& entry = tenants.at(id.str());
      // An emptied vector keeps its buffer, and a destroyed key must not lie on in it.
      if (copy->wrapped_key.box.empty()) base::wipe(entry.stored.wrapped_key.box);
      entry.stored = *copy;
      entry.shared.reset();
      if (cut_reason != base::CancelReason::None) running.swap(entry.generations);
    }
    cut(running, cut_reason);
    tell(id);
    return copy->tenant;
  }
};

// Associated data of a wrapped tenant key.
std::string key_context(const base::TenantId& id, std::uint32_t key_number);
std::string key_id_of(const crypto::WrappedKey& key);

}  // namespace bulkhead::tenancy
