// POST /v1/chat/completions: retrieval, prompt, generation, answer, burn.
//
// The order is the product's promise: documents are found and checked by code, the audit record is
// handed to the log, the engine starts while the record is being written, and no byte leaves before
// the record is durable.
#include <algorithm>

#include "base/scrub.h"
#include "crypto/random.h"
#include "gateway/chat_answer.h"
#include "gateway/chat_request.h"
#include "gateway/dto.h"
#include "gateway/handlers.h"
#include "http/sse.h"

namespace bulkhead::gateway {

using base::Error;
using base::Result;
using base::Task;

namespace {

constexpr std::string_view kNotInDocuments =
    "I could not find this in your documents. Try other words, or ask your administrator whether "
    "the document is available to you.";
constexpr unsigned kNonceBits = 80;

struct Plan {
  ChatBody body;
  AnswerHead head;
  engine::ChatRequest request;        // what the engine is asked
  bool ask_engine = true;
};

Error cancelled(const Call& call) {
  if (call.cancel.reason() == "tenant_cut") {
    return Error(tenancy::TenancyError::TenantSuspended, "This tenant is suspended.");
  }
  if (call.cancel.reason() == "shutdown") {
    return api_error(ApiError::ShuttingDown, "The gateway is shutting down. Try again shortly.");
  }
  return Error(engine::EngineError::Cancelled, "The request was cancelled.", call.cancel.reason());
}

// The engine's word on a cut request is "cancelled"; the reason is ours to tell.
Error explained(const Call& call, Error error) {
  return call.cancel.cancelled() ? cancelled(call) : std::move(error);
}

double threshold_of(const Call& call) {
  double own = call.scope().record().policy.relevance_threshold;
  return own > 0 ? own : call.services.config.retrieval.threshold;
}

std::int64_t context_of(const Services& services, const std::string& model) {
  for (const engine::ModelInfo& info : services.engine.models()) {
    if (info.id == model && info.context > 0) return info.context;
  }
  return services.config.engine.chat_context;
}

// A client that doesn't know our model's name may say "default".
Result<std::string> resolve_model(const Call& call, const std::string& asked) {
  const std::string& tenant_model = call.scope().record().policy.chat_model;
  const std::string& standard = tenant_model.empty() ? call.services.chat_model : tenant_model;
  if (asked == "default" || asked == standard) return standard;
  return Error(engine::EngineError::ModelUnknown,
               "There is no model '" + asked.substr(0, 64) + "'. GET /v1/models lists those you can use.")
      .with_parameter("model");
}

// Under "required" an answer without its sources is none: better a refusal that says what to do.
Error no_room(const rag::ComposeOptions& compose, std::int64_t message_tokens) {
  return Error(engine::EngineError::ContextExceeded,
               "This tenant answers from its documents only, and none of them fits beside the messages: they "
               "have about " +
                   std::to_string(message_tokens) + " tokens and the answer may take " +
                   std::to_string(compose.answer_tokens) + ", and the context holds " +
                   std::to_string(compose.context_tokens) + ". Shorten the messages or lower max_tokens.",
               "no_room")
      .with_parameter("messages");
}

// Retrieval that a policy or the request asks for and that nothing here can do.
Error no_search() {
  return api_error(
      ApiError::NotReady,
      "This request must be answered from documents, and this deployment has no embedding model to "
      "search them with. Ask your operator to configure [engine.embedding].");
}

// Fills in documents, or decides that there are none to answer from.
Task<Result<void>> retrieve_into(Call& call, Plan& plan) {
  const tenancy::TenantPolicy& policy = call.scope().record().policy;
  Services& services = call.services;
  plan.head.threshold = threshold_of(call);
  rag::RetrievalOptions options;
  options.results_max = services.config.retrieval.results_max;
  auto found = co_await services.retriever.retrieve(call.engine_context(), plan.body.question,
                                                    plan.body.vector_stores, options);
  if (!found) co_return explained(call, found.take_error());
  plan.head.relevance = found->relevance;
  call.record.retrieval_score = found->relevance;
  if (found->chunks.empty() || found->relevance < plan.head.threshold) {
    plan.head.outcome = found->files_searched == 0 ? "nothing_readable" : "below_threshold";
    plan.ask_engine = policy.retrieval != tenancy::RetrievalMode::Required;
    plan.request.messages = rag::compose_plain(plan.body.request.messages, policy.system_prompt);
    co_return Result<void>();
  }

  rag::ComposeOptions compose;
  compose.tenant_prompt = policy.system_prompt;
  compose.nonce = crypto::random_id(kNonceBits);
  compose.context_tokens = context_of(services, plan.request.model);
  compose.answer_tokens = plan.request.max_tokens.value_or(services.config.retrieval.answer_tokens);
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < found->chunks.size(); ++i) {
    texts.push_back(rag::source_text(i + 1, found->chunks[i], compose.nonce));
  }
  for (const engine::Message& message : plan.body.request.messages) texts.push_back(message.content);
  texts.push_back(policy.system_prompt);
  auto counts = co_await services.engine.count_tokens(call.engine_context(), plan.request.model,
                                                      std::move(texts));
  if (!counts) co_return explained(call, counts.take_error());
  std::vector<std::int64_t> chunk_tokens(counts->begin(),
                                         counts->begin() + static_cast<std::ptrdiff_t>(found->chunks.size()));
  std::int64_t message_tokens = 0;
  for (std::size_t i = found->chunks.size(); i < counts->size(); ++i) message_tokens += (*counts)[i];

