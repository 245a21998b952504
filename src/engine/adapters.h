// The engines that the configuration can name.
#pragma once

#include <memory>
#include <string>

#include "base/secret.h"
#include "engine/http_engine.h"
#include "engine/worker_process.h"

namespace bulkhead::engine {

// Our own worker: Unix socket, context signed by RFC 9421. `worker` must outlive the engine.
std::unique_ptr<HttpEngine> make_worker_engine(WorkerProcess& worker, const std::filesystem::path& socket,
                                               http::ClientOptions options);

// Chat at one engine, embeddings, reranking and their tokens at another. Both must outlive it.
class SplitEngine final : public Engine {
 public:
  SplitEngine(Engine& chat, Engine& embeddings) : chat_(chat), embeddings_(embeddings) {}
  base::Task<base::Result<std::unique_ptr<ChatStream>>> chat(CallContext context,
                                                             ChatRequest request) override;
  base::Task<base::Result<Embeddings>> embed(CallContext context, std::string model,
                                             std::vector<std::string> texts,
                                             base::EmbeddingSpace space = {}) override;
  EmbeddingSpaces embedding_spaces(const std::string& model) const override;
  base::Task<base::Result<Ranking>> rerank(CallContext context, std::string model, std::string query,
                                           std::vector<std::string> documents) override;
  base::Task<base::Result<std::vector<std::int64_t>>> count_tokens(CallContext context, std::string model,
                                                                   std::vector<std::string> texts) override;
  base::Task<base::Result<base::BurnReport>> burn_kept(BurnTarget target) override;
  std::vector<ModelInfo> models() const override;
  bool ready() const override;

 private:
  Engine& chat_;
  Engine& embeddings_;
};

}  // namespace bulkhead::engine
