// Outcome: what a request costs and how it ends, counted as it goes and settled once, when its scope ends,
// whatever the end was: also when its coroutine is destroyed in the middle.
//
// Settling charges the tenant's limits, counts the tokens in the metrics and fills in the audit record.
// Tokens are the engine's own count where it gives one; what an engine leaves out is counted from what it has
// sent and estimated from sizes, never below what was passed on. From the moment an engine is asked until it
// says otherwise, the prompt counts as read. One request, its thread. What it settles with outlives it.
#pragma once

#include <cstdint>
#include <string>

#include "audit/record.h"
#include "engine/engine.h"
#include "gateway/call.h"
#include "gateway/limits.h"
#include "tenancy/scope.h"
#include "watch/metrics.h"

namespace bulkhead::gateway {

// What a request's cost is settled with.
struct Accounts {
  Limiter::Admission& admission;
  audit::Record& record;
  watch::Metrics& metrics;
  const tenancy::TenantScope& scope;
  const base::CancelToken& cancel;
};
Accounts accounts_of(Call& call);

// One chat or completion.
class Outcome {
 public:
  Outcome(Accounts accounts, const engine::ChatRequest& request);
  ~Outcome() { settle(); }
  Outcome(const Outcome&) = delete;
  Outcome& operator=(const Outcome&) = delete;

  // An engine is being asked.
  void asking();
  // The generation as far as it has come; called as often as it has moved.
  void progress(const engine::Completion& so_far);
  // Keeps a piece of the answer. BadAnswer when the whole is larger than any answer can be.
  base::Result<void> add(const engine::Piece& piece);
  // Everything that was kept is passed on: from now on it counts as sent.
  void sent() { sent_ = true; }
  // The engine has ended the answer.
  void complete(const engine::Completion& end);
  // It ends by this error instead, as `reason` says.
  void cut(const base::Error& error);
  // Once; later calls do nothing.
  void settle();

  // Texts and calls so far, with what `complete` was told.
  const engine::Completion& answer() const { return answer_; }

 private:
  void charge(std::int64_t prompt_tokens, std::int64_t completion_tokens);
  std::string finish_reasons() const;
  void describe();

  Accounts accounts_;
  const bool whole_;
  const std::int64_t prompt_estimate_, prompt_tokens_max_, completion_tokens_max_;
  engine::Completion answer_;
  std::size_t bytes_ = 0;
  std::int64_t charged_ = 0;  // what the admission has been told
  bool asked_ = false, sent_ = false, complete_ = false, settled_ = false;
  bool estimated_ = false;  // some count is not the engine's
  engine::FinishReason cut_ = engine::FinishReason::None;
};

// What embedding and rerank models read for a request.
class ReadingOutcome {
 public:
  // For a route of its own, whose record then says the tokens as the prompt's; or for what goes before a
  // chat.
  enum class Part { Whole, BeforeChat };
  ReadingOutcome(Accounts accounts, Part part) : accounts_(accounts), part_(part) {}
  ~ReadingOutcome() { settle(); }
  ReadingOutcome(const ReadingOutcome&) = delete;
  ReadingOutcome& operator=(const ReadingOutcome&) = delete;
  void settle();

  std::int64_t tokens = 0;

 private:
  Accounts accounts_;
  const Part part_;
  bool settled_ = false;
};

// How an answer was cut: by what cancelled its request, else by the error.
engine::FinishReason cut_reason(const base::CancelToken& cancel, const base::Error& error);

}  // namespace bulkhead::gateway
