// How many connections are open, in all and from each network. Thread safety: all members from every thread.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>

namespace bulkhead::http::detail {

class ConnectionBook {
 public:
  // False at a bound. A peer without a network (a Unix socket) counts for the whole only.
  bool enter(const std::string& network, std::size_t whole_max, std::size_t network_max) {
    const std::lock_guard lock(mutex_);
    if (open_ >= whole_max) return false;
    if (!network.empty()) {
      const auto found = by_network_.find(network);
      if (found != by_network_.end() && found->second >= network_max) return false;
      ++by_network_[network];
    }
    ++open_;
    return true;
  }
  void leave(const std::string& network) {
    const std::lock_guard lock(mutex_);
    --open_;
    const auto found = by_network_.find(network);
    if (found != by_network_.end() && --found->second == 0) by_network_.erase(found);
  }

 private:
  std::mutex mutex_;
  std::size_t open_ = 0;
  std::unordered_map<std::string, std::size_t> by_network_;  // no more entries than connections
};

}  // namespace bulkhead::http::detail
