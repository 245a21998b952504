// Rounds: a thread that does a piece of work again and again, at an interval or as soon as it is woken.
//
// The work is asked to end by the function it gets, which turns true when `stop` was called; `stop` waits for
// it. Thread safety: `wake` from every thread, the others from the owner's.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace bulkhead::apps {

class Rounds {
 public:
  using Work = std::function<void(const std::function<bool()>& stopping)>;

  Rounds(std::chrono::milliseconds interval, Work work);
  ~Rounds() { stop(); }
  void start();
  void wake();
  void stop();

 private:
  bool stopping() const;
  void run();

  const std::chrono::milliseconds interval_;
  const Work work_;
  mutable std::mutex mutex_;
  std::condition_variable due_;
  bool stopping_ = false, wanted_ = false;
  std::thread thread_;
};

}  // namespace bulkhead::apps
