// WorkerProcess: starts `bulkhead-engine`, watches over it and starts it again when it dies.
//
// The gateway owns the Unix socket the worker listens on and a signing key that is new at each
// start and travels through a pipe. The worker gets an empty environment, those two descriptors and
// standard error, nothing else.
// Thread safety: all members from every thread. Callbacks run on the watching thread.
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

struct WorkerOptions {
  std::filesystem::path executable;
  std::filesystem::path socket;        // made by us, mode 0600, in a private folder
  std::vector<std::string> arguments;  // models, context, slots, threads
  std::chrono::milliseconds restart_delay_min{200};
  std::chrono::milliseconds restart_delay_max{5'000};
  std::chrono::milliseconds stop_time_max{5'000};
  std::function<void(int pid)> on_started;
  std::function<void(std::string_view how)> on_died;  // "exit 3", "signal 9"; not at stop()
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
  // Signs with the current start's key; Unavailable while no worker runs.
  base::Result<void> sign(http::Request& request) const;

 private:
  struct Impl;
  explicit WorkerProcess(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bulkhead::engine
