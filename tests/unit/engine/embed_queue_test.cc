// Turns at the embedding model: interactive before background, tenants in turn, bounded shares.
#include "engine/embed_queue.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>

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
  Priority priority;
  double cost;
  base::CancelToken cancel = {};
  std::optional<base::Result<EmbedQueue::Turn>> answer = std::nullopt;
  bool inside() const { return answer && answer->ok(); }
};

base::Task<void> visit(EmbedQueue* queue, std::shared_ptr<Visit> who) {
  who->answer.emplace(
      co_await queue->enter(*base::TenantId::parse(who->tenant), 1, who->priority, who->cost, who->cancel));
}

class EmbedTurns : public ::testing::Test {
 protected:
  using VisitPtr = std::shared_ptr<Visit>;
  VisitPtr enter(EmbedQueue& queue, const std::string& tenant, Priority priority = Priority::Background,
                 double cost = 1) {
    auto who = std::make_shared<Visit>(Visit{tenant, priority, cost});
    visits_.push_back(who);
    base::spawn(steps_, visit(&queue, who));
    steps_.run();
    return who;
  }
  void leave(const VisitPtr& who) {
    who->answer.reset();
    steps_.run();
  }
  void TearDown() override {
    for (const auto& who : visits_) who->cancel.cancel(base::CancelReason::Shutdown);
    for (const auto& who : visits_) who->answer.reset();
    steps_.run();
  }
  Steps steps_;
  std::vector<VisitPtr> visits_;
};

TEST_F(EmbedTurns, DocumentsTakeNoTurnFromQuestions) {
  EmbedQueue queue;
  std::vector<VisitPtr> loading;
  for (int i = 0; i < 50; ++i) loading.push_back(enter(queue, "loader"));
  EXPECT_TRUE(enter(queue, "asker", Priority::Interactive)->inside());
  EXPECT_TRUE(enter(queue, "loader", Priority::Interactive)->inside()) << "also its own";

  EmbedQueue one({.capacity = 1, .interactive_per_tenant = 8, .background_max = 1, .line_max = 100});
  auto first = enter(one, "loader");
  auto second = enter(one, "loader");
  auto question = enter(one, "asker", Priority::Interactive);
  EXPECT_FALSE(question->inside()) << "control: with a single turn it waits for the one that runs";
  leave(first);
  EXPECT_TRUE(question->inside()) << "and for no other";
  EXPECT_FALSE(second->inside());
}

TEST_F(EmbedTurns, ATenantThatLoadsLeavesTurnsToOthers) {
  EmbedQueue queue;
  std::vector<VisitPtr> loading;
  for (int i = 0; i < 50; ++i) loading.push_back(enter(queue, "loader"));
  EXPECT_EQ(queue.inside(), 2u) << "half of those for the background";
  EXPECT_TRUE(enter(queue, "small")->inside());
  EXPECT_TRUE(enter(queue, "reindexed", Priority::Maintenance)->inside());
  EXPECT_FALSE(enter(queue, "late")->inside()) << "control: four are the most";
}

TEST_F(EmbedTurns, NoFloodOfOneTenantsQuestionsHoldsAllTurns) {
  EmbedQueue queue;
  for (int i = 0; i < 200; ++i) enter(queue, "flood", Priority::Interactive);
  EXPECT_EQ(queue.inside(), 8u);
  EXPECT_TRUE(enter(queue, "asker", Priority::Interactive)->inside());
  EXPECT_TRUE(enter(queue, "loader")->inside());
}

TEST_F(EmbedTurns, TenantsThatWaitGoByWhatTheyHadAndNotByWhoWasFirst) {
  EmbedQueue queue({.capacity = 1, .interactive_per_tenant = 8, .background_max = 1, .line_max = 1000});
  VisitPtr now = enter(queue, "a");
  std::vector<VisitPtr> waiting;
  for (int i = 0; i < 40; ++i) waiting.push_back(enter(queue, "a", Priority::Background, 3));
  for (int i = 0; i < 40; ++i) waiting.push_back(enter(queue, "b", Priority::Background, 1));
  std::map<std::string, int> served;
  for (int i = 0; i < 40; ++i) {
    leave(now);
    now = nullptr;
    for (const VisitPtr& each : waiting) {
      if (each->inside()) now = each;
    }
    ASSERT_TRUE(now);
    ++served[now->tenant];
  }
  EXPECT_NEAR(served["b"], 3 * served["a"], 3);
}

TEST_F(EmbedTurns, TheReembedderGoesLast) {
  EmbedQueue queue({.capacity = 1, .interactive_per_tenant = 8, .background_max = 1, .line_max = 100});
  auto now = enter(queue, "x");
  auto reindexed = enter(queue, "a", Priority::Maintenance);
  auto document = enter(queue, "b");
  auto question = enter(queue, "c", Priority::Interactive);
  leave(now);
  EXPECT_TRUE(question->inside());
  leave(question);
  EXPECT_TRUE(document->inside());
  leave(document);
  EXPECT_TRUE(reindexed->inside());
}

TEST_F(EmbedTurns, WhoLeavesTheLineIsPassedOverAndTheLineIsBounded) {
  EmbedQueue queue({.capacity = 1, .interactive_per_tenant = 1, .background_max = 1, .line_max = 2});
  auto now = enter(queue, "a");
  auto gone = enter(queue, "a");
  auto next = enter(queue, "a");
  auto refused = enter(queue, "a");
  ASSERT_TRUE(refused->answer);
  EXPECT_TRUE(refused->answer->error().is(EngineError::QueueFull));
  gone->cancel.cancel(base::CancelReason::ClientGone);
  steps_.run();
  ASSERT_TRUE(gone->answer);
  EXPECT_TRUE(gone->answer->error().is(EngineError::Cancelled));
  leave(now);
  EXPECT_TRUE(next->inside());
  leave(next);
  EXPECT_EQ(queue.inside(), 0u);
  EXPECT_EQ(queue.waiting(), 0u);
}

}  // namespace
}  // namespace bulkhead::engine
