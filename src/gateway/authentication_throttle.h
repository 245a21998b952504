// How often authentications from one network (http::Peer::network) may fail: a token bucket for each
// (gateway/token_buckets.h).
//
// Only credentials that have to be verified ask here, so those that are known already go on from the same
// address.
// Thread safety: all members from every thread.
#pragma once

#include <cstdint>
#include <string>

#include "gateway/token_buckets.h"

namespace bulkhead::gateway {

class AuthenticationThrottle {
 public:
  // `failures_per_minute` 0: everything may be tried.
  AuthenticationThrottle(const base::Clock& clock, std::size_t failures_per_minute,
                         std::size_t networks_max = 10'000);

  // Seconds until a credential from `network` is verified again; 0: at once. "" is never throttled.
  std::int64_t wait_seconds(const std::string& network) const;
  void failed(const std::string& network);

 private:
  const double per_second_;
  TokenBuckets buckets_;
};

}  // namespace bulkhead::gateway
