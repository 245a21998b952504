// TenantKeys: a tenant's purpose keys, each in one or more versions, and the ring they are kept in.
//
// A ring is the list of purpose keys sealed (aead.h) under the tenant key with
// "bulkhead/key-ring/1/<tenant>" as associated data. Plaintext: for each key one byte with the length
// of the purpose's name, the name, the version (4 bytes, big endian), the 32 bytes of the key.
//
// A purpose that the ring does not name is version 1, derived from the tenant key by HKDF-SHA-256
// with info "bulkhead/v1/<purpose>/<tenant>". So an empty ring is how every tenant starts, and the
// first rotation writes down what was derived until then. (The first blind-index key comes from the first
// record-seal key instead, with info "bulkhead/v1/blind-index".) Two versions of a purpose stand side by
// side only while data is being moved from the older to the newer (docs/keys.md).
//
// Errors: CryptoError. Thread safety: immutable; copies share the keys.
#pragma once

#include <map>
#include <memory>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"

namespace bulkhead::crypto {

// What a tenant key may be used for; each purpose has a key of its own.
enum class Purpose {
  Database,    // SQLCipher raw key
  RecordSeal,  // wraps the data keys of files, vector stores and chats (invariant I3)
  AuditHash,   // HMAC of prompts, outputs, subjects in audit records
  ApiKeyHash,  // stored hash of API keys
  SessionId,   // names of engine sessions and cache salts
  BlindIndex,  // keyed hashes of words and owners in PostgreSQL
};
std::string_view purpose_name(Purpose purpose);
std::vector<Purpose> all_purposes();

class TenantKeys {
 public:
  // Version 1 of every purpose.
  TenantKeys(const base::Secret& tenant_key, std::string_view tenant);
  static base::Result<TenantKeys> open_ring(const base::Secret& tenant_key, std::string_view tenant,
                                            base::ByteView ring);
  base::Bytes seal_ring(const base::Secret& tenant_key, std::string_view tenant) const;

  const base::Secret& key(Purpose purpose) const;                         // the newest
  const base::Secret* key(Purpose purpose, std::uint32_t version) const;  // null: not here any more
  std::uint32_t newest(Purpose purpose) const;
  std::vector<std::uint32_t> versions(Purpose purpose) const;  // newest first

  // This key in the place of the newest one.
  TenantKeys with_key(Purpose purpose, const base::Secret& key) const;
  TenantKeys with_new_versions(const std::vector<Purpose>& purposes) const;
  TenantKeys with_newest_only(const std::vector<Purpose>& purposes) const;

 private:
  TenantKeys() = default;
  std::map<Purpose, std::map<std::uint32_t, std::shared_ptr<const base::Secret>>> keys_;
};

}  // namespace bulkhead::crypto
