#include "storage/upkeep.h"

#include <condition_variable>
#include <mutex>
#include <set>

#include "base/log.h"

namespace bulkhead::storage {

using base::Result;

struct Upkeep::Impl {
  StoreManager& stores;
  tenancy::TenantDirectory& tenants;
  std::mutex mutex;
  std::condition_variable released;
  std::set<base::TenantId> moving;
  std::set<base::TenantId> beginning;  // rotations that are just being made durable
  std::set<base::TenantId> held, pinned;
  std::function<void(const base::TenantId&, const tenancy::KeyStatus&)> rotated;
  WorkRecorder* recorder = nullptr;

  Result<void> claim(const base::TenantId& tenant, std::set<base::TenantId>& claimed) {
    const auto busy = [&](const char* message) {
      return base::Error(tenancy::TenancyError::Busy, message, tenant.str());
    };
    {
      std::scoped_lock lock(mutex);
      if (beginning.contains(tenant) || !claimed.insert(tenant).second) {
        return busy(
            "Another backup, restore or move of this tenant, or a rotation of its keys, is under way.");
      }
    }
    auto keys = tenants.keyring().status(tenant);
    if (keys && keys->rotation.empty()) return {};
    std::scoped_lock lock(mutex);
    claimed.erase(tenant);
    if (!keys) return keys.take_error();
    return busy(
        "A rotation of this tenant's keys is under way and goes on by itself. Wait until it has ended.");
  }

  void release(const base::TenantId& tenant) {
    {
      std::scoped_lock lock(mutex);
      moving.erase(tenant);
    }
    released.notify_all();
  }

  Result<void> move(const base::TenantId& tenant, Opened opened, const std::function<bool()>& stopping) {
    while (!stopping()) {
      BULKHEAD_TRY(step, opened.store->reseal_some(opened.scope));
      if (step == TenantStore::Reseal::Done) return {};
    }
    return base::Error(StorageError::Busy, "Stopped; it goes on later.", tenant.str());
  }
};

Upkeep::Upkeep(StoreManager& stores, tenancy::TenantDirectory& tenants)
    : impl_(new Impl{.stores = stores, .tenants = tenants}) {}
Upkeep::~Upkeep() = default;

void Upkeep::on_rotated(std::function<void(const base::TenantId&, const tenancy::KeyStatus&)> listener) {
  impl_->rotated = std::move(listener);
}

void Upkeep::record_with(WorkRecorder* recorder) { impl_->recorder = recorder; }

Result<Upkeep::Opened> Upkeep::open(const base::TenantId& tenant) {
  BULKHEAD_TRY(scope, impl_->stores.platform_access().open_for_maintenance(tenant));
  BULKHEAD_TRY(store, impl_->stores.open(scope));
  return Opened{std::move(scope), std::move(store)};
}

Result<tenancy::TenantScope> Upkeep::scope(const base::TenantId& tenant) {
  return impl_->stores.platform_access().open_for_maintenance(tenant);
}

Result<tenancy::KeyStatus> Upkeep::rotate(const base::TenantId& tenant, const tenancy::RotationOrder& order) {
  if (!order.purposes.empty()) {
    // A store that can't be opened must not be given keys that need its data moved.
    BULKHEAD_TRY(opened, open(tenant));
  }
  {
    std::scoped_lock lock(impl_->mutex);
    if (impl_->held.contains(tenant) || impl_->pinned.contains(tenant) ||
        !impl_->beginning.insert(tenant).second) {
      return base::Error(tenancy::TenancyError::Busy,
                         "The tenant's data is being copied (backup, restore or move), or another rotation "
                         "begins. Wait until that has ended.",
                         tenant.str());
    }
  }
  auto begun = impl_->tenants.keyring().begin_rotation(tenant, order);
  std::scoped_lock lock(impl_->mutex);
  impl_->beginning.erase(tenant);
  return begun;
}

Result<Upkeep::Hold> Upkeep::hold(const base::TenantId& tenant) {
  BULKHEAD_CHECK_OK(impl_->claim(tenant, impl_->held));
  return Hold(this, tenant);
}

Result<void> Upkeep::pin(const base::TenantId& tenant) { return impl_->claim(tenant, impl_->pinned); }

void Upkeep::unpin(const base::TenantId& tenant) {
  std::scoped_lock lock(impl_->mutex);
  impl_->pinned.erase(tenant);
}

Upkeep::Hold::~Hold() {
  if (!upkeep_) return;
  std::scoped_lock lock(upkeep_->impl_->mutex);
  upkeep_->impl_->held.erase(tenant_);
}

std::vector<tenancy::KeyStatus> Upkeep::run_once(const std::function<bool()>& stopping) {
  std::vector<tenancy::KeyStatus> ended;
  const std::vector<base::TenantId> rotating = impl_->tenants.keyring().rotating();
  std::set<base::TenantId> all(rotating.begin(), rotating.end());
  for (base::TenantId& tenant : impl_->stores.take_upkeep()) all.insert(std::move(tenant));
  for (const base::TenantId& tenant : all) {
    if (stopping()) break;
    {
      std::scoped_lock lock(impl_->mutex);
      if (!impl_->moving.insert(tenant).second) continue;
    }
    auto done = settle(tenant, stopping);
    impl_->release(tenant);
    if (!done && !stopping()) {
      base::log::warning("upkeep_delayed", {{"tenant", std::string_view(tenant.str())},
                                            {"error", done.error().name().code},
                                            {"detail", std::string_view(done.error().detail())}});
    }
    if (done && *done) ended.push_back(std::move(**done));
  }
  return ended;
}

Result<void> Upkeep::complete(const base::TenantId& tenant) {
  {
    std::unique_lock lock(impl_->mutex);
    impl_->released.wait(lock, [&] { return impl_->moving.insert(tenant).second; });
  }
  auto done = settle(tenant, [] { return false; });
  impl_->release(tenant);
  if (!done) return done.take_error();
  return {};
}

// The rotation that ended, if there was one.
Result<std::optional<tenancy::KeyStatus>> Upkeep::settle(const base::TenantId& tenant,
                                                         const std::function<bool()>& stopping) {
  BULKHEAD_TRY(before, impl_->tenants.keyring().status(tenant));
  if (!before.rotation.empty() && impl_->recorder) {
    BULKHEAD_CHECK_OK(impl_->recorder->announce(WorkRecorder::Kind::Rotation, tenant));
  }
  {
    BULKHEAD_TRY(opened, open(tenant));
    BULKHEAD_CHECK_OK(impl_->move(tenant, std::move(opened), stopping));
  }
  if (before.rotation.empty()) return std::optional<tenancy::KeyStatus>();
  BULKHEAD_TRY(after, impl_->tenants.keyring().finish_rotation(tenant));
  after.rotation = before.rotation;
  if (impl_->rotated) impl_->rotated(tenant, after);
  return std::optional(std::move(after));
}

}  // namespace bulkhead::storage
