#include "gateway/authentication_throttle.h"

#include <algorithm>
#include <cmath>

namespace bulkhead::gateway {

// Those that were let in together may all fail; they are not owed for longer than a minute, so the floor is
// 0.
AuthenticationThrottle::AuthenticationThrottle(const base::Clock& clock, std::size_t failures_per_minute,
                                               std::size_t networks_max)
    : per_second_(static_cast<double>(failures_per_minute) / 60),
      buckets_(clock,
               {.capacity = static_cast<double>(failures_per_minute), .per_second = per_second_, .floor = 0},
               networks_max) {}

std::int64_t AuthenticationThrottle::wait_seconds(const std::string& network) const {
  if (per_second_ == 0 || network.empty()) return 0;
  const double left = buckets_.left(network);
  if (left >= 1) return 0;
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(std::ceil((1 - left) / per_second_)));
}

void AuthenticationThrottle::failed(const std::string& network) {
  if (per_second_ > 0 && !network.empty()) buckets_.take(network);
}

}  // namespace bulkhead::gateway
