#include "crypto/tenant_keys.h"

#include <algorithm>
#include <limits>
#include <string>

#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/random.h"

namespace bulkhead::crypto {

using base::Error;
using base::Result;
using base::Secret;

namespace {

constexpr std::size_t kKeyBytes = 32;
constexpr Purpose kPurposes[] = {Purpose::Database,   Purpose::RecordSeal, Purpose::AuditHash,
                                 Purpose::ApiKeyHash, Purpose::SessionId,  Purpose::BlindIndex};

std::string purpose_info(Purpose purpose, std::string_view tenant) {
  return "bulkhead/v1/" + std::string(purpose_name(purpose)) + "/" + std::string(tenant);
}

std::string ring_context(std::string_view tenant) { return "bulkhead/key-ring/1/" + std::string(tenant); }

Error bad_ring() {
  return Error(CryptoError::BadKey, "The tenant's keys are not usable.",
               "the key ring opens but its content is malformed");
}

}  // namespace

std::string_view purpose_name(Purpose purpose) {
  switch (purpose) {
    case Purpose::Database: return "database";
    case Purpose::RecordSeal: return "record-seal";
    case Purpose::AuditHash: return "audit-hash";
    case Purpose::ApiKeyHash: return "api-key-hash";
    case Purpose::SessionId: return "session-id";
    case Purpose::BlindIndex: return "blind-index";
  }
  return "unknown";
}

std::vector<Purpose> all_purposes() { return {std::begin(kPurposes), std::end(kPurposes)}; }

TenantKeys::TenantKeys(const Secret& tenant_key, std::string_view tenant) {
  for (Purpose purpose : kPurposes) {
    // What PostgreSQL stores hold was hashed under a key of the record-seal key before this was a purpose.
    Secret derived =
        purpose == Purpose::BlindIndex
            ? hkdf_sha256(key(Purpose::RecordSeal).reveal(), {}, "bulkhead/v1/blind-index", kKeyBytes)
            : hkdf_sha256(tenant_key.reveal(), {}, purpose_info(purpose, tenant), kKeyBytes);
    keys_[purpose].emplace(1, std::make_shared<const Secret>(std::move(derived)));
  }
}

Result<TenantKeys> TenantKeys::open_ring(const Secret& tenant_key, std::string_view tenant,
                                         base::ByteView ring) {
  TenantKeys derived(tenant_key, tenant);
  if (ring.empty()) return derived;
  BULKHEAD_TRY(plain, open_secret(tenant_key, ring, base::as_bytes(ring_context(tenant))));
  TenantKeys keys;
  base::ByteView rest = plain.reveal();
  while (!rest.empty()) {
    const std::size_t name_bytes = rest[0];
    if (rest.size() < 1 + name_bytes + 4 + kKeyBytes) return bad_ring();
    const std::string_view name = base::as_text(rest.subspan(1, name_bytes));
    std::uint32_t version = 0;
    for (std::size_t i = 0; i < 4; ++i) version = version << 8 | rest[1 + name_bytes + i];
    const auto* known = std::find_if(std::begin(kPurposes), std::end(kPurposes),
                                     [&](Purpose each) { return purpose_name(each) == name; });
    if (known == std::end(kPurposes) || version == 0) return bad_ring();
    keys.keys_[*known].emplace(version, std::make_shared<const Secret>(
                                            Secret::copy_of(rest.subspan(1 + name_bytes + 4, kKeyBytes))));
    rest = rest.subspan(1 + name_bytes + 4 + kKeyBytes);
  }
  for (auto& [purpose, versions] : derived.keys_) keys.keys_.emplace(purpose, std::move(versions));
  return keys;
}

base::Bytes TenantKeys::seal_ring(const Secret& tenant_key, std::string_view tenant) const {
  std::size_t bytes = 0;
  for (const auto& [purpose, versions] : keys_) {
    bytes += versions.size() * (1 + purpose_name(purpose).size() + 4 + kKeyBytes);
  }
  Secret plain(bytes);
  std::uint8_t* out = plain.writable();
  for (const auto& [purpose, versions] : keys_) {
    const std::string_view name = purpose_name(purpose);
    for (const auto& [version, key] : versions) {
      *out++ = static_cast<std::uint8_t>(name.size());
      out = std::copy(name.begin(), name.end(), out);
      for (int shift = 24; shift >= 0; shift -= 8) *out++ = static_cast<std::uint8_t>(version >> shift);
      const base::ByteView view = key->reveal();
      out = std::copy(view.begin(), view.end(), out);
    }
  }
  return seal(tenant_key, plain.reveal(), base::as_bytes(ring_context(tenant)));
}

const Secret& TenantKeys::key(Purpose purpose) const { return *keys_.at(purpose).rbegin()->second; }

const Secret* TenantKeys::key(Purpose purpose, std::uint32_t version) const {
  const auto& versions = keys_.at(purpose);
  const auto found = versions.find(version);
  return found == versions.end() ? nullptr : found->second.get();
}

std::uint32_t TenantKeys::newest(Purpose purpose) const { return keys_.at(purpose).rbegin()->first; }

std::vector<std::uint32_t> TenantKeys::versions(Purpose purpose) const {
  std::vector<std::uint32_t> all;
  for (const auto& [version, key] : keys_.at(purpose)) all.insert(all.begin(), version);
  return all;
}

TenantKeys TenantKeys::with_key(Purpose purpose, const Secret& key) const {
  TenantKeys next = *this;
  next.keys_[purpose].rbegin()->second = std::make_shared<const Secret>(key.clone());
  return next;
}

TenantKeys TenantKeys::with_new_versions(const std::vector<Purpose>& purposes) const {
  TenantKeys next = *this;
  for (Purpose purpose : purposes) {
    next.keys_[purpose].emplace(newest(purpose) + 1,
                                std::make_shared<const Secret>(random_secret(kKeyBytes)));
  }
  return next;
}

TenantKeys TenantKeys::with_newest_only(const std::vector<Purpose>& purposes) const {
  TenantKeys next = *this;
  for (Purpose purpose : purposes) {
    auto& versions = next.keys_[purpose];
    versions.erase(versions.begin(), std::prev(versions.end()));
  }
  return next;
}

}  // namespace bulkhead::crypto
