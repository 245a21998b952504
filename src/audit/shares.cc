#include "audit/shares.h"

#include <algorithm>
#include <cmath>

namespace bulkhead::audit {

namespace {

// Beyond this many tenants the full buckets are dropped; one that is not full is never lost.
constexpr std::size_t kTenantsBeforeTidying = 4096;

}  // namespace

void TenantShares::refill(Bucket& bucket, base::MonotonicTime now) const {
  const std::chrono::duration<double, std::ratio<3600>> hours = now - bucket.seen;
  bucket.left = std::min(bytes_per_hour_, bucket.left + hours.count() * bytes_per_hour_);
  bucket.seen = now;
}

void TenantShares::forget_full(base::MonotonicTime now) {
  if (buckets_.size() < kTenantsBeforeTidying) return;
  for (auto& [tenant, bucket] : buckets_) refill(bucket, now);
  std::erase_if(buckets_, [&](const auto& entry) { return entry.second.left >= bytes_per_hour_; });
}

void TenantShares::charge(std::string_view tenant, std::size_t bytes) {
  if (bytes_per_hour_ == 0) return;
  const base::MonotonicTime now = clock_.monotonic();
  std::lock_guard lock(mutex_);
  auto found = buckets_.find(std::string(tenant));
  if (found == buckets_.end()) {
    forget_full(now);
    found = buckets_.emplace(std::string(tenant), Bucket{bytes_per_hour_, now}).first;
  }
  refill(found->second, now);
  found->second.left -= static_cast<double>(bytes);
}

std::chrono::seconds TenantShares::until_room(std::string_view tenant) {
  if (bytes_per_hour_ == 0) return std::chrono::seconds(0);
  std::lock_guard lock(mutex_);
  auto found = buckets_.find(std::string(tenant));
  if (found == buckets_.end()) return std::chrono::seconds(0);
  refill(found->second, clock_.monotonic());
  if (found->second.left > 0) return std::chrono::seconds(0);
  const double seconds = (1 - found->second.left) * 3600 / bytes_per_hour_;
  return std::chrono::seconds(std::max<std::int64_t>(1, static_cast<std::int64_t>(std::ceil(seconds))));
}

}  // namespace bulkhead::audit
