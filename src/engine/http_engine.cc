#include "engine/http_engine.h"

#include <utility>

#include "engine/http_chat_stream.h"
#include "engine/openai_body.h"
#include "engine/openai_wire.h"

namespace bulkhead::engine {

using base::Error;
using base::Result;
using base::Task;

namespace {

constexpr std::size_t kCompletionBytesMax = 8u << 20;
constexpr std::size_t kEmbeddingBytesMax = 64u << 20;
constexpr std::size_t kErrorBytesMax = 64u << 10;

http::Request make_post(std::string path, std::string body) {
  http::Request request;
  request.method = http::Method::Post;
  request.path = std::move(path);
  request.target = request.path;
  request.headers.set("content-type", "application/json");
  request.body = std::move(body);
  return request;
}

}  // namespace

HttpEngine::HttpEngine(std::unique_ptr<Transport> transport) : transport_(std::move(transport)) {}

Task<Result<std::string>> HttpEngine::post(const CallContext& context, std::string path, std::string body,
                                           std::size_t answer_bytes_max) {
  http::Request request = make_post(std::move(path), std::move(body));
  BULKHEAD_CO_CHECK_OK(transport_->prepare(request, context, Priority::Interactive));
  auto answer = co_await transport_->client().request(std::move(request), answer_bytes_max, context.cancel);
  if (!answer) co_return transport_error(answer.error());
  if (answer->status != 200) co_return wire::read_error(answer->status, answer->body);
  co_return std::move(answer->body);
}

Task<Result<std::unique_ptr<ChatStream>>> HttpEngine::chat(CallContext context, ChatRequest request) {
  http::Request outgoing =
      make_post(std::string(wire::generation_path(request)), wire::worker_generation_body(request));
  BULKHEAD_CO_CHECK_OK(transport_->prepare(outgoing, context, request.priority));
  auto answer = co_await transport_->client().stream(std::move(outgoing), context.cancel);
  if (!answer) co_return transport_error(answer.error());
  if ((*answer)->status() != 200) {
    std::string body;
    while (body.size() < kErrorBytesMax) {
      auto piece = co_await (*answer)->read();
      if (!piece || !*piece) break;
      body += **piece;
    }
    co_return wire::read_error((*answer)->status(), body);
  }
  co_return std::unique_ptr<ChatStream>(std::make_unique<HttpChatStream>(
      std::move(*answer), static_cast<std::size_t>(request.choices), request.prompt.has_value()));
}

Task<Result<Embeddings>> HttpEngine::embed(CallContext context, std::string model,
                                           std::vector<std::string> texts, base::EmbeddingSpace space) {
  if (space.known() && space != embedding_spaces(model).current) {
    co_return Error(EngineError::Unavailable, "The embedding model was replaced just now. Try again.");
  }
  if (texts.empty()) co_return Embeddings();
  auto answer = co_await post(context, "/v1/embeddings", wire::embeddings_body(model, texts),
                              kEmbeddingBytesMax, context.priority);
  if (!answer) co_return answer.take_error();
  co_return wire::parse_embeddings(*answer, texts.size());
}

EmbeddingSpaces HttpEngine::embedding_spaces(const std::string& model) const {
  for (const ModelInfo& info : models()) {
    if (info.id == model && info.kind == "embedding") {
      return {.current = base::EmbeddingSpace::of_model(info.sha256), .next = std::nullopt};
    }
  }
  return {};
}

Task<Result<Ranking>> HttpEngine::rerank(CallContext context, std::string model, std::string query,
                                         std::vector<std::string> documents) {
  if (documents.empty()) co_return Ranking();
  auto answer = co_await post(context, "/v1/rerank", wire::rerank_body(model, query, documents),
                              kCompletionBytesMax, context.priority);
  if (!answer) co_return answer.take_error();
  co_return wire::parse_ranking(*answer, documents.size());
}

Task<Result<std::vector<std::int64_t>>> HttpEngine::count_tokens(CallContext context, std::string model,
                                                                 std::vector<std::string> texts) {
  if (texts.empty()) co_return std::vector<std::int64_t>();
  auto answer = co_await post(context, "/v1/tokenize", wire::tokenize_body(model, texts), kCompletionBytesMax,
                              context.priority);
  if (!answer) co_return answer.take_error();
  co_return wire::parse_token_counts(*answer, texts.size());
}

Task<Result<base::BurnReport>> HttpEngine::burn_kept(BurnTarget target) {
  http::Request request = make_post("/v1/bulkhead/burn", wire::burn_body(target));
  BULKHEAD_CO_CHECK_OK(transport_->prepare_burn(request, target));
  auto answer =
      co_await transport_->client().request(std::move(request), kErrorBytesMax, base::CancelToken());
  if (!answer) co_return transport_error(answer.error());
  if (answer->status != 200) co_return wire::read_error(answer->status, answer->body);
  co_return wire::parse_burn_kept(answer->body);
}

std::vector<ModelInfo> HttpEngine::models() const {
  std::lock_guard lock(mutex_);
  return models_;
}

bool HttpEngine::ready() const { return transport_->ready(); }

void HttpEngine::set_models(std::vector<ModelInfo> models) {
  std::lock_guard lock(mutex_);
  models_ = std::move(models);
}

Task<Result<void>> HttpEngine::refresh_models() {
  http::Request request;
  request.method = http::Method::Get;
  request.path = request.target = "/v1/models";
  BULKHEAD_CO_CHECK_OK(transport_->prepare_platform(request));
  auto answer =
      co_await transport_->client().request(std::move(request), kCompletionBytesMax, base::CancelToken());
  if (!answer) co_return transport_error(answer.error());
  if (answer->status != 200) co_return wire::read_error(answer->status, answer->body);
  auto models = wire::parse_models(answer->body);
  if (!models) co_return models.take_error();
  set_models(std::move(*models));
  co_return Result<void>();
}

}  // namespace bulkhead::engine
