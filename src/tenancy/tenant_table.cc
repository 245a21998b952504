#include "tenancy/tenant_table.h"

#include <algorithm>

#include "base/log.h"

namespace bulkhead::tenancy {

using base::Error;
using base::Result;
using base::TenantId;

namespace {

constexpr std::size_t kDisplayNameBytesMax = 256;
// The engine's own calls bear this name (engine/adapters.cc).
constexpr std::string_view kReservedName = "platform";
// A key that changes hands while it is being opened is opened again, but not for ever.
constexpr int kOpenAttemptsMax = 8;

Error keys_are_being_changed() {
  return Error(TenancyError::Busy, "The tenant's keys are being changed. Retry in a moment.");
}

bool same_keys(const StoredTenant& left, const StoredTenant& right) {
  return left.wrapped_key.box == right.wrapped_key.box && left.ring == right.ring;
}

}  // namespace

Error unknown_tenant() { return Error(TenancyError::UnknownTenant, "No such tenant."); }
Error tenant_suspended() { return Error(TenancyError::TenantSuspended, "This tenant is suspended."); }

void TenantTable::hold(std::vector<StoredTenant> all) {
  std::unique_lock lock(mutex_);
  tenants_.clear();
  for (StoredTenant& stored : all) {
    std::string name = stored.tenant.id.str();
    tenants_.emplace(std::move(name), Entry{std::move(stored), nullptr, {}, {}});
  }
}

std::optional<TenantState> TenantTable::state(std::string_view name) const {
  std::shared_lock lock(mutex_);
  const auto entry = tenants_.find(name);
  if (entry == tenants_.end()) return std::nullopt;
  return entry->second.stored.tenant.state;
}

std::optional<Tenant> TenantTable::tenant(std::string_view name) const {
  std::shared_lock lock(mutex_);
  const auto entry = tenants_.find(name);
  if (entry == tenants_.end()) return std::nullopt;
  return entry->second.stored.tenant;
}

std::optional<StoredTenant> TenantTable::stored(std::string_view name) const {
  std::shared_lock lock(mutex_);
  const auto entry = tenants_.find(name);
  if (entry == tenants_.end()) return std::nullopt;
  return entry->second.stored;
}

void TenantTable::for_each(const std::function<void(const StoredTenant&)>& each) const {
  std::shared_lock lock(mutex_);
  for (const auto& [name, entry] : tenants_) each(entry.stored);
}

Result<const TenantTable::Entry*> TenantTable::entry_of(const TenantId& id, Wanted wanted) const {
  const auto found = tenants_.find(id.str());
  if (found == tenants_.end()) return unknown_tenant();
  switch (found->second.stored.tenant.state) {
    case TenantState::Active: return &found->second;
    case TenantState::Suspended:
      if (wanted == Wanted::Active) return tenant_suspended();
      return &found->second;
    case TenantState::Restoring:
      if (wanted == Wanted::Active) return unknown_tenant();
      return &found->second;
    case TenantState::Destroyed: break;
  }
  return unknown_tenant();
}

Result<TenantTable::Entry*> TenantTable::entry_of(const TenantId& id, Wanted wanted) {
  BULKHEAD_TRY(entry, std::as_const(*this).entry_of(id, wanted));
  return const_cast<Entry*>(entry);
}

Result<StoredTenant> TenantTable::record(const TenantId& id, Wanted wanted) const {
  std::shared_lock lock(mutex_);
  BULKHEAD_TRY(entry, entry_of(id, wanted));
  return entry->stored;
}

TenantTable::Shared TenantTable::used_now(const Entry& entry) const {
  entry.shared->last_used.store(now(), std::memory_order_relaxed);
  return entry.shared;
}

// Makes room for one more open key, of tenant `opening`: that of the tenant nobody has opened for longest is
// dropped. Looks at the open ones only, never at all tenants.
void TenantTable::close_coldest(const TenantId& opening) {
  Entry* coldest = nullptr;
  for (auto name = open_names_.begin(); name != open_names_.end();) {
    const auto found = tenants_.find(*name);
    if (found == tenants_.end() || !found->second.shared) {
      name = open_names_.erase(name);  // closed for another reason
      continue;
    }
    Entry& entry = found->second;
    if (!coldest || entry.shared->last_used < coldest->shared->last_used) coldest = &entry;
    ++name;
  }
  if (coldest && open_names_.size() >= open_keys_max_) {
    open_names_.erase(coldest->stored.tenant.id.str());
    coldest->shared.reset();
  }
  open_names_.insert(opening.str());
}

Result<TenantTable::Shared> TenantTable::held_shared(const TenantId& id) {
  {
    std::shared_lock lock(mutex_);
    BULKHEAD_TRY(entry, entry_of(id, Wanted::Active));
    if (entry->shared && entry->shared->key_is_good()) return used_now(*entry);
    if (entry->lost && now() < entry->ask_again) return *entry->lost;
    if (!entry->stored.provider.empty()) return Shared();
  }
  // The platform unwraps without asking anybody.
  return open_shared(id, Wanted::Active);
}

Result<TenantTable::Shared> TenantTable::open_shared(const TenantId& id, Wanted wanted) {
  if (auto lately = refused_lately(id)) return std::move(*lately);
  for (int attempt = 0; attempt < kOpenAttemptsMax; ++attempt) {
    std::optional<StoredTenant> stored;
    {
      std::shared_lock lock(mutex_);
      BULKHEAD_TRY(entry, entry_of(id, wanted));
      if (entry->shared && entry->shared->key_is_good()) return used_now(*entry);
      stored = entry->stored;
    }
    // Without the lock: a provider may be slow, and other tenants must not wait for it.
    const std::int64_t until = wrapping.good_until();
    auto opened = wrapping.unwrap(*stored);
    if (!opened) {
      // A rotation may have wrapped it anew meanwhile, and destroyed what this copy was wrapped with.
      BULKHEAD_TRY(current, record(id, wanted));
      if (current.wrapped_key.box != stored->wrapped_key.box) continue;
      refused(*stored, opened.error());
      return opened.take_error();
    }
    note_opened(id);
    std::unique_lock lock(mutex_);
    BULKHEAD_TRY(entry, entry_of(id, wanted));
    if (!same_keys(entry->stored, *stored)) continue;
    if (entry->shared && entry->shared->key_is_good()) return used_now(*entry);
    close_coldest(id);
    entry->shared = std::make_shared<TenantScope::Shared>(entry->stored.tenant, opened->keys, clock);
    if (!entry->stored.provider.empty()) entry->shared->good_until.store(until);
    std::erase_if(entry->generations, [](const auto& old) { return old.expired(); });
    entry->generations.push_back(entry->shared);
    return used_now(*entry);
  }
  return keys_are_being_changed();
}

Result<void> TenantTable::check_new(const TenantId& id, std::string_view display_name) const {
  if (id.str() == kReservedName) {
    return Error(TenancyError::BadName, "The name \"platform\" is reserved; choose another.");
  }
  if (display_name.size() > kDisplayNameBytesMax) {
    return Error(TenancyError::BadName, "The display name is longer than 256 bytes.");
  }
  std::shared_lock lock(mutex_);
  if (auto entry = tenants_.find(id.str()); entry != tenants_.end()) {
    // A destroyed tenant's name stays taken: its old tokens must never open a new tenant.
    const bool gone = entry->second.stored.tenant.state == TenantState::Destroyed;
    return Error(TenancyError::TenantExists, gone ? "A tenant of this name was destroyed; choose a new name."
                                                  : "There is already a tenant of this name.");
  }
  return {};
}

Result<Tenant> TenantTable::add(const StoredTenant& stored) {
  std::lock_guard one(change_mutex_);
  const TenantId id = stored.tenant.id;
  BULKHEAD_CHECK_OK(check_new(id, stored.tenant.display_name));
  BULKHEAD_CHECK_OK(registry.insert(stored));
  {
    std::unique_lock lock(mutex_);
    tenants_.emplace(id.str(), Entry{stored, nullptr, {}, {}});
  }
  tell_changed(id);
  return stored.tenant;
}

Result<Tenant> TenantTable::change(const TenantId& id, const std::function<Result<void>(StoredTenant&)>& edit,
                                   base::CancelReason cut_reason) {
  std::lock_guard one(change_mutex_);
  auto copy = stored(id.str());
  if (!copy) return unknown_tenant();
  BULKHEAD_CHECK_OK(edit(*copy));
  BULKHEAD_CHECK_OK(registry.update(*copy));
  Generations running;
  {
    std::unique_lock lock(mutex_);
    Entry& entry = tenants_.at(id.str());
    // An emptied vector keeps its buffer, and a destroyed key must not lie on in it.
    if (copy->wrapped_key.box.empty()) base::wipe(entry.stored.wrapped_key.box);
    entry.stored = *copy;
    entry.shared.reset();
    if (cut_reason != base::CancelReason::None) running.swap(entry.generations);
  }
  cut(running, cut_reason);
  tell_changed(id);
  return copy->tenant;
}

Result<void> TenantTable::remove(const TenantId& id) {
  Generations running;
  {
    std::lock_guard one(change_mutex_);
    BULKHEAD_CHECK_OK(registry.remove(id));
    std::unique_lock lock(mutex_);
    auto entry = tenants_.find(id.str());
    if (entry != tenants_.end()) running.swap(entry->second.generations);
    tenants_.erase(id.str());
  }
  cut(running, base::CancelReason::TenantSuspended);
  tell_changed(id);
  return {};
}

Result<void> TenantTable::replace_keys(const StoredTenant& before, const KeyWrapping::Renewed& renewed,
                                       bool anew) {
  std::lock_guard one(change_mutex_);
  StoredTenant record = renewed.record;
  {
    BULKHEAD_TRY(current, this->record(record.tenant.id, Wanted::Any));
    if (!same_keys(current, before) || current.rotation != before.rotation) return keys_are_being_changed();
    record.tenant = current.tenant;
  }
  BULKHEAD_CHECK_OK(registry.update(record));
  std::unique_lock lock(mutex_);
  Entry& entry = tenants_.at(record.tenant.id.str());
  base::wipe(entry.stored.wrapped_key.box);
  base::wipe(entry.stored.ring);
  entry.stored = record;
  const std::int64_t until = record.provider.empty() ? TenantScope::Shared::kForever : wrapping.good_until();
  for (const auto& each : entry.generations) {
    if (auto shared = each.lock()) {
      shared->adopt(renewed.keys);
      shared->good_until.store(until);
    }
  }
  if (anew) entry.shared.reset();
  return {};
}

Result<std::size_t> TenantTable::rewrap_all() {
  std::lock_guard one(change_mutex_);
  std::vector<std::pair<TenantId, crypto::WrappedKey>> keys;
  std::vector<StoredTenant> old;
  for_each([&](const StoredTenant& stored) {
    // A tenant whose key another provider wraps has nothing of the platform's.
    if (!stored.wrapped_key.box.empty() && stored.provider.empty()) old.push_back(stored);
  });
  for (const StoredTenant& stored : old) {
    BULKHEAD_TRY(wrapped, wrapping.rewrap(stored));
    keys.emplace_back(stored.tenant.id, std::move(wrapped));
  }
  BULKHEAD_CHECK_OK(registry.replace_keys(keys));
  std::unique_lock lock(mutex_);
  for (auto& [id, wrapped] : keys) tenants_.at(id.str()).stored.wrapped_key = std::move(wrapped);
  return keys.size();
}

void TenantTable::cut(const Generations& generations, base::CancelReason why) {
  for (const auto& generation : generations) {
    if (auto shared = generation.lock()) {
      shared->alive.store(false, std::memory_order_release);
      shared->cut.cancel(why);
    }
  }
}

void TenantTable::tell_changed(const TenantId& id) const {
  for (const auto& listener : listeners_) listener(id);
}

void TenantTable::on_change(std::function<void(const TenantId&)> listener) {
  listeners_.push_back(std::move(listener));
}

}  // namespace bulkhead::tenancy
