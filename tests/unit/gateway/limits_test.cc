// Quotas per tenant and user: both or neither are charged, and what is given back is given back once.
#include "gateway/limits.h"

#include <gtest/gtest.h>

#include <thread>

#include "gateway/api_error.h"

namespace bulkhead::gateway {
namespace {

class Limits : public ::testing::Test {
 protected:
  static tenancy::Tenant tenant(const char* name) {
    tenancy::Tenant made{.id = *base::TenantId::parse(name), .display_name = name};
    made.policy.limits = {.requests_per_minute = 6,
                          .tokens_per_minute = 600,
                          .concurrent_requests = 3,
                          .user_requests_per_minute = 4,
                          .user_tokens_per_minute = 400,
                          .user_concurrent_requests = 2};
    return made;
  }
  base::Result<Limiter::Admission> admit(const tenancy::Tenant& who, const char* user,
                                         std::int64_t tokens = 1) {
    retry_after_ = 0;
    return limiter_.admit(who, user, tokens, retry_after_);
  }
  void expect_refused(const tenancy::Tenant& who, const char* user, ApiError code, std::int64_t tokens = 1) {
    auto refused = admit(who, user, tokens);
    ASSERT_FALSE(refused);
    EXPECT_TRUE(refused.error().is(code)) << refused.error().describe();
    EXPECT_GE(retry_after_, 1);
    EXPECT_EQ(map_error(refused.error()).status, 429);
  }

