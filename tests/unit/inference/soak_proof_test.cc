// Eight slots, facts of four tenants, cancelled and repeated requests, kept prefixes: no answer ever holds
// another tenant's fact. SOAK_ROUNDS sets how long (6).
#include <cstdlib>
#include <random>

#include "support.h"

namespace bulkhead::inference {
namespace {

using namespace test;

const std::string kFacts[] = {"marigold", "obsidian", "pelican", "turnstile"};

std::string question(const std::string& fact) {
  return "The password is " + fact + ". Repeat the password: what is the password? " + words(20, 3);
}

struct Asked {
  std::size_t tenant;
  std::shared_ptr<GenerationChannel> channel;
  base::CancelToken cancel;
  bool cancelled;
};

TEST(SoakProof, NoAnswerEverHoldsAnotherTenantsFact) {
  const char* text = std::getenv("SOAK_ROUNDS");
  int rounds = text ? std::max(1, std::atoi(text)) : 6;
  auto engine = scheduler({.slots = 8, .context = 512});
  std::mt19937 random(11);
  auto below = [&random](unsigned n) { return std::uniform_int_distribution<unsigned>(0, n - 1)(random); };
  int own = 0, foreign = 0, answers = 0;
  for (int round = 0; round < rounds; ++round) {
    std::vector<Asked> asked;
    for (int i = 0; i < 14; ++i) {
      std::size_t tenant = below(4);
      auto scope = static_cast<PrefixScope>(below(3));
      auto context = who("tenant" + std::to_string(tenant), "s" + std::to_string(below(3)), scope);
      context.exclusive = below(8) == 0;
      auto generation = ask(context, question(kFacts[tenant]), 6 + below(10));
      generation->request.n = below(6) == 0 ? 2 : 1;
      generation->request.sampling.temperature = below(2);
      asked.push_back({tenant, generation->channel, generation->cancel, below(5) == 0});
      ASSERT_TRUE(engine->submit(std::move(generation)));
    }
    for (Asked& one : asked) {
      if (one.cancelled) one.cancel.cancel(base::CancelReason::Abandoned);
    }
    engine->wake();
    for (Asked& one : asked) {
      Answered answer = wait_for(one.channel);
      EXPECT_TRUE(answer.error.empty() || one.cancelled) << answer.error;
      for (const std::string& said : answer.texts) {
        ++answers;
        for (std::size_t tenant = 0; tenant < 4; ++tenant) {
          if (said.find(kFacts[tenant]) == std::string::npos) continue;
          (tenant == one.tenant ? own : foreign) += 1;
        }
      }
    }
  }
  std::printf("  %d answers, %d with their own tenant's fact, %d with another's\n", answers, own, foreign);
  EXPECT_EQ(foreign, 0);
  EXPECT_GT(own, answers / 20) << "control: a fact that is in the prompt does come out";
}

}  // namespace
}  // namespace bulkhead::inference
