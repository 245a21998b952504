// SHA-256, HMAC-SHA-256 (RFC 2104), HKDF-SHA-256 (RFC 5869). Thread safety: free functions and
// values. Failures of the primitives themselves (out of memory) abort.
#pragma once

#include <array>
#include <initializer_list>
#include <memory>
#include <string_view>

#include "base/bytes.h"
#include "base/secret.h"

namespace bulkhead::crypto {

using Digest = std::array<std::uint8_t, 32>;

Digest sha256(base::ByteView data);
inline Digest sha256(std::string_view text) { return sha256(base::as_bytes(text)); }

// The hash of several parts, each preceded by its length (8 bytes, big endian), so that different
// splits never collide.
Digest sha256_parts(std::initializer_list<base::ByteView> parts);

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  void update(base::ByteView data);
  Digest finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

Digest hmac_sha256(base::ByteView key, base::ByteView data);
Digest hmac_sha256_parts(base::ByteView key, std::initializer_list<base::ByteView> parts);

// `info` separates purposes; `salt` may be empty. bytes <= 255 * 32.
base::Secret hkdf_sha256(base::ByteView key, base::ByteView salt, std::string_view info, std::size_t bytes);

}  // namespace bulkhead::crypto
