// TenantDirectory: opening keys, rotation.
#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "identity/upkeep_principal.h"
#include "tenancy/directory_impl.h"

namespace bulkhead::tenancy {

using base::Error;
using base::Result;
using base::TenantId;

namespace {

constexpr std::size_t kTenantKeyBytes = 32;
// A key that changes hands while it is being opened is opened again, but not for ever.
constexpr int kOpenAttemptsMax = 8;

std::string names_of(const std::vector<crypto::Purpose>& purposes) {
  std::string names;
  for (crypto::Purpose purpose : purposes) {
    names += (names.empty() ? "" : ",") + std::string(crypto::purpose_name(purpose));
  }
  return names;
}

std::vector<crypto::Purpose> purposes_of(std::string_view names) {
  std::vector<crypto::Purpose> purposes;
  for (crypto::Purpose purpose : crypto::all_purposes()) {
    const std::string with_commas = "," + std::string(names) + ",";
    if (with_commas.find("," + std::string(crypto::purpose_name(purpose)) + ",") != std::string::npos) {
      purposes.push_back(purpose);
    }
  }
  return purposes;
}

}  // namespace

// The first key's context is what it was before tenant keys had numbers.
std::string key_context(const TenantId& id, std::uint32_t key_number) {
  std::string context = "tenant/" + id.str();
  if (key_number > 1) context += "/" + std::to_string(key_number);
  return context;
}

std::string key_id_of(const crypto::WrappedKey& key) {
  crypto::Digest digest = crypto::sha256(base::ByteView(key.box));
  return base::hex_encode(base::ByteView(digest).first(16));
}

Error unknown_tenant() { return Error(TenancyError::UnknownTenant, "No such tenant."); }
Error tenant_suspended() { return Error(TenancyError::TenantSuspended, "This tenant is suspended."); }

Result<std::shared_ptr<crypto::KeyProvider>> TenantDirectory::Impl::provider_of(
    const std::string& name) const {
  auto found = providers.find(name);
  if (found != providers.end()) return found->second;
  return Error(TenancyError::KeyUnavailable,
               "There is no key provider of that name. Name one of the configuration's "
               "[[key_provider]] sections, or \"platform\".",
               "key provider " + name + " is not configured");
}

Result<crypto::WrappedKey> TenantDirectory::Impl::wrap(const base::Secret& key, const std::string& provider,
                                                       const std::string& context) const {
  if (provider.empty()) return platform->wrap(key, context);
  BULKHEAD_TRY(found, provider_of(provider));
  BULKHEAD_TRY(box, found->wrap(key, context));
  return crypto::WrappedKey{0, std::move(box)};
}

Result<TenantDirectory::Impl::Unwrapped> TenantDirectory::Impl::unwrap(const StoredTenant& stored) const {
  const std::string context = key_context(stored.tenant.id, stored.key_number);
  auto opened = [&]() -> Result<base::Secret> {
    if (stored.provider.empty()) return platform->unwrap(stored.wrapped_key, context);
    BULKHEAD_TRY(provider, provider_of(stored.provider));
    return provider->unwrap(stored.wrapped_key.box, context);
  };
  auto key = opened();
  if (!key) {
    const bool revoked = key.error().is(crypto::KeyProviderError::Revoked);
    return Error(revoked ? TenancyError::KeyRevoked : TenancyError::KeyUnavailable,
                 "This tenant's key is not available. Ask whoever holds the tenant's key, or your "
                 "operator.",
                 stored.tenant.id.str() + ": " + key.error().describe());
  }
  BULKHEAD_TRY(keys, crypto::TenantKeys::open_ring(*key, stored.tenant.id.str(), stored.ring));
  return Unwrapped{std::move(*key), std::move(keys)};
}

Result<TenantDirectory::Impl::Entry*> TenantDirectory::Impl::present(const TenantId& id) {
  auto found = tenants.find(id.str());
  if (found == tenants.end() || found->second.stored.tenant.state == TenantState::Destroyed) {
    return unknown_tenant();
  }
  return &found->second;
}

Result<std::shared_ptr<TenantScope::Shared>> TenantDirectory::Impl::open_shared(const TenantId& id) {
  return open_shared(id, &Impl::active);
}

Result<std::shared_ptr<TenantScope::Shared>> TenantDirectory::Impl::held_shared(const TenantId& id) {
  {
    std::shared_lock lock(mutex);
    BULKHEAD_TRY(entry, active(id));
    if (entry->shared && entry->shared->key_is_good()) return used_now(*entry);
    if (entry->lost && now() < entry->ask_again) return *entry->lost;
    if (!entry->stored.provider.empty()) return std::shared_ptr<TenantScope::Shared>();
  }
  // The platform unwraps without asking anybody.
  return open_shared(id);
}

Result<std::shared_ptr<TenantScope::Shared>> TenantDirectory::Impl::open_shared(const TenantId& id,
                                                                                EntryOf entry_of) {
  if (auto refused = refused_lately(id)) return std::move(*refused);
  for (int attempt = 0; attempt < kOpenAttemptsMax; ++attempt) {
    std::optional<StoredTenant> stored;
    {
      std::shared_lock lock(mutex);
      BULKHEAD_TRY(entry, (this->*entry_of)(id));
      if (entry->shared && entry->shared->key_is_good()) return used_now(*entry);
      stored = entry->stored;
    }
    // Without the lock: a provider may be slow, and other tenants must not wait for it.
    const std::int64_t until = good_until();
    auto opened = unwrap(*stored);
    if (!opened) {
      {
        // A rotation may have wrapped it anew meanwhile, and destroyed what this copy was wrapped with.
        std::shared_lock lock(mutex);
        BULKHEAD_TRY(entry, (this->*entry_of)(id));
        if (entry->stored.wrapped_key.box != stored->wrapped_key.box) continue;
      }
      if (opened.error().is(TenancyError::KeyRevoked) || !holds_good_keys(id)) {
        lose_keys(*stored, opened.error());
      }
      return opened.take_error();
    }
    note_opened(id);
    std::unique_lock lock(mutex);
    BULKHEAD_TRY(entry, (this->*entry_of)(id));
    if (entry->stored.wrapped_key.box != stored->wrapped_key.box || entry->stored.ring != stored->ring) {
      continue;
    }
    if (entry->shared && entry->shared->key_is_good()) return used_now(*entry);
    close_coldest(id);
    entry->shared = std::make_shared<TenantScope::Shared>(entry->stored.tenant, opened->keys, clock);
    if (!entry->stored.provider.empty()) entry->shared->good_until.store(until);
    std::erase_if(entry->generations, [](const auto& old) { return old.expired(); });
    entry->generations.push_back(entry->shared);
    return used_now(*entry);
  }
  return Error(TenancyError::Busy, "The tenant's keys are being changed. Retry in a moment.");
}

Result<std::size_t> TenantDirectory::rewrap_keys() {
  std::lock_guard one(impl_->change_mutex);
  std::vector<std::pair<TenantId, crypto::WrappedKey>> keys;
  std::vector<StoredTenant> old;
  {
    std::shared_lock lock(impl_->mutex);
    for (const auto& [name, entry] : impl_->tenants) {
      // A tenant whose key another provider wraps has nothing of the platform's.
      if (!entry.stored.wrapped_key.box.empty() && entry.stored.provider.empty()) old.push_back(entry.stored);
    }
  }
  for (const StoredTenant& stored : old) {
    const std::string context = key_context(stored.tenant.id, stored.key_number);
    BULKHEAD_TRY(key, impl_->platform->unwrap(stored.wrapped_key, context));
    keys.emplace_back(stored.tenant.id, impl_->platform->wrap(key, context));
  }
  BULKHEAD_CHECK_OK(impl_->registry.replace_keys(keys));
  std::unique_lock lock(impl_->mutex);
  for (auto& [id, wrapped] : keys) impl_->tenants.at(id.str()).stored.wrapped_key = std::move(wrapped);
  return keys.size();
}

Result<KeyStatus> TenantDirectory::key_status(const TenantId& id) const {
  std::shared_lock lock(impl_->mutex);
  BULKHEAD_TRY(entry, impl_->present(id));
  const StoredTenant& stored = entry->stored;
  const auto provider = impl_->providers.find(stored.provider);
  return KeyStatus{.provider = stored.provider.empty() ? std::string(kPlatformProvider) : stored.provider,
                   .custody = provider == impl_->providers.end() ? "" : provider->second->describe(),
                   .key_number = stored.key_number,
                   .key_id = key_id_of(stored.wrapped_key),
                   .rotation = stored.rotation,
                   .held = entry->shared && entry->shared->key_is_good(),
                   .lost = entry->lost.has_value()};
}

std::vector<TenantId> TenantDirectory::rotating() const {
  std::shared_lock lock(impl_->mutex);
  std::vector<TenantId> ids;
  for (const auto& [name, entry] : impl_->tenants) {
    if (!entry.stored.rotation.empty()) ids.push_back(entry.stored.tenant.id);
  }
  return ids;
}

// Puts a tenant's new keys in place: durably, then for every running scope.
Result<void> TenantDirectory::Impl::replace_keys(const StoredTenant& before, const StoredTenant& after,
                                                 const crypto::TenantKeys& keys) {
  std::lock_guard one(change_mutex);
  StoredTenant record = after;
  {
    std::shared_lock lock(mutex);
    BULKHEAD_TRY(entry, present(after.tenant.id));
    const StoredTenant& current = entry->stored;
    if (current.wrapped_key.box != before.wrapped_key.box || current.ring != before.ring ||
        current.rotation != before.rotation) {
      return Error(TenancyError::Busy, "The tenant's keys are being changed. Retry in a moment.");
    }
    record.tenant = current.tenant;
  }
  BULKHEAD_CHECK_OK(registry.update(record));
  std::unique_lock lock(mutex);
  Entry& entry = tenants.at(record.tenant.id.str());
  base::wipe(entry.stored.wrapped_key.box);
  base::wipe(entry.stored.ring);
  entry.stored = record;
  const std::int64_t until = record.provider.empty() ? TenantScope::Shared::kForever : good_until();
  for (const auto& each : entry.generations) {
    if (auto shared = each.lock()) {
      shared->adopt(keys);
      shared->good_until.store(until);
    }
  }
  return Result<void>();
}

Result<KeyStatus> TenantDirectory::begin_rotation(const TenantId& id, const RotationOrder& order) {
  StoredTenant before{.tenant = {.id = id}};
  {
    std::shared_lock lock(impl_->mutex);
    BULKHEAD_TRY(entry, impl_->present(id));
    before = entry->stored;
  }
  if (!before.rotation.empty()) {
    return Error(TenancyError::Busy,
                 "A rotation of this tenant's keys is under way and goes on by itself. Wait until it "
                 "has ended.",
                 before.rotation);
  }
  BULKHEAD_TRY(old, impl_->unwrap(before));
  StoredTenant after = before;
  crypto::TenantKeys keys = old.keys.with_new_versions(order.purposes);
  base::Secret tenant_key = std::move(old.tenant_key);
  if (order.tenant_key || order.provider) {
    tenant_key = crypto::random_secret(kTenantKeyBytes);
    ++after.key_number;
    if (order.provider) after.provider = *order.provider == kPlatformProvider ? "" : *order.provider;
    BULKHEAD_TRY(wrapped, impl_->wrap(tenant_key, after.provider, key_context(id, after.key_number)));
    after.wrapped_key = std::move(wrapped);
  }
  after.ring = keys.seal_ring(tenant_key, id.str());
  after.rotation = names_of(order.purposes);
  BULKHEAD_CHECK_OK(impl_->replace_keys(before, after, keys));
  return key_status(id);
}

Result<KeyStatus> TenantDirectory::finish_rotation(const TenantId& id) {
  StoredTenant before{.tenant = {.id = id}};
  {
    std::shared_lock lock(impl_->mutex);
    BULKHEAD_TRY(entry, impl_->present(id));
    before = entry->stored;
  }
  if (!before.rotation.empty()) {
    BULKHEAD_TRY(old, impl_->unwrap(before));
    StoredTenant after = before;
    const crypto::TenantKeys keys = old.keys.with_newest_only(purposes_of(before.rotation));
    after.ring = keys.seal_ring(old.tenant_key, id.str());
    after.rotation.clear();
    BULKHEAD_CHECK_OK(impl_->replace_keys(before, after, keys));
    // Who comes next gets a set of keys without the older ones; with the last scope of now, memory forgets
    // them.
    std::unique_lock lock(impl_->mutex);
    BULKHEAD_TRY(entry, impl_->present(id));
    entry->shared.reset();
  }
  return key_status(id);
}

Result<TenantScope> TenantDirectory::open_for_upkeep(const TenantId& id, const UpkeepAccess&) {
  BULKHEAD_TRY(shared, impl_->open_shared(id, &Impl::present));
  return TenantScope(std::move(shared), identity::UpkeepPrincipal::make(id));
}

Result<KeyProof> TenantDirectory::prove_key(const TenantId& id, const TenantId& other) const {
  std::optional<StoredTenant> stored;
  {
    std::shared_lock lock(impl_->mutex);
    BULKHEAD_TRY(entry, impl_->active(id));
    stored = entry->stored;
  }
  auto broken = [](std::string what) {
    return Error(TenancyError::KeyUnavailable, "This tenant's key is not what it must be.", std::move(what));
  };
  auto opened = impl_->unwrap(*stored);
  if (!opened && !stored->provider.empty()) return KeyProof{opened.error().detail(), "", true};
  if (!opened) return broken("its wrapped key does not open: " + opened.error().describe());
  StoredTenant disguised = *stored;
  disguised.tenant.id = other;
  if (impl_->unwrap(disguised)) return broken("its wrapped key opens under another tenant's name");
  const crypto::TenantKeys foreign(crypto::random_secret(kTenantKeyBytes), other.str());
  const base::Secret& seal_key = opened->keys.key(crypto::Purpose::RecordSeal);
  const auto mine = base::as_bytes(id.str()), others = base::as_bytes(other.str());
  const base::Bytes box = crypto::seal(seal_key, base::as_bytes("posture"), mine);
  if (!crypto::open(seal_key, box, mine)) return broken("what it seals does not open again");
  if (crypto::open(seal_key, box, others)) return broken("what it seals opens under another tenant's name");
  if (crypto::open(foreign.key(crypto::Purpose::RecordSeal), box, mine))
    return broken("what it seals opens with another key");
  return KeyProof{
      "its wrapped key " + key_id_of(stored->wrapped_key) + " opened; under another tenant's name: refused",
      "a sample sealed with its key opened; under another tenant's name and with another key: "
      "refused"};
}

Result<crypto::Digest> TenantDirectory::api_key_hash_for(const TenantId& tenant, std::string_view text) {
  BULKHEAD_TRY(shared, impl_->open_shared(tenant));
  return identity::api_key_hash(shared->keys().key(crypto::Purpose::ApiKeyHash), text);
}

Result<std::vector<base::Secret>> TenantDirectory::database_keys_for(const TenantId& tenant,
                                                                     const DatabaseAccess&) {
  BULKHEAD_TRY(shared, impl_->open_shared(tenant));
  const crypto::TenantKeys& keys = shared->keys();
  std::vector<base::Secret> all;
  for (std::uint32_t version : keys.versions(crypto::Purpose::Database)) {
    all.push_back(keys.key(crypto::Purpose::Database, version)->clone());
  }
  return all;
}

}  // namespace bulkhead::tenancy
