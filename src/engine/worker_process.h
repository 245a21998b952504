// WorkerProcess: starts `bulkhead-engine`, watches over it and starts it again when it dies.
//
// The gateway owns the Unix socket the worker listens on and a signing key that is new at each
// start and travels through a pipe. The worker gets an empty environment, those two descriptors, a page on
// which it says that it goes on (base/worker_pulse.h) and standard error, nothing else.
// A ready worker of which a loop makes no progress for `stall_time_max` is killed, and started again as one
// that died: `watch_pulse`, which whoever starts workers calls now and then, looks at the page. Thread
// safety: all members from every thread. Callbacks run on the watching thread.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "http/message.h"

namespace bulkhead::engine {

struct WorkerDeath {
  std::string how;                    // "exit 3", "signal 9", "stalled (loop 1)"
  bool own_fault = false;             // it crashed or stalled, and wasn't killed from outside
  std::vector<std::string> requests;  // that it was at, alone, as far as it had said
};

struct WorkerOptions {
  std::filesystem::path executable;
  std::filesystem::path socket;        // made by us, mode 0600, in a private folder
  std::vector<std::string> arguments;  // models, context, slots, threads
  std::chrono::milliseconds restart_delay_min{200};
  std::chrono::milliseconds restart_delay_max{5'000};
  std::chrono::milliseconds stop_time_max{5'000};
  std::chrono::milliseconds stall_time_max{120'000};
  std::function<void(int pid)> on_started;
  std::function<void(const WorkerDeath& death)> on_died;  // not at stop()
};

class WorkerProcess {
 public:
  static base::Result<std::unique_ptr<WorkerProcess>> start(WorkerOptions options, const base::Clock& clock);
  ~WorkerProcess();  // stop()
  void stop();       // SIGTERM, then SIGKILL after stop_time_max
  int pid() const;   // 0: not running just now
  std::uint64_t restarts() const;
  // Marks the worker of the current start as answering; cleared when it dies.
  void mark_ready();
  bool ready() const;
  // Kills the worker when it makes no progress. `elapsed`: since the last look.
  void watch_pulse(std::chrono::milliseconds elapsed);
  // Signs with the current start's key; Unavailable while no worker runs.
  base::Result<void> sign(http::Request& request) const;

 private:
  struct Impl;
  explicit WorkerProcess(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bulkhead::engine
