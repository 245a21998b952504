// KeyProvider: who wraps and unwraps tenant keys. The platform's own key file is one (PlatformKeys);
// a tenant's own PKCS#11 token is another (pkcs11_provider.h); a cloud KMS would be a third: `wrap`
// is its Encrypt call and `unwrap` its Decrypt call, with `associated` as the encryption context or
// additional authenticated data (docs/keys.md).
//
// A provider whose calls may hang is used behind a BoundedProvider (bounded_provider.h).
//
// Contract: `unwrap` gives back exactly what `wrap` took, only for the same `associated`, and fails
// once the key-encryption key was deleted or access to it withdrawn. Nothing is cached inside: how
// long an unwrapped key may be used is the caller's business (tenancy/directory.h).
//
// Errors: KeyProviderError::Revoked when the key is known to be gone or refused, Unavailable when it
// could not be asked, CryptoError for altered boxes. Thread safety: all members from every thread;
// they may block for as long as the provider's own time limit.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"

namespace bulkhead::crypto {

enum class KeyProviderError { Revoked, Unavailable, Misconfigured };
base::ErrorName error_name(KeyProviderError code);

class KeyProvider {
 public:
  virtual ~KeyProvider() = default;
  // A word or two for people: "PKCS#11 token hospital, key kek".
  virtual std::string describe() const = 0;
  virtual base::Result<base::Bytes> wrap(const base::Secret& key, std::string_view associated) = 0;
  virtual base::Result<base::Secret> unwrap(base::ByteView box, std::string_view associated) = 0;
};

// Tries all of it on a key made up for that: the provider can be reached, wraps, gives back what it took,
// and not under other associated data. Blocks.
base::Result<void> try_provider(KeyProvider& provider);

}  // namespace bulkhead::crypto
