#include "base/fair_lines.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace bulkhead::base {
namespace {

struct Request {
  int prompt = 0, answer = 0;
};

// A server of `slots` places that reads a prompt when it takes a request and then gives one token a step:
// the paper's model, with its weights of 1 a prompt token and 2 an answer token.
class Server {
 public:
  Server(std::size_t slots, bool fair) : slots_(slots), fair_(fair) {}

  void arrive(int party, Request request, double weight = 1) {
    std::string name(1, static_cast<char>('a' + party));
    weights_[name] = weight;
    if (!fair_) first_come_.push_back({name, request});
    lines_.push(name, weight, 0, request);
  }
  bool waits(int party) const { return lines_.size(std::string(1, static_cast<char>('a' + party))) > 0; }
  double served(int party) { return served_[std::string(1, static_cast<char>('a' + party))]; }

  void step() {
    while (running_.size() < slots_ && !lines_.empty()) take();
    for (auto at = running_.begin(); at != running_.end();) {
      give(at->first, kAnswerCost);
      at = --at->second.answer > 0 ? at + 1 : running_.erase(at);
    }
  }

 private:
  static constexpr double kAnswerCost = 2;
  void take() {
    std::pair<std::string, Request> next;
    if (fair_) {
      next = *lines_.take();
    } else {
      next = first_come_.front();
      first_come_.pop_front();
      lines_.take(next.first);
    }
    give(next.first, next.second.prompt);
    running_.push_back(next);
  }
  void give(const std::string& name, double cost) {
    lines_.charge(name, cost);
    served_[name] += cost / weights_[name];
  }

  std::size_t slots_;
  bool fair_;
  FairLines<Request> lines_;
  std::deque<std::pair<std::string, Request>> first_come_;
  std::vector<std::pair<std::string, Request>> running_;
  std::map<std::string, double> served_, weights_;
};

constexpr int kPromptMax = 300, kAnswerMax = 60;
constexpr std::size_t kSlots = 6;
// 2 * max(cost of one prompt, cost of all the answers that can be under way).
constexpr double kBound = 2.0 * std::max<double>(kPromptMax, 2.0 * kAnswerMax * kSlots);

// The greatest lead that one of two parties has over the other within any stretch in which both wait.
double greatest_lead(unsigned seed, bool fair, double weight_a) {
  std::mt19937 random(seed);
  auto below = [&random](int n) { return std::uniform_int_distribution<int>(0, n - 1)(random); };
  Server server(kSlots, fair);
  double start[2] = {0, 0}, worst = 0;
  bool both = false;
  // One floods in bursts, one asks steadily, a third comes and goes.
  for (int step = 0; step < 20'000; ++step) {
    auto request = [&] { return Request{1 + below(kPromptMax), 1 + below(kAnswerMax)}; };
    if (step % 200 == 0) {
      for (int i = below(80); i > 0; --i) server.arrive(0, request(), weight_a);
    }
    if (below(8) == 0) server.arrive(1, request());
    if (below(25) == 0) server.arrive(2, request());
    server.step();
    bool now = server.waits(0) && server.waits(1);
    if (now && !both) {
      start[0] = server.served(0);
      start[1] = server.served(1);
    }
    both = now;
    if (both) {
      worst = std::max(worst, std::abs((server.served(0) - start[0]) - (server.served(1) - start[1])));
    }
  }
  return worst;
}

TEST(FairLines, TheLeadOfOneOverAnotherStaysWithinThePublishedBound) {
  for (unsigned seed = 1; seed <= 40; ++seed) {
    EXPECT_LE(greatest_lead(seed, true, 1), kBound) << "seed " << seed;
    EXPECT_LE(greatest_lead(seed, true, 3), kBound) << "seed " << seed << ", weight 3";
  }
}

TEST(FairLines, ControlFirstComeFirstServedPassesTheBound) {
  int passed = 0;
  for (unsigned seed = 1; seed <= 40; ++seed) passed += greatest_lead(seed, false, 1) > kBound;
  EXPECT_GT(passed, 30);
}

TEST(FairLines, WhoeverComesBackFromIdlenessHasSavedUpNothing) {
  FairLines<int> lines;
  lines.push("busy", 1, 0, 1);
  lines.push("busy", 1, 0, 2);
  EXPECT_EQ(lines.take()->first, "busy");
  lines.charge("busy", 1'000);
  lines.push("late", 1, 0, 3);
  EXPECT_EQ(lines.counter("late"), 1'000);
  lines.charge("late", 1);
  EXPECT_EQ(lines.take()->first, "busy");
}

TEST(FairLines, NobodyEscapesItsCounterByGoingAway) {
  FairLines<int> lines;
  lines.push("greedy", 1, 0, 1);
  lines.take();
  lines.charge("greedy", 5'000);
  lines.push("modest", 1, 0, 1);
  lines.take();
  lines.charge("modest", 10);
  lines.push("modest", 1, 0, 2);
  lines.push("greedy", 1, 0, 2);
  EXPECT_EQ(lines.take()->first, "modest");
}

TEST(FairLines, ClassesGoInOrderInsideAPartyAndWhatIsPutBackGoesFirst) {
  FairLines<int> lines;
  lines.push("a", 1, 1, 10);
  lines.push("a", 1, 0, 20);
  lines.push("a", 1, 0, 21);
  lines.push_front("a", 1, 5);
  std::vector<int> order;
  while (auto next = lines.take()) order.push_back(next->second);
  EXPECT_EQ(order, (std::vector<int>{5, 20, 21, 10}));
}

TEST(FairLines, RemovedItemsAreHandedOutAndCounted) {
  FairLines<int> lines;
  for (int i = 0; i < 6; ++i) lines.push(i % 2 ? "a" : "b", 1, 0, i);
  std::vector<int> gone;
  lines.remove_if([](int item) { return item < 4; }, [&](int item) { gone.push_back(item); });
  EXPECT_EQ(gone.size(), 4u);
  EXPECT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines.size("a"), 1u);
  EXPECT_EQ(lines.parties(), 2u);
}

TEST(FairLines, ManyIdlePartiesAreForgottenButNoWaitingOne) {
  FairLines<int> lines;
  lines.push("waits", 1, 0, 1);
  for (int i = 0; i < 4'000; ++i) {
    std::string name = "p" + std::to_string(i);
    lines.push(name, 1, 0, i);
    lines.take(name);
    lines.charge(name, 100);
  }
  EXPECT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines.counter("p0"), 0) << "forgotten";
  EXPECT_EQ(lines.counter("p3999"), 100);
  EXPECT_EQ(lines.take()->first, "waits");
}

}  // namespace
}  // namespace bulkhead::base
