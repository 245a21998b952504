#include "gateway/generation.h"

#include <algorithm>

#include "base/scrub.h"
#include "engine/openai_body.h"
#include "gateway/event_writer.h"
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

std::int64_t output_bytes(const engine::Completion& completion) {
  std::size_t bytes = 0;
  for (const engine::Choice& choice : completion.choices) {
    bytes += choice.text.size();
    for (const engine::ToolCall& made : choice.tool_calls) bytes += made.name.size() + made.arguments.size();
  }
  return static_cast<std::int64_t>(bytes);
}

// One reason when all choices ended alike, else each choice's.
std::string finish_reasons(const engine::Completion& completion) {
  std::string joined;
  bool alike = true;
  for (const engine::Choice& choice : completion.choices) {
    alike = alike && choice.finish_reason == completion.choices.front().finish_reason;
    joined += (joined.empty() ? "" : ",") + choice.finish_reason;
  }
  return alike && !completion.choices.empty() ? completion.choices.front().finish_reason : joined;
}

// Where a tenant's users share prefixes, the count would tell one user what another has asked: there
// nobody but the metrics gets it.
void hide_shared_counts(const Call& call, engine::Usage& usage) {
  if (call.scope().record().policy.engine.prefix_cache == tenancy::PrefixCacheMode::Tenant) {
    usage.cached_tokens.reset();
  }
}

void record_end(Call& call, const engine::Completion& completion) {
  call.record.prompt_tokens = completion.usage.prompt_tokens;
  call.record.completion_tokens = completion.usage.completion_tokens;
  call.record.output_bytes = output_bytes(completion);
  call.record.output_hash = call.scope().audit_hash(output_digest_input(completion.choices));
  call.record.finish_reason = finish_reasons(completion);
  if (completion.burn) call.record.burned = completion.burn->verified();
  call.admission.settle(completion.usage.prompt_tokens + completion.usage.completion_tokens);
  auto tokens = [&](const char* kind) -> watch::Counter& {
    return call.services.metrics.counter("gen_ai_client_token_usage_total", "Tokens by tenant and kind",
                                         {{"tenant", call.scope().tenant().str()}, {"kind", kind}});
  };
  tokens("input").add(static_cast<std::uint64_t>(completion.usage.prompt_tokens));
  tokens("output").add(static_cast<std::uint64_t>(completion.usage.completion_tokens));
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
      call, [&](storage::TenantStore& store, const auto& scope) { return store.put_chat(scope, chat); });
}

engine::Completion fixed_completion(std::string_view text, std::int64_t choices) {
  engine::Completion completion;
  for (std::int64_t i = 0; i < choices; ++i)
    completion.choices.push_back({std::string(text), "stop", {}, ""});
  return completion;
}

HandlerResult answer_whole(Call& call, Plan plan) {
  engine::Completion completion = fixed_completion(kNotInDocuments, plan.request.choices);
  record_start(call);
  if (plan.ask_engine) {
    auto place = co_await call.services.engine_queue.enter(call.scope().tenant(), call.cancel);
    if (!place) co_return explained(call, place.take_error());
    auto answered = co_await call.services.engine.chat(call.engine_context(), std::move(plan.request));
    if (!answered) co_return explained(call, answered.take_error());
    completion = std::move(*answered);
    hide_shared_counts(call, completion.usage);
  }
  if (call.cancel.cancelled()) co_return cancelled(call);
  std::string body = completion_json(plan.head, completion);
  if (plan.store) BULKHEAD_CO_CHECK_OK(co_await keep_chat(call, plan, body));
  record_end(call, completion);
  co_await add_receipt(call, plan, completion, 0);
  co_return Reply::json(200, std::move(body));
}

// After the first byte an error can only be an event; OpenAI's SDKs raise it as an API error.
Task<void> end_with_error(Call& call, EventWriter& events, const Error& error) {
  call.record.reason = error.name().code;
  http::Response response = error_response(error);
  auto sent = co_await events.send(std::move(response.body));
  if (sent) {
    auto finished = co_await call.exchange.finish();
    if (finished) co_return;
  }
  call.exchange.abort();
}

void gather(engine::Completion& completion, const engine::Piece& piece) {
  engine::Choice& choice = completion.choices[piece.choice];
  choice.text += piece.text;
  choice.tool_calls.insert(choice.tool_calls.end(), piece.tool_calls.begin(), piece.tool_calls.end());
}

// Words of one choice that leave on one beat leave as one event.
void join(std::vector<engine::Piece>& batch, engine::Piece piece) {
  auto plain = [](const engine::Piece& p) { return p.logprobs.empty() && p.tool_calls.empty(); };
  auto before = std::find_if(batch.rbegin(), batch.rend(),
                             [&piece](const engine::Piece& p) { return p.choice == piece.choice; });
  if (before != batch.rend() && plain(*before) && plain(piece)) {
    before->text += piece.text;
    return;
  }
  batch.push_back(std::move(piece));
}

Task<Result<void>> start_events(Call& call, const Plan& plan, EventWriter& events) {
  BULKHEAD_CO_CHECK_OK(co_await call.started->durable());
  BULKHEAD_CO_CHECK_OK(co_await events.start());
  if (plan.head.shape == AnswerShape::Text) co_return Result<void>();
  for (std::size_t i = 0; i < plan.head.choices; ++i) {
    BULKHEAD_CO_CHECK_OK(co_await events.send(role_chunk(plan.head, i)));
  }
  co_return Result<void>();
}

