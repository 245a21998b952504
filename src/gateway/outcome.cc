#include "gateway/outcome.h"

#include <algorithm>

#include "engine/openai_wire.h"
#include "gateway/chat_request.h"

namespace bulkhead::gateway {

using base::Error;
using base::Result;
using engine::FinishReason;

namespace {

// All choices together. Larger than what any model's context lets one be.
constexpr std::size_t kAnswerBytesMax = 64u << 20;

// A tokenizer makes at most a token of a byte; the rest is a template's own text and laid-out tools. Beyond
// this an engine's count is no count of this request, and nobody is charged for it.
constexpr std::int64_t kTemplateTokensMax = 16'384;
constexpr std::int64_t kPromptTokensPerByteMax = 2;
constexpr std::int64_t kChoiceTokensMax = 1 << 20;

std::size_t prompt_bytes(const engine::ChatRequest& request) {
  std::size_t bytes = request.tools.size() + request.response_format.schema.size();
  if (request.prompt) bytes += request.prompt->size();
  for (const engine::Message& message : request.messages) {
    bytes += message.content.size();
    for (const engine::ToolCall& made : message.tool_calls) bytes += made.name.size() + made.arguments.size();
  }
  return bytes;
}

void count_tokens(const Accounts& accounts, const char* kind, std::int64_t tokens) {
  if (tokens <= 0) return;
  accounts.metrics
      .counter("gen_ai_client_token_usage_total", "Tokens by tenant and kind",
               {{"tenant", accounts.scope.tenant().str()}, {"kind", kind}})
      .add(static_cast<std::uint64_t>(tokens));
}

}  // namespace

Accounts accounts_of(Call& call) {
  return {call.admission, call.record, call.services.metrics, call.scope(), call.cancel};
}

FinishReason cut_reason(const base::CancelToken& cancel, const Error& error) {
  if (cancel.cancelled()) return engine::finish_reason_of(cancel.reason());
  if (error.is(http::HttpError::Timeout) || error.is(engine::EngineError::TimedOut)) {
    return FinishReason::TimedOut;
  }
  if (error.is(http::HttpError::ConnectionClosed)) return FinishReason::ClientGone;
  return error.as<engine::EngineError>() ? FinishReason::EngineFailed : FinishReason::Error;
}

Outcome::Outcome(Accounts accounts, const engine::ChatRequest& request)
    : accounts_(accounts),
      whole_(!request.stream),
      prompt_estimate_(engine::estimated_tokens(prompt_bytes(request))),
      prompt_tokens_max_(kPromptTokensPerByteMax * static_cast<std::int64_t>(prompt_bytes(request)) +
                         kTemplateTokensMax),
      completion_tokens_max_(request.choices * request.max_tokens.value_or(kChoiceTokensMax)) {
  answer_.choices.resize(static_cast<std::size_t>(request.choices));
}

void Outcome::asking() {
  asked_ = true;
  estimated_ = true;
  charge(prompt_estimate_, 0);
}

void Outcome::progress(const engine::Completion& so_far) {
  if (!asked_) return;  // a text of ours: no engine has worked
  const engine::Usage& usage = so_far.usage;
  const bool prompt_told = usage.prompt_tokens > 0 && usage.prompt_tokens <= prompt_tokens_max_;
  const bool rest_told = usage.told && usage.completion_tokens <= completion_tokens_max_;
  estimated_ = !prompt_told || !rest_told;
  charge(prompt_told ? usage.prompt_tokens : prompt_estimate_,
         std::min(usage.completion_tokens, completion_tokens_max_));
}

void Outcome::charge(std::int64_t prompt_tokens, std::int64_t completion_tokens) {
  answer_.usage.prompt_tokens = prompt_tokens;
  answer_.usage.completion_tokens = completion_tokens;
  const std::int64_t total = prompt_tokens + completion_tokens;
  accounts_.admission.use(total - charged_);
  charged_ = total;
}

Result<void> Outcome::add(const engine::Piece& piece) {
  bytes_ += piece.text.size() + piece.logprobs.size();
  for (const engine::ToolCall& made : piece.tool_calls) bytes_ += made.name.size() + made.arguments.size();
  if (bytes_ > kAnswerBytesMax) return engine::wire::bad_answer("answer is too long");
  engine::Choice& choice = answer_.choices[piece.choice];
  choice.text += piece.text;
  choice.tool_calls.insert(choice.tool_calls.end(), piece.tool_calls.begin(), piece.tool_calls.end());
  if (whole_) choice.logprobs += piece.logprobs;
  return Result<void>();
}

void Outcome::complete(const engine::Completion& end) {
  progress(end);
  complete_ = true;
  for (std::size_t i = 0; i < answer_.choices.size(); ++i) {
    answer_.choices[i].finish_reason = end.choices[i].finish_reason;
  }
  answer_.burn = end.burn;
  // Where a tenant's users share prefixes, the count would tell one user what another has asked: there
  // nobody but the metrics gets it.
  if (accounts_.scope.record().policy.engine.prefix_cache != tenancy::PrefixCacheMode::Tenant) {
    answer_.usage.cached_tokens = end.usage.cached_tokens;
  }
}

void Outcome::cut(const Error& error) {
  if (complete_) return;
  const bool refused = error.as<engine::EngineError>() && !engine::may_have_worked(error) &&
                       !accounts_.cancel.cancelled() && answer_.usage.completion_tokens == 0;
  if (refused) {
    // Its error is on record; nothing was generated that could have ended.
    asked_ = false;
    charge(0, 0);
    return;
  }
  if (asked_ || accounts_.cancel.cancelled()) cut_ = cut_reason(accounts_.cancel, error);
}

void Outcome::settle() {
  if (settled_) return;
  settled_ = true;
  accounts_.admission.settle();
  count_tokens(accounts_, "input", answer_.usage.prompt_tokens);
  count_tokens(accounts_, "output", answer_.usage.completion_tokens);
  if (!asked_ && !complete_ && cut_ == FinishReason::None) return;
  if (!complete_ && cut_ == FinishReason::None) {
    // Its coroutine was destroyed on the way.
    cut_ = accounts_.cancel.cancelled() ? engine::finish_reason_of(accounts_.cancel.reason())
                                        : FinishReason::Error;
  }
  describe();
}

// One reason when all choices ended alike, else each choice's.
std::string Outcome::finish_reasons() const {
  std::string joined;
  bool alike = true;
  auto reason_of = [this](const engine::Choice& choice) {
    return choice.finish_reason == FinishReason::None ? cut_ : choice.finish_reason;
  };
  for (const engine::Choice& choice : answer_.choices) {
    alike = alike && reason_of(choice) == reason_of(answer_.choices.front());
    if (!joined.empty()) joined += ',';
    joined += engine::finish_reason_name(reason_of(choice));
  }
  return alike ? std::string(engine::finish_reason_name(reason_of(answer_.choices.front()))) : joined;
}

void Outcome::describe() {
  audit::Record& record = accounts_.record;
  record.prompt_tokens = answer_.usage.prompt_tokens;
  record.completion_tokens = answer_.usage.completion_tokens;
  if (asked_ && estimated_) record.tokens_estimated = true;
  record.finish_reason = finish_reasons();
  if (answer_.burn) record.burned = answer_.burn->verified;
  record.output_bytes = 0;
  if (!sent_) return;
  std::size_t bytes = 0;
  for (const engine::Choice& choice : answer_.choices) bytes += engine::wire::bytes_of(choice);
  record.output_bytes = static_cast<std::int64_t>(bytes);
  record.output_hash = accounts_.scope.audit_hash(output_digest_input(answer_.choices));
}

void ReadingOutcome::settle() {
  if (settled_) return;
  settled_ = true;
  accounts_.admission.use(tokens);
  count_tokens(accounts_, "input", tokens);
  if (part_ == Part::BeforeChat) {
    accounts_.record.retrieval_tokens = tokens;
    return;
  }
  accounts_.admission.settle();
  accounts_.record.prompt_tokens = tokens;
}

}  // namespace bulkhead::gateway
