#include "tenancy/keyring.h"

#include "crypto/aead.h"
#include "crypto/random.h"
#include "tenancy/tenant_table.h"

namespace bulkhead::tenancy {

using base::Error;
using base::Result;
using base::TenantId;
using Wanted = TenantTable::Wanted;

Result<KeyStatus> Keyring::status(const TenantId& id) const {
  BULKHEAD_TRY(stored, tenants_.record(id, Wanted::Any));
  const TenantTable::KeyState state = tenants_.key_state(id);
  return KeyStatus{.provider = stored.provider.empty() ? std::string(kPlatformProvider) : stored.provider,
                   .custody = tenants_.wrapping.custody_of(stored.provider),
                   .key_number = stored.key_number,
                   .key_id = key_id_of(stored.wrapped_key),
                   .rotation = stored.rotation,
                   .held = state.held,
                   .lost = state.lost};
}

Result<KeyProof> Keyring::prove(const TenantId& id, const TenantId& other) const {
  BULKHEAD_TRY(stored, tenants_.record(id, Wanted::Active));
  auto broken = [](std::string what) {
    return Error(TenancyError::KeyUnavailable, "This tenant's key is not what it must be.", std::move(what));
  };
  auto opened = tenants_.wrapping.unwrap(stored);
  if (!opened && !stored.provider.empty()) return KeyProof{opened.error().detail(), "", true};
  if (!opened) return broken("its wrapped key does not open: " + opened.error().describe());
  StoredTenant disguised = stored;
  disguised.tenant.id = other;
  if (tenants_.wrapping.unwrap(disguised)) return broken("its wrapped key opens under another tenant's name");
  const base::Secret& seal_key = opened->keys.key(crypto::Purpose::RecordSeal);
  const crypto::TenantKeys foreign(crypto::random_secret(seal_key.size()), other.str());
  const auto mine = base::as_bytes(id.str()), others = base::as_bytes(other.str());
  const base::Bytes box = crypto::seal(seal_key, base::as_bytes("posture"), mine);
  if (!crypto::open(seal_key, box, mine)) return broken("what it seals does not open again");
  if (crypto::open(seal_key, box, others)) return broken("what it seals opens under another tenant's name");
  if (crypto::open(foreign.key(crypto::Purpose::RecordSeal), box, mine))
    return broken("what it seals opens with another key");
  return KeyProof{
      "its wrapped key " + key_id_of(stored.wrapped_key) + " opened; under another tenant's name: refused",
      "a sample sealed with its key opened; under another tenant's name and with another key: "
      "refused"};
}

Result<KeyStatus> Keyring::begin_rotation(const TenantId& id, const RotationOrder& order) {
  BULKHEAD_TRY(before, tenants_.record(id, Wanted::Any));
  if (!before.rotation.empty()) {
    return Error(TenancyError::Busy,
                 "A rotation of this tenant's keys is under way and goes on by itself. Wait until it "
                 "has ended.",
                 before.rotation);
  }
  BULKHEAD_TRY(renewed, tenants_.wrapping.begin_rotation(before, order));
  BULKHEAD_CHECK_OK(tenants_.replace_keys(before, renewed, false));
  return status(id);
}

Result<KeyStatus> Keyring::finish_rotation(const TenantId& id) {
  BULKHEAD_TRY(before, tenants_.record(id, Wanted::Any));
  if (!before.rotation.empty()) {
    BULKHEAD_TRY(renewed, tenants_.wrapping.finish_rotation(before));
    BULKHEAD_CHECK_OK(tenants_.replace_keys(before, renewed, true));
  }
  return status(id);
}

std::vector<TenantId> Keyring::rotating() const {
  std::vector<TenantId> ids;
  tenants_.for_each([&](const StoredTenant& stored) {
    if (!stored.rotation.empty()) ids.push_back(stored.tenant.id);
  });
  return ids;
}

Result<std::size_t> Keyring::rewrap_all() { return tenants_.rewrap_all(); }

void Keyring::add_provider(std::string name, std::shared_ptr<crypto::KeyProvider> provider) {
  tenants_.wrapping.add_provider(std::move(name), std::move(provider));
}

void Keyring::set_lifetime(std::chrono::milliseconds lifetime) { tenants_.wrapping.set_lifetime(lifetime); }

void Keyring::refresh(const std::string& provider) {
  for (const StoredTenant& stored : tenants_.due_for_refresh(provider)) {
    const std::int64_t until = tenants_.wrapping.good_until();
    if (auto opened = tenants_.wrapping.unwrap(stored)) {
      tenants_.confirm(stored, until);
    } else {
      tenants_.refused(stored, opened.error());
    }
  }
}

std::optional<std::chrono::milliseconds> Keyring::lose_expired() { return tenants_.lose_expired(); }

void Keyring::on_lost(std::function<void(const TenantId&, const Error&)> listener) {
  tenants_.on_lost(std::move(listener));
}

void Keyring::on_returned(std::function<void(const TenantId&)> listener) {
  tenants_.on_returned(std::move(listener));
}

std::size_t Keyring::lost() const { return tenants_.keys_lost(); }

}  // namespace bulkhead::tenancy
