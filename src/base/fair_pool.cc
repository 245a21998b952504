#include "base/fair_pool.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <ctime>

namespace bulkhead::base {

namespace {

using std::chrono::nanoseconds;
using std::chrono::steady_clock;

// Well below everything else, but not so low that a lock held by such work is held for long.
constexpr int kHeavyNice = 10;
constexpr nanoseconds kHeavySlice = std::chrono::milliseconds(20);
// Parties whose use is remembered; who used least is forgotten first.
constexpr std::size_t kUsageMax = 4096;

thread_local const CancelToken* running_token = nullptr;

// Makes the calling thread yield to all others. It can't fail in a way that matters: everybody may yield
// more. A kernel that knows of slices (Linux 6.12) also lets whoever wakes up with a shorter one preempt it
// at once, rather than after some milliseconds; others ignore the wish.
void yield_to_others() {
  static_cast<void>(::setpriority(PRIO_PROCESS, 0, kHeavyNice));
  struct {  // sched_setattr(2)
    std::uint32_t size = 48, policy = SCHED_OTHER;
    std::uint64_t flags = 0;
    std::int32_t nice = kHeavyNice;
    std::uint32_t priority = 0;
    std::uint64_t runtime = 0, deadline = 0, period = 0;
  } wish;
  wish.runtime = static_cast<std::uint64_t>(kHeavySlice.count());
  static_cast<void>(::syscall(SYS_sched_setattr, 0, &wish, 0));
}

nanoseconds kernels_thread_time() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return std::chrono::seconds(now.tv_sec) + nanoseconds(now.tv_nsec);
}

// What is left of a use after a while: 1/e after a second, so steady use of one core comes to one second.
double faded(double seconds, steady_clock::duration since) {
  return seconds * std::exp(-std::chrono::duration<double>(since).count());
}

FairPoolOptions checked(FairPoolOptions options) {
  options.threads = std::max<std::size_t>(options.threads, 1);
  const std::size_t share_max = std::max<std::size_t>(options.threads - 1, 1);
  options.threads_per_party = std::clamp<std::size_t>(options.threads_per_party, 1, share_max);
  options.threads_reserved = std::min(options.threads_reserved, options.threads - 1);
  options.waiting_per_party = std::max<std::size_t>(options.waiting_per_party, 1);
  if (!options.thread_time) options.thread_time = kernels_thread_time;
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
  Lane lane = Lane::Normal;        // of the thread that runs it
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
  for (std::size_t i = 0; i < options_.threads; ++i) {
    threads_.emplace_back([this] { thread_main(Lane::Normal); });
  }
  for (std::size_t i = 0; i < options_.heavy_threads; ++i) {
    threads_.emplace_back([this] { thread_main(Lane::Heavy); });
  }
}

FairPool::~FairPool() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  ready_.notify_all();
  ready_heavy_.notify_all();
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
  return Error(PoolError::Cancelled, "The request was cancelled.",
               std::string(cancel_reason_name(item.turn.cancel.reason())));
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
  (is_heavy(party) ? ready_heavy_ : ready_).notify_one();
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

// The lock is held, here and in the next two.
bool FairPool::is_heavy(const std::string& party) {
  if (options_.heavy_threads == 0) return false;
  const auto used = usage_.find(party);
  if (used == usage_.end()) return false;
  return faded(used->second.seconds, steady_clock::now() - used->second.at) > options_.heavy_share;
}

bool FairPool::may_take(const std::string& party, Lane lane) {
  if (is_heavy(party) != (lane == Lane::Heavy)) return false;
  if (lane == Lane::Heavy) {
    const auto held = running_heavy_.find(party);
    return held == running_heavy_.end() || held->second + 1 < options_.heavy_threads;
  }
  const auto held = running_.find(party);
  if (held == running_.end()) return true;
  return held->second < options_.threads_per_party && options_.threads - busy_ > options_.threads_reserved;
}

std::shared_ptr<FairPool::Item> FairPool::take(Lane lane) {
  const auto party = waiting_.next([&](const std::string& each) { return may_take(each, lane); });
  if (!party) return nullptr;
  std::shared_ptr<Item> item = waiting_.take(*party);
  waiting_.charge(*party, 1);
  item->state = Item::State::Running;
  ++(lane == Lane::Heavy ? running_heavy_ : running_)[*party];
  ++(lane == Lane::Heavy ? busy_heavy_ : busy_);
  if (lane == Lane::Heavy) ++heavy_;
  item->lane = lane;
  return item;
}

void FairPool::finish(const Item& item, nanoseconds computed) {
  std::lock_guard lock(mutex_);
  auto& running = item.lane == Lane::Heavy ? running_heavy_ : running_;
  const auto held = running.find(item.turn.party);
  if (--held->second == 0) running.erase(held);
  --(item.lane == Lane::Heavy ? busy_heavy_ : busy_);
  note_use(item.turn.party, computed);
  // This thread takes one piece of work. Its party may hold no thread now, and take one that was reserved; or
  // may have become heavy, or be so no longer.
  if (stopping_) {
    ready_.notify_all();
    ready_heavy_.notify_all();
  } else {
    ready_.notify_one();
    ready_heavy_.notify_one();
  }
}

void FairPool::note_use(const std::string& party, nanoseconds computed) {
  if (options_.heavy_threads == 0) return;
  const auto now = steady_clock::now();
  if (usage_.size() >= kUsageMax && !usage_.contains(party)) {
    std::erase_if(usage_, [&](const auto& each) {
      return faded(each.second.seconds, now - each.second.at) < options_.heavy_share;
    });
  }
  Usage& used = usage_[party];
  used.seconds = faded(used.seconds, now - used.at) + std::chrono::duration<double>(computed).count();
  used.at = now;
}

void FairPool::thread_main(Lane lane) {
  if (lane == Lane::Heavy) yield_to_others();
  std::condition_variable& ready = lane == Lane::Heavy ? ready_heavy_ : ready_;
  while (true) {
    std::shared_ptr<Item> item;
    {
      std::unique_lock lock(mutex_);
      ready.wait(lock, [&] { return (item = take(lane)) || (stopping_ && waiting_.empty()); });
      if (!item) return;
    }
    item->on_cancel = {};
    running_token = &item->turn.cancel;
    const nanoseconds began = options_.thread_time();
    item->work();
    item->work = nullptr;
    running_token = nullptr;
    const nanoseconds computed = options_.thread_time() - began;
    // Whoever goes on finds its thread given back. After that the pool may be gone.
    Executor* executor = item->executor;
    const std::coroutine_handle<> waiter = item->waiter;
    finish(*item, computed);
    item.reset();
    if (waiter) detail::resume_on(executor, waiter);
  }
}

FairPool::Stats FairPool::stats() const {
  std::lock_guard lock(mutex_);
  return {waiting_.size(), busy_ + busy_heavy_, refused_, dropped_, heavy_};
}

}  // namespace bulkhead::base
