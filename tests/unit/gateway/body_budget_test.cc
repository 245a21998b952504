#include "gateway/body_budget.h"

#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "gateway/api_error.h"
#include "http/reactor.h"

namespace bulkhead::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Outcome = base::Result<BodyBudget::Share>;

constexpr std::size_t kMebi = 1 << 20;

base::Task<void> deliver(base::Task<Outcome> task, std::promise<Outcome>* out) {
  out->set_value(co_await std::move(task));
}

class BodyBudgetTest : public ::testing::Test {
 protected:
  // 16 MiB for all and 8 MiB for one tenant, of which large bodies may have 12 and 6.
  void start(milliseconds wait_max) {
    budget = std::make_unique<BodyBudget>(BodyBudget::Limits{16 * kMebi, 8 * kMebi, wait_max});
  }
  std::future<Outcome> ask(const std::string& tenant, std::size_t bytes, base::CancelToken cancel = {}) {
    promises.push_back(std::make_unique<std::promise<Outcome>>());
    base::spawn(reactors.at(0), deliver(budget->reserve(tenant, bytes, cancel), promises.back().get()));
    return promises.back()->get_future();
  }
  Outcome now(const std::string& tenant, std::size_t bytes) { return ask(tenant, bytes).get(); }
  void wait_for_waiters(std::size_t count) {
    while (budget->waiting() != count) std::this_thread::yield();
  }
  static bool is_waiting(std::future<Outcome>& outcome) {
    return outcome.wait_for(seconds(0)) == std::future_status::timeout;
  }

  http::ReactorPool reactors{1};
  std::unique_ptr<BodyBudget> budget;
  std::vector<std::unique_ptr<std::promise<Outcome>>> promises;
};

TEST_F(BodyBudgetTest, OneTenantHasItsShareAndNoMore) {
  start(milliseconds(0));
  auto large = now("acme", 6 * kMebi);
  ASSERT_TRUE(large.ok());
  const auto refused = now("acme", 2 * kMebi);
  ASSERT_FALSE(refused.ok());
  EXPECT_TRUE(refused.error().is(ApiError::TenantBodiesBusy));
  EXPECT_TRUE(now("acme", kMebi).ok()) << "small ones have a quarter of their own";
  EXPECT_TRUE(now("bolt", 6 * kMebi).ok()) << "control: another tenant's";
  EXPECT_EQ(budget->bytes_reserved(), 6 * kMebi) << "the others were given back";
  large = Outcome(BodyBudget::Share());
  EXPECT_EQ(budget->bytes_reserved(), 0u);
  EXPECT_TRUE(now("acme", 2 * kMebi).ok());
}

TEST_F(BodyBudgetTest, UploadsOfManyTenantsKeepNoChatOut) {
  start(milliseconds(0));
  const auto one = now("acme", 6 * kMebi);
  const auto two = now("bolt", 6 * kMebi);
  ASSERT_TRUE(one.ok() && two.ok());
  const auto refused = now("core", 2 * kMebi);
  ASSERT_FALSE(refused.ok());
  EXPECT_TRUE(refused.error().is(ApiError::BodiesBusy)) << refused.error().describe();
  std::vector<Outcome> chats;
  for (int i = 0; i < 4; ++i) chats.push_back(now("core", kMebi));
  for (const Outcome& chat : chats) EXPECT_TRUE(chat.ok());
  EXPECT_FALSE(now("core", 1).ok()) << "control: all is used up";
  EXPECT_EQ(budget->bytes_reserved(), 16 * kMebi);
}

TEST_F(BodyBudgetTest, WhoWaitsIsServedInOrderWhenRoomComes) {
  start(seconds(60));
  auto one = now("acme", 6 * kMebi);
  auto two = now("bolt", 6 * kMebi);
  auto first = ask("core", 5 * kMebi);
  wait_for_waiters(1);
  auto second = ask("dome", 2 * kMebi);
  wait_for_waiters(2);
  auto own = ask("acme", 3 * kMebi);  // waits for its own tenant, and holds up nobody
  wait_for_waiters(3);
  EXPECT_TRUE(now("dome", kMebi).ok()) << "a small one passes";
  two = Outcome(BodyBudget::Share());  // 6 MiB of 12 free: enough for the first, and then not for the second
  ASSERT_TRUE(first.get().ok());       // and given back at once
  ASSERT_TRUE(second.get().ok());
  EXPECT_TRUE(is_waiting(own));
  one = Outcome(BodyBudget::Share());
  EXPECT_TRUE(own.get().ok());
  EXPECT_EQ(budget->waiting(), 0u);
}

TEST_F(BodyBudgetTest, ALaterOneOfItsSizeDoesNotPassTheFirst) {
  start(seconds(60));
  const auto one = now("acme", 6 * kMebi);
  const auto two = now("bolt", 4 * kMebi);
  base::CancelToken leaves;
  auto first = ask("core", 5 * kMebi, leaves);
  wait_for_waiters(1);
  auto passing = ask("dome", kMebi + 1);
  wait_for_waiters(2);
  EXPECT_TRUE(is_waiting(passing)) << "or the first would never get its turn";
  leaves.cancel("client gone");
  const auto left = first.get();
  ASSERT_FALSE(left.ok());
  EXPECT_TRUE(left.error().is(http::HttpError::Cancelled));
  EXPECT_TRUE(passing.get().ok()) << "and nobody is held up by one that left";
}

TEST_F(BodyBudgetTest, AGrowingBodyIsRefusedRatherThanWaitedFor) {
  start(seconds(60));
  auto chunked = now("acme", kMebi);
  ASSERT_TRUE(chunked.ok());
  EXPECT_TRUE(chunked->grow(4 * kMebi).ok());
  EXPECT_EQ(budget->bytes_reserved(), 4 * kMebi);
  const auto refused = chunked->grow(7 * kMebi);
  ASSERT_FALSE(refused.ok());
  EXPECT_TRUE(refused.error().is(ApiError::TenantBodiesBusy));
  EXPECT_EQ(budget->bytes_reserved(), 4 * kMebi) << "it keeps what it has";
  chunked = Outcome(BodyBudget::Share());
  EXPECT_EQ(budget->bytes_reserved(), 0u);
}

}  // namespace
}  // namespace bulkhead::gateway
