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
  bool can_tokenize() const override { return true; }
  bool ready() const override { return worker_.ready(); }

  Result<void> prepare(http::Request& request, const CallContext* context) override {
    if (context && !worker_.ready()) {
      return Error(EngineError::Unavailable, "The model is starting. Try again shortly.",
                   "engine worker is not ready");
    }
    request.headers.set("host", "engine");
    request.headers.set("x-bulkhead-tenant", context ? context->scope.tenant().str() : kPlatform);
    request.headers.set("x-bulkhead-session", context ? context->session : kPlatform);
    request.headers.set("x-bulkhead-request", context ? context->request_id : kPlatform);
    return worker_.sign(request);
  }

 private:
  WorkerProcess& worker_;
  http::Client client_;
};

class RemoteTransport final : public Transport {
 public:
  RemoteTransport(http::Url url, base::Secret api_key, http::ClientOptions options)
      : prefix_(url.path), authorization_(std::move(api_key)), client_(std::move(url), std::move(options)) {
    host_ = client_.url().host + ":" + std::to_string(client_.url().port);
  }

  http::Client& client() override { return client_; }
  bool can_tokenize() const override { return false; }
  bool ready() const override { return true; }

  Result<void> prepare(http::Request& request, const CallContext*) override {
    request.path = prefix_ + request.path;
    request.target = request.path;
    request.headers.set("host", host_);
    if (!authorization_.empty()) {
      request.headers.set("authorization", "Bearer " + std::string(authorization_.reveal_text()));
    }
    return Result<void>();
  }

 private:
  std::string prefix_;
  std::string host_;
  base::Secret authorization_;
  http::Client client_;
};

}  // namespace

std::unique_ptr<HttpEngine> make_worker_engine(WorkerProcess& worker,
                                               const std::filesystem::path& socket,
                                               http::ClientOptions options) {
  http::Url url;
  url.unix_path = socket.string();
  return std::make_unique<HttpEngine>(
      std::make_unique<WorkerTransport>(worker, std::move(url), std::move(options)));
}

Result<std::unique_ptr<HttpEngine>> make_remote_engine(RemoteOptions options) {
  BULKHEAD_TRY(url, http::Url::parse(options.url));
  // Both ways of writing a base address are common: with and without the /v1 that our paths bring.
  if (url.path.ends_with("/v1")) url.path.resize(url.path.size() - 3);
  return std::make_unique<HttpEngine>(std::make_unique<RemoteTransport>(
      std::move(url), std::move(options.api_key), std::move(options.client)));
}

Task<Result<Completion>> SplitEngine::chat(CallContext context, ChatRequest request) {
  return chat_.chat(std::move(context), std::move(request));
}

Task<Result<std::unique_ptr<ChatStream>>> SplitEngine::chat_stream(CallContext context,
                                                                   ChatRequest request) {
  return chat_.chat_stream(std::move(context), std::move(request));
}

Task<Result<std::vector<std::vector<float>>>> SplitEngine::embed(CallContext context,
                                                                 std::string model,
                                                                 std::vector<std::string> texts) {
  return embeddings_.embed(std::move(context), std::move(model), std::move(texts));
}

Task<Result<std::vector<std::int64_t>>> SplitEngine::count_tokens(CallContext context,
                                                                  std::string model,
                                                                  std::vector<std::string> texts) {
  for (const ModelInfo& known : embeddings_.models()) {
    if (known.id == model && known.kind == "embedding") {
      return embeddings_.count_tokens(std::move(context), std::move(model), std::move(texts));
    }
  }
  return chat_.count_tokens(std::move(context), std::move(model), std::move(texts));
}

std::vector<ModelInfo> SplitEngine::models() const {
  std::vector<ModelInfo> all;
  for (ModelInfo& model : chat_.models()) {
    if (model.kind == "chat") all.push_back(std::move(model));
  }
  for (ModelInfo& model : embeddings_.models()) {
    if (model.kind == "embedding") all.push_back(std::move(model));
  }
  return all;
}

bool SplitEngine::ready() const { return chat_.ready() && embeddings_.ready(); }

}  // namespace bulkhead::engine
