// What the socket tests share: a pool with a server on any free port, raw client sockets for
// hostile bytes, and a way to run a coroutine on a reactor from the test's thread.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <future>
#include <optional>
#include <string>
#include <string_view>

#include "http/client.h"
#include "http/reactor.h"
#include "http/server.h"
#include "support/eventually.h"

namespace bulkhead::http::testing {

using std::chrono::milliseconds;

// Long enough for a loaded machine under a sanitizer; no test waits it out when things go right.
inline constexpr int kPatienceMs = 20'000;

class RawSocket {
 public:
  // `source`: the address of 127.0.0.0/8 to come from, in host order.
  explicit RawSocket(std::uint16_t port, int receive_buffer_bytes = 0, std::uint32_t source = 0) {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (receive_buffer_bytes > 0) {
      setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof(receive_buffer_bytes));
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    if (source != 0) {
      sockaddr_in from{};
      from.sin_family = AF_INET;
      from.sin_addr.s_addr = htonl(source);
      static_cast<void>(::bind(fd_, reinterpret_cast<sockaddr*>(&from), sizeof(from)));
    }
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  }
  explicit RawSocket(const std::string& unix_path) {
    fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, unix_path.data(), unix_path.size());
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  }
  RawSocket(const RawSocket&) = delete;
  RawSocket(RawSocket&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)),
        connected_(other.connected_),
        pending_(std::move(other.pending_)) {}
  ~RawSocket() { close(); }

  bool connected() const { return connected_; }
  int fd() const { return fd_; }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  // Some bytes; empty at the end, after an error or when patience runs out.
  std::string receive_some(int patience_ms = kPatienceMs) {
    pollfd waiting{fd_, POLLIN, 0};
    if (poll(&waiting, 1, patience_ms) <= 0) return {};
    char buffer[16 << 10];
    const ssize_t got = ::recv(fd_, buffer, sizeof(buffer), 0);
    reset_ = got < 0 && errno == ECONNRESET;
    return got > 0 ? std::string(buffer, static_cast<std::size_t>(got)) : std::string();
  }
  std::string receive_until(std::string_view mark) {
    while (pending_.find(mark) == std::string::npos) {
      const std::string more = receive_some();
      if (more.empty()) return std::exchange(pending_, {});
      pending_ += more;
    }
    const std::size_t end = pending_.find(mark) + mark.size();
    std::string out = pending_.substr(0, end);
    pending_.erase(0, end);
    return out;
  }
  std::string receive_all() {
    std::string out = std::exchange(pending_, {});
    for (std::string more = receive_some(); !more.empty(); more = receive_some()) out += more;
    return out;
  }
  bool was_reset() const { return reset_; }
  // One answer with a Content-Length.
  std::string receive_answer() {
    std::string head = receive_until("\r\n\r\n");
    const std::size_t at = head.find("content-length: ");
    if (at == std::string::npos) return head;
    const std::size_t length = std::stoul(head.substr(at + 16));
    while (pending_.size() < length) {
      const std::string more = receive_some();
      if (more.empty()) break;
      pending_ += more;
    }
    head += pending_.substr(0, length);
    pending_.erase(0, std::min(length, pending_.size()));
    return head;
  }

 private:
  int fd_ = -1;
  bool connected_ = false;
  bool reset_ = false;
  std::string pending_;
};

template <typename T>
base::Task<void> deliver(base::Task<T> task, std::promise<T>* promise) {
  promise->set_value(co_await std::move(task));
}
template <typename T>
T run_on(Reactor& reactor, base::Task<T> task) {
  std::promise<T> promise;
  auto future = promise.get_future();
  base::spawn(reactor, deliver(std::move(task), &promise));
  return future.get();
}

inline std::unique_ptr<Server> start_server(ReactorPool& pool, Server::Options options) {
  auto server = Server::start(pool, std::move(options));
  EXPECT_TRUE(server.ok()) << (server.ok() ? "" : server.error().describe());
  return server.ok() ? std::move(*server) : nullptr;
}

using test::eventually;

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "bulkhead-http-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Answers with method, path, peer's security and body.
inline base::Task<void> echo(Exchange& exchange) {
  Request& request = exchange.request();
  std::string text(method_name(request.method));
  text += " " + request.path + " " + request.body;
  const auto sent = co_await exchange.send(Response::text(200, std::move(text)));
  (void)sent;
}

}  // namespace bulkhead::http::testing
