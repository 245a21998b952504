// HoldOff: tenants whose request ended a worker are not served for a while, so that one request that is sent
// again and again can't keep the worker down for everybody.
//
// The first time for `base_time`; each further time within `memory` doubles it, up to `time_max`. With a base
// of 0 nobody is held off. Bounded: beyond `tenants_max` the oldest is forgotten. Thread safety: all members
// from every thread.
#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "base/clock.h"

namespace bulkhead::engine {

class HoldOff {
 public:
  struct Options {
    std::chrono::seconds base_time{60};
    std::chrono::seconds time_max{3'600};
    std::chrono::seconds memory{3'600};
    std::size_t tenants_max = 1'024;
  };
  HoldOff(const Options& options, const base::Clock& clock) : options_(options), clock_(clock) {}

  // False: nobody is held off.
  bool blame(const std::string& tenant);
  // How long it is still held off; nothing when it is not.
  std::optional<std::chrono::seconds> left(const std::string& tenant) const;

 private:
  struct Entry {
    std::size_t times = 0;
    base::MonotonicTime last{}, until{};
  };
  const Options options_;
  const base::Clock& clock_;
  mutable std::mutex mutex_;
  std::map<std::string, Entry> entries_;
};

}  // namespace bulkhead::engine
