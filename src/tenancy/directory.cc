#include "tenancy/directory.h"

#include <algorithm>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>

#include "base/log.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "tenancy/certificate.h"
#include "tenancy/scope_shared.h"

namespace bulkhead::tenancy {

using base::Error;
using base::Result;
using base::TenantId;

namespace {

constexpr std::size_t kTenantKeyBytes = 32;
constexpr std::size_t kDisplayNameBytesMax = 256;
// The engine's own calls bear this name (engine/adapters.cc).
constexpr std::string_view kReservedName = "platform";

std::string key_context(const TenantId& id) { return "tenant/" + id.str(); }

std::string key_id_of(const crypto::WrappedKey& key) {
  crypto::Digest digest = crypto::sha256(base::ByteView(key.box));
  return base::hex_encode(base::ByteView(digest).first(16));
}

Error unknown() { return Error(TenancyError::UnknownTenant, "No such tenant."); }
Error suspended() { return Error(TenancyError::TenantSuspended, "This tenant is suspended."); }

}  // namespace

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
  };
  struct NameHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view name) const { return std::hash<std::string_view>()(name); }
  };
  mutable std::shared_mutex mutex;  // guards tenants
  std::unordered_map<std::string, Entry, NameHash, std::equal_to<>> tenants;
  std::mutex change_mutex;          // one life-cycle change at a time
  std::vector<std::function<void(const TenantId&)>> listeners;

  Impl(std::shared_ptr<crypto::PlatformKeys> p, Registry& r, const base::Clock& c, std::size_t k)
      : platform(std::move(p)), registry(r), clock(c), open_keys_max(k) {}

  // The entry of an active tenant. Called with the lock, shared at least.
  Result<Entry*> active(const TenantId& id) {
    auto found = tenants.find(id.str());
    if (found == tenants.end()) return unknown();
    switch (found->second.stored.tenant.state) {
      case TenantState::Active: return &found->second;
      case TenantState::Suspended: return suspended();
      case TenantState::Destroyed: break;
    }
    return unknown();
  }

  std::shared_ptr<TenantScope::Shared> used_now(const Entry& entry) const {
    entry.shared->last_used.store(clock.monotonic().time_since_epoch().count(), std::memory_order_relaxed);
    return entry.shared;
  }

  // The open state of an active tenant; unwraps its key when needed. Called without the lock.
  Result<std::shared_ptr<TenantScope::Shared>> open_shared(const TenantId& id) {
    {
      std::shared_lock lock(mutex);
      BULKHEAD_TRY(entry, active(id));
      if (entry->shared) return used_now(*entry);
    }
    std::unique_lock lock(mutex);
    BULKHEAD_TRY(entry, active(id));
    if (entry->shared) return used_now(*entry);
    auto key = platform->unwrap(entry->stored.wrapped_key, key_context(id));
    if (!key) {
      return Error(TenancyError::KeyUnavailable, "This tenant's key is not available.",
                   id.str() + ": " + key.error().describe());
    }
    close_coldest();
    entry->shared = std::make_shared<TenantScope::Shared>(
        entry->stored.tenant, std::make_shared<crypto::TenantKeys>(std::move(*key), id.str()));
    std::erase_if(entry->generations, [](const auto& old) { return old.expired(); });
    entry->generations.push_back(entry->shared);
    return used_now(*entry);
  }

  // Makes room for one more open key: that of the tenant nobody has opened for longest is dropped.
  // Running scopes keep theirs alive. A scan, since it stands beside the cost of an unwrap.
  void close_coldest() {
    std::size_t open = 0;
    Entry* coldest = nullptr;
    for (auto& [name, entry] : tenants) {
      if (!entry.shared) continue;
      ++open;
      if (!coldest || entry.shared->last_used < coldest->shared->last_used) coldest = &entry;
    }
    if (coldest && open >= open_keys_max) coldest->shared.reset();
  }

  // Cuts all running scopes of the tenant, outside the lock.
  static void cut(const std::vector<std::weak_ptr<TenantScope::Shared>>& generations,
                  std::string_view why) {
    for (const auto& generation : generations) {
      if (auto shared = generation.lock()) {
        shared->alive.store(false, std::memory_order_release);
        shared->cut.cancel(why);
      }
    }
  }

  void tell(const TenantId& id) {
    for (const auto& listener : listeners) listener(id);
  }

  // Writes a changed record durably, then puts it in place; `cut_running` ends its scopes.
  Result<Tenant> change(const TenantId& id, const std::function<Result<void>(StoredTenant&)>& edit,
                        std::string_view cut_reason) {
    std::lock_guard one(change_mutex);
    std::optional<StoredTenant> copy;
    {
      std::shared_lock lock(mutex);
      auto entry = tenants.find(id.str());
      if (entry == tenants.end()) return unknown();
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
      if (!cut_reason.empty()) running.swap(entry.generations);
    }
    cut(running, cut_reason);
    tell(id);
    return copy->tenant;
  }
};

