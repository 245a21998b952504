// Classes of work: who waits for an interactive item, and that nobody is stopped.
#include "base/fair_classes.h"

#include <gtest/gtest.h>

#include <map>

namespace bulkhead::base {
namespace {

using Lines = FairClasses<int>;

TEST(FairClasses, HigherClassesGoFirst) {
  Lines lines;
  lines.push(2, "a", 1, 3);
  lines.push(1, "a", 1, 2);
  lines.push(0, "b", 1, 1);
  for (int wanted : {1, 2, 3}) EXPECT_EQ(lines.take()->item, wanted);
  EXPECT_FALSE(lines.take());
}

TEST(FairClasses, APartyThatLoadsDocumentsDelaysAnothersQuestionByNoneOfThem) {
  Lines lines;
  for (int i = 0; i < 100; ++i) lines.push(1, "loader", 1, i);
  lines.push(0, "asker", 1, -1);
  EXPECT_EQ(lines.take()->item, -1);
  Lines control;
  for (int i = 0; i < 100; ++i) control.push(1, "loader", 1, i);
  control.push(1, "loader", 1, -1);
  EXPECT_NE(control.take()->item, -1) << "control: in one line it stands behind all of them";
}

TEST(FairClasses, AFloodOfOneClassStopsNoOther) {
  Lines lines;
  for (int i = 0; i < 8; ++i) {
    lines.push(1, "background", 1, 1);
    lines.push(2, "maintenance", 1, 2);
  }
  std::map<std::size_t, int> taken;
  for (int i = 0; i < 80; ++i) {
    lines.push(0, "flood", 1, 0);  // always one more waits than is taken
    lines.push(0, "flood", 1, 0);
    ++taken[lines.take()->priority];
  }
  EXPECT_EQ(taken[1], 8);
  EXPECT_EQ(taken[2], 8);
  EXPECT_EQ(taken[0], 64);
}

TEST(FairClasses, InAClassTheLeastServedPartyIsNext) {
  Lines lines;
  std::map<std::string, int> served;
  for (int i = 0; i < 30; ++i) {
    lines.push(1, "heavy", 1, i);
    lines.push(1, "light", 1, i);
    lines.push(1, "double", 2, i);
  }
  for (int i = 0; i < 40; ++i) {
    auto taken = lines.take();
    ++served[taken->party];
    lines.charge(1, taken->party, taken->party == "heavy" ? 4 : 1);
  }
  EXPECT_NEAR(served["light"], served["heavy"] * 4, 4) << "by cost";
  EXPECT_NEAR(served["double"], served["light"] * 2, 4) << "by weight";
}

// How many items of the long work are taken before the short work of a newcomer is done.
int taken_before_the_newcomer(Lines& lines, int short_items, int times) {
  int between = 0;
  for (int i = 0; i < 100; ++i) lines.push(1, "long", 1, 0);
  for (int i = 0; i < 10; ++i) lines.charge(1, lines.take()->party, 1);
  for (int round = 0; round < times; ++round) {
    for (int i = 0; i < short_items; ++i) lines.push(1, "short", 1, 1);
    while (lines.size("short") > 0) {
      auto taken = lines.take();
      between += taken->party == "long" ? 1 : 0;
      lines.charge(1, taken->party, 1);
    }
  }
  return between;
}

TEST(FairClasses, WithCreditANewcomersShortWorkIsDoneFirstAndNoMoreThanThat) {
  Lines lines(4);
  EXPECT_LE(taken_before_the_newcomer(lines, 4, 1), 1);
  Lines spent(4);
  EXPECT_GE(taken_before_the_newcomer(spent, 4, 5), 14) << "once: then it takes turns like everybody";
  Lines control;
  EXPECT_GE(taken_before_the_newcomer(control, 4, 1), 3) << "control: without credit it takes turns";
}

TEST(FairClasses, WhatMayNotBeTakenIsPassedOver) {
  Lines lines;
  lines.push(0, "full", 1, 1);
  lines.push(1, "full", 1, 2);
  lines.push(1, "other", 1, 3);
  auto allowed = [](std::size_t, const std::string& party) { return party != "full"; };
  EXPECT_EQ(lines.take(allowed)->item, 3);
  EXPECT_FALSE(lines.take(allowed));
  EXPECT_EQ(lines.size("full"), 2u);
  lines.remove_if([](int item) { return item == 1; }, [](int) {});
  EXPECT_EQ(lines.size(), 1u);
}

}  // namespace
}  // namespace bulkhead::base
