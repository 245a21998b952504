// Whether a key that a token was verified with may still be believed: what a cached principal depends on.
//
// A KeySet has one for each key of its set and renews it with the set; a key that is gone from the set, or
// whose set is too old, is believed no more, at once and for good or until the set is renewed. Thread safety:
// all members from every thread, without locks.
#pragma once

#include <atomic>

#include "base/clock.h"

namespace bulkhead::identity {

class KeyStanding {
 public:
  bool believed(base::MonotonicTime now) const {
    return now.time_since_epoch().count() < until_.load(std::memory_order_acquire);
  }

 private:
  friend class KeySet;
  void believe_until(base::MonotonicTime time) {
    until_.store(time.time_since_epoch().count(), std::memory_order_release);
  }
  void withdraw() { until_.store(0, std::memory_order_release); }

  std::atomic<base::MonotonicTime::rep> until_{0};
};

}  // namespace bulkhead::identity
