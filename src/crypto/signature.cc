#include "crypto/signature.h"

#include <cstring>

#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "crypto/sodium.h"

namespace bulkhead::crypto {

using base::Error;
using base::Result;

namespace {
constexpr std::size_t kSeedBytes = crypto_sign_SEEDBYTES;
constexpr std::size_t kKeyIdBytes = 8;
}  // namespace

Result<VerifyKey> VerifyKey::parse(std::string_view base64url) {
  auto bytes = base::base64url_decode(base64url);
  if (!bytes || bytes->size() != 32) {
    return Error(CryptoError::BadKey, "Not a verify key: expected 43 characters of base64url.");
  }
  std::array<std::uint8_t, 32> key;
  std::memcpy(key.data(), bytes->data(), key.size());
  return VerifyKey(key);
}

bool VerifyKey::verify(base::ByteView message, base::ByteView signature) const {
  start_sodium();
  if (signature.size() != crypto_sign_BYTES) return false;
  return crypto_sign_verify_detached(signature.data(), message.data(), message.size(), bytes_.data()) == 0;
}

std::string VerifyKey::base64url() const { return base::base64url_encode(bytes_); }

std::string VerifyKey::id() const {
  Digest digest = sha256(base::ByteView(bytes_));
  return base::hex_encode(base::ByteView(digest).first(kKeyIdBytes));
}

SigningKey SigningKey::generate() {
  base::Secret seed = random_secret(kSeedBytes);
  return std::move(*from_seed(seed));
}

Result<SigningKey> SigningKey::from_seed(const base::Secret& seed32) {
  if (seed32.size() != kSeedBytes) {
    return Error(CryptoError::BadKey, "Not a signing key: expected a seed of 32 bytes.");
  }
  start_sodium();
  base::Secret secret(crypto_sign_SECRETKEYBYTES);
  std::uint8_t public_bytes[crypto_sign_PUBLICKEYBYTES];
  crypto_sign_seed_keypair(public_bytes, secret.writable(), seed32.reveal().data());
  return SigningKey(std::move(secret));
}

SignatureBytes SigningKey::sign(base::ByteView message) const {
  start_sodium();
  SignatureBytes signature;
  crypto_sign_detached(signature.data(), nullptr, message.data(), message.size(), secret_.reveal().data());
  return signature;
}

VerifyKey SigningKey::verify_key() const {
  // libsodium's secret key is seed followed by public key.
  std::array<std::uint8_t, 32> bytes;
  std::memcpy(bytes.data(), secret_.reveal().data() + kSeedBytes, bytes.size());
  return VerifyKey::from_bytes(bytes);
}

base::Secret SigningKey::seed() const { return base::Secret::copy_of(secret_.reveal().first(kSeedBytes)); }

}  // namespace bulkhead::crypto
