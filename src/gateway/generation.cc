#include "gateway/generation.h"

#include "base/scrub.h"
#include "engine/openai_body.h"
#include "gateway/answer_sink.h"
#include "gateway/store_call.h"

namespace bulkhead::gateway {

using base::Error;
using base::Result;
using base::Task;

namespace {

constexpr std::string_view kNotInDocuments =
    "I could not find this in your documents. Try other words, or ask your administrator whether "
    "the document is available to you.";

// The record that must be on disk before the first byte.
void record_start(Call& call) {
  call.record.event = audit::Event::RequestStarted;
  call.record.decision = "allow";
  call.started = call.services.audit.append(call.record);
}

Task<void> add_receipt(Call& call, const Plan& plan, const engine::Completion& completion,
                       std::uint64_t padding_bytes) {
  BurnFacts facts;
  facts.request_id = call.id.str();
  facts.action = call.record.action;
  facts.engine = completion.burn;
  facts.engine_used = plan.ask_engine;
  facts.stream_padding_bytes = padding_bytes;
  facts.gateway_heap_wiped = base::heap_scrubbing_linked() && base::heap_scrubbing();
  if (call.started) {
    if (auto position = co_await call.started->durable()) facts.audit_position = *position;
  }
  call.services.receipts.add(call.scope(), std::move(facts));
}

Task<Result<void>> keep_chat(Call& call, const Plan& plan, const std::string& completion) {
  // Nothing is kept of a request that is not on record.
  BULKHEAD_CO_CHECK_OK(co_await call.started->durable());
  storage::ChatRecord chat{.id = *base::ChatId::parse(plan.head.id)};
  chat.owner = call.principal->user();
  chat.model = plan.head.model;
  chat.created = plan.head.created;
  chat.expires = plan.head.created + std::int64_t{86'400} * call.scope().record().policy.kept_chat_days;
  chat.metadata_json = plan.metadata_json;
  base::json::Writer messages;
  messages.begin_array();
  for (const engine::Message& message : plan.said) engine::wire::write_message(messages, message);
  messages.end_array();
  chat.messages_json = messages.take();
  chat.completion_json = completion;
  co_return co_await with_store(
      call, [&chat](storage::TenantStore& store, const auto& scope) { return store.put_chat(scope, chat); });
}

// A text of ours in place of an engine's answer.
class FixedAnswer final : public engine::ChatStream {
 public:
  FixedAnswer(std::string_view text, std::int64_t choices) : text_(text) {
    result_.usage.told = true;
    result_.choices.resize(static_cast<std::size_t>(choices));
    for (engine::Choice& choice : result_.choices) choice.finish_reason = engine::FinishReason::Stop;
  }
  Task<Result<std::optional<engine::Piece>>> next() override {
    if (!buffered()) co_return std::optional<engine::Piece>();
    co_return std::optional<engine::Piece>(engine::Piece{given_++, std::string(text_), "", {}});
  }
  bool buffered() const override { return given_ < result_.choices.size(); }
  const engine::Completion& result() const override { return result_; }

 private:
  const std::string_view text_;
  std::size_t given_ = 0;
  engine::Completion result_;
};

// An answer under way. The stream goes first: only then is its place free.
struct Source {
  std::optional<engine::FairQueue::Place> place;
  std::unique_ptr<engine::ChatStream> stream;
};

Task<Result<Source>> open_source(Call& call, Plan& plan, Outcome& outcome) {
  Source source;
  if (!plan.ask_engine) {
    source.stream = std::make_unique<FixedAnswer>(kNotInDocuments, plan.request.choices);
    co_return source;
  }
  BULKHEAD_CO_TRY(place, co_await call.services.engine_queue.enter(call.scope().tenant(), call.cancel));
  source.place.emplace(std::move(place));
  outcome.asking();
  BULKHEAD_CO_TRY(stream, co_await call.services.engine.chat(call.engine_context(), std::move(plan.request)));
  source.stream = std::move(stream);
  co_return source;
}

// Takes the answer to the sink, piece by piece. The first one is fetched before anything is sent, so that a
// refusal by the engine is still a plain error answer.
Task<Result<void>> pump(Call& call, Plan& plan, AnswerSink& sink, Outcome& outcome) {
  BULKHEAD_CO_TRY(source, co_await open_source(call, plan, outcome));
  engine::ChatStream& stream = *source.stream;
  bool begun = false;
  while (true) {
    auto piece = co_await stream.next();
    outcome.progress(stream.result());
    if (!piece) co_return piece.take_error();
    if (!begun) BULKHEAD_CO_CHECK_OK(co_await sink.begin());
    begun = true;
    if (!*piece) break;
    if (!(*piece)->empty()) BULKHEAD_CO_CHECK_OK(co_await sink.take(stream, std::move(**piece)));
  }
  outcome.complete(stream.result());
  co_return Result<void>();
}

}  // namespace

Error cancelled(const Call& call) {
  switch (call.cancel.reason()) {
    case base::CancelReason::TenantSuspended:
      return Error(tenancy::TenancyError::TenantSuspended, "This tenant is suspended.");
    case base::CancelReason::KeyUnavailable:
      return Error(tenancy::TenancyError::KeyUnavailable,
                   "This tenant's key is not available any more. Ask whoever holds the tenant's key, or your "
                   "operator.");
    case base::CancelReason::Shutdown:
      return api_error(ApiError::ShuttingDown, "The gateway is shutting down. Try again shortly.");
    case base::CancelReason::None:
    case base::CancelReason::ClientGone:
    case base::CancelReason::TimedOut:
    case base::CancelReason::Abandoned: break;
  }
  return Error(engine::EngineError::Cancelled, "The request was cancelled.",
               std::string(base::cancel_reason_name(call.cancel.reason())));
}

Error explained(const Call& call, Error error) {
  return call.cancel.cancelled() ? cancelled(call) : std::move(error);
}

Result<void> check_policy(const Call& call, const engine::ChatRequest& request) {
  if (request.logprobs && !call.scope().record().policy.allow_logprobs) {
    return api_error(
        ApiError::UnsupportedParameter,
        "'logprobs' is not allowed by this tenant's policy. Remove it, or ask your administrator.",
        "logprobs");
  }
  return Result<void>();
}

void describe_request(Call& call, const engine::ChatRequest& request, std::size_t tools) {
  call.record.model = request.model;
  call.record.prompt_hash = call.scope().audit_hash(prompt_digest_input(request));
  call.record.choices = request.choices;
  if (tools > 0) call.record.tools = static_cast<std::int64_t>(tools);
}

HandlerResult answer(Call& call, Plan plan) {
  if (call.cancel.cancelled()) co_return cancelled(call);
  if (!plan.ask_engine) plan.head.refusal = plan.request.response_format.kind != engine::AnswerFormat::Text;
  plan.head.choices = static_cast<std::size_t>(plan.request.choices);
  plan.head.usage_null = plan.stream_options.include_usage;
  Outcome outcome(accounts_of(call), plan.request);
  const std::unique_ptr<AnswerSink> sink =
      plan.request.stream ? event_sink(call, plan.head, plan.stream_options, outcome) : whole_sink(outcome);
  record_start(call);
  auto pumped = co_await pump(call, plan, *sink, outcome);
  if (pumped && call.cancel.cancelled()) pumped = cancelled(call);
  std::string body;
  if (pumped && (plan.store || sink->needs_body())) body = completion_json(plan.head, outcome.answer());
  if (pumped && plan.store) pumped = co_await keep_chat(call, plan, body);
  if (!pumped) {
    Error error = explained(call, pumped.take_error());
    outcome.cut(error);
    outcome.settle();
    co_return co_await sink->fail(std::move(error));
  }
  if (sink->needs_body()) outcome.sent();
  outcome.settle();
  // Before the last byte, so that the receipt is there when the client asks for it.
  co_await add_receipt(call, plan, outcome.answer(), sink->padding_bytes());
  co_return co_await sink->finish(std::move(body));
}

}  // namespace bulkhead::gateway
