#include "gateway/authentication_throttle.h"

#include <gtest/gtest.h>

namespace bulkhead::gateway {
namespace {

using std::chrono::seconds;

TEST(AuthenticationThrottle, FailuresOfOneNetworkAreBoundedAndPass) {
  base::ManualClock clock{1'800'000'000};
  AuthenticationThrottle throttle(clock, 60);
  for (int i = 0; i < 60; ++i) {
    EXPECT_EQ(throttle.wait_seconds("192.0.2.7"), 0) << i;
    throttle.failed("192.0.2.7");
  }
  EXPECT_EQ(throttle.wait_seconds("192.0.2.7"), 1);
  EXPECT_EQ(throttle.wait_seconds("192.0.2.8"), 0) << "control: another address";
  clock.advance(seconds(1));
  EXPECT_EQ(throttle.wait_seconds("192.0.2.7"), 0);
  throttle.failed("192.0.2.7");
  EXPECT_EQ(throttle.wait_seconds("192.0.2.7"), 1);
  // What was let in together and failed together is not owed for ever.
  for (int i = 0; i < 10'000; ++i) throttle.failed("192.0.2.7");
  clock.advance(seconds(1));
  EXPECT_EQ(throttle.wait_seconds("192.0.2.7"), 0);
}

TEST(AuthenticationThrottle, OffAndUnixSocketsAreNotBounded) {
  base::ManualClock clock{1'800'000'000};
  AuthenticationThrottle off(clock, 0);
  AuthenticationThrottle on(clock, 1);
  for (int i = 0; i < 100; ++i) {
    off.failed("192.0.2.7");
    on.failed("");
    on.failed("192.0.2.7");
  }
  EXPECT_EQ(off.wait_seconds("192.0.2.7"), 0);
  EXPECT_EQ(on.wait_seconds(""), 0);
  EXPECT_EQ(on.wait_seconds("192.0.2.7"), 60) << "control";
}

// However many addresses an attacker has, the table stays in its bound and those in it keep their own.
TEST(AuthenticationThrottle, NetworksBeyondTheTableShareOneBucket) {
  base::ManualClock clock{1'800'000'000};
  AuthenticationThrottle throttle(clock, 2, 2);
  throttle.failed("a");
  throttle.failed("b");
  throttle.failed("c");
  throttle.failed("d");
  EXPECT_GT(throttle.wait_seconds("c"), 0);
  EXPECT_GT(throttle.wait_seconds("e"), 0) << "c and d used up what is shared";
  EXPECT_EQ(throttle.wait_seconds("a"), 0) << "control: its own bucket";
  clock.advance(seconds(60));
  throttle.failed("c");
  EXPECT_EQ(throttle.wait_seconds("c"), 0) << "a and b were forgotten, c has a bucket";
  throttle.failed("c");
  EXPECT_GT(throttle.wait_seconds("c"), 0);
  EXPECT_EQ(throttle.wait_seconds("e"), 0);
}

}  // namespace
}  // namespace bulkhead::gateway
