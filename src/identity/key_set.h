// The key set of one issuer: OpenID Connect discovery and JWKS (RFC 7517), fetched, cached, renewed.
//
// Renewed when older than `jwks_refresh`, and when a token names an unknown key (at most once per
// `unknown_kid_interval_min`); one fetch at a time, others wait for it. When the issuer can't be
// reached the old set stays in use until `jwks_stale_max`, then everything fails closed.
// Thread safety: all members from every thread; `key` is awaited on a reactor.
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "base/task.h"
#include "crypto/jose.h"
#include "identity/error.h"
#include "identity/issuer_config.h"

namespace bulkhead::identity {

class KeySet {
 public:
  KeySet(IssuerConfig config, const base::Clock& clock);
  ~KeySet();
  // The key for `key_id` that fits `algorithm`. An empty id is answered only when exactly one key
  // fits.
  base::Task<base::Result<crypto::PublicKey>> key(std::string key_id, crypto::JwsAlgorithm algorithm);
  const IssuerConfig& config() const;

  struct Stats {
    std::uint64_t fetches = 0, failures = 0;
  };
  Stats stats() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace bulkhead::identity
