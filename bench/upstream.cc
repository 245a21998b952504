// bench_upstream [PORT [DELAY_US]]: a server that gives every request the same chat completion, at once
// or after DELAY_US. Prints its port. It stands behind both the gateway and nginx, and is as cheap as a
// server can be, so that what is measured is what stands before it.
#include <csignal>
#include <ctime>
#include <deque>
#include <string>
#include <unordered_map>

#include "sockets.h"

namespace bulkhead::bench {
namespace {

// As long as a short answer of a real engine (620 bytes with its head).
std::string answer() {
  std::string body =
      R"({"id":"chatcmpl-7f3d0c51a29b4e08","object":"chat.completion","created":1790000000,"model":"bench",)"
      R"("choices":[{"index":0,"message":{"role":"assistant","content":"The parcel left the depot on Tuesday )"
      R"(morning and is due at the clinic before noon on Thursday. If it has not arrived by then, call the )"
      R"(dispatcher and give the number on the yellow slip; she can see where the van is."},)"
      R"("finish_reason":"stop"}],"usage":{"prompt_tokens":112,"completion_tokens":48,"total_tokens":160}})";
  return "HTTP/1.1 200 OK\r\nserver: bench\r\ncontent-type: application/json\r\ncontent-length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::int64_t now_ns() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

class Upstream {
 public:
  Upstream(std::uint16_t port, std::int64_t delay_ns) : answer_(answer()), delay_ns_(delay_ns) {
    listener_ = listen_on(port, port_);
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    watch(epoll_, listener_, static_cast<std::uint32_t>(listener_));
    std::printf("%u\n", static_cast<unsigned>(port_));
    std::fflush(stdout);
  }

  [[noreturn]] void run() {
    epoll_event events[256];
    while (true) {
      int count = wait(events, 256);
      for (int i = 0; i < count; ++i) {
        int fd = static_cast<int>(events[i].data.u32);
        if (fd == listener_) {
          accept_all();
        } else {
          read(fd);
        }
      }
      for (std::int64_t now = now_ns(); !due_.empty() && due_.front().at_ns <= now; due_.pop_front()) {
        reply(due_.front().fd, due_.front().life);
      }
    }
  }

 private:
  struct Connection {
    std::string input;
    std::uint64_t life = 0;  // tells a descriptor's owners apart
  };
  struct Due {
    std::int64_t at_ns;
    int fd;
    std::uint64_t life;
  };

  int wait(epoll_event* events, int room) {
    if (due_.empty()) return ::epoll_wait(epoll_, events, room, -1);
    std::int64_t left = std::max<std::int64_t>(0, due_.front().at_ns - now_ns());
    timespec time{left / 1'000'000'000, left % 1'000'000'000};
    return ::epoll_pwait2(epoll_, events, room, &time, nullptr);
  }

  void accept_all() {
    while (true) {
      int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      no_delay(fd);
      connections_[fd] = Connection{"", ++lives_};
      watch(epoll_, fd, static_cast<std::uint32_t>(fd));
    }
  }

  void read(int fd) {
    char bytes[64 << 10];
    ssize_t got = ::recv(fd, bytes, sizeof bytes, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
      connections_.erase(fd);
      ::close(fd);
      return;
    }
    Connection& connection = connections_[fd];
    connection.input.append(bytes, static_cast<std::size_t>(got));
    while (auto whole = message_bytes(connection.input)) {
      connection.input.erase(0, *whole);
      if (delay_ns_ > 0) {
        due_.push_back({now_ns() + delay_ns_, fd, connection.life});
      } else {
        reply(fd, connection.life);
      }
    }
  }

  void reply(int fd, std::uint64_t life) {
    auto found = connections_.find(fd);
    if (found == connections_.end() || found->second.life != life) return;
    // A loopback socket that was empty takes an answer of this size whole.
    static_cast<void>(::send(fd, answer_.data(), answer_.size(), MSG_NOSIGNAL) == 0);
  }

  std::string answer_;
  std::int64_t delay_ns_;
  std::uint16_t port_ = 0;
  int listener_ = -1, epoll_ = -1;
  std::uint64_t lives_ = 0;
  std::unordered_map<int, Connection> connections_;
  std::deque<Due> due_;  // one delay for all: in order
};

}  // namespace
}  // namespace bulkhead::bench

int main(int argc, char** argv) {
  auto port = static_cast<std::uint16_t>(argc > 1 ? std::atoi(argv[1]) : 0);
  bulkhead::bench::Upstream(port, argc > 2 ? std::atoll(argv[2]) * 1000 : 0).run();
}
