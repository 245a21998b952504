#include "engine/circuit_breaker.h"

#include <gtest/gtest.h>

#include "engine/slot_table.h"

namespace bulkhead::engine {
namespace {

using State = CircuitBreaker::State;
using std::chrono::seconds;

class CircuitBreakerTest : public ::testing::Test {
 protected:
  base::ManualClock clock;
  CircuitBreaker breaker{{3, seconds(10)}, clock};
  void open() {
    for (int i = 0; i < 3; ++i) breaker.failed();
  }
};

TEST_F(CircuitBreakerTest, OpensAfterFailuresInARow) {
  EXPECT_FALSE(breaker.failed());
  EXPECT_FALSE(breaker.failed());
  EXPECT_TRUE(breaker.allow());
  EXPECT_TRUE(breaker.failed());
  EXPECT_EQ(breaker.state(), State::Open);
  EXPECT_FALSE(breaker.allow());
}

TEST_F(CircuitBreakerTest, ASuccessBetweenStartsTheCountAnew) {
  breaker.failed();
  breaker.failed();
  breaker.succeeded();
  breaker.failed();
  breaker.failed();
  EXPECT_EQ(breaker.state(), State::Closed);
}

TEST_F(CircuitBreakerTest, OneTrialAfterTheTimeAndItsEndDecides) {
  open();
  clock.advance(seconds(9));
  EXPECT_FALSE(breaker.allow());
  clock.advance(seconds(1));
  EXPECT_EQ(breaker.state(), State::HalfOpen);
  EXPECT_TRUE(breaker.allow());
  EXPECT_FALSE(breaker.allow());  // one trial at a time
  EXPECT_FALSE(breaker.would_allow());
  breaker.failed();
  EXPECT_EQ(breaker.state(), State::Open);
  clock.advance(seconds(10));
  EXPECT_TRUE(breaker.allow());
  EXPECT_TRUE(breaker.succeeded());
  EXPECT_EQ(breaker.state(), State::Closed);
}

TEST_F(CircuitBreakerTest, ATrialThatTellsNothingLeavesRoomForAnother) {
  open();
  clock.advance(seconds(10));
  EXPECT_TRUE(breaker.allow());
  breaker.gave_up();
  EXPECT_TRUE(breaker.allow());
}

TEST_F(CircuitBreakerTest, ALateSuccessFromBeforeDoesNotCloseIt) {
  open();
  EXPECT_FALSE(breaker.succeeded());
  EXPECT_EQ(breaker.state(), State::Open);
}

class SlotTableTest : public ::testing::Test {
 protected:
  base::ManualClock clock;
  SlotTable table{2, clock};
  const SlotTable::Owner anna{"a", "s1"}, ben{"b", "s1"};
  void clean_all() {
    while (auto slot = table.lease_overdue()) table.back_clean(*slot);
  }
};

TEST_F(SlotTableTest, SlotsOfAnUnknownPastAreErasedFirst) {
  EXPECT_TRUE(table.lease(anna)->erase_first);
  EXPECT_TRUE(table.lease(ben)->erase_first);
  EXPECT_FALSE(table.lease(ben).has_value());
}

TEST_F(SlotTableTest, AKeptSlotIsForItsOwnSessionAndNobodyElses) {
  clean_all();
  auto first = table.lease(anna);
  EXPECT_FALSE(first->erase_first);
  table.back_kept(first->slot, anna, seconds(60));
  auto other = table.lease(ben);  // the clean one, though same session name
  EXPECT_NE(other->slot, first->slot);
  EXPECT_FALSE(other->erase_first);
  auto third = table.lease(ben);  // only Anna's is left
  EXPECT_EQ(third->slot, first->slot);
  EXPECT_TRUE(third->erase_first);
  table.back_kept(third->slot, ben, seconds(60));
  EXPECT_EQ(table.lease(ben)->slot, third->slot);
}

TEST_F(SlotTableTest, KeptSlotsEndWithTheirTimeAndOnBurn) {
  clean_all();
  auto lease = table.lease(anna);
  table.back_kept(lease->slot, anna, seconds(60));
  EXPECT_FALSE(table.lease_overdue().has_value());
  EXPECT_FALSE(table.lease_kept("b", "").has_value());
  EXPECT_FALSE(table.lease_kept("a", "s2").has_value());
  clock.advance(seconds(60));
  auto overdue = table.lease_overdue();
  EXPECT_EQ(overdue, lease->slot);
  table.back_kept(*overdue, anna, seconds(60));
  EXPECT_EQ(table.lease_kept("a", ""), lease->slot);
}

TEST_F(SlotTableTest, ADirtySlotIsErasedBeforeItServesAgain) {
  clean_all();
  auto lease = table.lease(anna);
  auto held = table.lease(ben);
  table.back_dirty(lease->slot);
  EXPECT_TRUE(table.lease(anna)->erase_first);
  static_cast<void>(held);
}

}  // namespace
}  // namespace bulkhead::engine
