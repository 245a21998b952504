#include "inference/pulse.h"

#include <atomic>

namespace bulkhead::inference {

namespace {
constexpr std::chrono::milliseconds kTick{250};
}

Pulse::~Pulse() { stop(); }

void Pulse::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

base::LoopPulse Pulse::loop(WorkerLoop which, std::size_t offset) {
  if (!memory_) return base::LoopPulse();
  return base::LoopPulse(memory_->page().loops[static_cast<std::size_t>(which) + offset]);
}

void Pulse::start(base::Executor& reactor) {
  if (memory_) thread_ = std::thread([this, &reactor] { tick(reactor); });
}

void Pulse::tick(base::Executor& reactor) {
  // Shared with the question, which may be answered after this thread has ended.
  auto asked = std::make_shared<std::atomic<bool>>(false);
  base::LoopPulse pulse = loop(WorkerLoop::Reactor);
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, kTick, [this] { return stopping_; })) {
    memory_->page().ticks.fetch_add(1);
    if (asked->exchange(true)) continue;
    pulse.busy(true);
    reactor.post([asked, pulse]() mutable {
      pulse.busy(false);
      *asked = false;
    });
  }
}

}  // namespace bulkhead::inference
