#include "gateway/authentication_throttle.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <unordered_map>

namespace bulkhead::gateway {

namespace {
constexpr std::chrono::seconds kTidyInterval{1};
}  // namespace

struct AuthenticationThrottle::Impl {
  struct Bucket {
    double left;
    base::MonotonicTime seen;
  };
  const base::Clock& clock;
  const double per_minute;
  const std::size_t networks_max;
  std::mutex mutex;
  std::unordered_map<std::string, Bucket> buckets;
  Bucket others;  // networks beyond the bound, together
  base::MonotonicTime tidied{};

  Impl(const base::Clock& c, double rate, std::size_t networks)
      : clock(c), per_minute(rate), networks_max(networks), others{rate, c.monotonic()} {}

  double left_now(const Bucket& bucket, base::MonotonicTime now) const {
    const double minutes = std::chrono::duration<double>(now - bucket.seen).count() / 60;
    return std::min(per_minute, bucket.left + per_minute * minutes);
  }

  // Null: the network has none of its own.
  Bucket* find(const std::string& network) {
    const auto found = buckets.find(network);
    return found == buckets.end() ? nullptr : &found->second;
  }

  bool is_full(base::MonotonicTime now) {
    if (buckets.size() < networks_max) return false;
    if (now - tidied >= kTidyInterval) {
      tidied = now;
      std::erase_if(buckets, [&](const auto& entry) { return left_now(entry.second, now) >= per_minute; });
    }
    return buckets.size() >= networks_max;
  }
};

AuthenticationThrottle::AuthenticationThrottle(const base::Clock& clock, std::size_t failures_per_minute,
                                               std::size_t networks_max)
    : impl_(std::make_unique<Impl>(clock, static_cast<double>(failures_per_minute), networks_max)) {}
AuthenticationThrottle::~AuthenticationThrottle() = default;

std::int64_t AuthenticationThrottle::wait_seconds(const std::string& network) const {
  if (impl_->per_minute == 0 || network.empty()) return 0;
  std::lock_guard lock(impl_->mutex);
  const base::MonotonicTime now = impl_->clock.monotonic();
  const Impl::Bucket* bucket = impl_->find(network);
  if (!bucket && impl_->buckets.size() >= impl_->networks_max) bucket = &impl_->others;
  if (!bucket) return 0;
  const double left = impl_->left_now(*bucket, now);
  if (left >= 1) return 0;
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(std::ceil((1 - left) * 60 / impl_->per_minute)));
}

void AuthenticationThrottle::failed(const std::string& network) {
  if (impl_->per_minute == 0 || network.empty()) return;
  std::lock_guard lock(impl_->mutex);
  const base::MonotonicTime now = impl_->clock.monotonic();
  Impl::Bucket* bucket = impl_->find(network);
  if (!bucket) {
    bucket = impl_->is_full(now) ? &impl_->others
                                 : &impl_->buckets.try_emplace(network, impl_->per_minute, now).first->second;
  }
  // Those that were let in together may all fail; they are not owed for longer than a minute.
  *bucket = {std::max(impl_->left_now(*bucket, now) - 1, 0.0), now};
}

}  // namespace bulkhead::gateway
