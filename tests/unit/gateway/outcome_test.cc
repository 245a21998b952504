// What a generation costs is settled whatever its end: by the engine's count, by ours, never by nothing.
#include "gateway/outcome.h"

#include <gtest/gtest.h>

#include "tenancy/support.h"

namespace bulkhead::gateway {
namespace {

using base::CancelReason;
using base::Error;
using engine::EngineError;
using engine::FinishReason;

constexpr std::int64_t kTokensAMinute = 1'000;

class OutcomeTest : public tenancy::DirectoryTest {
 protected:
  OutcomeTest() {
    tenancy::TenantPolicy policy;
    policy.limits.tokens_per_minute = kTokensAMinute;
    EXPECT_TRUE(
        directory->create(tenancy::tenant_id("alpha"), "alpha", tenancy::IsolationMode::Hybrid, policy).ok());
    scope.emplace(open("alpha"));
    admission = must_admit(kEstimate);
  }
  Limiter::Admission must_admit(std::int64_t tokens) {
    auto admitted = limiter.admit(scope->record(), "ada", tokens, wait);
    EXPECT_TRUE(admitted);
    return admitted ? std::move(*admitted) : Limiter::Admission();
  }
  // Tokens that the tenant can still use, by asking for them: half a minute's admit any request.
  bool is_in_debt() { return !limiter.admit(scope->record(), "ada", 1, wait); }
  Accounts accounts() { return {admission, record, metrics, *scope, cancel}; }
  static engine::ChatRequest request(bool stream, std::int64_t choices = 1) {
    engine::ChatRequest made;
    made.messages = {{"user", std::string(400, 'x')}};
    made.stream = stream;
    made.choices = choices;
    return made;
  }
  static engine::Completion so_far(std::int64_t prompt, std::int64_t completion, bool told = true,
                                   std::size_t choices = 1) {
    engine::Completion made;
    made.choices.resize(choices);
    made.usage = {.prompt_tokens = prompt, .completion_tokens = completion, .told = told};
    return made;
  }
  double metric(const char* kind) {
    return static_cast<double>(
        metrics.counter("gen_ai_client_token_usage_total", "", {{"tenant", "alpha"}, {"kind", kind}})
            .value());
  }