TenantDirectory::TenantDirectory(std::shared_ptr<crypto::PlatformKeys> platform, Registry& registry,
                                 const base::Clock& clock, std::size_t open_keys_max)
    : impl_(std::make_unique<Impl>(std::move(platform), registry, clock, open_keys_max)) {}
TenantDirectory::~TenantDirectory() = default;

Result<void> TenantDirectory::load() {
  BULKHEAD_TRY(all, impl_->registry.load_all());
  std::unique_lock lock(impl_->mutex);
  impl_->tenants.clear();
  for (StoredTenant& stored : all) {
    std::string name = stored.tenant.id.str();
    impl_->tenants.emplace(name, Impl::Entry{std::move(stored), nullptr, {}});
  }
  return Result<void>();
}

Result<TenantScope> TenantDirectory::open(std::shared_ptr<const identity::Principal> principal) {
  if (!principal || !principal->tenant() || principal->is_operator()) {
    return Error(TenancyError::NotATenantPrincipal,
                 "This credential belongs to no tenant, so it opens no tenant's data.");
  }
  BULKHEAD_TRY(shared, impl_->open_shared(*principal->tenant()));
  return TenantScope(std::move(shared), std::move(principal));
}

identity::TenantStatus::State TenantDirectory::state_of(std::string_view tenant) const {
  std::shared_lock lock(impl_->mutex);
  auto entry = impl_->tenants.find(tenant);
  if (entry == impl_->tenants.end()) return State::Unknown;
  switch (entry->second.stored.tenant.state) {
    case TenantState::Active: return State::Active;
    case TenantState::Suspended: return State::Suspended;
    case TenantState::Destroyed: return State::Unknown;
  }
  return State::Unknown;
}

std::optional<Tenant> TenantDirectory::find(const TenantId& id) const {
  std::shared_lock lock(impl_->mutex);
  auto entry = impl_->tenants.find(id.str());
  if (entry == impl_->tenants.end()) return std::nullopt;
  return entry->second.stored.tenant;
}

std::vector<Tenant> TenantDirectory::list() const {
  std::shared_lock lock(impl_->mutex);
  std::vector<Tenant> tenants;
  for (const auto& [name, entry] : impl_->tenants) tenants.push_back(entry.stored.tenant);
  std::sort(tenants.begin(), tenants.end(), [](const Tenant& a, const Tenant& b) { return a.id < b.id; });
  return tenants;
}

