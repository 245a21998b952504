// HTTP Message Signatures (RFC 9421, algorithm hmac-sha256) with Content-Digest (RFC 9530,
// sha-256), for the tenant context between Bulkhead's own processes.
//
// Covered components: "@method", "@path", "@query" (both of `Request::target`, so a Client that
// sends it must have no path of its own), "content-digest", and every header whose name begins with
// "x-bulkhead-". Parameters: created, expires (created + 30 s), nonce (128 bits), keyid, alg. A
// message that carries an x-bulkhead- header which is not covered is refused.
// The receiver rejects what is unsigned, altered, stale (clock skew 5 s) or replayed (nonces are
// remembered until they expire, bounded; a full memory refuses, it never forgets early).
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "base/secret.h"
#include "http/message.h"

namespace bulkhead::http {

inline constexpr std::string_view kSignedHeaderPrefix = "x-bulkhead-";

class MessageSigner {
 public:
  MessageSigner(base::Secret key, std::string key_id, const base::Clock& clock);
  void sign(Request& request) const;  // adds content-digest, signature-input, signature

 private:
  base::Secret key_;
  std::string key_id_;
  const base::Clock& clock_;
};

class MessageVerifier {
 public:
  MessageVerifier(base::Secret key, std::string key_id, const base::Clock& clock,
                  std::size_t nonces_max = 1 << 16);
  ~MessageVerifier();
  base::Result<void> verify(const Request& request);  // thread safe

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bulkhead::http
