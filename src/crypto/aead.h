// Authenticated encryption: XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha), 32-byte keys, random
// 24-byte nonces (safe for any number of messages under one key).
//
// A sealed box is: version byte 0x01 | nonce 24 | ciphertext | tag 16. `associated` is bound to the
// box but not stored in it: open() with any other value fails. That is how a record is tied to its
// own identity (invariant I3).
#pragma once

#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"

namespace bulkhead::crypto {

enum class CryptoError {
  SealBroken,  // wrong key, wrong associated data, or altered bytes: never told apart
  BadKey,      // not a key of this kind
  BadSignature,
  Unsupported,  // algorithm or curve that is not accepted
};
base::ErrorName error_name(CryptoError code);

inline constexpr std::size_t kAeadKeyBytes = 32;
inline constexpr std::size_t kAeadOverheadBytes = 1 + 24 + 16;

base::Bytes seal(const base::Secret& key, base::ByteView plaintext, base::ByteView associated);
base::Result<base::Bytes> open(const base::Secret& key, base::ByteView box, base::ByteView associated);
// For keys: the plaintext goes straight into locked memory.
base::Result<base::Secret> open_secret(const base::Secret& key, base::ByteView box,
                                       base::ByteView associated);

}  // namespace bulkhead::crypto
