// Non-blocking loopback sockets and just enough HTTP/1.1 for the measuring programs, which must cost
// less than what they measure. Single-threaded; a system call that fails ends the program.
#pragma once

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string_view>

namespace bulkhead::bench {

inline void need(bool good, const char* what) {
  if (good) return;
  std::perror(what);
  std::exit(1);
}

inline sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

inline void no_delay(int fd) {
  int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

inline int listen_on(std::uint16_t port, std::uint16_t& bound) {
  int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address = loopback(port);
  socklen_t size = sizeof address;
  need(::bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0, "bind");
  need(::listen(fd, 1024) == 0, "listen");
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  bound = ntohs(address.sin_port);
  return fd;
}

inline int connect_to(std::uint16_t port) {
  int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = loopback(port);
  need(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0, "connect");
  no_delay(fd);
  return fd;
}

inline void watch(int epoll, int fd, std::uint32_t number) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u32 = number;
  need(::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
}

// Bytes of the first whole message in `text`, framed by Content-Length; nothing while it is cut.
inline std::optional<std::size_t> message_bytes(std::string_view text) {
  std::size_t head = text.find("\r\n\r\n");
  if (head == std::string_view::npos) return std::nullopt;
  std::size_t body = 0;
  constexpr std::string_view kName = "content-length:";
  for (std::size_t line = text.find("\r\n"); line < head; line = text.find("\r\n", line + 2)) {
    std::string_view field = text.substr(line + 2);
    if (field.size() < kName.size() || ::strncasecmp(field.data(), kName.data(), kName.size()) != 0) continue;
    body = std::strtoul(field.data() + kName.size(), nullptr, 10);
    break;
  }
  std::size_t all = head + 4 + body;
  return text.size() >= all ? std::optional(all) : std::nullopt;
}

}  // namespace bulkhead::bench
