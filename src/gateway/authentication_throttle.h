// How often authentications from one network (http::Peer::network) may fail: a token bucket for each.
//
// Only credentials that have to be verified ask here, so those that are known already go on from the same
// address. The table is bounded: networks whose buckets are full again are forgotten first, and those beyond
// the bound share one bucket.
// Thread safety: all members from every thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"

namespace bulkhead::gateway {

class AuthenticationThrottle {
 public:
  // `failures_per_minute` 0: everything may be tried.
  AuthenticationThrottle(const base::Clock& clock, std::size_t failures_per_minute,
                         std::size_t networks_max = 10'000);
  ~AuthenticationThrottle();

  // Seconds until a credential from `network` is verified again; 0: at once. "" is never throttled.
  std::int64_t wait_seconds(const std::string& network) const;
  void failed(const std::string& network);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bulkhead::gateway
