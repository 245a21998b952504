#include "inference/reading_shares.h"

#include <gtest/gtest.h>

namespace bulkhead::inference {
namespace {

using Shares = std::vector<std::size_t>;

TEST(ReadingShares, EqualPartsATenantAndWhatOneLeavesToTheOthers) {
  EXPECT_EQ(reading_shares({{"a", 1, 100}, {"b", 2, 100}}, 80), (Shares{40, 40}));
  EXPECT_EQ(reading_shares({{"a", 1, 10}, {"b", 2, 100}}, 80), (Shares{10, 70}));
  EXPECT_EQ(reading_shares({{"a", 1, 100}, {"a", 2, 100}, {"b", 3, 100}}, 80), (Shares{40, 0, 40}));
  EXPECT_EQ(reading_shares({{"a", 1, 0}}, 80), Shares{0}) << "one that writes reads nothing";
  EXPECT_EQ(reading_shares({}, 80), Shares{});
}

TEST(ReadingShares, InsideATenantWhoCameFirst) {
  EXPECT_EQ(reading_shares({{"a", 9, 50}, {"a", 3, 50}}, 60), (Shares{10, 50}));
}

TEST(ReadingShares, ABorrowedSlotMakesNoLongStep) {
  EXPECT_EQ(reading_shares({{"a", 1, 500, true}}, 240), Shares{40});
  EXPECT_EQ(reading_shares({{"a", 1, 500, true}, {"a", 2, 500, true}}, 240), (Shares{40, 0})) << "together";
  EXPECT_EQ(reading_shares({{"a", 1, 10, true}, {"a", 2, 500, true}}, 240), (Shares{10, 30}));
  EXPECT_EQ(reading_shares({{"a", 1, 500, true}, {"b", 2, 500}}, 240), (Shares{40, 200}));
  EXPECT_EQ(reading_shares({{"a", 1, 500}}, 240), Shares{240}) << "control: its own slot";
}

}  // namespace
}  // namespace bulkhead::inference
