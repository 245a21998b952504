#include "gateway/refusal_pacer.h"

#include <gtest/gtest.h>

namespace bulkhead::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr RefusalPacer::Limits kLimits{.at_once = 3, .per_second = 10, .wait_max = milliseconds(500)};

TEST(RefusalPacer, BeyondTheFirstOnesEachWaitsForItsTurn) {
  base::ManualClock clock{1'800'000'000};
  RefusalPacer pacer(clock, kLimits);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(pacer.refused("alpha", "mia"), milliseconds(0)) << i;
  // Four that come together are answered one after the other, at the rate.
  for (int i = 1; i <= 4; ++i) EXPECT_EQ(pacer.refused("alpha", "mia"), milliseconds(100 * i));
  EXPECT_EQ(pacer.refused("alpha", "noa"), milliseconds(0)) << "control: somebody else of the same tenant";
}

TEST(RefusalPacer, NobodyWaitsLongerThanTheBoundOrIsOwedForIt) {
  base::ManualClock clock{1'800'000'000};
  RefusalPacer pacer(clock, kLimits);
  for (int i = 0; i < 10'000; ++i) EXPECT_LE(pacer.refused("alpha", "mia"), kLimits.wait_max);
  EXPECT_EQ(pacer.refused("alpha", "mia"), kLimits.wait_max);
  clock.advance(kLimits.wait_max + seconds(1));
  EXPECT_EQ(pacer.refused("alpha", "mia"), milliseconds(0));
}

// A client that waits for each answer is answered at the rate, not below it.
TEST(RefusalPacer, OneConnectionIsAnsweredAtTheRate) {
  base::ManualClock clock{1'800'000'000};
  RefusalPacer pacer(clock, kLimits);
  for (int i = 0; i < 3; ++i) pacer.refused("alpha", "mia");
  for (int i = 0; i < 50; ++i) {
    const milliseconds wait = pacer.refused("alpha", "mia");
    EXPECT_EQ(wait, milliseconds(100)) << i;
    clock.advance(wait);
  }
}

// However many principals a tenant has.
TEST(RefusalPacer, ATenantAsAWholeHasABoundToo) {
  base::ManualClock clock{1'800'000'000};
  RefusalPacer pacer(clock, kLimits);
  for (int i = 0; i < 30; ++i) EXPECT_EQ(pacer.refused("alpha", std::to_string(i)), milliseconds(0)) << i;
  EXPECT_EQ(pacer.refused("alpha", "another"), milliseconds(10));
  EXPECT_EQ(pacer.refused("beta", "another"), milliseconds(0)) << "control: another tenant";
  EXPECT_EQ(pacer.refused("", "192.0.2.7"), milliseconds(0)) << "control: nobody's";
}

// A megabyte that is refused costs as much as many small requests.
TEST(RefusalPacer, LargeBodiesCountForMany) {
  base::ManualClock clock{1'800'000'000};
  RefusalPacer pacer(clock, kLimits);
  EXPECT_FALSE(RefusalPacer::counts(400, 1'000));
  EXPECT_TRUE(RefusalPacer::counts(400, 1 << 20));
  EXPECT_TRUE(RefusalPacer::counts(403, 0));
  EXPECT_FALSE(RefusalPacer::counts(200, 1 << 20));
  EXPECT_FALSE(RefusalPacer::counts(503, 1 << 20));
  EXPECT_EQ(pacer.refused("alpha", "mia", 1 << 20), kLimits.wait_max) << "17 at once, of which 3 are free";
  EXPECT_EQ(pacer.refused("alpha", "noa", 1'000), milliseconds(0)) << "control: a small one";
}

TEST(RefusalPacer, OffAndWhoHasNoNameNeverWait) {
  base::ManualClock clock{1'800'000'000};
  RefusalPacer off(clock, {.at_once = 1, .per_second = 0});
  RefusalPacer on(clock, kLimits);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(off.refused("alpha", "mia"), milliseconds(0));
    EXPECT_EQ(on.refused("", ""), milliseconds(0));
  }
}

}  // namespace
}  // namespace bulkhead::gateway
