#include "storage/store_sweeper.h"

#include <algorithm>

namespace bulkhead::storage {

StoreSweeper::StoreSweeper(StoreManager& stores, Intervals intervals)
    : stores_(stores), intervals_(intervals), thread_([this] { run(); }) {}

StoreSweeper::~StoreSweeper() {
  {
    std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  stop_requested_.notify_all();
  thread_.join();
}

void StoreSweeper::run() {
  using Clock = std::chrono::steady_clock;
  Clock::time_point expired_due = Clock::now();
  while (true) {
    if (Clock::now() >= expired_due) {
      static_cast<void>(stores_.delete_expired_chats());
      expired_due = Clock::now() + intervals_.expired;
    }
    stores_.forget_pages();
    Clock::time_point next = std::min(Clock::now() + intervals_.pages, expired_due);
    std::unique_lock lock(mutex_);
    if (stop_requested_.wait_until(lock, next, [this] { return stopping_; })) return;
  }
}

}  // namespace bulkhead::storage
