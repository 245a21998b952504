#include "http/detail/listen.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace bulkhead::http::detail {

namespace {

constexpr int kBacklog = 1024;
constexpr int kAcceptsPerWake = 64;
constexpr std::chrono::milliseconds kPauseWhenOutOfFiles{50};

union AnyAddress {
  sockaddr base;
  sockaddr_in v4;
  sockaddr_in6 v6;
  sockaddr_un local;
  sockaddr_storage storage;
};

base::Error bind_error(const std::string& what) {
  const std::string reason = std::strerror(errno);
  return base::Error(HttpError::Bind, "The server could not listen on its address.", what + ": " + reason);
}

bool set_flag(int fd, int level, int option) {
  const int on = 1;
  return setsockopt(fd, level, option, &on, sizeof(on)) == 0;
}

bool fill_address(const std::string& host, std::uint16_t port, AnyAddress& address, socklen_t& bytes) {
  std::memset(&address, 0, sizeof(address));
  if (inet_pton(AF_INET, host.c_str(), &address.v4.sin_addr) == 1) {
    address.v4.sin_family = AF_INET;
    address.v4.sin_port = htons(port);
    bytes = sizeof(address.v4);
    return true;
  }
  if (inet_pton(AF_INET6, host.c_str(), &address.v6.sin6_addr) == 1) {
    address.v6.sin6_family = AF_INET6;
    address.v6.sin6_port = htons(port);
    bytes = sizeof(address.v6);
    return true;
  }
  return false;
}

OwnedFd new_socket(int family) {
  return OwnedFd(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

base::Result<std::uint16_t> bound_port(int fd) {
  AnyAddress address{};
  socklen_t bytes = sizeof(address);
  if (getsockname(fd, &address.base, &bytes) != 0) return bind_error("getsockname");
  if (address.base.sa_family == AF_INET) return ntohs(address.v4.sin_port);
  if (address.base.sa_family == AF_INET6) return ntohs(address.v6.sin6_port);
  return std::uint16_t{0};
}

base::Result<ListeningSockets> open_tcp(const ListenAddress& address, std::size_t count) {
  AnyAddress where{};
  socklen_t bytes = 0;
  const std::string name = address.host + ":" + std::to_string(address.port);
  if (!fill_address(address.host, address.port, where, bytes)) {
    errno = EINVAL;
    return bind_error(name + " is not an IP address and port");
  }
  if (address.port != 0) {
    // With SO_REUSEPORT a second server on the same port would silently share its clients, so a
    // socket without it asks first whether the port is free.
    const OwnedFd probe = new_socket(where.base.sa_family);
    if (probe.get() < 0 || !set_flag(probe.get(), SOL_SOCKET, SO_REUSEADDR) ||
        ::bind(probe.get(), &where.base, bytes) != 0) {
      return bind_error(name);
    }
  }
  ListeningSockets sockets;
  sockets.port = address.port;
  for (std::size_t i = 0; i < count; ++i) {
    OwnedFd fd = new_socket(where.base.sa_family);
    // Accepted sockets inherit TCP_NODELAY, which saves a call per connection.
    if (fd.get() < 0 || !set_flag(fd.get(), SOL_SOCKET, SO_REUSEADDR) ||
        (count > 1 && !set_flag(fd.get(), SOL_SOCKET, SO_REUSEPORT)) ||
        !set_flag(fd.get(), IPPROTO_TCP, TCP_NODELAY) || ::bind(fd.get(), &where.base, bytes) != 0 ||
        ::listen(fd.get(), kBacklog) != 0) {
      return bind_error(name);
    }
    if (sockets.port == 0) {
      BULKHEAD_TRY(port, bound_port(fd.get()));
      sockets.port = port;
      fill_address(address.host, port, where, bytes);
    }
    sockets.fds.push_back(std::move(fd));
  }
  return sockets;
}

// A socket file is stale when it is a socket and nobody accepts on it.
base::Result<void> remove_stale(const AnyAddress& address, socklen_t bytes) {
  const char* path = address.local.sun_path;
  struct stat info{};
  if (lstat(path, &info) != 0) {
    if (errno == ENOENT) return {};
    return bind_error(path);
  }
  if (!S_ISSOCK(info.st_mode)) {
    errno = EEXIST;
    return bind_error(std::string(path) + " is not a socket");
  }
  const OwnedFd probe = new_socket(AF_UNIX);
  if (probe.get() < 0) return bind_error("socket");
  if (::connect(probe.get(), &address.base, bytes) == 0 || errno != ECONNREFUSED) {
    errno = EADDRINUSE;
    return bind_error(path);
  }
  if (unlink(path) != 0) return bind_error(path);
  return {};
}

base::Result<ListeningSockets> open_unix(const std::string& path) {
  AnyAddress where{};
  where.local.sun_family = AF_UNIX;
  if (path.size() >= sizeof(where.local.sun_path) || path.find('\0') != std::string::npos) {
    errno = ENAMETOOLONG;
    return bind_error(path);
  }
  std::memcpy(where.local.sun_path, path.data(), path.size());
  const auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  BULKHEAD_CHECK_OK(remove_stale(where, bytes));
  OwnedFd fd = new_socket(AF_UNIX);
  // The file gets the socket's own mode, so there is no moment at which others could connect.
  if (fd.get() < 0 || fchmod(fd.get(), 0600) != 0 || ::bind(fd.get(), &where.base, bytes) != 0 ||
      chmod(path.c_str(), 0600) != 0 || ::listen(fd.get(), kBacklog) != 0) {
    return bind_error(path);
  }
  ListeningSockets sockets;
  sockets.fds.push_back(std::move(fd));
  return sockets;
}

base::Result<ListeningSockets> take_inherited(int inherited) {
  OwnedFd fd(inherited);
  int accepting = 0;
  socklen_t bytes = sizeof(accepting);
  if (getsockopt(fd.get(), SOL_SOCKET, SO_ACCEPTCONN, &accepting, &bytes) != 0 || accepting == 0) {
    errno = EINVAL;
    return bind_error("the inherited descriptor is not a listening socket");
  }
  set_flag(fd.get(), IPPROTO_TCP, TCP_NODELAY);  // fails on a Unix socket, which has no such thing
  BULKHEAD_TRY(port, bound_port(fd.get()));
  ListeningSockets sockets;
  sockets.port = port;
  sockets.fds.push_back(std::move(fd));
  return sockets;
}

Peer peer_of(const AnyAddress& address) {
  Peer peer;
  char text[INET6_ADDRSTRLEN] = {};
  if (address.base.sa_family == AF_INET) {
    inet_ntop(AF_INET, &address.v4.sin_addr, text, sizeof(text));
    peer.port = ntohs(address.v4.sin_port);
  } else if (address.base.sa_family == AF_INET6) {
    inet_ntop(AF_INET6, &address.v6.sin6_addr, text, sizeof(text));
    peer.port = ntohs(address.v6.sin6_port);
  }
  peer.network = network_of(text);
  const bool is_mapped = address.base.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&address.v6.sin6_addr);
  peer.address = is_mapped ? peer.network : text;
  return peer;
}

}  // namespace

OwnedFd& OwnedFd::operator=(OwnedFd&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = other.release();
  }
  return *this;
}

