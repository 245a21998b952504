#include "inference/lookahead.h"

#include "support.h"

namespace bulkhead::inference {
namespace {

using namespace test;

// Guessing is all but free: what a test that needs guesses is given, since a measured cost may forbid them.
constexpr double kFree = 0.01;

TEST(Lookahead, GuessesWhatFollowedTheLongestLikeness) {
  EXPECT_EQ(guess_next({1, 2, 3, 9, 2, 3, 7, 1, 2}, 3, 3), (Tokens{9, 2, 3})) << "three alike beat two";
  EXPECT_EQ(guess_next({5, 6, 8, 5, 6, 9, 5}, 6, 1), (Tokens{9})) << "the latest of equal ones";
  EXPECT_EQ(guess_next({4, 4, 4}, 4, 2), (Tokens{4})) << "up to the end: the next token itself";
  EXPECT_EQ(guess_next({1, 2, 3}, 2, 4), Tokens()) << "one token alike is no likeness";
  EXPECT_EQ(guess_next({1, 2, 3, 1}, 2, 0), Tokens());
  EXPECT_EQ(guess_next({}, 2, 4), Tokens());
}

TEST(Lookahead, IsWorthWhileWhereStepsAreCheapAndGuessesComeTrue) {
  GuessRecord record;
  EXPECT_GT(record.worth(StepCost(1, kFree), 1), 4u);
  EXPECT_EQ(record.worth(StepCost(1, 1), 1), 0u) << "a token more costs as much as a step";
  EXPECT_LT(record.worth(StepCost(1, 0.2), 16), record.worth(StepCost(1, 0.2), 1))
      << "a full batch is no idle one";
  record.add(40, 40);
  EXPECT_EQ(record.worth(StepCost(1, 0.2), 1), 1u)
      << "a second one would stretch the step to 1.4 of its time";
  EXPECT_EQ(record.worth(StepCost(1, 0.1), 1), 3u);
  record.add(40, 0);
  EXPECT_EQ(record.worth(StepCost(1, 0.2), 1), 0u) << "nothing came true";
  for (int i = 0; i < 200; ++i) record.pass();
  EXPECT_GT(record.worth(StepCost(1, 0.2), 1), 0u) << "old failures are forgotten";
}

std::shared_ptr<Generation> copy_task(const std::string& tenant) {
  return ask(who(tenant), "Repeat this text word by word, three times: " + words(40, 7), 96);
}

TEST(Lookahead, AnswersAreTheSameAndTakeFewerSteps) {
  auto guessing = scheduler({.step_cost = StepCost(1, kFree)});
  auto plain = scheduler({.lookahead = false});
  Answered with = run(*guessing, copy_task("acme"));
  Answered without = run(*plain, copy_task("acme"));
  EXPECT_EQ(with.error, "");
  EXPECT_EQ(with.texts, without.texts);
  EXPECT_EQ(with.result.completion_tokens, without.result.completion_tokens);
  EXPECT_GT(guessing->stats().guessed_right.load(), 20u);
  EXPECT_EQ(plain->stats().guessed_tokens.load(), 0u);
  EXPECT_LT(guessing->stats().steps.load() + 20, plain->stats().steps.load());
  EXPECT_TRUE(with.result.burn.verified());
  // The cells of wrong guesses count among those that were erased.
  EXPECT_GE(with.result.burn.tokens_erased, without.result.burn.tokens_erased);
}

TEST(Lookahead, StopsWhereTheAnswerStops) {
  auto guessing = scheduler({.step_cost = StepCost(1, kFree)});
  auto plain = scheduler({.lookahead = false});
  for (std::int64_t most : {1, 2, 7, 33}) {
    auto task = copy_task("acme");
    task->request.max_tokens = most;
    EXPECT_EQ(run(*guessing, task).result.completion_tokens, most);
  }
  auto stopped = [](Scheduler& engine) {
    auto task = copy_task("acme");
    task->request.stop = {"river"};
    return run(engine, task);
  };
  EXPECT_EQ(stopped(*guessing).texts, stopped(*plain).texts);
}

// Tokens guessed while acme's answer and one of `other` run side by side.
std::uint64_t guessed_beside(const std::string& other) {
  auto engine = scheduler({.slots = 2, .step_cost = StepCost(1, kFree)});
  auto endless = ask(who(other, "t"), "Tell a long story.", 900);
  endless->request.sampling.logit_bias = {{llama_vocab_eos(model().vocab()), -100.0f}};
  auto endless_channel = endless->channel;
  EXPECT_TRUE(engine->submit(endless).ok());
  while (engine->stats().active.load() < 1) std::this_thread::yield();
  auto task = copy_task("acme");
  auto channel = task->channel;
  EXPECT_TRUE(engine->submit(task).ok());
  while (engine->stats().active.load() < 2) std::this_thread::yield();
  std::uint64_t before = engine->stats().guessed_tokens.load();
  EXPECT_EQ(wait_for(channel).error, "");
  std::uint64_t after = engine->stats().guessed_tokens.load();
  EXPECT_EQ(engine->stats().active.load(), 1u) << "the other answer ended first: nothing was shown";
  endless->cancel.cancel(base::CancelReason::Abandoned);
  engine->wake();
  EXPECT_EQ(wait_for(endless_channel).error, "cancelled");
  return after - before;
}

TEST(Lookahead, Aisvs_5_3_2_NobodyElsesStepsGrow) { EXPECT_EQ(guessed_beside("zenith"), 0u); }
TEST(Lookahead, ControlOnesOwnStepsGrow) { EXPECT_GT(guessed_beside("acme"), 0u); }

TEST(Lookahead, ExclusiveAnswersAreNotGuessed) {
  auto engine = scheduler({.step_cost = StepCost(1, kFree)});
  auto task = copy_task("acme");
  task->request.context.exclusive = true;
  EXPECT_EQ(run(*engine, task).error, "");
  EXPECT_EQ(engine->stats().guessed_tokens.load(), 0u);
}

}  // namespace
}  // namespace bulkhead::inference
