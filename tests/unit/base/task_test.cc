#include "base/task.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace bulkhead::base {
namespace {

Task<int> seven() { co_return 7; }
Task<std::unique_ptr<int>> boxed() { co_return std::make_unique<int>(co_await seven()); }
Task<std::string> defaulted() { co_return {}; }
Task<void> set_flag(bool* flag) {
  *flag = true;
  co_return;
}
Task<int> nested(int depth) {
  if (depth == 0) co_return 0;
  co_return 1 + co_await nested(depth - 1);
}

TEST(TaskTest, YieldsItsValue) {
  EXPECT_EQ(run_blocking(seven()), 7);
  EXPECT_EQ(*run_blocking(boxed()), 7);
  EXPECT_EQ(run_blocking(defaulted()), "");
  EXPECT_EQ(run_blocking(nested(100)), 100);
}

TEST(TaskTest, RunsNothingUntilAwaited) {
  bool ran = false;
  {
    Task<void> task = set_flag(&ran);
    EXPECT_FALSE(ran);
  }
  EXPECT_FALSE(ran);
  run_blocking(set_flag(&ran));
  EXPECT_TRUE(ran);
}

Task<int> sum(int count) {
  int total = 0;
  for (int i = 0; i < count; ++i) total += co_await seven();
  co_return total;
}
TEST(TaskTest, AwaitingInALoopNeedsNoStack) { EXPECT_EQ(run_blocking(sum(200'000)), 1'400'000); }

Task<void> hold(std::shared_ptr<int> held) {
  static_cast<void>(held);
  co_return;
}
TEST(TaskTest, TheFrameIsGoneBeforeDoneIsTold) {
  ManualExecutor executor;
  auto held = std::make_shared<int>(1);
  long users = 0;
  bool finished = false;
  spawn(executor, hold(held), [&] {
    users = held.use_count();
    finished = true;
  });
  EXPECT_FALSE(finished) << "spawn never runs inside the call";
  executor.run_until([&] { return finished; });
  EXPECT_EQ(users, 1);
}

TEST(TaskTest, ATaskThatNeverRanIsFreed) {
  auto held = std::make_shared<int>(1);
  {
    ManualExecutor executor;
    spawn(executor, hold(held));
    EXPECT_EQ(held.use_count(), 2);
  }
  EXPECT_EQ(held.use_count(), 1);
}

TEST(ExecutorTest, CurrentIsTheOneThatRuns) {
  EXPECT_EQ(Executor::current(), nullptr);
  ManualExecutor outer;
  ManualExecutor inner;
  Executor* seen_outer = nullptr;
  Executor* seen_inner = nullptr;
  Executor* seen_after = nullptr;
  outer.post([&] {
    seen_outer = Executor::current();
    inner.post([&] { seen_inner = Executor::current(); });
    inner.run_until([&] { return seen_inner != nullptr; });
    seen_after = Executor::current();
  });
  outer.run_until([&] { return seen_after != nullptr; });
  EXPECT_EQ(seen_outer, &outer);
  EXPECT_EQ(seen_inner, &inner);
  EXPECT_EQ(seen_after, &outer);
  EXPECT_EQ(Executor::current(), nullptr);
}

// --- Gate ---------------------------------------------------------------------------------------

TEST(GateTest, RefusesOnceClosed) {
  Gate gate;
  {
    auto pass = gate.enter();
    ASSERT_TRUE(pass);
    EXPECT_EQ(gate.inside(), 1u);
    Gate::Pass moved = std::move(*pass);
    EXPECT_EQ(gate.inside(), 1u);
    EXPECT_FALSE(gate.close_within(std::chrono::milliseconds(0))) << "someone is inside";
  }
  EXPECT_EQ(gate.inside(), 0u);
  EXPECT_FALSE(gate.enter());
  gate.close();
}

TEST(GateTest, CloseWaitsForAllThatEntered) {
  for (int round = 0; round < 50; ++round) {
    auto gate = std::make_unique<Gate>();
    std::atomic<int> left{0};
    std::vector<std::thread> threads;
    std::latch entered(3);
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([&, pass = gate->enter()]() mutable {
        entered.count_down();
        entered.wait();
        left.fetch_add(1);
        pass.reset();
      });
    }
    gate->close();
    EXPECT_EQ(left.load(), 3);
    gate.reset();  // nobody may touch it any more
    for (std::thread& thread : threads) thread.join();
  }
}

// --- Event --------------------------------------------------------------------------------------

Task<Executor*> wait_for(Event* event) {
  co_await *event;
  co_return Executor::current();
}

TEST(EventTest, GoesStraightOnWhenSetBefore) {
  Event event;
  event.set();
  event.set();
  EXPECT_TRUE(event.is_set());
  EXPECT_NE(run_blocking(wait_for(&event)), nullptr);
}

Task<void> record_executor(Event* event, Executor** seen, std::thread::id* thread) {
  *seen = co_await wait_for(event);
  *thread = std::this_thread::get_id();
}

TEST(EventTest, WaitersResumeOnTheirOwnExecutorAndThread) {
  for (int round = 0; round < 100; ++round) {
    auto event = std::make_unique<Event>();
    constexpr int kThreads = 3;
    std::vector<std::thread> threads;
    std::latch all_waited(kThreads);
    std::atomic<int> right{0};
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&] {
        ManualExecutor executor;
        Executor* seen = nullptr;
        std::thread::id thread;
        bool finished = false;
        spawn(executor, record_executor(event.get(), &seen, &thread), [&] { finished = true; });
        bool announced = false;
        executor.post([&] { announced = true; });
        executor.run_until([&] { return announced; });
        all_waited.count_down();
        executor.run_until([&] { return finished; });
        if (seen == &executor && thread == std::this_thread::get_id()) ++right;
      });
    }
    if (round % 2 == 0) all_waited.wait();  // else: set races with the waiting
    event->set();
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(right.load(), kThreads);
  }
}

Task<void> destroy_after(std::unique_ptr<Event> event, Event** out, std::latch* started) {
  *out = event.get();
  started->count_down();
  co_await *event;
}
TEST(EventTest, MayBeDestroyedByItsWaiter) {
  for (int round = 0; round < 200; ++round) {
    Event* event = nullptr;
    std::latch started(1);
    std::thread setter([&] {
      started.wait();
      event->set();
    });
    run_blocking(destroy_after(std::make_unique<Event>(), &event, &started));
    setter.join();
  }
}

// --- CancelToken --------------------------------------------------------------------------------

TEST(CancelTokenTest, TheFirstReasonStays) {
  CancelToken token;
  CancelToken copy = token;
  EXPECT_FALSE(copy.cancelled());
  token.cancel(CancelReason::ClientGone);
  copy.cancel(CancelReason::Shutdown);
  EXPECT_TRUE(copy.cancelled());
  EXPECT_EQ(copy.reason(), CancelReason::ClientGone);
}

TEST(CancelTokenTest, CallbacksRunOnceUnlessRemoved) {
  CancelToken token;
  int kept = 0;
  int removed = 0;
  int moved = 0;
  auto registration = token.on_cancel([&] { ++kept; });
  {
    auto gone = token.on_cancel([&] { ++removed; });
  }
  CancelToken::Registration target;
  target = token.on_cancel([&] { ++moved; });
  CancelToken::Registration elsewhere = std::move(target);
  token.cancel(CancelReason::Abandoned);
  token.cancel(CancelReason::Abandoned);
  EXPECT_EQ(kept, 1);
  EXPECT_EQ(removed, 0);
  EXPECT_EQ(moved, 1);
  int late = 0;
  auto at_once = token.on_cancel([&] { ++late; });
  EXPECT_EQ(late, 1);
}

TEST(CancelTokenTest, ReplacingARegistrationRemovesTheFormer) {
  CancelToken token;
  int first = 0;
  int second = 0;
  auto registration = token.on_cancel([&] { ++first; });
  registration = token.on_cancel([&] { ++second; });
  token.cancel(CancelReason::Abandoned);
  EXPECT_EQ(first, 0);
  EXPECT_EQ(second, 1);
}

TEST(CancelTokenTest, CallbacksMayRegisterDeregisterAndFree) {
  CancelToken token;
  int ran = 0;
  auto own = std::make_unique<CancelToken::Registration>();
  auto other = std::make_unique<CancelToken::Registration>();
  *other = token.on_cancel([&] { ran += 100; });
  // Registered last, so it runs first; what it captured last holds another registration of the
  // same token, which is removed while the callback is being destroyed.
  auto captured = std::make_shared<CancelToken::Registration>(token.on_cancel([&] { ran += 10; }));
  *own = token.on_cancel([&, captured = std::move(captured)] {
    ++ran;
    other.reset();
    own.reset();
    auto nested = token.on_cancel([&] { ++ran; });
  });
  token.cancel(CancelReason::Abandoned);
  EXPECT_EQ(ran, 2);
}

TEST(CancelTokenTest, DeregisteringWaitsForARunningCallback) {
  for (int round = 0; round < 200; ++round) {
    CancelToken token;
    auto used = std::make_unique<std::atomic<int>>(0);
    auto registration = std::make_unique<CancelToken::Registration>(
        token.on_cancel([raw = used.get()] { raw->fetch_add(1); }));
    std::latch both(2);
    std::thread canceller([&] {
      both.arrive_and_wait();
      token.cancel(CancelReason::Abandoned);
    });
    both.arrive_and_wait();
    registration.reset();
    used.reset();  // the callback must not touch it from here on
    canceller.join();
  }
}

}  // namespace
}  // namespace bulkhead::base
