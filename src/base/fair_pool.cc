#include "base/fair_pool.h"

#include <algorithm>

namespace bulkhead::base {

namespace {

thread_local const CancelToken* running_token = nullptr;

FairPoolOptions checked(FairPoolOptions options) {
  options.threads = std::max<std::size_t>(options.threads, 1);
  const std::size_t share_max = std::max<std::size_t>(options.threads - 1, 1);
  options.threads_per_party = std::clamp<std::size_t>(options.threads_per_party, 1, share_max);
  options.threads_reserved = std::min(options.threads_reserved, options.threads - 1);
  options.waiting_per_party = std::max<std::size_t>(options.waiting_per_party, 1);
  return options;
}

}  // namespace

struct FairPool::Item {
  enum class State { New, Waiting, Running, Dropped, Refused };
  Turn turn;
  std::function<void()> work;
  Executor* executor = nullptr;
  std::coroutine_handle<> waiter;  // null: nobody awaits it
  State state = State::New;        // under the pool's mutex
  // Taken away outside the mutex: its destructor waits for a callback, which takes the mutex.
  CancelToken::Registration on_cancel;
};

ErrorName error_name(PoolError code) {
  switch (code) {
    case PoolError::QueueFull: return {"pool", "queue_full"};
    case PoolError::Cancelled: return {"pool", "cancelled"};
  }
  return {"pool", "unknown"};
}

FairPool::FairPool(Options options) : options_(checked(options)) {
  for (std::size_t i = 0; i < options_.threads; ++i) threads_.emplace_back([this] { thread_main(); });
}

FairPool::~FairPool() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  ready_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

const CancelToken* FairPool::running_cancel() { return running_token; }
void FairPool::finish_what_runs() { running_token = nullptr; }

std::shared_ptr<FairPool::Item> FairPool::make_item(Turn turn, std::function<void()> work) {
  auto item = std::make_shared<Item>();
  item->turn = std::move(turn);
  item->work = std::move(work);
  return item;
}

Error FairPool::refusal(const Item& item) {
  if (item.state == Item::State::Refused) {
    return Error(PoolError::QueueFull, "Too many of your requests wait for this already. Retry in a moment.",
                 "the queue of " + item.turn.party + " is full");
  }
  return Error(PoolError::Cancelled, "The request was cancelled.", item.turn.cancel.reason());
}

bool FairPool::Awaiter::await_suspend(std::coroutine_handle<> handle) {
  item->executor = Executor::current();
  item->waiter = handle;
  // This awaiter dies with the coroutine's next step, which may come before `submit` returns.
  return pool.submit(item);
}

bool FairPool::post(Turn turn, std::function<void()> work) {
  return submit(make_item(std::move(turn), std::move(work)));
}

// False: it was refused, or had been cancelled; nobody will resume its coroutine.
bool FairPool::submit(std::shared_ptr<Item> item) {
  // Before it waits: from then on it may be over, and its registration no longer ours to set.
  item->on_cancel = item->turn.cancel.on_cancel([this, known = std::weak_ptr<Item>(item)] {
    if (auto cancelled = known.lock()) drop(cancelled);
  });
  std::lock_guard lock(mutex_);
  if (item->state == Item::State::Dropped) return false;
  if (!item->turn.background && waiting_.size(item->turn.party) >= options_.waiting_per_party) {
    item->state = Item::State::Refused;
    ++refused_;
    return false;
  }
  item->state = Item::State::Waiting;
  const std::string party = item->turn.party;
  const std::size_t priority = item->turn.background ? 1 : 0;
  waiting_.push(party, 1, priority, std::move(item));
  // Under the lock: once it is released, the work may have run and its effect may be the end of this object.
  ready_.notify_one();
  return true;
}

void FairPool::drop(const std::shared_ptr<Item>& item) {
  std::coroutine_handle<> waiter;
  {
    std::lock_guard lock(mutex_);
    if (item->state == Item::State::Waiting) {
      waiting_.remove_if([&item](const auto& other) { return other == item; }, [](const auto&) {});
      waiter = item->waiter;
    } else if (item->state != Item::State::New) {
      return;
    }
    item->state = Item::State::Dropped;
    ++dropped_;
  }
  if (waiter) detail::resume_on(item->executor, waiter);
}

// The lock is held, here and in `take`.
bool FairPool::may_take(const std::string& party) const {
  const auto held = running_.find(party);
  if (held == running_.end()) return true;
  return held->second < options_.threads_per_party && options_.threads - busy_ > options_.threads_reserved;
}

std::shared_ptr<FairPool::Item> FairPool::take() {
  const auto party = waiting_.next([this](const std::string& each) { return may_take(each); });
  if (!party) return nullptr;
  std::shared_ptr<Item> item = waiting_.take(*party);
  waiting_.charge(*party, 1);
  item->state = Item::State::Running;
  ++running_[*party];
  ++busy_;
  return item;
}

void FairPool::finish(const Item& item) {
  std::lock_guard lock(mutex_);
  const auto held = running_.find(item.turn.party);
  if (--held->second == 0) running_.erase(held);
  --busy_;
  // This thread takes one piece of work. Its party may hold no thread now, and take one that was reserved.
  if (stopping_) {
    ready_.notify_all();
  } else {
    ready_.notify_one();
  }
}

void FairPool::thread_main() {
  while (true) {
    std::shared_ptr<Item> item;
    {
      std::unique_lock lock(mutex_);
      ready_.wait(lock, [&] { return (item = take()) || (stopping_ && waiting_.empty()); });
      if (!item) return;
    }
    item->on_cancel = {};
    running_token = &item->turn.cancel;
    item->work();
    item->work = nullptr;
    running_token = nullptr;
    // Whoever goes on finds its thread given back. After that the pool may be gone.
    Executor* executor = item->executor;
    const std::coroutine_handle<> waiter = item->waiter;
    finish(*item);
    item.reset();
    if (waiter) detail::resume_on(executor, waiter);
  }
}

FairPool::Stats FairPool::stats() const {
  std::lock_guard lock(mutex_);
  return {waiting_.size(), busy_, refused_, dropped_};
}

}  // namespace bulkhead::base
