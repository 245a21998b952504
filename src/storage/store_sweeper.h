// StoreSweeper: a thread that goes over the open stores again and again and takes away what should not
// stay: decrypted pages from their caches (often), expired kept chats from the disk (seldom).
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

class StoreSweeper {
 public:
  struct Intervals {
    std::chrono::milliseconds pages{500};
    std::chrono::milliseconds expired{60'000};
  };
  StoreSweeper(StoreManager& stores, Intervals intervals);
  ~StoreSweeper();
  StoreSweeper(const StoreSweeper&) = delete;
  StoreSweeper& operator=(const StoreSweeper&) = delete;

 private:
  void run();

  StoreManager& stores_;
  const Intervals intervals_;
  std::mutex mutex_;
  std::condition_variable stop_requested_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace bulkhead::storage
