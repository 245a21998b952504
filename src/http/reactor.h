// Reactor: one thread's event loop (an Asio io_context behind a wall; nothing outside http sees
// Asio). Server and client objects belong to one reactor and are used on its thread only, unless
// they say otherwise.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "base/task.h"

namespace bulkhead::http {

class Reactor final : public base::Executor {
 public:
  Reactor();
  ~Reactor() override;
  Reactor(const Reactor&) = delete;

  void run();                                      // until stop(); called by the owning thread
  void stop();                                     // any thread
  void post(std::function<void()> work) override;  // any thread

  // Resumes after `delay`, or at once (false) when `cancel` fires first. On the reactor's thread.
  base::Task<bool> sleep(std::chrono::milliseconds delay, base::CancelToken cancel);

  // The reactor whose thread this is; nullptr elsewhere.
  static Reactor* current();

  struct Impl;  // http's own files only
  Impl& impl() { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

// `count` reactors, each on a thread of its own.
class ReactorPool {
 public:
  explicit ReactorPool(std::size_t count);
  ~ReactorPool();  // stops and joins
  std::size_t size() const { return reactors_.size(); }
  Reactor& at(std::size_t index) { return *reactors_[index]; }
  void stop_and_join();

 private:
  std::vector<std::unique_ptr<Reactor>> reactors_;
  std::vector<std::thread> threads_;
};

}  // namespace bulkhead::http
