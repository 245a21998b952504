#include "base/fair_pool.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <latch>
#include <memory>
#include <numeric>

#include "support/eventually.h"

namespace bulkhead::base {
namespace {

using Options = FairPoolOptions;

Result<void> nothing() { return {}; }

// Holds a thread of a pool until it is let go.
class Holder {
 public:
  Holder(FairPool& pool, std::string party, CancelToken cancel = {}) {
    EXPECT_TRUE(pool.post({.party = std::move(party), .cancel = std::move(cancel)}, [this] {
      in_.count_down();
      let_go_.wait();
      out_.count_down();
    }));
  }
  ~Holder() {
    if (!let_go_.try_wait()) let_go();
  }
  void wait_until_it_runs() { in_.wait(); }
  bool runs() const { return in_.try_wait(); }
  void let_go() {
    let_go_.count_down();
    out_.wait();
  }

 private:
  std::latch in_{1}, let_go_{1}, out_{1};
};

// The order in which work ran.
class Order {
 public:
  std::function<void()> note(std::string what) {
    return [this, what = std::move(what)] {
      std::lock_guard lock(mutex_);
      ran_.push_back(what);
      changed_.notify_all();
    };
  }
  std::string wait_for(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ran_.size() >= count; });
    return std::accumulate(ran_.begin(), ran_.end(), std::string(),
                           [](std::string all, const std::string& one) { return all + one + " "; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> ran_;
};

Task<int> on_pool(FairPool* pool, int input) {
  Executor* before = Executor::current();
  std::thread::id home = std::this_thread::get_id();
  auto worker = co_await pool->run({.party = "a"}, [] { return Result(std::this_thread::get_id()); });
  auto result = co_await pool->run({.party = "b"}, [input] { return Result(input * 2); });
  bool right = worker && result && Executor::current() == before && std::this_thread::get_id() == home &&
               *worker != home;
  co_return right ? *result : -1;
}

TEST(FairPoolTest, ReturnsToTheExecutor) {
  FairPool pool;
  EXPECT_EQ(run_blocking(on_pool(&pool, 21)), 42);
}

TEST(FairPoolTest, GivesTheWorksOwnError) {
  FairPool pool;
  auto failed = run_blocking(pool.run(
      {.party = "a"}, []() -> Result<std::unique_ptr<int>> { return Error(PoolError::QueueFull, "mine"); }));
  EXPECT_EQ(failed.error().message(), "mine");
}

TEST(FairPoolTest, ManyExecutorsAtOnce) {
  FairPool pool(Options{.threads = 3, .waiting_per_party = 4});
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 100; ++i) {
        if (run_blocking(on_pool(&pool, t * 1000 + i)) == (t * 1000 + i) * 2) ++right;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right.load(), 400);
}

// The work and what it captured are over when the coroutine goes on.
Task<void> use_frame(FairPool* pool) {
  auto buffer = std::make_unique<std::vector<int>>(1000, 1);
  auto total = co_await pool->run(
      {.party = "a"}, [&buffer] { return Result(std::accumulate(buffer->begin(), buffer->end(), 0)); });
  EXPECT_EQ(*total, 1000);
  buffer.reset();
}
TEST(FairPoolTest, WorkEndsBeforeTheCoroutineGoesOn) {
  FairPool pool;
  for (int i = 0; i < 200; ++i) run_blocking(use_frame(&pool));
}

TEST(FairPoolTest, PartiesTakeTurnsHoweverMuchOneOfThemWants) {
  FairPool pool(Options{.threads = 1, .waiting_per_party = 100});
  Order order;
  auto holder = std::make_unique<Holder>(pool, "x");
  holder->wait_until_it_runs();
  for (int i = 1; i <= 4; ++i) EXPECT_TRUE(pool.post({.party = "a"}, order.note("a" + std::to_string(i))));
  EXPECT_TRUE(pool.post({.party = "b"}, order.note("b1")));
  EXPECT_TRUE(pool.post({.party = "c"}, order.note("c1")));
  EXPECT_TRUE(pool.post({.party = "b"}, order.note("b2")));
  holder->let_go();
  EXPECT_EQ(order.wait_for(7), "a1 b1 c1 a2 b2 a3 a4 ");
}

TEST(FairPoolTest, BackgroundWorkIsLastOfItsPartyAndNeverRefused) {
  FairPool pool(Options{.threads = 1, .waiting_per_party = 1});
  Order order;
  Holder holder(pool, "x");
  holder.wait_until_it_runs();
  EXPECT_TRUE(pool.post({.party = "a", .background = true}, order.note("slow")));
  EXPECT_TRUE(pool.post({.party = "a", .background = true}, order.note("slower")));
  EXPECT_FALSE(pool.post({.party = "a"}, order.note("too many")));
  EXPECT_TRUE(pool.post({.party = "b"}, order.note("quick")));
  holder.let_go();
  EXPECT_EQ(order.wait_for(3), "slow quick slower ");
}

TEST(FairPoolTest, InAPartyBackgroundWorkWaitsForTheRest) {
  FairPool pool(Options{.threads = 1, .waiting_per_party = 3});
  Order order;
  Holder holder(pool, "x");
  holder.wait_until_it_runs();
  EXPECT_TRUE(pool.post({.party = "a", .background = true}, order.note("slow")));
  EXPECT_TRUE(pool.post({.party = "a"}, order.note("quick")));
  holder.let_go();
  EXPECT_EQ(order.wait_for(2), "quick slow ");
}

TEST(FairPoolTest, OnePartyNeverHoldsAllThreads) {
  // More than there are is asked for: it is one less.
  FairPool pool(Options{.threads = 3, .threads_per_party = 100, .threads_reserved = 0});
  Holder first(pool, "a"), second(pool, "a"), third(pool, "a");
  first.wait_until_it_runs();
  second.wait_until_it_runs();
  EXPECT_TRUE(run_blocking(pool.run({.party = "b"}, nothing)).ok()) << "the third thread is another's";
  EXPECT_FALSE(third.runs());
  EXPECT_EQ(pool.stats().running, 2u);
  EXPECT_EQ(pool.stats().waiting, 1u);
  first.let_go();
  third.wait_until_it_runs();
}

TEST(FairPoolTest, TheLastThreadsAreForWhoeverHasNone) {
  FairPool pool(Options{.threads = 4, .threads_per_party = 3, .threads_reserved = 1});
  Holder a1(pool, "a"), a2(pool, "a"), a3(pool, "a");
  for (Holder* each : {&a1, &a2, &a3}) each->wait_until_it_runs();
  // Nobody has more than a share, but one free thread is left: not for `a`, and for `b` only because it has
  // none.
  Holder b1(pool, "b");
  b1.wait_until_it_runs();
  Holder b2(pool, "b");
  a1.let_go();
  // That thread is reserved again: `b` holds one already, `c` none.
  EXPECT_TRUE(run_blocking(pool.run({.party = "c"}, nothing)).ok());
  EXPECT_FALSE(b2.runs());
  a2.let_go();
  b2.wait_until_it_runs();
}

TEST(FairPoolTest, AShareThatBecomesFreeIsTakenAtOnce) {
  FairPool pool(Options{.threads = 4, .threads_per_party = 1, .threads_reserved = 0});
  Holder a1(pool, "a"), a2(pool, "a"), b1(pool, "b"), b2(pool, "b");
  a1.wait_until_it_runs();
  b1.wait_until_it_runs();
  a1.let_go();
  a2.wait_until_it_runs();
  b1.let_go();
  b2.wait_until_it_runs();
}

TEST(FairPoolTest, WhatBecomesFreeForTwoIsTakenByBoth) {
  FairPool pool(Options{.threads = 4, .threads_per_party = 2, .threads_reserved = 2});
  Holder c1(pool, "c"), z1(pool, "z");
  c1.wait_until_it_runs();
  z1.wait_until_it_runs();
  Holder c2(pool, "c"), z2(pool, "z");
  EXPECT_EQ(pool.stats().waiting, 2u) << "the free threads are reserved";
  // One more thread is free, which `c` takes; and `z` has none any more, so that the reserved ones are for
  // it.
  z1.let_go();
  c2.wait_until_it_runs();
  z2.wait_until_it_runs();
}

TEST(FairPoolTest, AFullQueueRefusesItsOwnPartyOnly) {
  FairPool pool(Options{.threads = 1, .waiting_per_party = 2});
  Order order;
  Holder holder(pool, "a");
  holder.wait_until_it_runs();
  EXPECT_TRUE(pool.post({.party = "a"}, order.note("a1")));
  EXPECT_TRUE(pool.post({.party = "a"}, order.note("a2")));
  EXPECT_FALSE(pool.post({.party = "a"}, order.note("a3")));
  auto refused = run_blocking(pool.run({.party = "a"}, nothing));
  ASSERT_FALSE(refused.ok());
  EXPECT_TRUE(refused.error().is(PoolError::QueueFull));
  EXPECT_TRUE(pool.post({.party = "b"}, order.note("b1")));
  EXPECT_EQ(pool.stats().refused, 2u);
  holder.let_go();
  EXPECT_EQ(order.wait_for(3), "a1 b1 a2 ");
}

Task<void> run_into(FairPool* pool, CancelToken cancel, bool* ran, std::optional<Error>* failed) {
  auto result = co_await pool->run({.party = "a", .cancel = std::move(cancel)}, [ran]() -> Result<void> {
    *ran = true;
    return {};
  });
  if (!result) *failed = result.take_error();
}

TEST(FairPoolTest, WhatWaitsIsDroppedWhenItsClientLeaves) {
  FairPool pool(Options{.threads = 1});
  Holder holder(pool, "x");
  holder.wait_until_it_runs();
  CancelToken cancel;
  bool ran = false;
  std::optional<Error> failed;
  ManualExecutor executor;
  bool over = false;
  spawn(executor, run_into(&pool, cancel, &ran, &failed), [&over] { over = true; });
  executor.run_until([&pool] { return pool.stats().waiting == 1; });
  cancel.cancel(base::CancelReason::ClientGone);
  // The thread is still held: nothing but the drop can end it.
  executor.run_until([&over] { return over; });
  ASSERT_TRUE(failed);
  EXPECT_TRUE(failed->is(PoolError::Cancelled));
  EXPECT_EQ(failed->detail(), "client_gone");
  EXPECT_EQ(pool.stats().waiting, 0u);
  EXPECT_EQ(pool.stats().dropped, 1u);
  holder.let_go();
  EXPECT_TRUE(run_blocking(pool.run({.party = "a"}, nothing)).ok());
  EXPECT_FALSE(ran);
}

TEST(FairPoolTest, WhoseClientHasLeftIsNotQueuedAtAll) {
  FairPool pool;
  CancelToken cancel;
  cancel.cancel(base::CancelReason::ClientGone);
  bool ran = false;
  auto result = run_blocking(pool.run({.party = "a", .cancel = cancel}, [&ran]() -> Result<void> {
    ran = true;
    return {};
  }));
  EXPECT_TRUE(result.error().is(PoolError::Cancelled));
  EXPECT_FALSE(ran);
}

TEST(FairPoolTest, WhatRunsSeesItsTokenUntilItChangesSomething) {
  FairPool pool;
  CancelToken cancel;
  EXPECT_EQ(FairPool::running_cancel(), nullptr);
  auto seen = run_blocking(pool.run({.party = "a", .cancel = cancel}, [&cancel] {
    const CancelToken* token = FairPool::running_cancel();
    const bool before = token->cancelled();
    cancel.cancel(base::CancelReason::ClientGone);
    const bool after = token->cancelled();
    FairPool::finish_what_runs();
    return Result(!before && after && FairPool::running_cancel() == nullptr);
  }));
  EXPECT_TRUE(*seen) << "it ran to its end although it was cancelled";
}

// Cancelling, running and being refused at once: each run ends exactly once, whatever comes first.
TEST(FairPoolTest, CancellingWhileItBeginsEndsEachRunOnce) {
  FairPool pool(Options{.threads = 2, .threads_reserved = 0, .waiting_per_party = 4});
  std::atomic<int> ended{0};
  std::vector<std::thread> clients;
  for (int t = 0; t < 4; ++t) {
    clients.emplace_back([&pool, &ended, t] {
      for (int i = 0; i < 300; ++i) {
        CancelToken cancel;
        std::thread leaver([cancel] { cancel.cancel(base::CancelReason::ClientGone); });
        static_cast<void>(
            run_blocking(pool.run({.party = std::to_string(t), .cancel = cancel}, nothing)).ok());
        ++ended;
        leaver.join();
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(ended.load(), 1200);
  EXPECT_EQ(pool.stats().waiting, 0u);
}

TEST(FairPoolTest, TheDestructorFinishesWhatWaits) {
  std::atomic<int> ran{0};
  {
    FairPool pool(Options{.threads = 2, .threads_per_party = 1});
    for (int i = 0; i < 10; ++i) EXPECT_TRUE(pool.post({.party = "a"}, [&ran] { ++ran; }));
  }
  EXPECT_EQ(ran.load(), 10);
}

// Work that says itself how long it computed.
class Computing {
 public:
  static std::chrono::nanoseconds time() { return used; }
  static std::function<void()> for_seconds(int seconds) {
    return [seconds] { used += std::chrono::seconds(seconds); };
  }

 private:
  static thread_local std::chrono::nanoseconds used;
};
thread_local std::chrono::nanoseconds Computing::used{0};

int niceness_of_a_turn(FairPool& pool, std::string party) {
  std::atomic<int> seen{-1};
  std::latch over(1);
  EXPECT_TRUE(pool.post({.party = std::move(party)}, [&] {
    seen = ::getpriority(PRIO_PROCESS, 0);
    over.count_down();
  }));
  over.wait();
  return seen;
}

void compute(FairPool& pool, std::string party, int seconds) {
  std::latch over(1);
  EXPECT_TRUE(pool.post({.party = std::move(party)}, [&] {
    Computing::for_seconds(seconds)();
    over.count_down();
  }));
  over.wait();
  EXPECT_TRUE(test::eventually([&] { return pool.stats().running == 0; }));
}

TEST(FairPoolTest, APartyThatComputesALotYieldsTheProcessorToAllOthers) {
  FairPool pool(Options{.threads = 2, .heavy_threads = 2, .thread_time = Computing::time});
  const int normal = niceness_of_a_turn(pool, "a");
  compute(pool, "a", 10'000);
  EXPECT_EQ(niceness_of_a_turn(pool, "a"), normal + 10);
  EXPECT_EQ(niceness_of_a_turn(pool, "b"), normal) << "control: a party that computes little";
  EXPECT_EQ(pool.stats().heavy, 1u);
}

TEST(FairPoolTest, HeavyPartiesHoldNoThreadOfTheOthers) {
  FairPool pool(Options{.threads = 1, .heavy_threads = 2, .thread_time = Computing::time});
  compute(pool, "a", 10'000);
  compute(pool, "b", 10'000);
  Holder one(pool, "a"), more(pool, "a");
  one.wait_until_it_runs();
  EXPECT_EQ(pool.stats().waiting, 1u) << "not the last heavy thread";
  Holder of_b(pool, "b");
  of_b.wait_until_it_runs();
  Order order;
  EXPECT_TRUE(pool.post({.party = "c"}, order.note("c")));
  EXPECT_EQ(order.wait_for(1), "c ") << "the others' thread is free";
  EXPECT_FALSE(more.runs());
  one.let_go();
  more.wait_until_it_runs();
}

TEST(FairPoolTest, ControlWithoutHeavyThreadsAllComputeAlike) {
  FairPool pool(Options{.threads = 2, .thread_time = Computing::time});
  const int normal = niceness_of_a_turn(pool, "a");
  compute(pool, "a", 10'000);
  EXPECT_EQ(niceness_of_a_turn(pool, "a"), normal);
  EXPECT_EQ(pool.stats().heavy, 0u);
}

}  // namespace
}  // namespace bulkhead::base
