// Envelope keys: platform key → tenant key → purpose keys.
//
// The platform key file holds one or more versions, one a line: "v<N> <64 hex digits>", newest
// last; old ones are kept only while a rotation is under way. A tenant key is 32 random bytes
// wrapped (aead.h) by a platform key version, or by a provider of the tenant's own (key_provider.h),
// with the tenant's name as associated data. Purpose keys hang from the tenant key (tenant_keys.h).
// Destroying the wrapped tenant key therefore destroys everything of the tenant (crypto-erase, NIST
// SP 800-88r2).
//
// Errors: CryptoError. Thread safety: PlatformKeys is internally locked.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"
#include "crypto/aead.h"
#include "crypto/tenant_keys.h"

namespace bulkhead::crypto {

struct WrappedKey {
  std::uint32_t platform_version = 0;
  base::Bytes box;
};

class PlatformKeys {
 public:
  // From the key file (0600), or from `text` in the same form (environment).
  static base::Result<std::unique_ptr<PlatformKeys>> load(const std::filesystem::path& file);
  static base::Result<std::unique_ptr<PlatformKeys>> parse(const base::Secret& text);
  // A new key file's content with one version.
  static base::Secret generate_file_content();

  std::uint32_t newest() const;
  WrappedKey wrap(const base::Secret& key, std::string_view associated) const;  // with the newest
  base::Result<base::Secret> unwrap(const WrappedKey& wrapped, std::string_view associated) const;

  // A key for the platform's own use ("registry", "api-key-tag", ...), bound to version `version`.
  base::Result<base::Secret> derive(std::uint32_t version, std::string_view purpose) const;

  // Rotation: adds a fresh version and writes the file with old and new; after all wrapped keys
  // were re-wrapped, `retire_older` keeps the newest alone. Both are atomic on disk. A key that
  // came from the environment can't be rotated from here (Unsupported).
  base::Result<std::uint32_t> add_version();
  base::Result<void> retire_older();

 private:
  struct Impl;
  explicit PlatformKeys(std::unique_ptr<Impl> impl);

 public:
  ~PlatformKeys();

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace bulkhead::crypto
