#include "base/worker_pulse.h"

#include <gtest/gtest.h>

namespace bulkhead::base {
namespace {

using std::chrono::milliseconds;

// Looks every 250 ms until something stalls, for at most `looks`.
std::string stalled_after(PulseWatch& watch, PulsePage& page, int looks, bool ticks = true) {
  for (int i = 0; i < looks; ++i) {
    if (ticks) page.ticks.fetch_add(1);
    if (auto what = watch.look(page, milliseconds(250))) return *what + " at " + std::to_string(i);
  }
  return "";
}

TEST(PulseWatch, ALoopThatIsBusyMustBeat) {
  PulsePage page;
  PulseWatch watch(milliseconds(1'000));
  LoopPulse loop(page.loops[1]);
  EXPECT_EQ(stalled_after(watch, page, 20), "") << "idle loops owe nothing";
  loop.busy(true);
  for (int i = 0; i < 20; ++i) {
    loop.beat();
    EXPECT_EQ(stalled_after(watch, page, 1), "");
  }
  EXPECT_EQ(stalled_after(watch, page, 20), "loop 1 at 3");
}

TEST(PulseWatch, AProcessThatDoesNotRunIsSeenThoughItIsIdle) {
  PulsePage page;
  PulseWatch watch(milliseconds(1'000));
  EXPECT_EQ(stalled_after(watch, page, 5), "");
  EXPECT_EQ(stalled_after(watch, page, 20, false), "process at 3");
}

TEST(PulseWatch, AWatcherThatWasStoppedTakesNobodyForDead) {
  PulsePage page;
  PulseWatch watch(milliseconds(5'000));
  LoopPulse loop(page.loops[0]);
  loop.busy(true);
  static_cast<void>(watch.look(page, milliseconds(0)));
  EXPECT_FALSE(watch.look(page, milliseconds(600'000)));
}

TEST(PulsePageTest, SaysWhichRequestsItIsAt) {
  PulsePage page;
  LoopPulse(page.loops[0]).at_request("req_1");
  LoopPulse(page.loops[1]).at_request("req_1");
  LoopPulse(page.loops[2]).at_request(std::string(200, 'x'));
  EXPECT_EQ(requests_of(page), (std::vector<std::string>{"req_1", std::string(64, 'x')}));
  LoopPulse(page.loops[0]).at_request("");
  LoopPulse(page.loops[1]).at_request("");
  EXPECT_EQ(requests_of(page).size(), 1u);
  LoopPulse nowhere;
  nowhere.busy(true);
  nowhere.at_request("req_2");
}

TEST(PulsePageTest, IsOneMemoryOnBothSides) {
  int descriptor = -1;
  auto ours = PulseMemory::make(descriptor);
  ASSERT_TRUE(ours);
  auto theirs = PulseMemory::open(descriptor);
  ASSERT_TRUE(theirs);
  LoopPulse((*theirs)->page().loops[3]).busy(true);
  EXPECT_EQ((*ours)->page().loops[3].busy.load(), 1u);
}

}  // namespace
}  // namespace bulkhead::base
