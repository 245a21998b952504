// WorkerPulse: a page that a worker process and whoever supervises it share, on which the worker's loops say
// that they go on and what they are at.
//
// The supervisor makes the page and hands its descriptor to the worker; it needs no answer from the worker to
// read it, so it also sees a worker that is stopped, spins or hangs in a library, and after a crash what it
// was at. A loop that has work says so, and beats whenever it has got on. A loop that is busy and doesn't
// beat makes no progress; a page whose clock doesn't tick belongs to a process that doesn't run. What stands
// on the page was written by the worker: the supervisor takes it for a hint about whom to blame. Thread
// safety: each loop is written by one thread; everything may be read at any time.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/result.h"

namespace bulkhead::base {

struct PulsePage {
  static constexpr std::size_t kLoops = 8;
  static constexpr std::size_t kRequestWords = 8;
  struct Loop {
    std::atomic<std::uint64_t> beats{0};
    std::atomic<std::uint64_t> busy{0};
    // The request that it is at, when it is at one alone: its id, padded with zeros. Another thread may read
    // it while it is written; it then names no request, or the one before.
    std::array<std::atomic<std::uint64_t>, kRequestWords> request{};
  };
  std::atomic<std::uint64_t> ticks{0};
  std::array<Loop, kLoops> loops{};
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

// One loop's side. A default-made one writes nowhere.
class LoopPulse {
 public:
  LoopPulse() = default;
  explicit LoopPulse(PulsePage::Loop& loop) : loop_(&loop) {}
  void busy(bool has_work) {
    if (!loop_) return;
    beat();
    loop_->busy.store(has_work ? 1 : 0);
  }
  void beat() {
    if (loop_) loop_->beats.fetch_add(1);
  }
  // Until the next call; "" for none, or several at once.
  void at_request(std::string_view id);

 private:
  PulsePage::Loop* loop_ = nullptr;
};

// The page itself, in memory that goes with this object.
class PulseMemory {
 public:
  // A new page, and a descriptor for the worker, which the caller closes.
  static Result<std::unique_ptr<PulseMemory>> make(int& descriptor);
  // The page behind a descriptor that was handed over; it is closed.
  static Result<std::unique_ptr<PulseMemory>> open(int descriptor);
  ~PulseMemory();
  PulseMemory(const PulseMemory&) = delete;
  PulsePage& page() { return *page_; }

 private:
  explicit PulseMemory(PulsePage* page) : page_(page) {}
  PulsePage* page_;
};

// The ids of the requests that the page says the worker is at; without repetition.
std::vector<std::string> requests_of(const PulsePage& page);

// The supervisor's side: tells when a loop has been busy without a beat, or the page without a tick, for too
// long. Time counts as far as it was watched: `elapsed` of one look is bounded, so that a supervisor that was
// stopped itself takes nobody for dead.
class PulseWatch {
 public:
  explicit PulseWatch(std::chrono::milliseconds stall_max) : stall_max_(stall_max) {}
  // What does not go on: "process", or "loop N". Nothing while all is well.
  std::optional<std::string> look(const PulsePage& page, std::chrono::milliseconds elapsed);

 private:
  struct Seen {
    std::uint64_t beats = 0;
    std::chrono::milliseconds silent{0};
  };
  std::chrono::milliseconds stall_max_;
  Seen process_;
  std::array<Seen, PulsePage::kLoops> loops_{};
};

}  // namespace bulkhead::base
