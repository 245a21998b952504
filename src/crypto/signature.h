// Ed25519 (RFC 8032) for what Bulkhead signs itself: audit checkpoints, burn receipts, certificates
// of destruction.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"

namespace bulkhead::crypto {

using SignatureBytes = std::array<std::uint8_t, 64>;

class VerifyKey {
 public:
  static base::Result<VerifyKey> parse(std::string_view base64url);
  static VerifyKey from_bytes(const std::array<std::uint8_t, 32>& bytes) { return VerifyKey(bytes); }
  bool verify(base::ByteView message, base::ByteView signature) const;
  std::string base64url() const;
  std::string id() const;  // first 16 hex digits of SHA-256 of the key

 private:
  explicit VerifyKey(const std::array<std::uint8_t, 32>& bytes) : bytes_(bytes) {}
  std::array<std::uint8_t, 32> bytes_;
};

class SigningKey {
 public:
  static SigningKey generate();
  static base::Result<SigningKey> from_seed(const base::Secret& seed32);
  SignatureBytes sign(base::ByteView message) const;
  VerifyKey verify_key() const;
  base::Secret seed() const;

 private:
  explicit SigningKey(base::Secret secret) : secret_(std::move(secret)) {}
  base::Secret secret_;  // libsodium's 64-byte form
};

}  // namespace bulkhead::crypto
