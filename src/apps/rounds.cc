#include "apps/rounds.h"

#include <utility>

namespace bulkhead::apps {

Rounds::Rounds(std::chrono::milliseconds interval, Work work) : interval_(interval), work_(std::move(work)) {}

void Rounds::start() {
  thread_ = std::thread([this] { run(); });
}

bool Rounds::stopping() const {
  std::scoped_lock lock(mutex_);
  return stopping_;
}

void Rounds::run() {
  while (!stopping()) {
    work_([this] { return stopping(); });
    std::unique_lock lock(mutex_);
    due_.wait_for(lock, interval_, [this] { return stopping_ || wanted_; });
    wanted_ = false;
  }
}

void Rounds::wake() {
  {
    std::scoped_lock lock(mutex_);
    wanted_ = true;
  }
  due_.notify_all();
}

void Rounds::stop() {
  {
    std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  due_.notify_all();
  if (thread_.joinable()) thread_.join();
}

}  // namespace bulkhead::apps
