#include "base/clock.h"

#include <ctime>

namespace bulkhead::base {

namespace {

class SystemClock final : public Clock {
 public:
  WallTime wall() const override {
    return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
  }
  MonotonicTime monotonic() const override { return std::chrono::steady_clock::now(); }
};

}  // namespace

const Clock& Clock::system() {
  static const SystemClock clock;
  return clock;
}

std::string rfc3339(WallTime time) {
  std::int64_t micros = time.time_since_epoch().count();
  std::int64_t seconds = micros / 1'000'000;
  std::int64_t rest = micros % 1'000'000;
  if (rest < 0) {
    rest += 1'000'000;
    --seconds;
  }
  std::time_t whole = seconds;
  std::tm parts{};
  gmtime_r(&whole, &parts);
  // Digits by hand: two of these stand in each audited request, and snprintf is slow.
  std::string text = "0000-00-00T00:00:00.000000Z";
  auto put = [&text](std::size_t last, std::int64_t value) {
    for (; value > 0; value /= 10) text[last--] = static_cast<char>('0' + value % 10);
  };
  put(3, parts.tm_year + 1900);
  put(6, parts.tm_mon + 1);
  put(9, parts.tm_mday);
  put(12, parts.tm_hour);
  put(15, parts.tm_min);
  put(18, parts.tm_sec);
  put(25, rest);
  return text;
}

}  // namespace bulkhead::base
