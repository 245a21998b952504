#include "storage/expiry_sweeper.h"

namespace bulkhead::storage {

ExpirySweeper::ExpirySweeper(StoreManager& stores, std::chrono::milliseconds interval)
    : stores_(stores), interval_(interval), thread_([this] { run(); }) {}

ExpirySweeper::~ExpirySweeper() {
  {
    std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  stop_requested_.notify_all();
  thread_.join();
}

void ExpirySweeper::run() {
  while (true) {
    static_cast<void>(stores_.delete_expired_chats());
    std::unique_lock lock(mutex_);
    if (stop_requested_.wait_for(lock, interval_, [this] { return stopping_; })) return;
  }
}

}  // namespace bulkhead::storage
