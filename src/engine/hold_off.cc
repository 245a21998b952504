#include "engine/hold_off.h"

#include <algorithm>

namespace bulkhead::engine {

bool HoldOff::blame(const std::string& tenant) {
  if (options_.base_time.count() == 0) return false;
  const auto now = clock_.monotonic();
  std::lock_guard lock(mutex_);
  std::erase_if(entries_, [&](const auto& entry) { return now - entry.second.last > options_.memory; });
  if (entries_.size() >= options_.tenants_max && !entries_.contains(tenant)) {
    entries_.erase(std::min_element(entries_.begin(), entries_.end(), [](const auto& a, const auto& b) {
      return a.second.last < b.second.last;
    }));
  }
  Entry& entry = entries_[tenant];
  auto time = options_.base_time;
  for (std::size_t i = 0; i < entry.times && time < options_.time_max; ++i) time *= 2;
  ++entry.times;
  entry.last = now;
  entry.until = now + std::min(time, options_.time_max);
  return true;
}

std::optional<std::chrono::seconds> HoldOff::left(const std::string& tenant) const {
  std::lock_guard lock(mutex_);
  auto entry = entries_.find(tenant);
  if (entry == entries_.end()) return std::nullopt;
  const auto left = entry->second.until - clock_.monotonic();
  if (left <= left.zero()) return std::nullopt;
  return std::chrono::ceil<std::chrono::seconds>(left);
}

}  // namespace bulkhead::engine
