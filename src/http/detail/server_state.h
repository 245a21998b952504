// What the connections of one Server share. Lives as long as the last of them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_set>
#include <vector>

#include "http/detail/asio.h"
#include "http/detail/connection_book.h"
#include "http/server.h"

namespace bulkhead::http::detail {

class ServerConnection;
struct ServerState;

// One per reactor; touched on its thread only, but for the counters.
struct ListenerState {
  explicit ListenerState(Reactor& reactor_in) : reactor(reactor_in) {}
  Reactor& reactor;
  std::unordered_set<ServerConnection*> connections;
  std::atomic<std::uint64_t> open{0};
  std::atomic<std::uint64_t> total{0};
  std::atomic<std::uint64_t> refused{0};
  std::atomic<std::uint64_t> requests{0};
  std::atomic<std::uint64_t> malformed{0};

  // Takes a connected, non-blocking socket over.
  void adopt(const std::shared_ptr<ServerState>& server, int fd, Peer peer);
};

struct ServerState {
  Server::Options options;
  std::vector<std::unique_ptr<ListenerState>> listeners;
  std::atomic<bool> draining{false};
  ConnectionBook book;

  std::mutex mutex;  // guards what follows
  std::condition_variable changed;
  std::shared_ptr<TlsContext> tls;

  std::uint64_t open() const {
    std::uint64_t sum = 0;
    for (const auto& listener : listeners) sum += listener->open;
    return sum;
  }
  std::shared_ptr<TlsContext> current_tls() {
    const std::lock_guard lock(mutex);
    return tls;
  }
};

}  // namespace bulkhead::http::detail