  base::ManualClock clock_;
  Limiter limiter_{clock_};
  std::int64_t retry_after_ = 0;
  tenancy::Tenant hospital_ = tenant("hospital"), firm_ = tenant("firm");
};

TEST_F(Limits, AUsersRequestsRunOutAndComeBackWhenSaid) {
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(admit(hospital_, "ada")) << i;
  expect_refused(hospital_, "ada", ApiError::RateLimited);
  std::int64_t wait = retry_after_;
  clock_.advance(std::chrono::seconds(wait));
  EXPECT_TRUE(admit(hospital_, "ada")) << "after as long as was said";
  EXPECT_TRUE(admit(firm_, "ada")) << "the same name at another tenant is another user";
}

TEST_F(Limits, AUserWhoIsRefusedCostsTheTenantNothing) {
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(admit(hospital_, "ada"));
  for (int i = 0; i < 50; ++i) expect_refused(hospital_, "ada", ApiError::RateLimited);
  for (int i = 0; i < 2; ++i)
    EXPECT_TRUE(admit(hospital_, "ben")) << "control: two of the tenant's six are left";
  expect_refused(hospital_, "cleo", ApiError::RateLimited);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(admit(firm_, "dan")) << "another tenant is untouched";
}

TEST_F(Limits, ConcurrencyIsGivenBackByTheAdmission) {
  auto first = admit(hospital_, "ada"), second = admit(hospital_, "ada");
  ASSERT_TRUE(first && second);
  expect_refused(hospital_, "ada", ApiError::TooManyConcurrent);
  auto third = admit(hospital_, "ben");
  ASSERT_TRUE(third);
  expect_refused(hospital_, "cleo", ApiError::TooManyConcurrent);
  *first = Limiter::Admission();
  EXPECT_TRUE(admit(hospital_, "cleo"));
}

TEST_F(Limits, TokensAreSettledByWhatWasUsed) {
  {
    auto cheap = admit(hospital_, "ada", 300);
    ASSERT_TRUE(cheap);
    cheap->use(10);
  }
  auto held = admit(hospital_, "ada", 380);
  EXPECT_TRUE(held) << "what was not used is there again";
  expect_refused(hospital_, "ada", ApiError::RateLimited, 380);
  {
    auto dear = admit(firm_, "dan", 1);
    ASSERT_TRUE(dear);
    dear->use(5'000);
  }
  expect_refused(firm_, "dan", ApiError::RateLimited, 1);
  clock_.advance(std::chrono::seconds(60));
  expect_refused(firm_, "dan", ApiError::RateLimited, 1);
  clock_.advance(std::chrono::minutes(20));
  EXPECT_TRUE(admit(firm_, "dan", 1)) << "a debt is worked off";
}

TEST_F(Limits, ARequestLargerThanAMinuteIsServedAndHoldsBackTheNext) {
  {
    auto large = admit(hospital_, "ada", 100'000);
    ASSERT_TRUE(large);
    expect_refused(hospital_, "ada", ApiError::RateLimited, 1);
  }
  EXPECT_TRUE(admit(hospital_, "ada", 1)) << "it used nothing, so nothing of its estimate is left as a debt";
}

// The others of a tenant never let its bucket be full.
TEST_F(Limits, ALargeRequestIsServedWhileTheTenantsOthersUseALittle) {
  tenancy::Tenant busy = hospital_;
  busy.policy.limits.requests_per_minute = 1'000;
  busy.policy.limits.user_requests_per_minute = 1'000;
  busy.policy.limits.user_tokens_per_minute = 10'000;
  for (int second = 0; second < 120; ++second) {
    clock_.advance(std::chrono::seconds(1));
    auto small = admit(busy, "ben", 1);
    ASSERT_TRUE(small);
    small->use(9);
  }
  EXPECT_TRUE(admit(busy, "ada", 100'000));
}

TEST_F(Limits, ARunningRequestIsChargedAsItGoesAndNeverCut) {
  auto stream = admit(hospital_, "ada", 10);
  ASSERT_TRUE(stream);
  for (int token = 0; token < 50; ++token) stream->use(1);
  EXPECT_TRUE(admit(hospital_, "ben", 300)) << "control: a little over its estimate";
  for (int token = 0; token < 2'000; ++token) stream->use(1);
  expect_refused(hospital_, "ada", ApiError::RateLimited, 1);
  expect_refused(hospital_, "cleo", ApiError::RateLimited, 1);
  stream->use(-2'040);
  stream->settle();
  EXPECT_TRUE(admit(hospital_, "ada", 1)) << "a correction before the end";
}

TEST_F(Limits, UsersBeyondTheBoundShareOneAccount) {
  Limiter small(clock_, 2);
  auto admit_to = [&](const tenancy::Tenant& who, const char* user) {
    return small.admit(who, user, 1, retry_after_);
  };
  std::vector<Limiter::Admission> held;
  for (const char* user : {"ada", "ben", "cleo"}) held.push_back(std::move(*admit_to(firm_, user)));
  held.clear();
  for (const char* user : {"cleo", "dan"}) held.push_back(std::move(*admit_to(firm_, user)));
  EXPECT_FALSE(admit_to(firm_, "eve")) << "new names get a tenant no more than one user has";
  EXPECT_TRUE(admit_to(firm_, "ada")) << "who has an account keeps it";
  EXPECT_TRUE(admit_to(hospital_, "eve")) << "and another tenant's table is its own";
  held.clear();
  clock_.advance(std::chrono::minutes(2));
  for (int i = 0; i < 2; ++i) held.push_back(std::move(*admit_to(firm_, "dan")));
  EXPECT_TRUE(admit_to(firm_, "eve")) << "what is full again was forgotten: both have accounts of their own";
}

TEST_F(Limits, ADebtIsNotForgottenForNewNames) {
  Limiter small(clock_, 1);
  small.admit(firm_, "ada", 1, retry_after_)->use(2'000);
  clock_.advance(std::chrono::seconds(61));
  ASSERT_TRUE(small.admit(hospital_, "ben", 1, retry_after_));
  static_cast<void>(small.admit(firm_, "cleo", 0, retry_after_));  // would have pushed ada out
  EXPECT_FALSE(small.admit(firm_, "ada", 1, retry_after_)) << "1,600 tokens overdrawn, 400 a minute";
}

TEST_F(Limits, HeadersSayWhatIsLeftOfTheTighterSide) {
  auto admitted = admit(hospital_, "ada", 100);
  ASSERT_TRUE(admitted);
  http::Headers headers;
  admitted->add_headers(headers);
  EXPECT_EQ(headers.single("x-ratelimit-limit-requests"), "4");
  EXPECT_EQ(headers.single("x-ratelimit-remaining-requests"), "3");
  EXPECT_EQ(headers.single("x-ratelimit-limit-tokens"), "400");
  EXPECT_EQ(headers.single("x-ratelimit-remaining-tokens"), "300");
}

// The tenant has fewer requests left, the user fewer tokens.
TEST_F(Limits, HeadersOfOneKindAreOfOneAccount) {
  for (const char* user : {"ben", "ben", "cleo", "cleo", "dan"}) ASSERT_TRUE(admit(hospital_, user, 1));
  auto admitted = admit(hospital_, "ada", 100);
  ASSERT_TRUE(admitted);
  http::Headers headers;
  admitted->add_headers(headers);
  EXPECT_EQ(headers.single("x-ratelimit-limit-requests"), "6");
  EXPECT_EQ(headers.single("x-ratelimit-remaining-requests"), "0");
  EXPECT_EQ(headers.single("x-ratelimit-reset-requests"), "60s");
  EXPECT_EQ(headers.single("x-ratelimit-limit-tokens"), "400");
  EXPECT_EQ(headers.single("x-ratelimit-remaining-tokens"), "300");
  EXPECT_EQ(headers.single("x-ratelimit-reset-tokens"), "15s");
}

TEST_F(Limits, ThreadsTogetherGetNoMoreThanTheLimit) {
  std::atomic<int> admitted{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::int64_t wait = 0;
      for (int i = 0; i < 50; ++i) {
        if (limiter_.admit(hospital_, "user" + std::to_string(t), 1, wait)) ++admitted;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(admitted, 6) << "the clock stands still, so the tenant's bucket is all there is";
}

}  // namespace
}  // namespace bulkhead::gateway
