// TenantShares: how many bytes of the log each tenant's own principals may take per hour.
//
// A bucket per tenant that refills continuously. What is written is charged afterwards, so a bucket can be
// overdrawn by what was under way; until it is positive again the tenant's requests are refused, and nobody
// else's. Operators' and the system's own records are never charged. Tenants whose bucket is full again are
// forgotten first when the table is full. Thread safety: all members from every thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.h"

namespace bulkhead::audit {

class TenantShares {
 public:
  // `bytes_per_hour` 0: no bound.
  TenantShares(std::uint64_t bytes_per_hour, const base::Clock& clock)
      : bytes_per_hour_(static_cast<double>(bytes_per_hour)), clock_(clock) {}

  void charge(std::string_view tenant, std::size_t bytes);
  // Zero when there is room; else how long until there is.
  std::chrono::seconds until_room(std::string_view tenant);

 private:
  struct Bucket {
    double left;
    base::MonotonicTime seen;
  };
  void refill(Bucket& bucket, base::MonotonicTime now) const;
  void forget_full(base::MonotonicTime now);

  const double bytes_per_hour_;
  const base::Clock& clock_;
  std::mutex mutex_;
  std::unordered_map<std::string, Bucket> buckets_;
};

}  // namespace bulkhead::audit
