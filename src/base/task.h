// Task<T>: a lazily started coroutine that yields one T to whoever awaits it.
//
// Contract
//  - A Task runs nothing until it is awaited, or handed to `spawn`.
//  - It belongs to one executor at a time: a coroutine resumes on the executor of whatever it
//    awaited last; the awaitables of this project (sockets, FairPool::run, Event) all resume on
//    the executor that they were awaited on, so a coroutine never changes threads behind one's back.
//  - Coroutines take what they keep by value and are never capturing lambdas.
//  - No exceptions: an exception that leaves a coroutine terminates the process.
//  - Frames come from the ordinary heap (no recycling caches), so that the wiping allocator of the
//    executables clears them.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <coroutine>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace bulkhead::base {

template <typename T>
class Task;

namespace detail {

struct PromiseBase {
  std::coroutine_handle<> continuation = std::noop_coroutine();

  std::suspend_always initial_suspend() noexcept { return {}; }
  struct FinalAwaiter {
    bool await_ready() noexcept { return false; }
    template <typename P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> handle) noexcept {
      return handle.promise().continuation;
    }
    void await_resume() noexcept {}
  };
  FinalAwaiter final_suspend() noexcept { return {}; }
  [[noreturn]] void unhandled_exception() noexcept { std::terminate(); }
};

template <typename T>
struct Promise final : PromiseBase {
  std::optional<T> value;
  Task<T> get_return_object() noexcept;
  template <typename U = T>
  void return_value(U&& result) {
    value.emplace(std::forward<U>(result));
  }
  T take() { return std::move(*value); }
};

template <>
struct Promise<void> final : PromiseBase {
  Task<void> get_return_object() noexcept;
  void return_void() noexcept {}
  void take() noexcept {}
};

}  // namespace detail

template <typename T>
class [[nodiscard]] Task {
 public:
  using promise_type = detail::Promise<T>;

  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      if (handle_) handle_.destroy();
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;
  ~Task() {
    if (handle_) handle_.destroy();
  }

  struct Awaiter {
    std::coroutine_handle<promise_type> handle;
    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) noexcept {
      handle.promise().continuation = awaiting;
      return handle;
    }
    T await_resume() { return handle.promise().take(); }
  };
  Awaiter operator co_await() && noexcept { return Awaiter{handle_}; }

 private:
  friend promise_type;
  explicit Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  std::coroutine_handle<promise_type> handle_;
};

namespace detail {
template <typename T>
Task<T> Promise<T>::get_return_object() noexcept {
  return Task<T>(std::coroutine_handle<Promise<T>>::from_promise(*this));
}
inline Task<void> Promise<void>::get_return_object() noexcept {
  return Task<void>(std::coroutine_handle<Promise<void>>::from_promise(*this));
}
}  // namespace detail

// Something that runs small pieces of work on one thread of its own: a reactor (http/reactor.h),
// or the ManualExecutor of tests.
class Executor {
 public:
  virtual ~Executor() = default;
  // Queues `work`; safe from every thread; never runs it inside the call.
  virtual void post(std::function<void()> work) = 0;

  // The executor whose thread this is, or nullptr.
  static Executor* current();

 protected:
  // Implementations bracket their run loop with this.
  class Running {
   public:
    explicit Running(Executor* executor);
    ~Running();

   private:
    Executor* before_;
  };
};

namespace detail {
// Resumes `handle` on `executor`; here and now without one.
void resume_on(Executor* executor, std::coroutine_handle<> handle);
}  // namespace detail

// Starts `task` on `executor` and forgets it. `done` runs there when it has finished.
void spawn(Executor& executor, Task<void> task, std::function<void()> done = {});

// Counts background work. `enter` fails once `close` was called; `close` waits (blocking, so never
// on an executor's thread) until all that entered has left.
class Gate {
 public:
  class Pass {
   public:
    explicit Pass(Gate* gate) : gate_(gate) {}
    Pass(Pass&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)) {}
    Pass& operator=(Pass&&) = delete;
    ~Pass() {
      if (gate_) gate_->leave();
    }

   private:
    Gate* gate_;
  };
  std::optional<Pass> enter();
  void close();
  // False when work was still inside at the deadline.
  bool close_within(std::chrono::milliseconds time);
  std::size_t inside() const;

 private:
  void leave();
  mutable std::mutex mutex_;
  std::condition_variable empty_;
  std::size_t inside_ = 0;
  bool closed_ = false;
};

// A one-shot flag that coroutines wait for. Any thread may set it; waiters resume on the executor
// they waited on. Waiting after it was set goes straight on.
class Event {
 public:
  void set();
  bool is_set() const;

  struct Awaiter {
    Event& event;
    bool await_ready() const { return event.is_set(); }
    bool await_suspend(std::coroutine_handle<> handle);
    void await_resume() const {}
  };
  Awaiter operator co_await() { return Awaiter{*this}; }

 private:
  struct Waiter {
    Executor* executor;
    std::coroutine_handle<> handle;
  };
  mutable std::mutex mutex_;
  bool set_ = false;
  std::vector<Waiter> waiters_;
};

// Why nobody wants the result of running work any more. A closed set: records, answers and metrics tell these
// apart, so that none is compared as text.
enum class CancelReason {
  None,             // not cancelled
  ClientGone,       // whoever asked hung up
  TimedOut,         // whoever asked took too long to send or to take in
  TenantSuspended,  // the tenant was suspended or destroyed, or is being restored
  KeyUnavailable,   // the tenant's key was taken away
  Shutdown,         // the process is stopping
  Abandoned,        // whoever started the work has no use for it any more
};
// A fixed name of each: "client_gone".
std::string_view cancel_reason_name(CancelReason reason);

// Tells running work that nobody wants its result any more. Copies share one state. Callbacks run once, on
// the thread that cancels, or at once when already cancelled; they must not block.
class CancelToken {
 public:
  CancelToken();
  void cancel(CancelReason reason) const;  // the first reason stays
  bool cancelled() const;
  CancelReason reason() const;  // None until it is cancelled

  // Removes its callback when destroyed (and waits for one that is running elsewhere).
  class Registration {
   public:
    Registration() = default;
    Registration(Registration&&) noexcept;
    Registration& operator=(Registration&&) noexcept;
    ~Registration();

   private:
    friend class CancelToken;
    struct Entry;
    std::shared_ptr<Entry> entry_;
  };
  [[nodiscard]] Registration on_cancel(std::function<void()> callback) const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// Runs `task` to its end on the calling thread with an executor of its own; for command lines and
// tests that need no sockets.
template <typename T>
T run_blocking(Task<T> task);

}  // namespace bulkhead::base

#include "base/task_inl.h"