  static constexpr std::int64_t kEstimate = 300;
  base::ManualClock limits_clock;
  Limiter limiter{limits_clock};
  std::int64_t wait = 0;
  std::optional<tenancy::TenantScope> scope;
  Limiter::Admission admission;
  audit::Record record;
  watch::Metrics metrics;
  base::CancelToken cancel;
};

TEST_F(OutcomeTest, AStreamThatIsDroppedInTheMiddleIsChargedForWhatItGave) {
  {
    Outcome outcome(accounts(), request(true));
    outcome.asking();
    outcome.sent();
    outcome.progress(so_far(80, 4'000));
    EXPECT_TRUE(outcome.add({0, "some words", "", {}}));
    EXPECT_TRUE(is_in_debt()) << "while it runs, the tenant's next request is held back";
    cancel.cancel(CancelReason::ClientGone);
  }  // its coroutine is destroyed
  EXPECT_EQ(record.prompt_tokens, 80);
  EXPECT_EQ(record.completion_tokens, 4'000);
  EXPECT_EQ(record.output_bytes, 10);
  EXPECT_FALSE(record.output_hash.empty());
  EXPECT_EQ(record.finish_reason, "client_gone");
  EXPECT_FALSE(record.tokens_estimated.has_value());
  EXPECT_EQ(metric("input"), 80);
  EXPECT_EQ(metric("output"), 4'000);
  limits_clock.advance(std::chrono::minutes(3));
  EXPECT_TRUE(is_in_debt()) << "four minutes' tokens";
  limits_clock.advance(std::chrono::minutes(2));
  EXPECT_FALSE(is_in_debt()) << "the debt is paid back";
}

TEST_F(OutcomeTest, ControlAStreamWithinItsEstimateLeavesNoDebt) {
  {
    Outcome outcome(accounts(), request(true));
    outcome.asking();
    outcome.progress(so_far(80, 100));
    EXPECT_FALSE(is_in_debt());
  }
  EXPECT_FALSE(is_in_debt());
}

TEST_F(OutcomeTest, EachWayOfBeingCutHasItsName) {
  const std::pair<CancelReason, const char*> cancels[] = {{CancelReason::ClientGone, "client_gone"},
                                                          {CancelReason::TimedOut, "timed_out"},
                                                          {CancelReason::TenantSuspended, "tenant_suspended"},
                                                          {CancelReason::KeyUnavailable, "key_unavailable"},
                                                          {CancelReason::Shutdown, "shutdown"},
                                                          {CancelReason::Abandoned, "error"}};
  for (const auto& [reason, name] : cancels) {
    record = audit::Record();
    base::CancelToken own;
    own.cancel(reason);
    Outcome outcome({admission, record, metrics, *scope, own}, request(true));
    outcome.asking();
    outcome.cut(Error(EngineError::Cancelled, "cancelled"));
    outcome.settle();
    EXPECT_EQ(record.finish_reason, name);
  }
  const std::pair<Error, const char*> errors[] = {
      {Error(EngineError::Failed, "x"), "engine_failed"},
      {Error(EngineError::BadAnswer, "x"), "engine_failed"},
      {Error(EngineError::TimedOut, "x"), "timed_out"},
      {Error(http::HttpError::Timeout, "x"), "timed_out"},
      {Error(http::HttpError::ConnectionClosed, "x"), "client_gone"},
      {Error(audit::AuditError::Unavailable, "x"), "error"}};
  for (const auto& [error, name] : errors) {
    record = audit::Record();
    Outcome outcome(accounts(), request(true));
    outcome.asking();
    outcome.cut(error);
    outcome.settle();
    EXPECT_EQ(record.finish_reason, name);
    EXPECT_EQ(record.prompt_tokens, 100) << "the prompt may have been read: 400 bytes";
    EXPECT_EQ(record.tokens_estimated, true);
  }
}

TEST_F(OutcomeTest, ChoicesThatHaveEndedKeepTheirOwnReason) {
  Outcome outcome(accounts(), request(true, 2));
  outcome.asking();
  outcome.complete([] {
    engine::Completion end = so_far(5, 7, true, 2);
    end.choices[0].finish_reason = FinishReason::Stop;
    end.choices[1].finish_reason = FinishReason::ToolCalls;
    return end;
  }());
  outcome.cut(Error(EngineError::Failed, "too late to change anything"));
  outcome.settle();
  EXPECT_EQ(record.finish_reason, "stop,tool_calls");
}

TEST_F(OutcomeTest, WhatAnEngineRefusesCostsNothing) {
  for (EngineError code : {EngineError::QueueFull, EngineError::Unavailable, EngineError::BadRequest}) {
    record = audit::Record();
    Outcome outcome(accounts(), request(true));
    outcome.asking();
    outcome.cut(Error(code, "no"));
    outcome.settle();
    EXPECT_EQ(record.finish_reason, "");
    EXPECT_FALSE(record.prompt_tokens.has_value());
  }
  EXPECT_EQ(metric("input"), 0);
}

TEST_F(OutcomeTest, WhatAnEngineDoesNotTellIsEstimatedAndSaidToBe) {
  Outcome outcome(accounts(), request(true));
  outcome.asking();
  outcome.complete(so_far(0, 12, false));
  outcome.settle();
  EXPECT_EQ(record.prompt_tokens, 100);
  EXPECT_EQ(record.completion_tokens, 12);
  EXPECT_EQ(record.tokens_estimated, true);
}

TEST_F(OutcomeTest, CountsThatCanNotBeTrueAreNotCharged) {
  engine::ChatRequest bounded = request(true);
  bounded.max_tokens = 50;
  Outcome outcome(accounts(), bounded);
  outcome.asking();
  outcome.complete(so_far(std::int64_t{1} << 39, std::int64_t{1} << 39));
  outcome.settle();
  EXPECT_EQ(record.prompt_tokens, 100);
  EXPECT_EQ(record.completion_tokens, 50);
}

TEST_F(OutcomeTest, AWholeAnswerThatIsCutWasNotSent) {
  {
    Outcome outcome(accounts(), request(false));
    outcome.asking();
    outcome.progress(so_far(80, 64));
    EXPECT_TRUE(outcome.add({0, "some words", "", {}}));
    outcome.cut(Error(EngineError::Failed, "died"));
  }
  EXPECT_EQ(record.completion_tokens, 64);
  EXPECT_EQ(record.output_bytes, 0);
  EXPECT_TRUE(record.output_hash.empty());
}

TEST_F(OutcomeTest, WhatIsReadBeforeAChatIsChargedToo) {
  {
    ReadingOutcome reading(accounts(), ReadingOutcome::Part::BeforeChat);
    reading.tokens = 2'000;
  }
  EXPECT_EQ(record.retrieval_tokens, 2'000);
  EXPECT_FALSE(record.prompt_tokens.has_value());
  EXPECT_TRUE(is_in_debt());
  ReadingOutcome reading(accounts(), ReadingOutcome::Part::Whole);
  reading.tokens = 7;
  reading.settle();
  EXPECT_EQ(record.prompt_tokens, 7);
}

}  // namespace
}  // namespace bulkhead::gateway
