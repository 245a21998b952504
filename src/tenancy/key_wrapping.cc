#include "tenancy/key_wrapping.h"

#include "base/bytes.h"
#include "crypto/hash.h"
#include "crypto/random.h"

namespace bulkhead::tenancy {

using base::Error;
using base::Result;
using base::TenantId;

namespace {

constexpr std::size_t kTenantKeyBytes = 32;

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

void KeyWrapping::add_provider(std::string name, std::shared_ptr<crypto::KeyProvider> provider) {
  providers_.insert_or_assign(std::move(name), std::move(provider));
}

std::int64_t KeyWrapping::good_until() const {
  return clock_.monotonic().time_since_epoch().count() + lifetime().count();
}

std::string KeyWrapping::custody_of(const std::string& provider) const {
  const auto found = providers_.find(provider);
  return found == providers_.end() ? "" : found->second->describe();
}

Result<std::shared_ptr<crypto::KeyProvider>> KeyWrapping::provider_of(const std::string& name) const {
  auto found = providers_.find(name);
  if (found != providers_.end()) return found->second;
  return Error(TenancyError::KeyUnavailable,
               "There is no key provider of that name. Name one of the configuration's "
               "[[key_provider]] sections, or \"platform\".",
               "key provider " + name + " is not configured");
}

Result<crypto::WrappedKey> KeyWrapping::wrap(const base::Secret& key, const std::string& provider,
                                             const std::string& context) const {
  if (provider.empty()) return platform_->wrap(key, context);
  BULKHEAD_TRY(found, provider_of(provider));
  BULKHEAD_TRY(box, found->wrap(key, context));
  return crypto::WrappedKey{0, std::move(box)};
}

Result<KeyWrapping::Unwrapped> KeyWrapping::unwrap(const StoredTenant& stored) const {
  const std::string context = key_context(stored.tenant.id, stored.key_number);
  auto opened = [&]() -> Result<base::Secret> {
    if (stored.provider.empty()) return platform_->unwrap(stored.wrapped_key, context);
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

Result<void> KeyWrapping::give_fresh_key(StoredTenant& stored) const {
  BULKHEAD_TRY(wrapped, wrap(crypto::random_secret(kTenantKeyBytes), stored.provider,
                             key_context(stored.tenant.id, stored.key_number)));
  stored.wrapped_key = std::move(wrapped);
  return {};
}

void KeyWrapping::give_keys(StoredTenant& stored, const std::map<crypto::Purpose, base::Secret>& keys) const {
  const std::string& name = stored.tenant.id.str();
  const base::Secret tenant_key = crypto::random_secret(kTenantKeyBytes);
  crypto::TenantKeys ring(tenant_key, name);
  for (const auto& [purpose, key] : keys) ring = ring.with_key(purpose, key);
  stored.wrapped_key = platform_->wrap(tenant_key, key_context(stored.tenant.id, stored.key_number));
  stored.ring = ring.seal_ring(tenant_key, name);
}

Result<crypto::WrappedKey> KeyWrapping::rewrap(const StoredTenant& stored) const {
  const std::string context = key_context(stored.tenant.id, stored.key_number);
  BULKHEAD_TRY(key, platform_->unwrap(stored.wrapped_key, context));
  return platform_->wrap(key, context);
}

Result<KeyWrapping::Renewed> KeyWrapping::begin_rotation(const StoredTenant& before,
                                                         const RotationOrder& order) const {
  const TenantId& id = before.tenant.id;
  BULKHEAD_TRY(old, unwrap(before));
  Renewed renewed{before, old.keys.with_new_versions(order.purposes)};
  StoredTenant& after = renewed.record;
  base::Secret tenant_key = std::move(old.tenant_key);
  if (order.tenant_key || order.provider) {
    tenant_key = crypto::random_secret(kTenantKeyBytes);
    ++after.key_number;
    if (order.provider) after.provider = *order.provider == kPlatformProvider ? "" : *order.provider;
    BULKHEAD_TRY(wrapped, wrap(tenant_key, after.provider, key_context(id, after.key_number)));
    after.wrapped_key = std::move(wrapped);
  }
  after.ring = renewed.keys.seal_ring(tenant_key, id.str());
  after.rotation = names_of(order.purposes);
  return renewed;
}

Result<KeyWrapping::Renewed> KeyWrapping::finish_rotation(const StoredTenant& before) const {
  BULKHEAD_TRY(old, unwrap(before));
  Renewed renewed{before, old.keys.with_newest_only(purposes_of(before.rotation))};
  renewed.record.ring = renewed.keys.seal_ring(old.tenant_key, before.tenant.id.str());
  renewed.record.rotation.clear();
  return renewed;
}

}  // namespace bulkhead::tenancy
