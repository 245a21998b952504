#include "inference/scheduler.h"

#include <cmath>
#include <set>

#include "support.h"

namespace bulkhead::inference {
namespace {

using namespace test;
using namespace std::chrono_literals;

TEST(Scheduler, AnswersAndBurns) {
  auto engine = scheduler();
  Answered answer = run(*engine, ask(who("acme"), "What is the capital of France?", 12));
  EXPECT_EQ(answer.error, "");
  EXPECT_NE(answer.texts.at(0).find("Paris"), std::string::npos) << answer.texts.at(0);
  EXPECT_TRUE(answer.result.burn.verified());
  EXPECT_GT(answer.result.burn.find(base::Memory::KvRows)->bytes, 0u);
  EXPECT_EQ(answer.result.burn.tokens_kept, 0u);
  EXPECT_EQ(answer.result.cached_tokens, 0);
}

// --- kept prefixes: each dimension of the key, as a pair of a hit and a miss -------------------------

struct Pair {
  const char* name;
  RequestContext first, second;
  bool hits;
};

class KeptPrefix : public testing::TestWithParam<Pair> {};

TEST_P(KeptPrefix, IsReusedInsideItsKeyOnly) {
  auto engine = scheduler();
  std::string text = words(120, 1);
  Answered first = run(*engine, ask(GetParam().first, text));
  EXPECT_EQ(first.result.cached_tokens, 0);
  Answered second = run(*engine, ask(GetParam().second, text));
  EXPECT_EQ(second.error, "");
  EXPECT_EQ(second.result.cached_tokens > 100, GetParam().hits) << second.result.cached_tokens;
}

INSTANTIATE_TEST_SUITE_P(
    Keys, KeptPrefix,
    testing::Values(
        Pair{"SameSession", who("a", "s", PrefixScope::Session), who("a", "s", PrefixScope::Session), true},
        Pair{"OtherSession", who("a", "s", PrefixScope::Session), who("a", "t", PrefixScope::Session), false},
        Pair{"OtherTenant", who("a", "s", PrefixScope::Session), who("b", "s", PrefixScope::Session), false},
        Pair{"SameTenant", who("a", "s", PrefixScope::Tenant), who("a", "t", PrefixScope::Tenant), true},
        Pair{"OtherTenantInTenantMode", who("a", "s", PrefixScope::Tenant),
             who("b", "s", PrefixScope::Tenant), false},
        Pair{"TenantModeDoesNotSeeSessions", who("a", "s", PrefixScope::Session),
             who("a", "s", PrefixScope::Tenant), false},
        Pair{"Off", who("a", "s"), who("a", "s"), false},
        Pair{"OffDoesNotRead", who("a", "s", PrefixScope::Session), who("a", "s"), false}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(Scheduler, ASecondTurnReadsOnlyWhatIsNew) {
  auto engine = scheduler();
  auto context = who("acme", "s", PrefixScope::Session);
  std::vector<ChatMessage> chat = {{"user", words(150, 3) + ". Say yes.", {}, ""}};
  auto turn = [&](const std::vector<ChatMessage>& messages) {
    auto generation = ask(context, "");
    generation->request.prompt = *model().tokenize_chat(messages);
    return run(*engine, generation);
  };
  Answered first = turn(chat);
  chat.push_back({"assistant", first.texts.at(0), {}, ""});
  chat.push_back({"user", "And now?", {}, ""});
  Answered second = turn(chat);
  EXPECT_GE(second.result.cached_tokens, first.result.prompt_tokens);
  // The same without a cache: the reuse changes no answer beyond the rounding of other batch shapes.
  context.prefix = PrefixScope::Off;
  Answered plain = turn(chat);
  EXPECT_EQ(plain.result.cached_tokens, 0);
  EXPECT_EQ(second.texts.at(0), plain.texts.at(0));
}

TEST(Scheduler, KeptPrefixesAreBurnedByCommandAndByTime) {
  auto engine = scheduler();
  auto context = who("acme", "s", PrefixScope::Session);
  std::string text = words(120, 4);
  Answered first = run(*engine, ask(context, text));
  EXPECT_GT(first.result.burn.tokens_kept, 100u);
  EXPECT_EQ(first.result.burn.reuse, base::RowsReuse::Session) << "and the report says who may match them";
  EXPECT_EQ(first.result.burn.reuse_seconds, 300u);
  base::BurnReport other = base::run_blocking(engine->burn_kept("acme", "another"));
  EXPECT_EQ(other.prefixes, 0u);
  base::BurnReport burned = base::run_blocking(engine->burn_kept("acme", "s"));
  EXPECT_EQ(burned.prefixes, 1u);
  EXPECT_TRUE(burned.verified());
  EXPECT_EQ(run(*engine, ask(context, text)).result.cached_tokens, 0);
  EXPECT_EQ(base::run_blocking(engine->burn_kept("other", std::nullopt)).prefixes, 0u);
  EXPECT_EQ(base::run_blocking(engine->burn_kept("acme", std::nullopt)).prefixes, 1u);

  context.prefix_lifetime = 0s;
  run(*engine, ask(context, text));
  EXPECT_EQ(run(*engine, ask(context, text)).result.cached_tokens, 0) << "its time is over";
}

// --- fairness ------------------------------------------------------------------------------------------

TEST(Scheduler, ATenantBelowItsShareIsServedBeforeAFloodEnds) {
  auto engine = scheduler({.slots = 2, .line_max = 1000});
  std::vector<std::shared_ptr<GenerationChannel>> flood;
  for (unsigned i = 0; i < 5; ++i) {
    auto generation = ask(who("flood"), words(30, i) + ". Tell a long story.", 60);
    flood.push_back(generation->channel);
    ASSERT_TRUE(engine->submit(std::move(generation)));
  }
  while (engine->stats().active < 2) std::this_thread::yield();
  std::uint64_t before = engine->stats().generated_tokens;
  Answered quick = run(*engine, ask(who("modest"), "Say yes.", 4));
  EXPECT_EQ(quick.error, "");
  EXPECT_GT(engine->stats().set_aside, 0u);
  // One answer of the flood alone is 60 tokens.
  EXPECT_LT(engine->stats().generated_tokens - before, 60u);
  for (auto& channel : flood) EXPECT_EQ(wait_for(channel).error, "");
}

// What was set aside goes on as if nothing had happened: compared bit by bit.
// Steps until a long prompt was read, in the last of four slots, two of which are its tenant's already.
std::uint64_t steps_to_read(const std::string& fourth) {
  auto engine = scheduler({.slots = 4, .context = 2048, .lookahead = false});
  std::vector<std::pair<Token, float>> never_ending;
  const auto tokens = llama_vocab_n_tokens(llama_model_get_vocab(model().handle()));
  for (Token token = 0; token < tokens; ++token) {
    if (model().ends_generation(token)) never_ending.push_back({token, -100});
  }
  std::vector<std::shared_ptr<Generation>> others;
  for (const std::string& tenant : {std::string("loud"), std::string("loud"), fourth}) {
    others.push_back(ask(who(tenant), "Tell a long story.", 1'500));
    others.back()->request.sampling.logit_bias = never_ending;
    EXPECT_TRUE(engine->submit(others.back()));
  }
  while (engine->stats().active < 3) std::this_thread::yield();
  const std::uint64_t before = engine->stats().steps;
  EXPECT_EQ(run(*engine, ask(who("loud"), words(400, 5), 1)).error, "");
  const std::uint64_t steps = engine->stats().steps - before;
  EXPECT_EQ(engine->stats().active, 3u) << "all others still write";
  for (const auto& other : others) other->cancel.cancel(base::CancelReason::Abandoned);
  engine->wake();
  return steps;
}

TEST(Scheduler, APromptInABorrowedSlotIsReadInSmallPieces) {
  const std::uint64_t borrowed = steps_to_read("other"), own = steps_to_read("loud");
  EXPECT_GE(borrowed, 10u) << "400 tokens and more, 40 a step";
  EXPECT_LT(own, borrowed) << "control: nobody else to wait for it";
}

TEST(Scheduler, WhatWasSetAsideGoesOnUnchanged) {
  auto engine = scheduler({.slots = 2});
  auto request = [](const char* text) {
    auto context = who("slow");
    context.exclusive = true;
    auto generation = ask(context, text, 40);
    generation->request.sampling.top_logprobs = 2;
    return generation;
  };
  const char* kStory = "Tell a long story about the sea.";
  Answered alone = run(*engine, request(kStory));
  auto first = request("Tell a long story about a town."), second = request(kStory);
  auto first_channel = first->channel, second_channel = second->channel;
  std::uint64_t before = engine->stats().generated_tokens;
  ASSERT_TRUE(engine->submit(std::move(first)));
  ASSERT_TRUE(engine->submit(std::move(second)));
  while (engine->stats().generated_tokens - before < 12) std::this_thread::yield();
  EXPECT_EQ(run(*engine, ask(who("quick"), "Say yes.", 2)).error, "");
  Answered disturbed = wait_for(second_channel);
  wait_for(first_channel);
  EXPECT_EQ(engine->stats().set_aside, 1u);
  EXPECT_EQ(disturbed.texts, alone.texts);
  ASSERT_EQ(disturbed.logprobs.size(), alone.logprobs.size());
  for (std::size_t i = 0; i < alone.logprobs.size(); ++i) {
    EXPECT_EQ(disturbed.logprobs[i].logprob, alone.logprobs[i].logprob) << i;
  }
}

// --- exclusive batches ---------------------------------------------------------------------------------

std::vector<float> first_logprobs(Scheduler& engine, bool exclusive, bool busy) {
  std::vector<std::shared_ptr<GenerationChannel>> others;
  std::vector<base::CancelToken> cancels;
  if (busy) {
    for (unsigned i = 0; i < 3; ++i) {
      auto generation = ask(who("neighbour" + std::to_string(i)), words(40, i) + ". Tell a story.", 2'000);
      others.push_back(generation->channel);
      cancels.push_back(generation->cancel);
      EXPECT_TRUE(engine.submit(std::move(generation)));
    }
    while (engine.stats().active < 3) std::this_thread::yield();
  }
  auto context = who("careful");
  context.exclusive = exclusive;
  auto generation = ask(context, words(300, 9) + ". Describe the harbour.", 8);
  generation->request.sampling.top_logprobs = 5;
  Answered answer = run(engine, generation);
  EXPECT_EQ(answer.error, "");
  for (auto& cancel : cancels) cancel.cancel(base::CancelReason::Abandoned);
  engine.wake();
  for (auto& channel : others) wait_for(channel);
  std::vector<float> out;
  for (const TokenLogprob& token : answer.logprobs) {
    out.push_back(token.logprob);
    for (const auto& [text, logprob] : token.top) out.push_back(logprob);
  }
  return out;
}

TEST(Scheduler, Aisvs_5_3_1_ExclusiveNumbersDoNotDependOnWhoElseIsServed) {
  auto engine = scheduler({.slots = 4, .context = 1024});
  std::vector<float> alone = first_logprobs(*engine, true, false);
  ASSERT_FALSE(alone.empty());
  EXPECT_EQ(alone, first_logprobs(*engine, true, true));
  EXPECT_EQ(alone, first_logprobs(*engine, true, false)) << "and they repeat";
}

TEST(Scheduler, ControlSharedNumbersShowTheCompany) {
  auto engine = scheduler({.slots = 4, .context = 1024});
  std::vector<float> alone = first_logprobs(*engine, false, false);
  EXPECT_NE(alone, first_logprobs(*engine, false, true));
}

// --- what can be asked for -----------------------------------------------------------------------------

TEST(Scheduler, SeveralAnswersToOnePromptReadItOnce) {
  auto engine = scheduler();
  auto generation = ask(who("acme"), words(200, 5) + ". Go on.", 6);
  generation->request.n = 3;
  generation->request.sampling.temperature = 1.5;
  generation->request.sampling.seed = 7;
  // The model's end tokens: no answer is over before its six tokens are.
  generation->request.sampling.logit_bias = {{0, -1000.0f}, {2, -1000.0f}};
  std::uint64_t before = engine->stats().prompt_tokens;
  auto prompt = generation->request.prompt.size();
  Answered answer = run(*engine, generation);
  ASSERT_EQ(answer.texts.size(), 3u) << answer.error;
  EXPECT_EQ(answer.result.completion_tokens, 18);
  EXPECT_EQ(answer.result.prompt_tokens, static_cast<std::int64_t>(prompt));
  EXPECT_LE(engine->stats().prompt_tokens - before, prompt + 2);
  EXPECT_TRUE(answer.texts[0] != answer.texts[1] || answer.texts[1] != answer.texts[2]);
  for (const std::string& reason : answer.reasons) EXPECT_EQ(reason, "length");
}

TEST(Scheduler, LogprobsAreProbabilities) {
  auto engine = scheduler();
  auto generation = ask(who("acme"), "What is the capital of France?", 5);
  generation->request.sampling.top_logprobs = 20;
  Answered answer = run(*engine, generation);
  ASSERT_EQ(answer.logprobs.size(), 5u);
  std::string joined;
  for (const TokenLogprob& token : answer.logprobs) {
    joined += token.bytes;
    double sum = 0;
    for (const auto& [text, logprob] : token.top) sum += std::exp(static_cast<double>(logprob));
    EXPECT_GT(sum, 0.2);
    EXPECT_LE(sum, 1.0001);
    EXPECT_EQ(token.logprob, token.top.at(0).second) << "greedy takes the likeliest";
  }
  EXPECT_EQ(joined, answer.texts.at(0));
}

TEST(Scheduler, BiasForcesAndForbidsTokens) {
  auto engine = scheduler();
  Token yes = model().tokenize_content("banana").at(0);
  auto generation = ask(who("acme"), "What is the capital of France?", 3);
  generation->request.sampling.logit_bias = {{yes, 100.0f}};
  Answered forced = run(*engine, generation);
  std::string piece = model().piece(yes);
  EXPECT_EQ(forced.texts.at(0), piece + piece + piece);
}

TEST(Scheduler, PenaltiesReduceRepetition) {
  auto engine = scheduler();
  auto distinct = [&](double penalty) {
    auto generation = ask(who("acme"), "Repeat the word stone forever: stone stone stone stone", 30);
    generation->request.sampling.frequency_penalty = penalty;
    generation->request.sampling.top_logprobs = 0;
    Answered answer = run(*engine, generation);
    std::set<std::string> kinds;
    for (const TokenLogprob& token : answer.logprobs) kinds.insert(token.bytes);
    return static_cast<double>(kinds.size()) / static_cast<double>(answer.logprobs.size());
  };
  EXPECT_GT(distinct(2.0), distinct(0));
}

TEST(Scheduler, CancelledRequestsLeaveWhereverTheyAre) {
  auto engine = scheduler({.slots = 1});
  auto running = ask(who("acme"), "Tell a story.", 2'000);
  auto waiting = ask(who("acme"), "Tell another.", 2'000);
  auto first = running->channel, second = waiting->channel;
  base::CancelToken cancel_first = running->cancel, cancel_second = waiting->cancel;
  ASSERT_TRUE(engine->submit(std::move(running)));
  ASSERT_TRUE(engine->submit(std::move(waiting)));
  cancel_second.cancel(base::CancelReason::Abandoned);
  engine->wake();
  EXPECT_EQ(wait_for(second).error, "cancelled");
  cancel_first.cancel(base::CancelReason::Abandoned);
  engine->wake();
  EXPECT_EQ(wait_for(first).error, "cancelled");
  EXPECT_EQ(run(*engine, ask(who("acme"), "Say yes.", 2)).error, "");
}

TEST(Scheduler, Aisvs_2_1_4_APromptThatDoesNotFitIsRefused) {
  auto engine = scheduler({.context = 256});
  EXPECT_EQ(run(*engine, ask(who("acme"), words(400, 1))).error, "context_length_exceeded");
  EXPECT_EQ(run(*engine, ask(who("acme"), words(100, 1))).error, "");
}

TEST(Scheduler, TheLineOfOneTenantIsBoundedAndNotAnothers) {
  auto engine = scheduler({.slots = 1, .line_max = 2});
  std::vector<std::shared_ptr<GenerationChannel>> channels;
  std::vector<base::CancelToken> cancels;
  std::string refused;
  for (int i = 0; i < 5; ++i) {
    auto generation = ask(who("acme"), "Tell a story.", 2'000);
    auto channel = generation->channel;
    cancels.push_back(generation->cancel);
    auto submitted = engine->submit(std::move(generation));
    if (submitted) channels.push_back(channel);
    if (!submitted) refused = submitted.error().name().code;
  }
  EXPECT_EQ(refused, "queue_full");
  auto other = ask(who("other"), "Say yes.", 2);
  auto channel = other->channel;
  EXPECT_TRUE(engine->submit(std::move(other)));
  for (auto& cancel : cancels) cancel.cancel(base::CancelReason::Abandoned);
  engine->wake();
  for (auto& each : channels) wait_for(each);
  EXPECT_EQ(wait_for(channel).error, "");
}

TEST(Scheduler, ShuttingDownAnswersEverybody) {
  auto engine = scheduler({.slots = 1});
  std::vector<std::shared_ptr<GenerationChannel>> channels;
  for (int i = 0; i < 3; ++i) {
    auto generation = ask(who("acme"), "Tell a story.", 2'000);
    channels.push_back(generation->channel);
    ASSERT_TRUE(engine->submit(std::move(generation)));
  }
  engine.reset();
  for (auto& channel : channels) EXPECT_EQ(wait_for(channel).error, "shutting_down");
}

// --- memory that could not be cleared -----------------------------------------------------------------

// A zeroing that leaves the last byte of every row from the moment `failing` is set.
Eraser failing_rows(std::shared_ptr<std::atomic<int>> failing) {
  Eraser eraser = Eraser::real();
  eraser.zero_rows = [failing, zero = eraser.zero_rows](ggml_tensor* tensor, std::size_t offset,
                                                        std::size_t bytes) {
    zero(tensor, offset, bytes);
    if (bytes == 0 || failing->load() == 0) return;
    const char left = 'x';
    ggml_backend_tensor_set(tensor, &left, offset + bytes - 1, 1);
  };
  return eraser;
}

TEST(Scheduler, ASlotThatCouldNotBeClearedIsNotUsedAgain) {
  auto failing = std::make_shared<std::atomic<int>>(0);
  std::atomic<int> told{0};
  auto engine =
      scheduler({.slots = 2, .context = 256, .eraser = failing_rows(failing), .unclean = [&] { ++told; }});
  EXPECT_TRUE(run(*engine, ask(who("acme"), "Hello.", 2)).result.burn.verified()) << "control: it works";
  EXPECT_EQ(engine->stats().withdrawn, 0u);
  *failing = 1;
  Answered first = run(*engine, ask(who("acme"), "Hello.", 2));
  EXPECT_EQ(first.error, "");
  EXPECT_EQ(first.result.burn.rows, base::RowsFate::Failed) << "and the report says so";
  EXPECT_FALSE(first.result.burn.verified());
  EXPECT_EQ(engine->stats().withdrawn, 1u);
  EXPECT_EQ(told, 0);
  *failing = 0;
  // Two at once now share the one slot that is left: its rows are cleared each time.
  EXPECT_TRUE(run(*engine, ask(who("other"), "Hello.", 2)).result.burn.verified());
  *failing = 1;
  run(*engine, ask(who("acme"), "Hello.", 2));
  EXPECT_EQ(engine->stats().withdrawn, 2u);
  EXPECT_EQ(told, 1) << "there is none left: the worker is to be replaced";
  *failing = 0;
  EXPECT_EQ(run(*engine, ask(who("other"), "Hello.", 2)).error, "shutting_down");
}

TEST(Scheduler, SharedMemoryThatCouldNotBeClearedEndsService) {
  auto failing = std::make_shared<std::atomic<int>>(0);
  std::atomic<int> told{0};
  Eraser eraser = Eraser::real();
  eraser.scrub_context = [failing, scrub = eraser.scrub_context](llama_context* context) {
    llama_scrub_report report = scrub(context);
    if (failing->load() != 0) report.compute.nonzero = 1;
    return report;
  };
  auto engine = scheduler({.slots = 2, .context = 512, .eraser = eraser, .unclean = [&] { ++told; }});
  auto neighbour = ask(who("other"), "Tell a long story.", 400);
  auto channel = neighbour->channel;
  ASSERT_TRUE(engine->submit(std::move(neighbour)));
  while (engine->stats().active < 1) std::this_thread::yield();
  EXPECT_TRUE(run(*engine, ask(who("acme"), "Hello.", 2)).result.burn.verified()) << "control";
  EXPECT_EQ(told, 0);
  *failing = 1;
  Answered answer = run(*engine, ask(who("acme"), "Hello.", 2));
  EXPECT_FALSE(answer.result.burn.verified());
  EXPECT_EQ(answer.result.burn.rows, base::RowsFate::Zeroed) << "its own rows were";
  EXPECT_EQ(wait_for(channel).error, "shutting_down") << "nobody goes on in that memory";
  EXPECT_EQ(told, 1);
  EXPECT_EQ(run(*engine, ask(who("acme"), "Hello.", 2)).error, "shutting_down");
}

}  // namespace
}  // namespace bulkhead::inference
