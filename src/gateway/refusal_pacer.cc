#include "gateway/refusal_pacer.h"

#include <algorithm>

namespace bulkhead::gateway {

using std::chrono::milliseconds;

namespace {

constexpr double kTenantTimes = 10;

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

milliseconds RefusalPacer::refused(const std::string& tenant, const std::string& party) {
  if (limits_.per_second <= 0 || party.empty()) return milliseconds(0);
  milliseconds wait = turn(parties_.take(tenant + '/' + party), limits_.per_second);
  if (!tenant.empty()) wait = std::max(wait, turn(tenants_.take(tenant), limits_.per_second * kTenantTimes));
  return std::min(wait, limits_.wait_max);
}

}  // namespace bulkhead::gateway