  rag::Composition composition = rag::compose(plan.body.request.messages, found->chunks, chunk_tokens,
                                              message_tokens, compose);
  plan.head.outcome = composition.citations.empty() ? "no_room" : "answered";
  if (composition.citations.empty() && policy.retrieval == tenancy::RetrievalMode::Required) {
    co_return no_room(compose, message_tokens);
  }
  plan.head.citations = std::move(composition.citations);
  plan.request.messages = std::move(composition.messages);
  for (const rag::Citation& citation : plan.head.citations) {
    call.record.retrieval_ids.push_back(citation.file_id + "#" + std::to_string(citation.ordinal));
  }
  co_return Result<void>();
}

Task<Result<Plan>> make_plan(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  BULKHEAD_CO_TRY(document, read_json_object(call.request()));
  BULKHEAD_CO_TRY(body, parse_chat_body(document.root()));
  const tenancy::TenantPolicy& policy = call.scope().record().policy;
  if (body.store && !policy.keep_chats) {
    co_return api_error(ApiError::KeepingChatsOff,
                        "This tenant keeps no chats. Remove \"store\": true.", "store");
  }
  BULKHEAD_CO_TRY(model, resolve_model(call, body.request.model));
  Plan plan;
  plan.body = std::move(body);
  // The messages come later, from the documents or as they are.
  std::vector<engine::Message> asked = std::move(plan.body.request.messages);
  plan.body.request.messages.clear();
  plan.request = plan.body.request;
  plan.body.request.messages = std::move(asked);
  plan.request.model = model;
  plan.head.id = base::ChatId::make(crypto::random_public_id()).str();
  plan.head.model = model;
  plan.head.created = call.services.clock.unix_seconds();
  plan.head.request_id = call.id.str();
  plan.head.outcome = "off";
  call.record.model = model;
  call.record.prompt_hash = call.scope().audit_hash(prompt_digest_input(plan.body.request.messages));
  if (plan.body.findings.suspicious()) call.record.note = "smuggling_signs_cleaned";

  bool retrieves = policy.retrieval != tenancy::RetrievalMode::Off || !plan.body.vector_stores.empty();
  bool must = policy.retrieval == tenancy::RetrievalMode::Required || !plan.body.vector_stores.empty();
  if (must && call.services.embedding_model.empty()) co_return no_search();
  if (retrieves && !call.services.embedding_model.empty()) {
    BULKHEAD_CO_CHECK_OK(co_await retrieve_into(call, plan));
  } else {
    plan.request.messages = rag::compose_plain(plan.body.request.messages, policy.system_prompt);
  }
  call.record.retrieval_mode = plan.head.outcome;
  co_return std::move(plan);
}

// The record that must be on disk before the first byte.
void record_start(Call& call) {
  call.record.event = audit::Event::RequestStarted;
  call.record.decision = "allow";
  call.started = call.services.audit.append(call.record);
}

void record_end(Call& call, const engine::Completion& completion) {
  call.record.prompt_tokens = completion.usage.prompt_tokens;
  call.record.completion_tokens = completion.usage.completion_tokens;
  call.record.output_bytes = static_cast<std::int64_t>(completion.text.size());
  call.record.output_hash = call.scope().audit_hash(completion.text);
  call.record.finish_reason = completion.finish_reason;
  if (completion.burn) call.record.burned = completion.burn->verified;
  call.admission.settle(completion.usage.prompt_tokens + completion.usage.completion_tokens);
  auto tokens = [&](const char* kind) -> watch::Counter& {
    return call.services.metrics.counter("gen_ai_client_token_usage_total", "Tokens by tenant and kind",
                                         {{"tenant", call.scope().tenant().str()}, {"kind", kind}});
  };
  tokens("input").add(static_cast<std::uint64_t>(completion.usage.prompt_tokens));
  tokens("output").add(static_cast<std::uint64_t>(completion.usage.completion_tokens));
}

Task<void> add_receipt(Call& call, const Plan& plan, const engine::Completion& completion) {
  BurnFacts facts;
  facts.request_id = call.id.str();
  facts.action = call.record.action;
  facts.engine = completion.burn;
  facts.engine_used = plan.ask_engine;
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
  chat.expires = plan.head.created +
                 std::int64_t{86'400} * call.scope().record().policy.kept_chat_days;
  chat.metadata_json = plan.body.metadata_json;
  base::json::Writer messages;
  messages.begin_array();
  for (const engine::Message& message : plan.body.request.messages) {
    messages.begin_object().member("role", message.role).member("content", message.content).end_object();
  }
  messages.end_array();
  chat.messages_json = messages.take();
  chat.completion_json = completion;
  co_return co_await call.services.pool.run([&]() -> Result<void> {
    BULKHEAD_TRY(store, call.services.stores.open(call.scope()));
    return store->put_chat(call.scope(), chat);
  });
}

engine::Completion fixed_completion(std::string_view text) {
  engine::Completion completion;
  completion.text = text;
  completion.finish_reason = "stop";
  return completion;
}

HandlerResult answer_whole(Call& call, Plan plan) {
  engine::Completion completion = fixed_completion(kNotInDocuments);
  record_start(call);
  if (plan.ask_engine) {
    auto place = co_await call.services.engine_queue.enter(call.scope().tenant(), call.cancel);
    if (!place) co_return explained(call, place.take_error());
    auto answered = co_await call.services.engine.chat(call.engine_context(), std::move(plan.request));
    if (!answered) co_return explained(call, answered.take_error());
    completion = std::move(*answered);
  }
  if (call.cancel.cancelled()) co_return cancelled(call);
  std::string body = completion_json(plan.head, completion);
  if (plan.body.store) BULKHEAD_CO_CHECK_OK(co_await keep_chat(call, plan, body));
  record_end(call, completion);
  co_await add_receipt(call, plan, completion);
  co_return Reply::json(200, std::move(body));
}

// Writes events; the first failure to write is the client's going away.
class EventWriter {
 public:
  explicit EventWriter(Call& call) : call_(call) {}
  Task<Result<void>> start() {
    http::Headers headers;
    headers.set("content-type", "text/event-stream");
    headers.set("cache-control", "no-store");
    headers.set("x-request-id", call_.id.str());
    headers.set("x-content-type-options", "nosniff");
    call_.admission.add_headers(headers);
    return call_.exchange.start(200, std::move(headers));
  }
  Task<Result<void>> send(std::string payload) { return call_.exchange.write(http::sse_event(payload)); }

 private:
  Call& call_;
};

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

// Reads the engine's stream into events. The first piece is fetched before anything is sent, so that
// a refusal by the engine is still a plain error answer.
Task<Result<void>> pump(Call& call, Plan& plan, EventWriter& events, engine::Completion& completion) {
  bool usage_null = plan.body.include_usage;
  std::unique_ptr<engine::ChatStream> stream;
  std::optional<std::string> piece = std::string(completion.text);
  std::optional<engine::FairQueue::Place> place;
  if (plan.ask_engine) {
    completion.text.clear();
    auto entered = co_await call.services.engine_queue.enter(call.scope().tenant(), call.cancel);
    if (!entered) co_return explained(call, entered.take_error());
    place.emplace(std::move(*entered));
    auto opened = co_await call.services.engine.chat_stream(call.engine_context(), std::move(plan.request));
    if (!opened) co_return explained(call, opened.take_error());
    stream = std::move(*opened);
    auto first = co_await stream->next();
    if (!first) co_return explained(call, first.take_error());
    piece = std::move(*first);
  }
  BULKHEAD_CO_CHECK_OK(co_await call.started->durable());
  BULKHEAD_CO_CHECK_OK(co_await events.start());
  BULKHEAD_CO_CHECK_OK(co_await events.send(role_chunk(plan.head, usage_null)));
  while (piece) {
    BULKHEAD_CO_CHECK_OK(co_await events.send(text_chunk(plan.head, *piece, usage_null)));
    if (!stream) break;
    completion.text += *piece;
    auto next = co_await stream->next();
    if (!next) co_return explained(call, next.take_error());
    piece = std::move(*next);
  }
  if (stream) {
    const engine::Completion& end = stream->result();
    completion.finish_reason = end.finish_reason;
    completion.usage = end.usage;
    completion.burn = end.burn;
  }
  co_return Result<void>();
}

Task<Result<void>> finish_stream(Call& call, Plan& plan, EventWriter& events,
                                 const engine::Completion& completion) {
  if (plan.body.store) {
    BULKHEAD_CO_CHECK_OK(co_await keep_chat(call, plan, completion_json(plan.head, completion)));
  }
  // Before the last byte, so that the receipt is there when the client asks for it.
  co_await add_receipt(call, plan, completion);
  bool usage_null = plan.body.include_usage;
  BULKHEAD_CO_CHECK_OK(
      co_await events.send(finish_chunk(plan.head, completion.finish_reason, usage_null)));
  if (plan.body.include_usage) {
    BULKHEAD_CO_CHECK_OK(co_await events.send(usage_chunk(plan.head, completion.usage)));
  }
  BULKHEAD_CO_CHECK_OK(co_await events.send("[DONE]"));
  co_return co_await call.exchange.finish();
}

HandlerResult answer_streamed(Call& call, Plan plan) {
  engine::Completion completion = fixed_completion(kNotInDocuments);
  record_start(call);
  EventWriter events(call);
  auto pumped = co_await pump(call, plan, events, completion);
  if (pumped) pumped = co_await finish_stream(call, plan, events, completion);
  record_end(call, completion);
  if (pumped) co_return Reply::already_streamed();
  if (!call.exchange.started()) co_return pumped.take_error();
  co_await end_with_error(call, events, pumped.error());
  co_return Reply::already_streamed();
}

}  // namespace

HandlerResult create_chat(Call& call) {
  auto plan = co_await make_plan(call);
  if (!plan) co_return plan.take_error();
  if (call.cancel.cancelled()) co_return cancelled(call);
  if (plan->request.stream) co_return co_await answer_streamed(call, std::move(*plan));
  co_return co_await answer_whole(call, std::move(*plan));
}

}  // namespace bulkhead::gateway
