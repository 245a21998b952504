// TenantDirectory: asking key providers again, and keys that they do not give any more.
#include <chrono>
#include <utility>

#include "base/log.h"
#include "tenancy/directory_impl.h"

namespace bulkhead::tenancy {

using base::Error;
using base::TenantId;

namespace {

// Between two askings by requests for a key that could not be had.
constexpr base::MonotonicTime::duration kAskAgainAfter = std::chrono::seconds(1);

}  // namespace

std::optional<Error> TenantDirectory::Impl::refused_lately(const TenantId& id) {
  {
    std::shared_lock lock(mutex);
    auto found = tenants.find(id.str());
    if (found == tenants.end() || !found->second.lost) return std::nullopt;
  }
  std::unique_lock lock(mutex);
  auto found = tenants.find(id.str());
  if (found == tenants.end() || !found->second.lost) return std::nullopt;
  if (now() < found->second.ask_again) return found->second.lost;
  found->second.ask_again = now() + kAskAgainAfter.count();
  return std::nullopt;
}

bool TenantDirectory::Impl::holds_good_keys(const TenantId& id) const {
  std::shared_lock lock(mutex);
  auto entry = tenants.find(id.str());
  if (entry == tenants.end()) return false;
  return std::any_of(entry->second.generations.begin(), entry->second.generations.end(),
                     [](const auto& each) {
                       auto shared = each.lock();
                       return shared && shared->key_is_good();
                     });
}

void TenantDirectory::Impl::lose_keys(const StoredTenant& asked, const Error& why) {
  const TenantId& id = asked.tenant.id;
  std::vector<std::weak_ptr<TenantScope::Shared>> running;
  {
    std::unique_lock lock(mutex);
    auto found = tenants.find(id.str());
    if (found == tenants.end()) return;
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

void TenantDirectory::Impl::tell_lost(const TenantId& id, const Error& why) const {
  base::log::warning("tenant_key_lost",
                     {{"tenant", std::string_view(id.str())}, {"detail", std::string_view(why.detail())}});
  for (const auto& listener : lost_listeners) listener(id, why);
}

void TenantDirectory::Impl::note_opened(const TenantId& id) {
  {
    std::unique_lock lock(mutex);
    auto entry = tenants.find(id.str());
    if (entry == tenants.end() || !std::exchange(entry->second.lost, std::nullopt)) return;
  }
  base::log::info("tenant_key_returned", {{"tenant", std::string_view(id.str())}});
  for (const auto& listener : returned_listeners) listener(id);
}

std::optional<std::chrono::milliseconds> TenantDirectory::lose_expired_keys() {
  std::vector<std::weak_ptr<TenantScope::Shared>> running;
  std::vector<TenantId> lost;
  const Error why(TenancyError::KeyUnavailable,
                  "This tenant's key is not available. Ask whoever holds the tenant's key, or your operator.",
                  "its provider did not confirm the key within its lifetime");
  std::int64_t soonest = INT64_MAX;
  const std::int64_t now = impl_->now();
  {
    std::unique_lock lock(impl_->mutex);
    for (auto& [name, entry] : impl_->tenants) {
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
  Impl::cut(running, base::CancelReason::KeyUnavailable);
  for (const TenantId& id : lost) impl_->tell_lost(id, why);
  if (soonest == INT64_MAX) return std::nullopt;
  return std::chrono::duration_cast<std::chrono::milliseconds>(base::MonotonicTime::duration(soonest - now));
}

std::size_t TenantDirectory::keys_lost() const {
  std::shared_lock lock(impl_->mutex);
  std::size_t count = 0;
  for (const auto& [name, entry] : impl_->tenants) {
    if (entry.lost && entry.stored.tenant.state != TenantState::Destroyed) ++count;
  }
  return count;
}

void TenantDirectory::add_provider(std::string name, std::shared_ptr<crypto::KeyProvider> provider) {
  impl_->providers.insert_or_assign(std::move(name), std::move(provider));
}

void TenantDirectory::set_key_lifetime(std::chrono::milliseconds lifetime) {
  impl_->key_lifetime.store(lifetime);
}

void TenantDirectory::on_keys_lost(std::function<void(const TenantId&, const Error&)> listener) {
  impl_->lost_listeners.push_back(std::move(listener));
}

void TenantDirectory::on_keys_returned(std::function<void(const TenantId&)> listener) {
  impl_->returned_listeners.push_back(std::move(listener));
}

void TenantDirectory::refresh_keys(const std::string& provider) {
  std::vector<StoredTenant> due;
  {
    std::shared_lock lock(impl_->mutex);
    const auto lifetime =
        std::chrono::duration_cast<base::MonotonicTime::duration>(impl_->key_lifetime.load()).count();
    for (const auto& [name, entry] : impl_->tenants) {
      if (entry.stored.provider != provider || entry.stored.tenant.state == TenantState::Destroyed) continue;
      const bool old = std::any_of(entry.generations.begin(), entry.generations.end(), [&](const auto& each) {
        auto shared = each.lock();
        return shared && shared->good_until.load() - impl_->now() < lifetime * 3 / 4;
      });
      if (old || entry.lost) due.push_back(entry.stored);
    }
  }
  for (const StoredTenant& stored : due) {
    const std::int64_t until = impl_->good_until();
    auto opened = impl_->unwrap(stored);
    const TenantId& id = stored.tenant.id;
    if (!opened) {
      // A provider that says no is believed at once; one that can't be asked has until the keys'
      // lifetime ends.
      const bool refused = opened.error().is(TenancyError::KeyRevoked);
      if (refused || !impl_->holds_good_keys(id)) impl_->lose_keys(stored, opened.error());
      continue;
    }
    impl_->note_opened(id);
    std::shared_lock lock(impl_->mutex);
    auto entry = impl_->tenants.find(id.str());
    if (entry == impl_->tenants.end() || entry->second.stored.wrapped_key.box != stored.wrapped_key.box)
      continue;
    for (const auto& each : entry->second.generations) {
      if (auto shared = each.lock()) shared->good_until.store(until, std::memory_order_release);
    }
  }
}

}  // namespace bulkhead::tenancy
