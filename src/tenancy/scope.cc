#include "tenancy/scope.h"

#include "base/bytes.h"
#include "crypto/hash.h"
#include "tenancy/scope_shared.h"

namespace bulkhead::tenancy {

TenantScope::TenantScope(std::shared_ptr<const Shared> shared, std::shared_ptr<const identity::Principal> who)
    : shared_(std::move(shared)), principal_(std::move(who)) {}

const base::TenantId& TenantScope::tenant() const { return shared_->record.id; }
const Tenant& TenantScope::record() const { return shared_->record; }
const identity::Principal& TenantScope::principal() const { return *principal_; }
const base::Secret& TenantScope::key(crypto::Purpose purpose) const { return shared_->keys().key(purpose); }
const base::Secret* TenantScope::key(crypto::Purpose purpose, std::uint32_t version) const {
  return shared_->keys().key(purpose, version);
}
std::uint32_t TenantScope::key_version(crypto::Purpose purpose) const {
  return shared_->keys().newest(purpose);
}
std::vector<std::uint32_t> TenantScope::key_versions(crypto::Purpose purpose) const {
  return shared_->keys().versions(purpose);
}
bool TenantScope::alive() const {
  // The deadline is checked here too, so that a hanging token can't keep a withdrawn key in use.
  return shared_->alive.load(std::memory_order_acquire) && shared_->key_is_good();
}
const base::CancelToken& TenantScope::cancel_token() const { return shared_->cut; }

std::string TenantScope::audit_hash(std::string_view text) const {
  crypto::Digest digest = crypto::hmac_sha256(key(crypto::Purpose::AuditHash).reveal(), base::as_bytes(text));
  return "hmac-sha256:" + base::base64url_encode(digest);
}

}  // namespace bulkhead::tenancy
