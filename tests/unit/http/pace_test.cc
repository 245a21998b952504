#include "http/detail/pace.h"

#include <gtest/gtest.h>

namespace bulkhead::http::detail {
namespace {

using std::chrono::seconds;

const SteadyTime kNow{seconds(1'000)};

TEST(Pace, SilenceIsBoundedAtAStretch) {
  Pace pace(seconds(30), 0);
  EXPECT_EQ(pace.deadline(kNow), kNow + seconds(30));
  pace.waited(seconds(1'000'000));
  EXPECT_EQ(pace.deadline(kNow), kNow + seconds(30)) << "without a rate the sum does not matter";
}

TEST(Pace, TheSumOfWaitsIsBoundedByTheBytesThatCame) {
  Pace pace(seconds(30), 1'000);
  pace.waited(seconds(20));
  EXPECT_EQ(pace.deadline(kNow), kNow + seconds(10));
  pace.moved(5'000);
  EXPECT_EQ(pace.deadline(kNow), kNow + seconds(15));
  pace.moved(1'000'000);
  EXPECT_EQ(pace.deadline(kNow), kNow + seconds(30)) << "bytes buy no longer silence";
  pace.waited(seconds(5'000));
  EXPECT_EQ(pace.deadline(kNow), kNow) << "what is overdue ends now";
  pace.restart();
  EXPECT_EQ(pace.deadline(kNow), kNow + seconds(30));
}

// 20 MB at 400 KB/s take 50 s, more than any silence that is allowed.
TEST(Pace, ASteadyPeerAboveTheRateIsNeverLate) {
  Pace pace(seconds(30), 4 << 10);
  for (int second = 0; second < 50; ++second) {
    ASSERT_GT(pace.deadline(kNow), kNow + seconds(1));
    pace.waited(seconds(1));
    pace.moved(400'000);
  }
  // Control: one below it is, once it has used its patience up.
  Pace slow(seconds(30), 4 << 10);
  int lasted = 0;
  while (lasted < 1'000 && slow.deadline(kNow) > kNow) {
    slow.waited(seconds(1));
    slow.moved(100);
    ++lasted;
  }
  EXPECT_EQ(lasted, 31);
}

}  // namespace
}  // namespace bulkhead::http::detail
