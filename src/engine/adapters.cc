#include "engine/adapters.h"

#include <utility>

namespace bulkhead::engine {

using base::Error;
using base::Result;
using base::Task;

namespace {

// Requests that belong to no tenant (the list of models) carry this name; no tenant may bear it.
constexpr std::string_view kPlatform = "platform";

class WorkerTransport final : public Transport {
 public:
  WorkerTransport(WorkerProcess& worker, http::Url url, http::ClientOptions options)
      : worker_(worker), client_(std::move(url), std::move(options)) {}

  http::Client& client() override { return client_; }
  bool ready() const override { return worker_.ready(); }

  Result<void> prepare(http::Request& request, const CallContext& context, Priority priority) override {
    if (!worker_.ready()) {
      return Error(EngineError::Unavailable, "The model is starting. Try again shortly.",
                   "engine worker is not ready");
    }
    const tenancy::EnginePolicy& policy = context.scope.record().policy.engine;
    set_names(request, context.scope.tenant().str(), context.session, context.request_id);
    request.headers.set("x-bulkhead-prefix-cache",
                        std::string(tenancy::prefix_cache_name(policy.prefix_cache)));
    request.headers.set("x-bulkhead-prefix-seconds", std::to_string(policy.prefix_cache_seconds));
    request.headers.set("x-bulkhead-batching", std::string(tenancy::batching_name(policy.batching)));
    request.headers.set("x-bulkhead-weight", std::to_string(policy.weight));
    request.headers.set("x-bulkhead-priority", std::string(priority_name(priority)));
    return worker_.sign(request);
  }

  Result<void> prepare_burn(http::Request& request, const BurnTarget& target) override {
    set_names(request, target.tenant.str(),
              target.session.empty() ? kPlatform : std::string_view(target.session), target.request_id);
    return worker_.sign(request);
  }

  Result<void> prepare_platform(http::Request& request) override {
    set_names(request, kPlatform, kPlatform, kPlatform);
    return worker_.sign(request);
  }

 private:
  static void set_names(http::Request& request, std::string_view tenant, std::string_view session,
                        std::string_view request_id) {
    request.headers.set("host", "engine");
    request.headers.set("x-bulkhead-tenant", std::string(tenant));
    request.headers.set("x-bulkhead-session", std::string(session));
    request.headers.set("x-bulkhead-request", std::string(request_id));
  }

  WorkerProcess& worker_;
  http::Client client_;
};

}  // namespace

std::unique_ptr<HttpEngine> make_worker_engine(WorkerProcess& worker, const std::filesystem::path& socket,
                                               http::ClientOptions options) {
  http::Url url;
  url.unix_path = socket.string();
  return std::make_unique<HttpEngine>(
      std::make_unique<WorkerTransport>(worker, std::move(url), std::move(options)));
}

Task<Result<std::unique_ptr<ChatStream>>> SplitEngine::chat(CallContext context, ChatRequest request) {
  return chat_.chat(std::move(context), std::move(request));
}

Task<Result<Embeddings>> SplitEngine::embed(CallContext context, std::string model,
                                            std::vector<std::string> texts, base::EmbeddingSpace space) {
  return embeddings_.embed(std::move(context), std::move(model), std::move(texts), space);
}

EmbeddingSpaces SplitEngine::embedding_spaces(const std::string& model) const {
  return embeddings_.embedding_spaces(model);
}

Task<Result<Ranking>> SplitEngine::rerank(CallContext context, std::string model, std::string query,
                                          std::vector<std::string> documents) {
  return embeddings_.rerank(std::move(context), std::move(model), std::move(query), std::move(documents));
}

Task<Result<std::vector<std::int64_t>>> SplitEngine::count_tokens(CallContext context, std::string model,
                                                                  std::vector<std::string> texts) {
  for (const ModelInfo& known : embeddings_.models()) {
    if (known.id == model && known.kind != "chat") {
      return embeddings_.count_tokens(std::move(context), std::move(model), std::move(texts));
    }
  }
  return chat_.count_tokens(std::move(context), std::move(model), std::move(texts));
}

Task<Result<base::BurnReport>> SplitEngine::burn_kept(BurnTarget target) {
  return chat_.burn_kept(std::move(target));
}

std::vector<ModelInfo> SplitEngine::models() const {
  std::vector<ModelInfo> all;
  for (ModelInfo& model : chat_.models()) {
    if (model.kind == "chat") all.push_back(std::move(model));
  }
  for (ModelInfo& model : embeddings_.models()) {
    if (model.kind != "chat") all.push_back(std::move(model));
  }
  return all;
}

bool SplitEngine::ready() const { return chat_.ready() && embeddings_.ready(); }

}  // namespace bulkhead::engine
