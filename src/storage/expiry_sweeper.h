// ExpirySweeper: a thread that removes expired kept chats from the open stores, again and again.
//
// An expired chat is never given out (the store's own filter); the sweep is what takes it off the disk.
// Destruction stops and joins the thread; the manager must outlive it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "storage/store_manager.h"

namespace bulkhead::storage {

class ExpirySweeper {
 public:
  ExpirySweeper(StoreManager& stores, std::chrono::milliseconds interval);
  ~ExpirySweeper();
  ExpirySweeper(const ExpirySweeper&) = delete;
  ExpirySweeper& operator=(const ExpirySweeper&) = delete;

 private:
  void run();

  StoreManager& stores_;
  const std::chrono::milliseconds interval_;
  std::mutex mutex_;
  std::condition_variable stop_requested_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace bulkhead::storage
