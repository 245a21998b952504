// API keys.
//
// Text form:  bhk_<tenant>_<id>_<secret>_<tag>   (operator: tenant part "-operator-")
//   secret  160+ random bits, base32;  tag  80 bits of HMAC-SHA-256 under a platform key over all
//   that stands before it. A forged or mistyped key fails on its tag before any store is touched.
// Stored: HMAC-SHA-256 of the whole text under the tenant's ApiKeyHash key (operator keys: under a
// platform key). The text is shown once, when the key is made.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/secret.h"
#include "crypto/hash.h"

namespace bulkhead::identity {

struct ApiKeyRecord {
  base::ApiKeyId id;
  std::string name;  // for people
  std::string user;
  std::vector<std::string> roles;
  std::vector<std::string> groups;
  std::int64_t created = 0;  // unix seconds
  std::int64_t expires = 0;  // 0: never
  bool revoked = false;
  crypto::Digest keyed_hash{};
};

// What the text of a well-formed key with a valid tag says. Says nothing about whether the key
// exists.
struct ParsedApiKey {
  std::optional<base::TenantId> tenant;  // none: operator key
  base::ApiKeyId id;
};

// API keys that came with a tenant restored from another deployment's backup: their tags were made under
// that deployment's key. For these ids alone the tag is not asked for; what proves such a key is, as for
// every key, the stored hash of its whole text. Thread safe.
class AdoptedApiKeys {
 public:
  void set(const base::TenantId& tenant, const std::vector<base::ApiKeyId>& ids);  // none: forgets the tenant
  bool holds(const base::TenantId& tenant, const base::ApiKeyId& id) const;

 private:
  mutable std::shared_mutex mutex_;
  std::map<base::TenantId, std::set<base::ApiKeyId>> by_tenant_;
};

class ApiKeyFormat {
 public:
  explicit ApiKeyFormat(base::Secret tag_key, std::shared_ptr<const AdoptedApiKeys> adopted = nullptr)
      : tag_key_(std::move(tag_key)), adopted_(std::move(adopted)) {}
  struct NewKey {
    base::ApiKeyId id;
    base::Secret text;
  };
  NewKey make(const std::optional<base::TenantId>& tenant) const;
  std::optional<ParsedApiKey> parse(std::string_view text) const;
  // What a key's text begins with, up to its secret: by it a key that was found somewhere is told from
  // others.
  static std::string visible_prefix(const std::optional<base::TenantId>& tenant, const base::ApiKeyId& id);

 private:
  base::Secret tag_key_;
  std::shared_ptr<const AdoptedApiKeys> adopted_;
};

crypto::Digest api_key_hash(const base::Secret& hash_key, std::string_view key_text);

// The narrow door through which identity reads key records before there is a principal. It gives
// out nothing but the record of one key id. Implemented by storage. Blocking; thread safe.
class ApiKeyDirectory {
 public:
  virtual ~ApiKeyDirectory() = default;
  // The record and the hash key of its tenant (or of the platform); an error for what is missing
  // (ApiKeyUnknown) or when the tenant is suspended (TenantSuspended).
  struct Entry {
    ApiKeyRecord record;
    crypto::Digest expected;  // api_key_hash of `key_text` under the owner's hash key
  };
  virtual base::Result<Entry> find(const ParsedApiKey& key, std::string_view key_text) = 0;
};

}  // namespace bulkhead::identity
