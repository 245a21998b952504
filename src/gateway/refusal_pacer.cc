#include "gateway/refusal_pacer.h"

#include <algorithm>

namespace bulkhead::gateway {

using std::chrono::milliseconds;

namespace {

constexpr double kTenantTimes = 10;
// What reading so much costs is about what a small request does.
constexpr std::uint64_t kLargeBodyBytes = 64 << 10;

TokenBuckets::Shape shape_of(const RefusalPacer::Limits& limits, double times) {
  const double rate = limits.per_second * times;
  return {.capacity = static_cast<double>(limits.at_once) * times,
          .per_second = rate,
          .floor = -rate * std::chrono::duration<double>(limits.wait_max).count()};
}

milliseconds turn(double left, double per_second) {
  if (left >= 0) return milliseconds(0);
  return std::chrono::ceil<milliseconds>(std::chrono::duration<double>(-left / per_second));
}

}  // namespace

RefusalPacer::RefusalPacer(const base::Clock& clock, Limits limits)
    : limits_(limits),
      parties_(clock, shape_of(limits, 1)),
      tenants_(clock, shape_of(limits, kTenantTimes)) {}

bool RefusalPacer::counts(int status, std::uint64_t body_bytes) {
  if (status == 401 || status == 403 || status == 429) return true;
  return status >= 400 && status < 500 && body_bytes >= kLargeBodyBytes;
}

milliseconds RefusalPacer::refused(const std::string& tenant, const std::string& party,
                                   std::uint64_t body_bytes) {
  if (limits_.per_second <= 0 || party.empty()) return milliseconds(0);
  const double count = 1 + static_cast<double>(body_bytes / kLargeBodyBytes);
  milliseconds wait = turn(parties_.take(tenant + '/' + party, count), limits_.per_second);
  if (!tenant.empty())
    wait = std::max(wait, turn(tenants_.take(tenant, count), limits_.per_second * kTenantTimes));
  return std::min(wait, limits_.wait_max);
}

}  // namespace bulkhead::gateway
