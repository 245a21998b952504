// The tenants as they are held in memory: records, open keys, and the scopes' shared parts. Tenancy's own;
// not for other modules. Directory (life), Keyring (keys) and the makers of scopes work on one table.
//
// A tenant's keys are unwrapped when it is first used and dropped when it is the least recently used of more
// than `open_keys_max`; running scopes keep theirs alive.
//
// Thread safety: all members from every thread, but for `on_*`, which belong to the start. `open_shared`
// blocks where a key provider is asked, `change` and `add` on the registry; neither holds the lock meanwhile,
// so other tenants never wait for them.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "tenancy/key_wrapping.h"
#include "tenancy/registry.h"
#include "tenancy/scope_shared.h"

namespace bulkhead::tenancy {

base::Error unknown_tenant();
base::Error tenant_suspended();

class TenantTable {
 public:
  using Shared = std::shared_ptr<TenantScope::Shared>;
  using Generations = std::vector<std::weak_ptr<TenantScope::Shared>>;

  TenantTable(std::shared_ptr<crypto::PlatformKeys> platform, Registry& registry, const base::Clock& clock,
              std::size_t open_keys_max)
      : wrapping(std::move(platform), clock),
        registry(registry),
        clock(clock),
        open_keys_max_(open_keys_max) {}

  KeyWrapping wrapping;
  Registry& registry;
  const base::Clock& clock;

  void hold(std::vector<StoredTenant> all);
  std::optional<TenantState> state(std::string_view name) const;
  std::optional<Tenant> tenant(std::string_view name) const;
  std::optional<StoredTenant> stored(std::string_view name) const;
  // Each record, under the shared lock: `each` must not call back.
  void for_each(const std::function<void(const StoredTenant&)>& each) const;

  // A record that may be used for work: `Any` takes every state but Destroyed.
  enum class Wanted { Active, Any };
  base::Result<StoredTenant> record(const base::TenantId& id, Wanted wanted) const;

  // The open state of a tenant; its key is unwrapped when needed.
  base::Result<Shared> open_shared(const base::TenantId& id, Wanted wanted);
  // What an active tenant has open already, or null when opening may block.
  base::Result<Shared> held_shared(const base::TenantId& id);

  // Whether a tenant of this name may be made; and making it, durably.
  base::Result<void> check_new(const base::TenantId& id, std::string_view display_name) const;
  base::Result<Tenant> add(const StoredTenant& stored);
  // Writes a changed record durably, then puts it in place; any `cut_reason` but None ends its running
  // scopes.
  base::Result<Tenant> change(const base::TenantId& id,
                              const std::function<base::Result<void>(StoredTenant&)>& edit,
                              base::CancelReason cut_reason);
  // Durably, and ends its running scopes.
  base::Result<void> remove(const base::TenantId& id);
  // Puts a tenant's new keys in place: durably, then for every running scope. Busy when `before` is no longer
  // what the tenant has. With `anew`, who comes next gets a set of keys without those that running scopes
  // still see, and with the last of these, memory forgets them.
  base::Result<void> replace_keys(const StoredTenant& before, const KeyWrapping::Renewed& renewed, bool anew);
  // Renews the platform's wrapping of all keys it wrapped, in one transaction. Gives how many.
  base::Result<std::size_t> rewrap_all();

  // Keys that providers confirm, and keys that they do not give any more.
  struct KeyState {
    bool held = false, lost = false;
  };
  KeyState key_state(const base::TenantId& id) const;
  std::size_t keys_lost() const;
  // Records of this provider whose keys are held and past a quarter of their lifetime, or were lost.
  std::vector<StoredTenant> due_for_refresh(const std::string& provider) const;
  void confirm(const StoredTenant& stored, std::int64_t good_until);
  // A provider that says no is believed at once; one that can't be asked has until the keys' lifetime ends.
  void refused(const StoredTenant& asked, const base::Error& why);
  void note_opened(const base::TenantId& id);
  std::optional<std::chrono::milliseconds> lose_expired();

  void on_change(std::function<void(const base::TenantId&)> listener);
  void on_lost(std::function<void(const base::TenantId&, const base::Error&)> listener);
  void on_returned(std::function<void(const base::TenantId&)> listener);

 private:
  struct Entry {
    StoredTenant stored;
    Shared shared;  // when its keys are open
    // Every generation that scopes may still hold: a policy change or an LRU close starts a new one,
    // and a suspension must cut them all.
    Generations generations;
    // Set while its key could not be had when it was last asked for: why, and from when on a request may ask
    // again.
    std::optional<base::Error> lost;
    std::int64_t ask_again = 0;  // monotonic
  };
  struct NameHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view name) const { return std::hash<std::string_view>()(name); }
  };

  // Called with the lock, shared at least.
  base::Result<const Entry*> entry_of(const base::TenantId& id, Wanted wanted) const;
  base::Result<Entry*> entry_of(const base::TenantId& id, Wanted wanted);
  Shared used_now(const Entry& entry) const;
  void close_coldest(const base::TenantId& opening);

  std::optional<base::Error> refused_lately(const base::TenantId& id);
  bool holds_good_keys(const base::TenantId& id) const;
  void lose_keys(const StoredTenant& asked, const base::Error& why);
  void tell_lost(const base::TenantId& id, const base::Error& why) const;
  void tell_changed(const base::TenantId& id) const;
  static void cut(const Generations& generations, base::CancelReason why);
  std::int64_t now() const { return clock.monotonic().time_since_epoch().count(); }

  const std::size_t open_keys_max_;
  std::mutex change_mutex_;          // one life-cycle change at a time
  mutable std::shared_mutex mutex_;  // guards what follows, to open_names_
  std::unordered_map<std::string, Entry, NameHash, std::equal_to<>> tenants_;
  std::unordered_set<std::string> open_names_;  // whose `shared` may be set; no other's is
  std::vector<std::function<void(const base::TenantId&)>> listeners_;
  std::vector<std::function<void(const base::TenantId&, const base::Error&)>> lost_listeners_;
  std::vector<std::function<void(const base::TenantId&)>> returned_listeners_;
};

}  // namespace bulkhead::tenancy
