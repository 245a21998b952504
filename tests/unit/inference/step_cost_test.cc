#include "inference/step_cost.h"

#include <gtest/gtest.h>

namespace bulkhead::inference {
namespace {

TEST(StepCost, IsLearnedFromSteps) {
  StepCost cost(1, 1);
  for (int i = 0; i < 200; ++i) {
    cost.learn(1, 2.0);
    cost.learn(5, 4.0);
  }
  EXPECT_NEAR(cost.of(1), 2.0, 0.01);
  EXPECT_NEAR(cost.each_more(), 0.5, 0.01);
  EXPECT_NEAR(cost.of(3), 3.0, 0.02);
}

TEST(ReadingSpeed, DoesNotCountWhatTheStreamsBesideTake) {
  const StepCost cost(0.01, 0.01);
  ReadingSpeed alone, beside_many;
  EXPECT_FALSE(alone.known());
  alone.learn(100, 0, cost, 0.2);
  EXPECT_EQ(alone.tokens_in(0.5), 250u);
  // 32 streams take 0.32 s of the step. Counted as reading they would leave a chunk of 96 tokens.
  beside_many.learn(100, 32, cost, 0.52);
  EXPECT_NEAR(static_cast<double>(beside_many.tokens_in(0.5)), 250, 1);
}

TEST(ReadingSpeed, IsBoundedWhereTheStreamsCostIsThoughtTooHigh) {
  ReadingSpeed speed;
  speed.learn(100, 32, StepCost(1, 1), 0.4);
  EXPECT_EQ(speed.tokens_in(1), 1000u) << "a quarter of the step at least was reading";
}

TEST(ReadingSpeed, SmallReadsSayNothing) {
  ReadingSpeed speed;
  speed.learn(8, 0, StepCost(0, 0), 1);
  EXPECT_FALSE(speed.known());
}

}  // namespace
}  // namespace bulkhead::inference
