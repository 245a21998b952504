// Turns between tenants before the model. The work here is our own and ends when the test says so.
#include "inference/preparation.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

namespace bulkhead::inference {
namespace {

using base::Result;
using base::Task;

RequestContext who(std::string tenant) {
  RequestContext context;
  context.tenant = std::move(tenant);
  context.request_id = "r";
  return context;
}

Task<Result<int>> number(Preparation* preparation, std::string tenant, base::CancelToken cancel,
                         std::function<int()> work) {
  co_return co_await preparation->run(who(std::move(tenant)), 1, std::move(cancel),
                                      [work = std::move(work)]() -> Result<int> { return work(); });
}

// Runs it on a thread of its own, with an executor of its own.
std::future<Result<int>> begin(Preparation& preparation, std::string tenant, std::function<int()> work,
                               base::CancelToken cancel = {}) {
  return std::async(std::launch::async, [&preparation, tenant = std::move(tenant), work = std::move(work),
                                         cancel = std::move(cancel)] {
    return base::run_blocking(number(&preparation, tenant, cancel, work));
  });
}

// Work that goes on until it is let go.
struct Held {
  std::promise<void> begun, release;
  std::function<int()> work() {
    auto wait = std::make_shared<std::shared_future<void>>(release.get_future());
    return [this, wait] {
      begun.set_value();
      wait->wait();
      return 1;
    };
  }
};

TEST(Preparation, GivesTheResultAndTheError) {
  Preparation preparation({});
  EXPECT_EQ(*begin(preparation, "acme", [] { return 7; }).get(), 7);
}

TEST(Preparation, ATenantNeverHasAllThreads) {
  Preparation preparation({.threads = 2});
  Held first, second;
  auto one = begin(preparation, "acme", first.work());
  first.begun.get_future().wait();
  std::atomic<bool> second_ran{false};
  auto two = begin(preparation, "acme", [&] {
    second_ran = true;
    return 2;
  });
  // Another tenant's request passes the one that waits.
  EXPECT_EQ(*begin(preparation, "beta", [] { return 3; }).get(), 3);
  EXPECT_FALSE(second_ran);
  first.release.set_value();
  EXPECT_EQ(*two.get(), 2);
  EXPECT_EQ(*one.get(), 1);
}

// The control: with one thread a tenant has it all, and the others wait.
TEST(Preparation, ControlWithOneThreadTheOthersWait) {
  Preparation preparation({.threads = 1});
  Held first;
  auto one = begin(preparation, "acme", first.work());
  first.begun.get_future().wait();
  std::atomic<bool> ran{false};
  auto other = begin(preparation, "beta", [&] {
    ran = true;
    return 3;
  });
  EXPECT_FALSE(ran);
  first.release.set_value();
  EXPECT_EQ(*other.get(), 3);
}

TEST(Preparation, ALineIsBoundedAndWhatWasLeftIsDropped) {
  Preparation preparation({.threads = 1, .line_max = 1});
  Held first;
  auto one = begin(preparation, "acme", first.work());
  first.begun.get_future().wait();
  base::CancelToken gone;
  gone.cancel(base::CancelReason::ClientGone);
  std::atomic<bool> ran{false};
  auto waiting = begin(
      preparation, "acme",
      [&] {
        ran = true;
        return 2;
      },
      gone);
  // Either of the two may be the one that waits; the other is told at once that the line is full.
  auto more = begin(preparation, "acme", [] { return 3; }, gone);
  auto told = [](std::future<Result<int>>& one) {
    return one.wait_for(std::chrono::milliseconds(1)) == std::future_status::ready;
  };
  bool first_told = false;
  while (!(first_told = told(waiting)) && !told(more)) {
  }
  std::future<Result<int>>& refused = first_told ? waiting : more;
  std::future<Result<int>>& left = first_told ? more : waiting;
  EXPECT_TRUE(refused.get().error().is(InferenceError::QueueFull));
  first.release.set_value();
  EXPECT_TRUE(left.get().error().is(InferenceError::Cancelled));
  EXPECT_FALSE(ran);
  EXPECT_EQ(*one.get(), 1);
}

TEST(Preparation, WhatWaitsAtTheEndIsTold) {
  auto preparation = std::make_unique<Preparation>(Preparation::Options{.threads = 1});
  Held first;
  auto one = begin(*preparation, "acme", first.work());
  first.begun.get_future().wait();
  auto stopping = std::async(std::launch::async, [&] { preparation->stop(); });
  first.release.set_value();
  stopping.wait();
  EXPECT_TRUE(one.get().ok());
  auto late = begin(*preparation, "acme", [] { return 2; }).get();
  ASSERT_FALSE(late.ok());
  EXPECT_TRUE(late.error().is(InferenceError::ShuttingDown));
}

}  // namespace
}  // namespace bulkhead::inference
