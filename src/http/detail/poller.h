// Readiness of connected sockets, edge-triggered, on an epoll instance of its own inside the Asio
// loop.
//
// Why not Asio's socket operations: after a read that took everything they try once more before
// they wait, which is one failing recv per message, two per proxied request (measured: 4 instead of
// 2 recv calls). Asio can't know better because it doesn't ask for EPOLLRDHUP; this does, so a short
// read means that nothing is left. Many events are taken per wake, so the second epoll_wait is
// shared by all of them. On the reactor's thread only.
#pragma once

#include <sys/epoll.h>

#include <cstdint>
#include <memory>

#include "http/detail/asio.h"

namespace bulkhead::http::detail {

class Polled {
 public:
  // `events`: EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLHUP, EPOLLERR. May destroy this object and others.
  virtual void on_events(std::uint32_t events) = 0;

 protected:
  ~Polled() = default;
};

// The epoll instance. Shared with the streams, because the last of them may be destroyed together
// with the io_context's queue, when the Poller is gone.
class PollSet {
 public:
  PollSet();
  ~PollSet();
  PollSet(const PollSet&) = delete;

  // Both directions, for as long as the descriptor is open or until `remove`.
  bool add(int fd, Polled& polled);
  // Before the descriptor is closed; no event reaches `polled` afterwards.
  void remove(int fd, Polled& polled);
  // Hands out what has happened since, without waiting.
  void dispatch();
  int fd() const { return fd_; }

 private:
  int fd_;
  epoll_event* batch_begin_ = nullptr;  // what is left of the batch under way
  epoll_event* batch_end_ = nullptr;
};

// Wakes the Asio loop when the PollSet has events.
class Poller {
 public:
  explicit Poller(asio::io_context& io);
  ~Poller();
  const std::shared_ptr<PollSet>& set() const { return set_; }

 private:
  void wait();

  std::shared_ptr<PollSet> set_;
  Descriptor epoll_;
};

}  // namespace bulkhead::http::detail
