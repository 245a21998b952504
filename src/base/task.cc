#include "base/task.h"

namespace bulkhead::base {

namespace {

thread_local Executor* current_executor = nullptr;

// A coroutine that owns itself: it starts at once, runs `task`, then `done`, and frees its frame.
struct Detached {
  struct promise_type {
    Detached get_return_object() noexcept { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    [[noreturn]] void unhandled_exception() noexcept { std::terminate(); }
  };
};

Detached run_detached(Task<void> task, std::function<void()> done) {
  {
    // The task's frame, and all it holds, is gone before `done` tells that it has finished.
    Task<void> running = std::move(task);
    co_await std::move(running);
  }
  if (done) done();
}

}  // namespace

namespace detail {
void resume_on(Executor* executor, std::coroutine_handle<> handle) {
  if (executor) {
    executor->post([handle] { handle.resume(); });
  } else {
    handle.resume();
  }
}
}  // namespace detail

Executor* Executor::current() { return current_executor; }

Executor::Running::Running(Executor* executor) : before_(current_executor) { current_executor = executor; }
Executor::Running::~Running() { current_executor = before_; }

void spawn(Executor& executor, Task<void> task, std::function<void()> done) {
  // std::function needs a copyable callable; the task waits in a shared holder for its one run.
  auto holder = std::make_shared<Task<void>>(std::move(task));
  executor.post(
      [holder, done = std::move(done)]() mutable { run_detached(std::move(*holder), std::move(done)); });
}

// --- Gate ---------------------------------------------------------------------------------------

std::optional<Gate::Pass> Gate::enter() {
  std::lock_guard lock(mutex_);
  if (closed_) return std::nullopt;
  ++inside_;
  return std::optional<Pass>(std::in_place, this);
}

void Gate::leave() {
  std::lock_guard lock(mutex_);
  if (--inside_ == 0) empty_.notify_all();
}

void Gate::close() {
  std::unique_lock lock(mutex_);
  closed_ = true;
  empty_.wait(lock, [this] { return inside_ == 0; });
}

bool Gate::close_within(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  closed_ = true;
  return empty_.wait_for(lock, time, [this] { return inside_ == 0; });
}

std::size_t Gate::inside() const {
  std::lock_guard lock(mutex_);
  return inside_;
}

// --- Event --------------------------------------------------------------------------------------

void Event::set() {
  std::vector<Waiter> waiters;
  {
    std::lock_guard lock(mutex_);
    if (set_) return;
    set_ = true;
    waiters.swap(waiters_);
  }
  // The event may be gone as soon as the first waiter runs: nothing of it is touched any more.
  for (const Waiter& waiter : waiters) detail::resume_on(waiter.executor, waiter.handle);
}

bool Event::is_set() const {
  std::lock_guard lock(mutex_);
  return set_;
}

bool Event::Awaiter::await_suspend(std::coroutine_handle<> handle) {
  std::lock_guard lock(event.mutex_);
  if (event.set_) return false;
  event.waiters_.push_back({Executor::current(), handle});
  return true;
}

// --- CancelToken --------------------------------------------------------------------------------

std::string_view cancel_reason_name(CancelReason reason) {
  switch (reason) {
    case CancelReason::None: return "none";
    case CancelReason::ClientGone: return "client_gone";
    case CancelReason::TimedOut: return "timed_out";
    case CancelReason::TenantSuspended: return "tenant_suspended";
    case CancelReason::KeyUnavailable: return "key_unavailable";
    case CancelReason::Shutdown: return "shutdown";
    case CancelReason::Abandoned: return "abandoned";
  }
  return "none";
}

struct CancelToken::Registration::Entry {
  std::shared_ptr<State> state;
  std::function<void()> callback;
  std::size_t place = 0;  // in the state's entries, while registered
};

struct CancelToken::State {
  std::mutex mutex;
  std::condition_variable idle;
  CancelReason reason = CancelReason::None;
  std::vector<std::shared_ptr<Registration::Entry>> entries;
  Registration::Entry* running = nullptr;
  std::thread::id runner;

  void add(std::shared_ptr<Registration::Entry> entry) {
    entry->place = entries.size();
    entries.push_back(std::move(entry));
  }
  // A token of a whole tenant may hold an entry for each of its requests: the last one takes the place.
  void remove(const Registration::Entry& entry) {
    if (entry.place >= entries.size() || entries[entry.place].get() != &entry) return;  // was called
    std::swap(entries[entry.place], entries.back());
    entries[entry.place]->place = entry.place;
    entries.pop_back();
  }
};

CancelToken::CancelToken() : state_(std::make_shared<State>()) {}

bool CancelToken::cancelled() const {
  std::lock_guard lock(state_->mutex);
  return state_->reason != CancelReason::None;
}

CancelReason CancelToken::reason() const {
  std::lock_guard lock(state_->mutex);
  return state_->reason;
}

void CancelToken::cancel(CancelReason reason) const {
  std::shared_ptr<State> state = state_;
  std::unique_lock lock(state->mutex);
  if (reason == CancelReason::None || state->reason != CancelReason::None) return;
  state->reason = reason;
  state->runner = std::this_thread::get_id();
  // One at a time, unlocked, so that a callback may register, deregister or destroy tokens.
  while (!state->entries.empty()) {
    std::shared_ptr<Registration::Entry> entry = std::move(state->entries.back());
    state->entries.pop_back();
    state->running = entry.get();
    lock.unlock();
    entry->callback();
    entry->callback = nullptr;  // unlocked: what it captured may deregister as it is destroyed
    lock.lock();
    state->running = nullptr;
    state->idle.notify_all();
  }
}

CancelToken::Registration CancelToken::on_cancel(std::function<void()> callback) const {
  Registration registration;
  {
    std::lock_guard lock(state_->mutex);
    if (state_->reason == CancelReason::None) {
      registration.entry_ = std::make_shared<Registration::Entry>();
      registration.entry_->state = state_;
      registration.entry_->callback = std::move(callback);
      state_->add(registration.entry_);
      return registration;
    }
  }
  callback();
  return registration;
}

CancelToken::Registration::Registration(Registration&& other) noexcept : entry_(std::move(other.entry_)) {}

CancelToken::Registration& CancelToken::Registration::operator=(Registration&& other) noexcept {
  if (this != &other) {
    Registration before(std::move(*this));
    entry_ = std::move(other.entry_);
  }
  return *this;
}

CancelToken::Registration::~Registration() {
  if (!entry_) return;
  // The entry and the state hold each other while registered; the local keeps the state alive.
  std::shared_ptr<State> state = entry_->state;
  std::unique_lock lock(state->mutex);
  state->remove(*entry_);
  if (state->running == entry_.get() && state->runner != std::this_thread::get_id()) {
    state->idle.wait(lock, [&] { return state->running != entry_.get(); });
  }
}

// --- ManualExecutor -----------------------------------------------------------------------------

void ManualExecutor::post(std::function<void()> work) {
  std::lock_guard lock(mutex_);
  queue_.push_back(std::move(work));
  ready_.notify_one();
}

void ManualExecutor::run_until(const std::function<bool()>& done) {
  Running running(this);
  while (!done()) {
    std::function<void()> work;
    {
      std::unique_lock lock(mutex_);
      ready_.wait(lock, [this] { return !queue_.empty(); });
      work = std::move(queue_.front());
      queue_.pop_front();
    }
    work();
  }
}

}  // namespace bulkhead::base
