// The key set of one issuer: OpenID Connect discovery and JWKS (RFC 7517), fetched, cached, renewed.
//
// Renewed when older than `jwks_refresh`, and when a token names an unknown key (at most once per
// `unknown_kid_interval_min`); one fetch at a time, others wait for it. A set's age counts from the beginning
// of its fetch. Nobody waits for a renewal within kRenewalGrace after `jwks_refresh`; later the set is used
// only if a try to renew it failed within the last kFailureHolds, and no longer than `jwks_stale_max`: then
// everything fails closed. So a key that its issuer withdraws is believed for `jwks_refresh` and
// kRenewalGrace more at most; where the issuer can't be reached meanwhile, until kFailureHolds after it can
// be again, or for `jwks_stale_max`. That holds for what was verified with the key before, too (KeyStanding).
// Keys are made on KeyWork's threads, never on the reactor: a set can hold large ones. One that can't be used
// is passed over and counted.
// Thread safety: all members from every thread; `key` and `verify` are awaited on a reactor.
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "base/task.h"
#include "crypto/jose.h"
#include "identity/error.h"
#include "identity/issuer_config.h"
#include "identity/key_standing.h"
#include "identity/key_work.h"

namespace bulkhead::identity {

inline constexpr std::chrono::seconds kRenewalGrace{20};
inline constexpr std::chrono::seconds kFailureHolds{60};

class KeySet {
 public:
  struct TrustedKey {
    crypto::PublicKey key;
    std::shared_ptr<const KeyStanding> standing;
  };
  KeySet(IssuerConfig config, const base::Clock& clock, std::shared_ptr<KeyWork> work);
  ~KeySet();
  // The key for `key_id` that fits `algorithm`. An empty id is answered only when exactly one key
  // fits.
  base::Task<base::Result<TrustedKey>> key(std::string key_id, crypto::JwsAlgorithm algorithm);
  // For what is answered from a cache: begins a renewal when it is time for one. Doesn't wait.
  void renew_when_due();
  // Whether `signature` is the key's over `message`. With a costly key it is checked on KeyWork's threads;
  // an error (IssuerBusy) when many are waiting for that already.
  base::Task<base::Result<bool>> verify(crypto::PublicKey key, crypto::JwsAlgorithm algorithm,
                                        base::ByteView message, base::ByteView signature) const;
  const IssuerConfig& config() const;

  struct Stats {
    std::uint64_t fetches = 0, failures = 0;
    std::uint64_t unusable_keys = 0;  // in the set as it was last fetched
  };
  Stats stats() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace bulkhead::identity
