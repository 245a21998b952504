// CircuitBreaker: whether a replica is worth a request.
//
// Closed: requests go through. After `failures_max` failures in a row it opens and nothing goes through
// for `open_time`; then one trial may (half-open), whose end closes it or opens it anew. Only what says that
// the replica itself is down counts as a failure (it can't be reached, hangs up, answers 502 to 504): an
// error that a request's content can provoke must not take the engine from other tenants.
//
// Every `allow` that gave true is followed by one of `succeeded`, `failed` and `gave_up`.
// Thread safety: all members from every thread. The clock outlives it.
#pragma once

#include <chrono>
#include <cstddef>
#include <mutex>
#include <string_view>

#include "base/clock.h"

namespace bulkhead::engine {

class CircuitBreaker {
 public:
  struct Options {
    std::size_t failures_max = 3;
    std::chrono::milliseconds open_time{10'000};
  };
  enum class State { Closed, HalfOpen, Open };

  CircuitBreaker(Options options, const base::Clock& clock) : options_(options), clock_(clock) {}

  // True: go on. In the half-open state only the first caller may.
  bool allow();
  // Would `allow` be true? Takes nothing.
  bool would_allow() const;
  // Both return true when the state changed between usable and not.
  bool succeeded();
  bool failed();
  // Ended without telling anything of the replica (cancelled, refused by content).
  void gave_up();
  State state() const;

 private:
  State state_locked() const;

  const Options options_;
  const base::Clock& clock_;
  mutable std::mutex mutex_;
  std::size_t failures_ = 0;  // in a row
  bool open_ = false;
  bool trial_ = false;  // one is under way
  base::MonotonicTime opened_{};
};

std::string_view breaker_state_name(CircuitBreaker::State state);

}  // namespace bulkhead::engine
