// bench_load PORT REQUEST_FILE RATE SECONDS: sends the file's bytes, one whole request, RATE times a
// second and prints as JSON how long the answers took.
//
// Open loop: each request has its time on the schedule and its latency counts from then, whether a
// connection was free or not; a server that stalls is charged for all who had to wait (no coordinated
// omission). The first second warms up and is not counted.
#include <sys/prctl.h>

#include <algorithm>
#include <ctime>
#include <deque>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "sockets.h"

namespace bulkhead::bench {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kWarmUp = kSecond;
constexpr std::int64_t kPatience = 5 * kSecond;  // for the last answers
constexpr std::size_t kConnectionsMax = 512;

std::int64_t now_ns() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * kSecond + time.tv_nsec;
}

struct Connection {
  int fd = -1;
  std::int64_t due_ns = 0;  // of the request under way
  std::string input;
};

class Load {
 public:
  Load(std::uint16_t port, std::string request, double rate, double seconds)
      : port_(port), request_(std::move(request)), interval_ns_(static_cast<double>(kSecond) / rate) {
    total_ = static_cast<std::uint64_t>(rate * (seconds + 1));
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    latencies_us_.reserve(total_);
  }

  void run() {
    // Connections are made before the clock runs: their cost is not the proxy's.
    for (int i = 0; i < 64; ++i) idle_.push_back(connect_one());
    began_ns_ = now_ns() + kSecond / 100;
    std::int64_t end_ns =
        began_ns_ + static_cast<std::int64_t>(static_cast<double>(total_) * interval_ns_) + kPatience;
    epoll_event events[256];
    while (answered_ + failed_ < total_ && now_ns() < end_ns) {
      send_due();
      int count = wait(events);
      for (int i = 0; i < count; ++i) receive(events[i].data.u32);
    }
  }

  void print() {
    std::sort(latencies_us_.begin(), latencies_us_.end());
    auto at = [this](double share) {
      if (latencies_us_.empty()) return 0.0;
      return latencies_us_[static_cast<std::size_t>(share * static_cast<double>(latencies_us_.size() - 1))];
    };
    std::printf(
        "{\"sent\": %llu, \"answered\": %llu, \"refused\": %llu, \"late_starts\": %llu, "
        "\"p50_us\": %.1f, \"p90_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, \"max_us\": %.1f}\n",
        ull(sent_), ull(answered_), ull(failed_ + total_ - sent_), ull(late_), at(.5), at(.9), at(.99),
        at(.999), at(1));
  }

 private:
  static unsigned long long ull(std::uint64_t value) { return value; }
  std::int64_t due(std::uint64_t number) const {
    return began_ns_ + static_cast<std::int64_t>(static_cast<double>(number) * interval_ns_);
  }

  std::size_t connect_one() {
    Connection connection;
    connection.fd = connect_to(port_);
    watch(epoll_, connection.fd, static_cast<std::uint32_t>(connections_.size()));
    connections_.push_back(std::move(connection));
    return connections_.size() - 1;
  }

  void send_due() {
    while (sent_ < total_ && due(sent_) <= now_ns()) {
      if (idle_.empty()) {
        if (connections_.size() >= kConnectionsMax) return;
        idle_.push_back(connect_one());
      }
      Connection& connection = connections_[idle_.back()];
      idle_.pop_back();
      connection.due_ns = due(sent_++);
      if (now_ns() - connection.due_ns > 100'000) ++late_;
      ssize_t put = ::send(connection.fd, request_.data(), request_.size(), MSG_NOSIGNAL);
      need(put == static_cast<ssize_t>(request_.size()), "send");
    }
  }

  int wait(epoll_event* events) {
    std::int64_t left = sent_ < total_ ? std::max<std::int64_t>(0, due(sent_) - now_ns()) : kSecond / 100;
    // No free connection: only an answer helps.
    if (idle_.empty() && connections_.size() >= kConnectionsMax) left = kSecond / 100;
    timespec time{left / kSecond, left % kSecond};
    return ::epoll_pwait2(epoll_, events, 256, &time, nullptr);
  }

  void receive(std::size_t number) {
    Connection& connection = connections_[number];
    char bytes[16 << 10];
    ssize_t got = ::recv(connection.fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (got < 0) return;
    need(got > 0, "the server closed a connection");
    connection.input.append(bytes, static_cast<std::size_t>(got));
    auto whole = message_bytes(connection.input);
    if (!whole) return;
    bool good = connection.input.starts_with("HTTP/1.1 200");
    connection.input.erase(0, *whole);
    ++(good ? answered_ : failed_);
    if (good && connection.due_ns >= began_ns_ + kWarmUp) {
      latencies_us_.push_back(static_cast<double>(now_ns() - connection.due_ns) / 1000);
    }
    idle_.push_back(number);
  }

  std::uint16_t port_;
  std::string request_;
  double interval_ns_;
  std::uint64_t total_ = 0, sent_ = 0, answered_ = 0, failed_ = 0, late_ = 0;
  std::int64_t began_ns_ = 0;
  int epoll_ = -1;
  std::deque<Connection> connections_;
  std::vector<std::size_t> idle_;
  std::vector<double> latencies_us_;
};

}  // namespace
}  // namespace bulkhead::bench

int main(int argc, char** argv) {
  using namespace bulkhead::bench;
  if (argc != 5) {
    std::fprintf(stderr, "usage: bench_load PORT REQUEST_FILE RATE SECONDS\n");
    return 2;
  }
  // A timer slack of a nanosecond: the schedule is kept to the kernel's best.
  ::prctl(PR_SET_TIMERSLACK, 1);
  std::ifstream file(argv[2], std::ios::binary);
  std::string request{std::istreambuf_iterator<char>(file), {}};
  need(message_bytes(request) == request.size(), "the request file must hold one whole request");
  Load load(static_cast<std::uint16_t>(std::atoi(argv[1])), std::move(request), std::atof(argv[3]),
            std::atof(argv[4]));
  load.run();
  load.print();
}
