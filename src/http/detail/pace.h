// How long a peer may keep us waiting while bytes go one way: `stall_max` at a stretch, and in all no longer
// than that and the time which the bytes that went take at `rate_min`. Only waiting for the peer counts, so a
// slow but steady peer is served, however much there is, and one that trickles is not.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "http/detail/asio.h"

namespace bulkhead::http::detail {

class Pace {
 public:
  Pace() = default;
  // `rate_min` in bytes a second; 0 bounds the silence alone.
  Pace(std::chrono::milliseconds stall_max, std::size_t rate_min)
      : stall_max_(stall_max), rate_min_(rate_min) {}

  std::chrono::milliseconds stall_max() const { return stall_max_; }
  // When a wait that begins, or saw its last byte, `now` has taken too long.
  SteadyTime deadline(SteadyTime now) const {
    if (rate_min_ == 0) return now + stall_max_;
    const Micros allowed =
        Micros(stall_max_) + Micros(static_cast<std::int64_t>(bytes_ * 1'000'000 / rate_min_));
    return now + std::min(Micros(stall_max_), std::max(allowed - spent_, Micros(0)));
  }
  void waited(SteadyTime::duration time) { spent_ += std::chrono::duration_cast<Micros>(time); }
  void moved(std::uint64_t bytes) { bytes_ += bytes; }
  void restart() {
    spent_ = Micros(0);
    bytes_ = 0;
  }

 private:
  using Micros = std::chrono::microseconds;
  std::chrono::milliseconds stall_max_{30'000};
  std::size_t rate_min_ = 0;
  Micros spent_{0};
  std::uint64_t bytes_ = 0;
};

}  // namespace bulkhead::http::detail
