// The worker's side of the page that it shares with the gateway (base/worker_pulse.h): which loop is which,
// and a thread that lets its clock tick and asks the reactor whether it still runs.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "base/task.h"
#include "base/worker_pulse.h"

namespace bulkhead::inference {

enum class WorkerLoop : std::size_t {
  Reactor,
  Scheduler,
  Embedder,
  Reranker,
  Preparation
};  // the last: and on
inline constexpr std::size_t kPreparationLoopsMax =
    base::PulsePage::kLoops - static_cast<std::size_t>(WorkerLoop::Preparation);

class Pulse {
 public:
  // Null: nobody watches (tests).
  explicit Pulse(std::unique_ptr<base::PulseMemory> memory) : memory_(std::move(memory)) {}
  ~Pulse();  // stop()
  base::LoopPulse loop(WorkerLoop which, std::size_t offset = 0);
  // From here on the clock ticks, until `stop`, which comes before the reactor's end. What was posted to the
  // reactor writes to the page: this object goes after the reactor.
  void start(base::Executor& reactor);
  void stop();

 private:
  void tick(base::Executor& reactor);
  std::unique_ptr<base::PulseMemory> memory_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace bulkhead::inference
