// Passage: counts the handles on a tenant's store that are out, and can be closed for a moment: then who
// comes waits, and whoever is inside is waited for. So a copy of the store gets an instant at which nobody
// uses it (StoreManager::Watch).
//
// Thread safety: all members from every thread; `enter` and `close` block for at most the time given.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>

#include "base/task.h"

namespace bulkhead::storage {

class Passage {
 public:
  // False: it stayed closed for all of `time`.
  bool enter(std::chrono::milliseconds time) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, time, [this] { return !closed_; })) return false;
    ++inside_;
    return true;
  }
  void leave() {
    std::scoped_lock lock(mutex_);
    --inside_;
    changed_.notify_all();
  }
  // True: closed, and nobody is inside. False: somebody stayed for all of `time`; it is open again.
  bool close(std::chrono::milliseconds time) {
    std::unique_lock lock(mutex_);
    if (closed_) return false;
    closed_ = true;
    reopening_ = std::make_shared<base::Event>();
    if (changed_.wait_for(lock, time, [this] { return inside_ == 0; })) return true;
    reopen();
    return false;
  }
  void open() {
    std::scoped_lock lock(mutex_);
    reopen();
  }
  // What a coroutine waits for before it takes a thread to enter on; nothing while it is open.
  std::shared_ptr<base::Event> reopening() const {
    std::scoped_lock lock(mutex_);
    return reopening_;
  }

 private:
  void reopen() {
    closed_ = false;
    if (reopening_) reopening_->set();
    reopening_.reset();
    changed_.notify_all();
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::shared_ptr<base::Event> reopening_;  // while closed
  int inside_ = 0;
  bool closed_ = false;
};

}  // namespace bulkhead::storage
