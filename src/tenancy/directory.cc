#include "tenancy/directory.h"

#include <algorithm>
#include <cstdlib>

#include "base/log.h"
#include "tenancy/tenant_table.h"

namespace bulkhead::tenancy {

using base::Error;
using base::Result;
using base::TenantId;

namespace {

Result<void> check_changeable(const Tenant& tenant) {
  if (tenant.state == TenantState::Destroyed) return unknown_tenant();
  if (tenant.state != TenantState::Restoring) return Result<void>();
  return Error(TenancyError::Busy, "This tenant is being restored from a backup. Wait until that has ended.");
}

}  // namespace

TenantDirectory::TenantDirectory(std::shared_ptr<crypto::PlatformKeys> platform, Registry& registry,
                                 const base::Clock& clock, std::size_t open_keys_max)
    : table_(std::make_unique<TenantTable>(std::move(platform), registry, clock, open_keys_max)),
      keyring_(*table_) {}
TenantDirectory::~TenantDirectory() = default;

Result<void> TenantDirectory::load() {
  BULKHEAD_TRY(all, table_->registry.load_all());
  table_->hold(std::move(all));
  return Result<void>();
}

PlatformAccess TenantDirectory::take_platform_access() {
  if (std::exchange(platform_access_taken_, true)) {
    base::log::error("platform_access_taken_twice", {});
    std::abort();
  }
  return PlatformAccess(*table_);
}

Keyring& TenantDirectory::keyring() { return keyring_; }
const Keyring& TenantDirectory::keyring() const { return keyring_; }

identity::TenantStatus::State TenantDirectory::state_of(std::string_view tenant) const {
  const auto state = table_->state(tenant);
  if (!state) return State::Unknown;
  switch (*state) {
    case TenantState::Active: return State::Active;
    case TenantState::Suspended: return State::Suspended;
    case TenantState::Destroyed:
    case TenantState::Restoring: return State::Unknown;
  }
  return State::Unknown;
}

std::optional<Tenant> TenantDirectory::find(const TenantId& id) const { return table_->tenant(id.str()); }

std::vector<Tenant> TenantDirectory::list() const {
  std::vector<Tenant> tenants;
  table_->for_each([&](const StoredTenant& stored) { tenants.push_back(stored.tenant); });
  std::sort(tenants.begin(), tenants.end(), [](const Tenant& a, const Tenant& b) { return a.id < b.id; });
  return tenants;
}

Result<Tenant> TenantDirectory::create(const TenantId& id, std::string display_name, IsolationMode mode,
                                       TenantPolicy policy, std::string_view provider) {
  BULKHEAD_CHECK_OK(check_mode_policy(mode, policy));
  BULKHEAD_CHECK_OK(table_->check_new(id, display_name));
  StoredTenant stored{.tenant = {.id = id}};
  stored.tenant.display_name = std::move(display_name);
  stored.tenant.mode = mode;
  stored.tenant.policy = std::move(policy);
  stored.tenant.created = table_->clock.unix_seconds();
  if (provider != kPlatformProvider) stored.provider = std::string(provider);
  BULKHEAD_CHECK_OK(table_->wrapping.give_fresh_key(stored));
  return table_->add(stored);
}

Result<Tenant> TenantDirectory::set_policy(const TenantId& id, TenantPolicy policy) {
  return table_->change(
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
  auto changed = table_->change(
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
  return table_->change(
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
  CertificateFacts facts{.tenant = id.str(), .time = table_->clock.wall()};
  // First the key, durably: from here on nothing can be read, whatever happens to the files. A crash
  // after this leaves a destroyed tenant whose files a second `destroy` removes.
  BULKHEAD_CHECK_OK(table_->change(
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
  BULKHEAD_TRY(kept, table_->registry.load(id));
  if (!kept || !kept->wrapped_key.box.empty()) {
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
  table_->wrapping.give_keys(stored, keys);
  return table_->add(stored);
}

Result<Tenant> TenantDirectory::begin_replace(const TenantId& id) {
  return table_->change(
      id,
      [](StoredTenant& stored) -> Result<void> {
        if (stored.tenant.state == TenantState::Destroyed) return unknown_tenant();
        stored.tenant.state = TenantState::Restoring;
        return Result<void>();
      },
      base::CancelReason::TenantSuspended);
}

Result<Tenant> TenantDirectory::finish_restore(const TenantId& id, TenantState state) {
  return table_->change(
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
  return table_->remove(id);
}

Result<Tenant> TenantDirectory::relocate(const TenantId& id, IsolationMode mode, const std::string& store,
                                         EngineMode engine) {
  return table_->change(
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
  table_->on_change(std::move(listener));
}

}  // namespace bulkhead::tenancy
