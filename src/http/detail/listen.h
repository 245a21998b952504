// Listening sockets: making them safely, and accepting from them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "http/detail/asio.h"
#include "http/server.h"

namespace bulkhead::http::detail {

// A file descriptor that is closed when forgotten.
class OwnedFd {
 public:
  explicit OwnedFd(int fd = -1) : fd_(fd) {}
  OwnedFd(OwnedFd&& other) noexcept : fd_(other.release()) {}
  OwnedFd& operator=(OwnedFd&& other) noexcept;
  ~OwnedFd();
  int get() const { return fd_; }
  int release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }

 private:
  int fd_;
};

struct ListeningSockets {
  std::vector<OwnedFd> fds;  // one per reactor (TCP), or a single one that all share
  std::uint16_t port = 0;
};

// Errors: HttpError::Bind.
base::Result<ListeningSockets> open_listening_sockets(const ListenAddress& address, std::size_t reactors);

// Removes the socket file of a Unix address at shutdown.
void remove_unix_socket(const std::string& path);

// Accepts until stopped. On its reactor's thread only.
class Acceptor : public std::enable_shared_from_this<Acceptor> {
 public:
  // Gets a connected, non-blocking socket that it owns from then on.
  using Accepted = std::function<void(int fd, Peer peer)>;
  Acceptor(asio::io_context& io, OwnedFd fd, Accepted accepted);
  void start();
  void stop();

 private:
  void wait();
  void accept_some();

  OwnedFd waiting_;  // until start(): only the reactor's thread may register it
  Descriptor socket_;
  Timer pause_;
  Accepted accepted_;
};

}  // namespace bulkhead::http::detail
