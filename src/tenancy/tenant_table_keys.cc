// TenantTable: keys that providers confirm, and keys that they do not give any more.
#include <algorithm>
#include <chrono>
#include <utility>

#include "base/log.h"
#include "tenancy/tenant_table.h"

namespace bulkhead::tenancy {

using base::Error;
using base::TenantId;

namespace {

// Between two askings by requests for a key that could not be had.
constexpr base::MonotonicTime::duration kAskAgainAfter = std::chrono::seconds(1);

}  // namespace

// Why a key was refused that is not to be asked for again yet: a closed tenant's requests must not keep its
// provider, and the threads that ask, busy. Whoever gets nothing asks, and nobody else for a while.
std::optional<Error> TenantTable::refused_lately(const TenantId& id) {
  {
    std::shared_lock lock(mutex_);
    auto found = tenants_.find(id.str());
    if (found == tenants_.end() || !found->second.lost) return std::nullopt;
  }
  std::unique_lock lock(mutex_);
  auto found = tenants_.find(id.str());
  if (found == tenants_.end() || !found->second.lost) return std::nullopt;
  if (now() < found->second.ask_again) return found->second.lost;
  found->second.ask_again = now() + kAskAgainAfter.count();
  return std::nullopt;
}

bool TenantTable::holds_good_keys(const TenantId& id) const {
  std::shared_lock lock(mutex_);
  auto entry = tenants_.find(id.str());
  if (entry == tenants_.end()) return false;
  return std::any_of(entry->second.generations.begin(), entry->second.generations.end(),
                     [](const auto& each) {
                       auto shared = each.lock();
                       return shared && shared->key_is_good();
                     });
}

void TenantTable::refused(const StoredTenant& asked, const Error& why) {
  if (why.is(TenancyError::KeyRevoked) || !holds_good_keys(asked.tenant.id)) lose_keys(asked, why);
}

// Cuts a tenant whose key can't be had, and says so to the listeners; once, until it is had again. Nothing
// when the key that was asked for is no longer the tenant's.
void TenantTable::lose_keys(const StoredTenant& asked, const Error& why) {
  const TenantId& id = asked.tenant.id;
  Generations running;
  {
    std::unique_lock lock(mutex_);
    auto found = tenants_.find(id.str());
    if (found == tenants_.end()) return;
    Entry& entry = found->second;
    if (entry.stored.wrapped_key.box != asked.wrapped_key.box) return;
    const bool known = entry.lost.has_value();
    entry.lost = why;
    entry.ask_again = now() + kAskAgainAfter.count();
    if (known && entry.generations.empty()) return;
    entry.shared.reset();
    running.swap(entry.generations);
  }
  cut(running, base::CancelReason::KeyUnavailable);
  tell_lost(id, why);
}

void TenantTable::tell_lost(const TenantId& id, const Error& why) const {
  base::log::warning("tenant_key_lost",
                     {{"tenant", std::string_view(id.str())}, {"detail", std::string_view(why.detail())}});
  for (const auto& listener : lost_listeners_) listener(id, why);
}

void TenantTable::note_opened(const TenantId& id) {
  {
    std::unique_lock lock(mutex_);
    auto entry = tenants_.find(id.str());
    if (entry == tenants_.end() || !std::exchange(entry->second.lost, std::nullopt)) return;
  }
  base::log::info("tenant_key_returned", {{"tenant", std::string_view(id.str())}});
  for (const auto& listener : returned_listeners_) listener(id);
}

std::optional<std::chrono::milliseconds> TenantTable::lose_expired() {
  Generations running;
  std::vector<TenantId> lost;
  const Error why(TenancyError::KeyUnavailable,
                  "This tenant's key is not available. Ask whoever holds the tenant's key, or your operator.",
                  "its provider did not confirm the key within its lifetime");
  std::int64_t soonest = INT64_MAX;
  const std::int64_t now = this->now();
  {
    std::unique_lock lock(mutex_);
    for (auto& [name, entry] : tenants_) {
      if (entry.stored.provider.empty()) continue;
      bool expired = false, good = false;
      std::erase_if(entry.generations, [&](const auto& each) {
        auto shared = each.lock();
        if (!shared) return true;
        const std::int64_t until = shared->good_until.load();
        if (shared->key_is_good()) {
          good = true;
          if (until != TenantScope::Shared::kForever) soonest = std::min(soonest, until);
          return false;
        }
        expired = true;
        running.push_back(shared);
        return true;
      });
      if (!expired || good) continue;
      entry.shared.reset();
      if (entry.lost) continue;
      entry.lost = why;
      entry.ask_again = now + kAskAgainAfter.count();
      lost.push_back(entry.stored.tenant.id);
    }
  }
  // All of them before anybody is told: what listeners do may take its time.
  cut(running, base::CancelReason::KeyUnavailable);
  for (const TenantId& id : lost) tell_lost(id, why);
  if (soonest == INT64_MAX) return std::nullopt;
  return std::chrono::duration_cast<std::chrono::milliseconds>(base::MonotonicTime::duration(soonest - now));
}

TenantTable::KeyState TenantTable::key_state(const TenantId& id) const {
  std::shared_lock lock(mutex_);
  const auto found = tenants_.find(id.str());
  if (found == tenants_.end()) return {};
  const Entry& entry = found->second;
  return {.held = entry.shared && entry.shared->key_is_good(), .lost = entry.lost.has_value()};
}

std::size_t TenantTable::keys_lost() const {
  std::shared_lock lock(mutex_);
  return static_cast<std::size_t>(std::count_if(tenants_.begin(), tenants_.end(), [](const auto& each) {
    return each.second.lost && each.second.stored.tenant.state != TenantState::Destroyed;
  }));
}

std::vector<StoredTenant> TenantTable::due_for_refresh(const std::string& provider) const {
  std::vector<StoredTenant> due;
  const std::int64_t lifetime = wrapping.lifetime().count();
  std::shared_lock lock(mutex_);
  for (const auto& [name, entry] : tenants_) {
    if (entry.stored.provider != provider || entry.stored.tenant.state == TenantState::Destroyed) continue;
    const bool old = std::any_of(entry.generations.begin(), entry.generations.end(), [&](const auto& each) {
      auto shared = each.lock();
      return shared && shared->good_until.load() - now() < lifetime * 3 / 4;
    });
    if (old || entry.lost) due.push_back(entry.stored);
  }
  return due;
}

void TenantTable::confirm(const StoredTenant& stored, std::int64_t good_until) {
  note_opened(stored.tenant.id);
  std::shared_lock lock(mutex_);
  const auto entry = tenants_.find(stored.tenant.id.str());
  if (entry == tenants_.end() || entry->second.stored.wrapped_key.box != stored.wrapped_key.box) return;
  for (const auto& each : entry->second.generations) {
    if (auto shared = each.lock()) shared->good_until.store(good_until, std::memory_order_release);
  }
}

void TenantTable::on_lost(std::function<void(const TenantId&, const Error&)> listener) {
  lost_listeners_.push_back(std::move(listener));
}

void TenantTable::on_returned(std::function<void(const TenantId&)> listener) {
  returned_listeners_.push_back(std::move(listener));
}

}  // namespace bulkhead::tenancy