Result<Tenant> TenantDirectory::create(const TenantId& id, std::string display_name,
                                       IsolationMode mode, TenantPolicy policy) {
  if (id.str() == kReservedName) {
    return Error(TenancyError::BadName, "The name \"platform\" is reserved; choose another.");
  }
  if (display_name.size() > kDisplayNameBytesMax) {
    return Error(TenancyError::BadName, "The display name is longer than 256 bytes.");
  }
  BULKHEAD_CHECK_OK(check_mode_policy(mode, policy));
  std::lock_guard one(impl_->change_mutex);
  {
    std::shared_lock lock(impl_->mutex);
    if (auto entry = impl_->tenants.find(id.str()); entry != impl_->tenants.end()) {
      // A destroyed tenant's name stays taken: its old tokens must never open a new tenant.
      bool gone = entry->second.stored.tenant.state == TenantState::Destroyed;
      return Error(TenancyError::TenantExists,
                   gone ? "A tenant of this name was destroyed; choose a new name."
                        : "There is already a tenant of this name.");
    }
  }
  StoredTenant stored{.tenant = {.id = id}};
  stored.tenant.display_name = std::move(display_name);
  stored.tenant.mode = mode;
  stored.tenant.policy = std::move(policy);
  stored.tenant.created = impl_->clock.unix_seconds();
  stored.wrapped_key = impl_->platform->wrap(crypto::random_secret(kTenantKeyBytes), key_context(id));
  BULKHEAD_CHECK_OK(impl_->registry.insert(stored));
  Tenant made = stored.tenant;
  {
    std::unique_lock lock(impl_->mutex);
    impl_->tenants.emplace(id.str(), Impl::Entry{std::move(stored), nullptr, {}});
  }
  impl_->tell(id);
  return made;
}

Result<Tenant> TenantDirectory::set_policy(const TenantId& id, TenantPolicy policy) {
  return impl_->change(id, [&](StoredTenant& stored) -> Result<void> {
    if (stored.tenant.state == TenantState::Destroyed) return unknown();
    // A policy that names no store leaves the tenant where it is; one that names another would make it
    // look empty.
    if (policy.store.empty()) policy.store = stored.tenant.policy.store;
    if (policy.store != stored.tenant.policy.store) {
      return Error(TenancyError::BadPolicy,
                   "'store' can't be changed by a policy: the tenant's data is in the old "
                   "one.")
          .with_parameter("store");
    }
    BULKHEAD_CHECK_OK(check_mode_policy(stored.tenant.mode, policy));
    stored.tenant.policy = std::move(policy);
    return Result<void>();
  }, "");
}

Result<Tenant> TenantDirectory::suspend(const TenantId& id, std::string reason) {
  auto changed = impl_->change(id, [](StoredTenant& stored) -> Result<void> {
    if (stored.tenant.state == TenantState::Destroyed) return unknown();
    stored.tenant.state = TenantState::Suspended;
    return Result<void>();
  }, "tenant_cut");
  if (changed) {
    base::log::warning("tenant_suspended", {{"tenant", std::string_view(id.str())},
                                            {"reason", std::string_view(reason)}});
  }
  return changed;
}

Result<Tenant> TenantDirectory::resume(const TenantId& id) {
  return impl_->change(id, [](StoredTenant& stored) -> Result<void> {
    if (stored.tenant.state == TenantState::Destroyed) return unknown();
    stored.tenant.state = TenantState::Active;
    return Result<void>();
  }, "");
}

Result<DestructionCertificate> TenantDirectory::destroy(const TenantId& id, TenantEraser& eraser,
                                                        const crypto::SigningKey& signer) {
  CertificateFacts facts{.tenant = id.str(), .time = impl_->clock.wall()};
  // First the key, durably: from here on nothing can be read, whatever happens to the files. A crash
  // after this leaves a destroyed tenant whose files a second `destroy` removes.
  BULKHEAD_CHECK_OK(impl_->change(id, [&](StoredTenant& stored) -> Result<void> {
    if (!stored.wrapped_key.box.empty()) facts.key_id = key_id_of(stored.wrapped_key);
    stored.tenant.state = TenantState::Destroyed;
    base::wipe(stored.wrapped_key.box);
    return Result<void>();
  }, "tenant_cut"));
  eraser.close(id);
  BULKHEAD_TRY(report, eraser.erase(id));
  facts.erased = std::move(report);
  BULKHEAD_TRY(all, impl_->registry.load_all());
  auto kept = std::find_if(all.begin(), all.end(), [&](const StoredTenant& s) { return s.tenant.id == id; });
  if (kept == all.end() || !kept->wrapped_key.box.empty()) {
    // Nothing is certified that could not be seen.
    return Error(TenancyError::Registry, "The tenant's key could not be shown to be gone. Try again.",
                 id.str() + ": the registry still holds a wrapped key, or lost the tenant's mark");
  }
  return make_certificate(facts, signer);
}

