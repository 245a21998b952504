// Admission to the engine, round-robin between tenants (I8): properties over random traces.
#include "engine/fair_queue.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <random>

namespace bulkhead::engine {
namespace {

// Runs what was posted when it is told to.
class Steps final : public base::Executor {
 public:
  void post(std::function<void()> work) override { queue_.push_back(std::move(work)); }
  void run() {
    Running running(this);
    while (!queue_.empty()) {
      auto work = std::move(queue_.front());
      queue_.pop_front();
      work();
    }
  }

 private:
  std::deque<std::function<void()>> queue_;
};

struct Visit {
  std::string tenant;
  base::CancelToken cancel;
  std::optional<base::Result<FairQueue::Place>> answer;
  bool inside() const { return answer && answer->ok(); }
};

base::Task<void> visit(FairQueue* queue, std::shared_ptr<Visit> who) {
  who->answer.emplace(co_await queue->enter(*base::TenantId::parse(who->tenant), who->cancel));
}

class Queueing : public ::testing::Test {
 protected:
  std::shared_ptr<Visit> enter(FairQueue& queue, const std::string& tenant) {
    auto who = std::make_shared<Visit>();
    who->tenant = tenant;
    visits_.push_back(who);
    base::spawn(steps_, visit(&queue, who));
    steps_.run();
    return who;
  }
  void leave(Visit& who) {
    who.answer.reset();
    steps_.run();
  }
  // Nobody is left waiting for ever.
  void TearDown() override {
    for (const auto& who : visits_) who->cancel.cancel(base::CancelReason::Abandoned);
    for (const auto& who : visits_) who->answer.reset();
    steps_.run();
  }
  Steps steps_;
  std::vector<std::shared_ptr<Visit>> visits_;
};

TEST_F(Queueing, AThousandOfOneTenantDelayAnothersFirstByOneTurn) {
  FairQueue queue(1, 1000);
  auto first = enter(queue, "loud");
  std::vector<std::shared_ptr<Visit>> crowd;
  for (int i = 0; i < 1000; ++i) crowd.push_back(enter(queue, "loud"));
  auto quiet = enter(queue, "quiet");
  EXPECT_FALSE(quiet->inside());
  leave(*first);
  ASSERT_TRUE(crowd[0]->inside()) << "the line that was there first has the first turn";
  leave(*crowd[0]);
  EXPECT_TRUE(quiet->inside()) << "then the other tenant, not the next of the thousand";
  EXPECT_FALSE(crowd[1]->inside());
}

TEST_F(Queueing, ALineIsBoundedForItsOwnTenantOnly) {
  FairQueue queue(1, 2);
  auto inside = enter(queue, "a");
  auto one = enter(queue, "a"), two = enter(queue, "a"), three = enter(queue, "a");
  ASSERT_TRUE(three->answer && !three->answer->ok());
  EXPECT_TRUE(three->answer->error().is(EngineError::QueueFull));
  EXPECT_FALSE(enter(queue, "b")->answer) << "another tenant still waits in its own line";
  EXPECT_EQ(queue.waiting(), 3u);
}

TEST_F(Queueing, ACancelledWaiterLeavesItsLineAndTakesNoPlace) {
  FairQueue queue(1, 10);
  auto inside = enter(queue, "a");
  auto gone = enter(queue, "b"), next = enter(queue, "b");
  gone->cancel.cancel(base::CancelReason::ClientGone);
  steps_.run();
  ASSERT_TRUE(gone->answer && !gone->answer->ok());
  EXPECT_TRUE(gone->answer->error().is(EngineError::Cancelled));
  EXPECT_EQ(queue.waiting(), 1u);
  leave(*inside);
  EXPECT_TRUE(next->inside());
  leave(*next);
  EXPECT_EQ(queue.inside(), 0u);
}

TEST_F(Queueing, WithATenantsBoundOneLeavesRoomForAnotherThatIsNotThereYet) {
  FairQueue queue(2, 10, 1);
  auto first = enter(queue, "a");
  auto second = enter(queue, "a");
  EXPECT_FALSE(second->inside());
  auto other = enter(queue, "b");
  EXPECT_TRUE(other->inside());
  leave(*other);
  EXPECT_FALSE(second->inside()) << "still one of its own inside";
  leave(*first);
  EXPECT_TRUE(second->inside());

  FairQueue control(2, 10);
  enter(control, "a");
  EXPECT_TRUE(enter(control, "a")->inside());
  EXPECT_FALSE(enter(control, "b")->inside()) << "control: without the bound both places are the tenant's";
}

// Ten thousand random arrivals, ends and cancellations.
TEST_F(Queueing, RandomTracesKeepEveryPromise) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    std::mt19937 random(seed);
    const std::size_t capacity = 1 + seed % 4;
    FairQueue queue(capacity, 8);
    std::map<std::string, std::deque<std::shared_ptr<Visit>>> waiting;
    std::vector<std::shared_ptr<Visit>> inside;
    // How often each tenant was admitted since the other one's line was last served or empty.
    std::map<std::pair<std::string, std::string>, int> overtaken;
    auto sweep = [&] {
      for (auto& [tenant, line] : waiting) {
        std::erase_if(line, [](const auto& who) { return who->answer && !who->answer->ok(); });
      }
      for (auto& [tenant, line] : waiting) {
        for (std::size_t i = 1; i < line.size(); ++i) {
          ASSERT_FALSE(line[i]->inside() && !line[i - 1]->inside()) << "first come, first served";
        }
        while (!line.empty() && line.front()->inside()) {
          inside.push_back(line.front());
          line.pop_front();
          for (auto& [other, others] : waiting) {
            overtaken[{other, tenant}] = 0;
            if (other == tenant || others.empty()) continue;
            // One admission at a time, so the others' lines stood through it.
            int times = ++overtaken[{tenant, other}];
            ASSERT_LE(times, 1) << tenant << " had a second turn before " << other << " had one, seed "
                                << seed;
          }
        }
        if (line.empty()) {
          for (auto& [other, others] : waiting) overtaken[{other, tenant}] = 0;
        }
      }
      std::size_t standing = 0;
      for (auto& [tenant, line] : waiting) standing += line.size();
      ASSERT_EQ(queue.inside(), inside.size());
      ASSERT_LE(queue.inside(), capacity);
      ASSERT_EQ(queue.waiting(), standing);
      ASSERT_TRUE(standing == 0 || queue.inside() == capacity) << "no place is idle while someone waits";
    };
    for (int step = 0; step < 500; ++step) {
      unsigned what = static_cast<unsigned>(random()) % 10;
      std::string tenant(1, static_cast<char>('a' + random() % 4));
      if (what < 5) {
        auto who = enter(queue, tenant);
        if (who->inside()) {
          inside.push_back(who);
        } else if (!who->answer) {
          waiting[tenant].push_back(who);
        }
      } else if (what < 9 && !inside.empty()) {
        std::size_t which = random() % inside.size();
        auto who = inside[which];
        inside.erase(inside.begin() + static_cast<std::ptrdiff_t>(which));
        leave(*who);
      } else if (!waiting[tenant].empty()) {
        waiting[tenant][random() % waiting[tenant].size()]->cancel.cancel(base::CancelReason::ClientGone);
        steps_.run();
      }
      sweep();
      if (HasFatalFailure()) return;
    }
  }
}

}  // namespace
}  // namespace bulkhead::engine
