// Time as a parameter. Wall-clock time is for claims, records and policy; the monotonic clock is
// for time-outs and rates. Thread safety: all implementations are safe from every thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>

namespace bulkhead::base {

using WallTime = std::chrono::sys_time<std::chrono::microseconds>;
using MonotonicTime = std::chrono::steady_clock::time_point;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual WallTime wall() const = 0;
  virtual MonotonicTime monotonic() const = 0;

  std::int64_t unix_seconds() const {
    return std::chrono::duration_cast<std::chrono::seconds>(wall().time_since_epoch()).count();
  }

  // The machine's clock. Lives as long as the process.
  static const Clock& system();
};

// A clock that stands still until it is told to move.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(std::int64_t unix_seconds = 1'800'000'000) : micros_(unix_seconds * 1'000'000) {}
  WallTime wall() const override { return WallTime(std::chrono::microseconds(micros_.load())); }
  MonotonicTime monotonic() const override {
    return MonotonicTime(std::chrono::microseconds(micros_.load()));
  }
  void advance(std::chrono::microseconds by) { micros_ += by.count(); }

 private:
  std::atomic<std::int64_t> micros_;
};

// RFC 3339 in UTC with microseconds: "2026-03-01T09:30:00.000000Z".
std::string rfc3339(WallTime time);

}  // namespace bulkhead::base
