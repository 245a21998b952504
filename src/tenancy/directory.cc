#include "tenancy/directory.h"

#include <algorithm>

#include "base/log.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "tenancy/certificate.h"
#include "tenancy/directory_impl.h"

namespace bulkhead::tenancy {

using base::Error;
using base::Result;
using base::TenantId;

namespace {

constexpr std::size_t kTenantKeyBytes = 32;
constexpr std::size_t kDisplayNameBytesMax = 256;
// The engine's own calls bear this name (engine/adapters.cc).
constexpr std::string_view kReservedName = "platform";

Result<void> check_changeable(const Tenant& tenant) {
  if (tenant.state == TenantState::Destroyed) return unknown_tenant();
  if (tenant.state != TenantState::Restoring) return Result<void>();
  return Error(TenancyError::Busy, "This tenant is being restored from a backup. Wait until that has ended.");
}

}  // namespace

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

Result<std::optional<TenantScope>> TenantDirectory::open_at_once(
    std::shared_ptr<const identity::Principal> principal) {
  if (principal && principal->tenant() && !principal->is_operator()) {
    BULKHEAD_TRY(shared, impl_->held_shared(*principal->tenant()));
    if (!shared) return std::optional<TenantScope>();
    return std::optional<TenantScope>(TenantScope(std::move(shared), std::move(principal)));
  }
  BULKHEAD_TRY(scope, open(std::move(principal)));
  return std::optional<TenantScope>(std::move(scope));
}

identity::TenantStatus::State TenantDirectory::state_of(std::string_view tenant) const {
  std::shared_lock lock(impl_->mutex);
  auto entry = impl_->tenants.find(tenant);
  if (entry == impl_->tenants.end()) return State::Unknown;
  switch (entry->second.stored.tenant.state) {
    case TenantState::Active: return State::Active;
    case TenantState::Suspended: return State::Suspended;
    case TenantState::Destroyed:
    case TenantState::Restoring: return State::Unknown;
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

Result<void> TenantDirectory::Impl::check_new(const TenantId& id, std::string_view display_name) {
  if (id.str() == kReservedName) {
    return Error(TenancyError::BadName, "The name \"platform\" is reserved; choose another.");
  }
  if (display_name.size() > kDisplayNameBytesMax) {
    return Error(TenancyError::BadName, "The display name is longer than 256 bytes.");
  }
  std::shared_lock lock(mutex);
  if (auto entry = tenants.find(id.str()); entry != tenants.end()) {
    // A destroyed tenant's name stays taken: its old tokens must never open a new tenant.
    bool gone = entry->second.stored.tenant.state == TenantState::Destroyed;
    return Error(TenancyError::TenantExists, gone ? "A tenant of this name was destroyed; choose a new name."
                                                  : "There is already a tenant of this name.");
  }
  return Result<void>();
}

Result<Tenant> TenantDirectory::Impl::add(const StoredTenant& stored) {
  std::lock_guard one(change_mutex);
  const TenantId id = stored.tenant.id;
  BULKHEAD_CHECK_OK(check_new(id, stored.tenant.display_name));
  BULKHEAD_CHECK_OK(registry.insert(stored));
  {
    std::unique_lock lock(mutex);
    tenants.emplace(id.str(), Entry{stored, nullptr, {}});
  }
  tell(id);
  return stored.tenant;
}

Result<Tenant> TenantDirectory::create(const TenantId& id, std::string display_name, IsolationMode mode,
                                       TenantPolicy policy, std::string_view provider) {
  BULKHEAD_CHECK_OK(check_mode_policy(mode, policy));
  BULKHEAD_CHECK_OK(impl_->check_new(id, display_name));
  StoredTenant stored{.tenant = {.id = id}};
  stored.tenant.display_name = std::move(display_name);
  stored.tenant.mode = mode;
  stored.tenant.policy = std::move(policy);
  stored.tenant.created = impl_->clock.unix_seconds();
  if (provider != kPlatformProvider) stored.provider = std::string(provider);
  BULKHEAD_TRY(wrapped,
               impl_->wrap(crypto::random_secret(kTenantKeyBytes), stored.provider, key_context(id, 1)));
  stored.wrapped_key = std::move(wrapped);
  return impl_->add(stored);
}

Result<Tenant> TenantDirectory::set_policy(const TenantId& id, TenantPolicy policy) {
  return impl_->change(
      id,
      [&](StoredTenant& stored) -> Result<void> {
        BULKHEAD_CHECK_OK(check_changeable(stored.tenant));
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
      },
      base::CancelReason::None);
}

Result<Tenant> TenantDirectory::suspend(const TenantId& id, std::string reason) {
  auto changed = impl_->change(
      id,
      [](StoredTenant& stored) -> Result<void> {
        BULKHEAD_CHECK_OK(check_changeable(stored.tenant));
        stored.tenant.state = TenantState::Suspended;
        return Result<void>();
      },
      base::CancelReason::TenantSuspended);
  if (changed) {
    base::log::warning("tenant_suspended",
                       {{"tenant", std::string_view(id.str())}, {"reason", std::string_view(reason)}});
  }
  return changed;
}

Result<Tenant> TenantDirectory::resume(const TenantId& id) {
  return impl_->change(
      id,
      [](StoredTenant& stored) -> Result<void> {
        BULKHEAD_CHECK_OK(check_changeable(stored.tenant));
        stored.tenant.state = TenantState::Active;
        return Result<void>();
      },
      base::CancelReason::None);
}

Result<DestructionCertificate> TenantDirectory::destroy(const TenantId& id, TenantEraser& eraser,
                                                        const crypto::SigningKey& signer) {
  CertificateFacts facts{.tenant = id.str(), .time = impl_->clock.wall()};
  // First the key, durably: from here on nothing can be read, whatever happens to the files. A crash
  // after this leaves a destroyed tenant whose files a second `destroy` removes.
  BULKHEAD_CHECK_OK(impl_->change(
      id,
      [&](StoredTenant& stored) -> Result<void> {
        if (!stored.wrapped_key.box.empty()) facts.key_id = key_id_of(stored.wrapped_key);
        stored.tenant.state = TenantState::Destroyed;
        base::wipe(stored.wrapped_key.box);
        base::wipe(stored.ring);
        stored.rotation.clear();
        return Result<void>();
      },
      base::CancelReason::TenantSuspended));
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

Result<Tenant> TenantDirectory::begin_restore(const Tenant& tenant,
                                              const std::map<crypto::Purpose, base::Secret>& keys) {
  BULKHEAD_CHECK_OK(check_mode_policy(tenant.mode, tenant.policy));
  StoredTenant stored{.tenant = tenant};
  stored.tenant.state = TenantState::Restoring;
  const base::Secret tenant_key = crypto::random_secret(kTenantKeyBytes);
  crypto::TenantKeys ring(tenant_key, tenant.id.str());
  for (const auto& [purpose, key] : keys) ring = ring.with_key(purpose, key);
  stored.wrapped_key = impl_->platform->wrap(tenant_key, key_context(tenant.id, 1));
  stored.ring = ring.seal_ring(tenant_key, tenant.id.str());
  return impl_->add(stored);
}

Result<Tenant> TenantDirectory::begin_replace(const TenantId& id) {
  return impl_->change(
      id,
      [](StoredTenant& stored) -> Result<void> {
        if (stored.tenant.state == TenantState::Destroyed) return unknown_tenant();
        stored.tenant.state = TenantState::Restoring;
        return Result<void>();
      },
      base::CancelReason::TenantSuspended);
}

Result<Tenant> TenantDirectory::finish_restore(const TenantId& id, TenantState state) {
  return impl_->change(
      id,
      [&](StoredTenant& stored) -> Result<void> {
        if (stored.tenant.state != TenantState::Restoring) return unknown_tenant();
        stored.tenant.state = state;
        return Result<void>();
      },
      base::CancelReason::None);
}

Result<void> TenantDirectory::abandon_restore(const TenantId& id, TenantEraser& eraser) {
  const auto tenant = find(id);
  if (!tenant || tenant->state != TenantState::Restoring) return unknown_tenant();
  eraser.close(id);
  BULKHEAD_TRY(report, eraser.erase(id));
  static_cast<void>(report);
  std::vector<std::weak_ptr<TenantScope::Shared>> running;
  {
    std::lock_guard one(impl_->change_mutex);
    BULKHEAD_CHECK_OK(impl_->registry.remove(id));
    std::unique_lock lock(impl_->mutex);
    auto entry = impl_->tenants.find(id.str());
    if (entry != impl_->tenants.end()) running.swap(entry->second.generations);
    impl_->tenants.erase(id.str());
  }
  Impl::cut(running, base::CancelReason::TenantSuspended);
  impl_->tell(id);
  return Result<void>();
}

Result<Tenant> TenantDirectory::relocate(const TenantId& id, IsolationMode mode, const std::string& store,
                                         EngineMode engine) {
  return impl_->change(
      id,
      [&](StoredTenant& stored) -> Result<void> {
        BULKHEAD_CHECK_OK(check_changeable(stored.tenant));
        stored.tenant.mode = mode;
        stored.tenant.policy.store = store;
        stored.tenant.policy.engine.engine = engine;
        return check_mode_policy(mode, stored.tenant.policy);
      },
      base::CancelReason::None);
}

void TenantDirectory::on_change(std::function<void(const TenantId&)> listener) {
  impl_->listeners.push_back(std::move(listener));
}

}  // namespace bulkhead::tenancy