OwnedFd::~OwnedFd() {
  if (fd_ >= 0) ::close(fd_);
}

base::Result<ListeningSockets> open_listening_sockets(const ListenAddress& address, std::size_t reactors) {
  if (address.inherited_fd >= 0) return take_inherited(address.inherited_fd);
  if (!address.unix_path.empty()) return open_unix(address.unix_path);
  return open_tcp(address, reactors);
}

void remove_unix_socket(const std::string& path) {
  struct stat info{};
  if (lstat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode)) unlink(path.c_str());
}

Acceptor::Acceptor(asio::io_context& io, OwnedFd fd, Accepted accepted)
    : waiting_(std::move(fd)), socket_(io), pause_(io), accepted_(std::move(accepted)) {}

void Acceptor::start() {
  error_code error;
  socket_.assign(waiting_.get(), error);
  if (error) return;
  waiting_.release();
  wait();
}

void Acceptor::stop() {
  error_code ignored;
  socket_.close(ignored);
  pause_.cancel();
  accepted_ = nullptr;
}

void Acceptor::wait() {
  if (!socket_.is_open()) return;
  socket_.async_wait(Descriptor::wait_read, [self = shared_from_this()](error_code error) {
    if (!error) self->accept_some();
  });
}

void Acceptor::accept_some() {
  for (int i = 0; i < kAcceptsPerWake && socket_.is_open(); ++i) {
    AnyAddress address{};
    socklen_t bytes = sizeof(address);
    const int fd = ::accept4(socket_.native_handle(), &address.base, &bytes, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      accepted_(fd, peer_of(address));
      continue;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      // Nothing to be done but to let others finish; spinning would only take their time.
      pause_.expires_after(kPauseWhenOutOfFiles);
      pause_.async_wait([self = shared_from_this()](error_code error) {
        if (!error) self->wait();
      });
      return;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) break;
  }
  wait();
}

}  // namespace bulkhead::http::detail