Task<Result<void>> send_fixed(Call& call, const Plan& plan, EventWriter& events,
                              const engine::Completion& completion) {
  BULKHEAD_CO_CHECK_OK(co_await start_events(call, plan, events));
  for (std::size_t i = 0; i < completion.choices.size(); ++i) {
    BULKHEAD_CO_CHECK_OK(
        co_await events.send(piece_chunk(plan.head, {i, completion.choices[i].text, "", {}}, 0)));
  }
  co_return Result<void>();
}

// Reads the engine's stream into events. The first piece is fetched before anything is sent, so that
// a refusal by the engine is still a plain error answer.
Task<Result<void>> pump(Call& call, Plan& plan, EventWriter& events, engine::Completion& completion) {
  if (!plan.ask_engine) co_return co_await send_fixed(call, plan, events, completion);
  completion = fixed_completion("", plan.request.choices);
  auto place = co_await call.services.engine_queue.enter(call.scope().tenant(), call.cancel);
  if (!place) co_return explained(call, place.take_error());
  auto opened = co_await call.services.engine.chat_stream(call.engine_context(), std::move(plan.request));
  if (!opened) co_return explained(call, opened.take_error());
  std::unique_ptr<engine::ChatStream> stream = std::move(*opened);
  auto piece = co_await stream->next();
  if (!piece) co_return explained(call, piece.take_error());
  BULKHEAD_CO_CHECK_OK(co_await start_events(call, plan, events));
  while (*piece) {
    std::vector<engine::Piece> batch;
    batch.push_back(std::move(**piece));
    co_await events.wait_for_beat();
    while (events.has_beat() && stream->buffered()) {
      auto more = co_await stream->next();
      if (!more) co_return explained(call, more.take_error());
      if (*more) join(batch, std::move(**more));
    }
    for (const engine::Piece& ready : batch) {
      std::size_t calls_before = completion.choices[ready.choice].tool_calls.size();
      BULKHEAD_CO_CHECK_OK(co_await events.send(piece_chunk(plan.head, ready, calls_before)));
      gather(completion, ready);
    }
    auto next = co_await stream->next();
    if (!next) co_return explained(call, next.take_error());
    *piece = std::move(*next);
  }
  const engine::Completion& end = stream->result();
  for (std::size_t i = 0; i < completion.choices.size(); ++i) {
    completion.choices[i].finish_reason = end.choices[i].finish_reason;
  }
  completion.usage = end.usage;
  hide_shared_counts(call, completion.usage);
  completion.burn = end.burn;
  co_return Result<void>();
}

Task<Result<void>> finish_stream(Call& call, Plan& plan, EventWriter& events,
                                 const engine::Completion& completion) {
  if (plan.store) {
    BULKHEAD_CO_CHECK_OK(co_await keep_chat(call, plan, completion_json(plan.head, completion)));
  }
  // Before the last byte, so that the receipt is there when the client asks for it.
  co_await add_receipt(call, plan, completion, events.padding_bytes());
  co_await events.wait_for_beat();
  for (std::size_t i = 0; i < completion.choices.size(); ++i) {
    bool last = i + 1 == completion.choices.size();
    BULKHEAD_CO_CHECK_OK(co_await events.send(finish_chunk(plan.head, i, completion.choices[i], last)));
  }
  if (plan.stream_options.include_usage) {
    BULKHEAD_CO_CHECK_OK(co_await events.send(usage_chunk(plan.head, completion.usage)));
  }
  BULKHEAD_CO_CHECK_OK(co_await events.send("[DONE]"));
  co_return co_await call.exchange.finish();
}

void count_padding(const Call& call, const EventWriter& events) {
  if (events.padding_bytes() == 0) return;
  call.services.metrics
      .counter("bulkhead_stream_padding_bytes_total", "Bytes that padded streamed events",
               {{"tenant", call.scope().tenant().str()}})
      .add(events.padding_bytes());
}

HandlerResult answer_streamed(Call& call, Plan plan) {
  engine::Completion completion = fixed_completion(kNotInDocuments, plan.request.choices);
  record_start(call);
  EventWriter events(call, plan.stream_options.include_obfuscation);
  auto pumped = co_await pump(call, plan, events, completion);
  if (pumped) pumped = co_await finish_stream(call, plan, events, completion);
  record_end(call, completion);
  count_padding(call, events);
  if (pumped) co_return Reply::already_streamed();
  if (!call.exchange.started()) co_return pumped.take_error();
  co_await end_with_error(call, events, pumped.error());
  co_return Reply::already_streamed();
}

}  // namespace

Error cancelled(const Call& call) {
  if (call.cancel.reason() == "tenant_cut") {
    return Error(tenancy::TenancyError::TenantSuspended, "This tenant is suspended.");
  }
  if (call.cancel.reason() == "key_lost") {
    return Error(tenancy::TenancyError::KeyUnavailable,
                 "This tenant's key is not available any more. Ask whoever holds the tenant's key, or your "
                 "operator.");
  }
  if (call.cancel.reason() == "shutdown") {
    return api_error(ApiError::ShuttingDown, "The gateway is shutting down. Try again shortly.");
  }
  return Error(engine::EngineError::Cancelled, "The request was cancelled.", call.cancel.reason());
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
  if (plan.request.stream) co_return co_await answer_streamed(call, std::move(plan));
  co_return co_await answer_whole(call, std::move(plan));
}

}  // namespace bulkhead::gateway
