#include "engine/hold_off.h"

#include <gtest/gtest.h>

namespace bulkhead::engine {
namespace {

using std::chrono::seconds;

TEST(HoldOff, DoublesWithEachTimeAndEnds) {
  base::ManualClock clock;
  HoldOff hold_off({.base_time = seconds(60)}, clock);
  EXPECT_FALSE(hold_off.left("acme"));
  hold_off.blame("acme");
  EXPECT_EQ(hold_off.left("acme"), seconds(60));
  EXPECT_FALSE(hold_off.left("beta")) << "nobody else waits";
  clock.advance(seconds(61));
  EXPECT_FALSE(hold_off.left("acme"));
  hold_off.blame("acme");
  EXPECT_EQ(hold_off.left("acme"), seconds(120));
  for (int i = 0; i < 20; ++i) hold_off.blame("acme");
  EXPECT_EQ(hold_off.left("acme"), seconds(3'600));
}

TEST(HoldOff, ForgetsAfterAnHour) {
  base::ManualClock clock;
  HoldOff hold_off({.base_time = seconds(60)}, clock);
  hold_off.blame("acme");
  clock.advance(seconds(3'601));
  hold_off.blame("acme");
  EXPECT_EQ(hold_off.left("acme"), seconds(60));
}

TEST(HoldOff, NobodyIsHeldOffWithoutATime) {
  base::ManualClock clock;
  HoldOff hold_off({.base_time = seconds(0)}, clock);
  EXPECT_FALSE(hold_off.blame("acme"));
  EXPECT_FALSE(hold_off.left("acme"));
}

TEST(HoldOff, KeepsABoundedNumber) {
  base::ManualClock clock;
  HoldOff hold_off({.base_time = seconds(60), .tenants_max = 2}, clock);
  for (const char* tenant : {"first", "second", "third"}) {
    hold_off.blame(tenant);
    clock.advance(seconds(1));
  }
  EXPECT_FALSE(hold_off.left("first"));
  EXPECT_TRUE(hold_off.left("second"));
  EXPECT_TRUE(hold_off.left("third"));
}

}  // namespace
}  // namespace bulkhead::engine