Result<std::size_t> TenantDirectory::rewrap_keys() {
  std::lock_guard one(impl_->change_mutex);
  std::vector<std::pair<TenantId, crypto::WrappedKey>> keys;
  std::vector<std::pair<TenantId, crypto::WrappedKey>> old;
  {
    std::shared_lock lock(impl_->mutex);
    for (const auto& [name, entry] : impl_->tenants) {
      if (!entry.stored.wrapped_key.box.empty()) {
        old.emplace_back(entry.stored.tenant.id, entry.stored.wrapped_key);
      }
    }
  }
  for (const auto& [id, wrapped] : old) {
    BULKHEAD_TRY(key, impl_->platform->unwrap(wrapped, key_context(id)));
    keys.emplace_back(id, impl_->platform->wrap(key, key_context(id)));
  }
  BULKHEAD_CHECK_OK(impl_->registry.replace_keys(keys));
  std::unique_lock lock(impl_->mutex);
  for (auto& [id, wrapped] : keys) impl_->tenants.at(id.str()).stored.wrapped_key = std::move(wrapped);
  return keys.size();
}

Result<KeyProof> TenantDirectory::prove_key(const TenantId& id, const TenantId& other) const {
  crypto::WrappedKey wrapped;
  {
    std::shared_lock lock(impl_->mutex);
    BULKHEAD_TRY(entry, impl_->active(id));
    wrapped = entry->stored.wrapped_key;
  }
  auto broken = [](std::string what) {
    return Error(TenancyError::KeyUnavailable, "This tenant's key is not what it must be.", std::move(what));
  };
  auto key = impl_->platform->unwrap(wrapped, key_context(id));
  if (!key) return broken("its wrapped key does not open: " + key.error().describe());
  if (impl_->platform->unwrap(wrapped, key_context(other)))
    return broken("its wrapped key opens under another tenant's name");
  const crypto::TenantKeys own(std::move(*key), id.str());
  const crypto::TenantKeys foreign(crypto::random_secret(kTenantKeyBytes), other.str());
  const base::Secret& seal_key = own.key(crypto::Purpose::RecordSeal);
  const auto mine = base::as_bytes(id.str()), others = base::as_bytes(other.str());
  const base::Bytes box = crypto::seal(seal_key, base::as_bytes("posture"), mine);
  if (!crypto::open(seal_key, box, mine)) return broken("what it seals does not open again");
  if (crypto::open(seal_key, box, others)) return broken("what it seals opens under another tenant's name");
  if (crypto::open(foreign.key(crypto::Purpose::RecordSeal), box, mine))
    return broken("what it seals opens with another key");
  return KeyProof{"its wrapped key " + key_id_of(wrapped) + " opened; under another tenant's name: refused",
                  "a sample sealed with its key opened; under another tenant's name and with another key: "
                  "refused"};
}

Result<crypto::Digest> TenantDirectory::api_key_hash_for(const TenantId& tenant, std::string_view text) {
  BULKHEAD_TRY(shared, impl_->open_shared(tenant));
  return identity::api_key_hash(shared->keys->key(crypto::Purpose::ApiKeyHash), text);
}

Result<base::Secret> TenantDirectory::database_key_for(const TenantId& tenant, const DatabaseAccess&) {
  BULKHEAD_TRY(shared, impl_->open_shared(tenant));
  return shared->keys->key(crypto::Purpose::Database).clone();
}

void TenantDirectory::on_change(std::function<void(const TenantId&)> listener) {
  impl_->listeners.push_back(std::move(listener));
}

}  // namespace bulkhead::tenancy
