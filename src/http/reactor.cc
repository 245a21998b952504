#include "http/reactor.h"

#include <algorithm>
#include <coroutine>
#include <ctime>
#include <utility>

#include "base/scrub.h"
#include "http/detail/reactor_impl.h"

namespace bulkhead::http {

namespace detail {

Swept::~Swept() {
  if (sweeper_) sweeper_->remove(*this);
}

Sweeper::~Sweeper() {
  while (first_) remove(*first_);
}

void Sweeper::add(Swept& swept) {
  if (swept.sweeper_) return;
  swept.sweeper_ = this;
  swept.before_ = nullptr;
  swept.next_ = first_;
  if (first_) first_->before_ = &swept;
  first_ = &swept;
  if (!armed_) arm();
}

void Sweeper::remove(Swept& swept) {
  if (swept.sweeper_ != this) return;
  if (cursor_ == &swept) cursor_ = swept.next_;
  if (swept.before_) swept.before_->next_ = swept.next_;
  if (swept.next_) swept.next_->before_ = swept.before_;
  if (first_ == &swept) first_ = swept.next_;
  swept.sweeper_ = nullptr;
  swept.next_ = nullptr;
  swept.before_ = nullptr;
}

void Sweeper::want_precision(std::chrono::milliseconds time) {
  const auto wish = std::clamp(time / 4, std::chrono::milliseconds(5), std::chrono::milliseconds(250));
  if (wish >= interval_) return;
  interval_ = wish;
  if (armed_) {
    timer_.cancel();
    arm();
  }
}

void Sweeper::arm() {
  armed_ = true;
  timer_.expires_after(interval_);
  timer_.async_wait([this](error_code error) {
    if (!error) sweep();
  });
}

void Sweeper::sweep() {
  const SteadyTime now = std::chrono::steady_clock::now();
  cursor_ = first_;
  while (cursor_) {
    Swept* swept = cursor_;
    cursor_ = swept->next_;
    if (swept->deadline_ > now) continue;
    swept->clear_deadline();
    swept->on_deadline();
  }
  // An idle reactor is not woken for nothing.
  armed_ = false;
  if (first_) arm();
}

}  // namespace detail

Reactor::Impl::Impl()
    : io(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO),
      work(io.get_executor()),
      sweeper(io),
      poller(io),
      flusher(io) {}

std::string_view Reactor::Impl::http_date() {
  const std::int64_t now =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  if (now != date_second_) {
    date_second_ = now;
    const std::time_t time = static_cast<std::time_t>(now);
    std::tm parts{};
    gmtime_r(&time, &parts);
    // The process never sets a locale, so these are the English names that the format asks for.
    std::strftime(date_, sizeof(date_), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  }
  return date_;
}

Reactor::Reactor() : impl_(std::make_unique<Impl>()) {}
Reactor::~Reactor() { stop(); }

namespace {
thread_local Reactor* current_reactor = nullptr;
// Some hundred requests of about 20 KiB each, which come and go together when the audit log has written
// (measured: an eighth of a proxied request's time).
constexpr std::size_t kFreedHeapKept = 8 << 20;
}  // namespace

Reactor* Reactor::current() { return current_reactor; }

void Reactor::run() {
  base::keep_freed_heap(kFreedHeapKept);
  Running running(this);
  Reactor* before = std::exchange(current_reactor, this);
  impl_->io.run();
  current_reactor = before;
}

void Reactor::stop() {
  impl_->stopped = true;
  impl_->io.stop();
}

void Reactor::post(std::function<void()> work) { detail::asio::post(impl_->io, std::move(work)); }

namespace {

// Shared by the sleeper, its timer and a cancel callback that may come from another thread.
struct Sleep {
  explicit Sleep(detail::asio::io_context& io) : timer(io) {}
  detail::Timer timer;
  bool cancelled = false;
};

struct SleepAwaiter {
  std::shared_ptr<Sleep> sleep;
  bool await_ready() const { return sleep->cancelled; }
  void await_suspend(std::coroutine_handle<> handle) {
    sleep->timer.async_wait([handle](detail::error_code) { handle.resume(); });
  }
  void await_resume() const {}
};

}  // namespace

base::Task<bool> Reactor::sleep(std::chrono::milliseconds delay, base::CancelToken cancel) {
  if (cancel.cancelled()) co_return false;
  auto sleep = std::make_shared<Sleep>(impl_->io);
  sleep->timer.expires_after(delay);
  auto registration = cancel.on_cancel([this, sleep] {
    post([sleep] {
      sleep->cancelled = true;
      sleep->timer.cancel();
    });
  });
  SleepAwaiter awaiter{sleep};
  co_await awaiter;
  co_return !sleep->cancelled;
}

ReactorPool::ReactorPool(std::size_t count) {
  for (std::size_t i = 0; i < std::max<std::size_t>(count, 1); ++i) {
    reactors_.push_back(std::make_unique<Reactor>());
  }
  for (auto& reactor : reactors_) {
    threads_.emplace_back([raw = reactor.get()] { raw->run(); });
  }
}

ReactorPool::~ReactorPool() { stop_and_join(); }

void ReactorPool::stop_and_join() {
  for (auto& reactor : reactors_) reactor->stop();
  for (auto& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

}  // namespace bulkhead::http
