#include "storage/api_key_lookup.h"

#include "identity/error.h"
#include "storage/tombstones.h"

namespace bulkhead::storage {
namespace {

base::Error api_key_unknown() {
  return base::Error(identity::IdentityError::ApiKeyUnknown,
                     "The API key is not valid. Check it, or make a new one.");
}

// Only what a suspended tenant may learn is told apart; all else looks like an unknown key.
base::Error as_identity_error(const base::Error& error) {
  if (error.is(tenancy::TenancyError::TenantSuspended)) {
    return base::Error(identity::IdentityError::TenantSuspended,
                       "This tenant is suspended. Ask your operator.", error.detail());
  }
  if (error.is(tenancy::TenancyError::UnknownTenant) || error.is(tenancy::TenancyError::TenantDestroyed)) {
    return api_key_unknown();
  }
  return error;
}

}  // namespace

base::Result<crypto::Digest> ApiKeyLookup::operator_key_hash(std::string_view key_text) {
  std::scoped_lock lock(mutex_);
  if (!operator_hash_) {
    BULKHEAD_TRY(key, platform_.secret("operator-key-hash"));
    operator_hash_ = std::move(key);
  }
  return identity::api_key_hash(*operator_hash_, key_text);
}

base::Result<identity::ApiKeyDirectory::Entry> ApiKeyLookup::find_operator_key(const base::ApiKeyId& id,
                                                                               std::string_view key_text) {
  BULKHEAD_TRY(keys, platform_.operator_keys());
  for (identity::ApiKeyRecord& record : keys) {
    if (record.id != id) continue;
    BULKHEAD_TRY(expected, operator_key_hash(key_text));
    return Entry{std::move(record), expected};
  }
  return api_key_unknown();
}

base::Result<identity::ApiKeyDirectory::Entry> ApiKeyLookup::find(const identity::ParsedApiKey& key,
                                                                  std::string_view key_text) {
  if (!key.tenant) return find_operator_key(key.id, key_text);
  // First of all: it fails for a tenant that does not exist or may not act.
  auto expected = stores_.platform_access().api_key_hash(*key.tenant, key_text);
  if (!expected) return as_identity_error(expected.error());
  auto found = stores_.find_api_key(*key.tenant, key.id);
  if (!found) return as_identity_error(found.error());
  if (!*found) return api_key_unknown();
  identity::ApiKeyRecord& record = **found;
  BULKHEAD_TRY(revoked, Tombstones(platform_).is_revoked(*key.tenant, key.id));
  record.revoked = record.revoked || revoked;
  return Entry{std::move(record), *expected};
}

}  // namespace bulkhead::storage
