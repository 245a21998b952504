// POST /v1/chat/completions: retrieval and prompt; generation.h goes on from there.
//
// Documents are found and checked by code before the prompt is built; the model chooses nothing.
#include <algorithm>
#include <utility>

#include "crypto/random.h"
#include "gateway/chat_request.h"
#include "gateway/dto.h"
#include "gateway/generation.h"
#include "gateway/model_access.h"
#include "gateway/outcome.h"
#include "gateway/prompt_bounds.h"

namespace bulkhead::gateway {

using base::Error;
using base::Result;
using base::Task;

namespace {

constexpr unsigned kNonceBits = 80;

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
Task<Result<void>> retrieve_into(Call& call, const ChatBody& body, Plan& plan) {
  const tenancy::TenantPolicy& policy = call.scope().record().policy;
  Services& services = call.services;
  plan.head.threshold = threshold_of(call);
  rag::RetrievalOptions options;
  options.results_max = services.config.retrieval.results_max;
  ReadingOutcome reading(accounts_of(call), ReadingOutcome::Part::BeforeChat);
  auto found = co_await services.retriever.retrieve(call.engine_context(), body.question, body.vector_stores,
                                                    options, reading.tokens);
  reading.settle();
  if (!found) co_return explained(call, found.take_error());
  plan.head.relevance = found->relevance;
  call.record.retrieval_score = found->relevance;
  plan.head.reranked_by = found->reranked_by;
  call.record.reranked_by = found->reranked_by;
  if (found->chunks.empty() || found->relevance < plan.head.threshold) {
    plan.head.outcome = found->files_searched == 0 ? "nothing_readable" : "below_threshold";
    plan.ask_engine = policy.retrieval != tenancy::RetrievalMode::Required;
    plan.request.messages = rag::compose_plain(plan.said, policy.system_prompt);
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
  for (const engine::Message& message : plan.said) texts.push_back(message.content);
  texts.push_back(policy.system_prompt);
  texts.push_back(plan.request.tools);
  auto counts =
      co_await services.engine.count_tokens(call.engine_context(), plan.request.model, std::move(texts));
  if (!counts) co_return explained(call, counts.take_error());
  std::vector<std::int64_t> chunk_tokens(counts->begin(),
                                         counts->begin() + static_cast<std::ptrdiff_t>(found->chunks.size()));
  std::int64_t message_tokens = 0;
  for (std::size_t i = found->chunks.size(); i < counts->size(); ++i) message_tokens += (*counts)[i];

  rag::Composition composition =
      rag::compose(plan.said, found->chunks, chunk_tokens, message_tokens, compose);
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
  BULKHEAD_CO_CHECK_OK(check_body_may_fit(call, document.root()));
  BULKHEAD_CO_TRY(body, parse_chat_body(document.root()));
  const tenancy::TenantPolicy& policy = call.scope().record().policy;
  if (body.store && !policy.keep_chats) {
    co_return api_error(ApiError::KeepingChatsOff, "This tenant keeps no chats. Remove \"store\": true.",
                        "store");
  }
  BULKHEAD_CO_CHECK_OK(check_policy(call, body.request));
  BULKHEAD_CO_TRY(model, resolve_chat_model(call, body.request.model));
  BULKHEAD_CO_CHECK_OK(check_messages_fit(call, model, body.request.messages));
  body.request.model = model;
  Plan plan;
  plan.request = std::move(body.request);
  plan.stream_options = body.stream_options;
  plan.store = body.store;
  plan.metadata_json = std::move(body.metadata_json);
  plan.head.id = base::ChatId::make(crypto::random_public_id()).str();
  plan.head.model = model;
  plan.head.created = call.services.clock.unix_seconds();
  plan.head.request_id = call.id.str();
  plan.head.outcome = "off";
  describe_request(call, plan.request, body.tools);
  // The engine's messages come later, from the documents or as they are.
  plan.said = std::exchange(plan.request.messages, {});
  if (body.findings.suspicious()) call.record.note = "smuggling_signs_cleaned";

  bool retrieves = policy.retrieval != tenancy::RetrievalMode::Off || !body.vector_stores.empty();
  bool must = policy.retrieval == tenancy::RetrievalMode::Required || !body.vector_stores.empty();
  if (must && call.services.embedding_model.empty()) co_return no_search();
  if (retrieves && !call.services.embedding_model.empty()) {
    BULKHEAD_CO_CHECK_OK(co_await retrieve_into(call, body, plan));
  } else {
    plan.request.messages = rag::compose_plain(plan.said, policy.system_prompt);
  }
  call.record.retrieval_mode = plan.head.outcome;
  co_return std::move(plan);
}

}  // namespace

HandlerResult create_chat(Call& call) {
  auto plan = co_await make_plan(call);
  if (!plan) co_return plan.take_error();
  co_return co_await answer(call, std::move(*plan));
}

}  // namespace bulkhead::gateway
