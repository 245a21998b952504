// HttpEngine: an Engine over HTTP in OpenAI's wire format with our own routes beside it: the worker's client.
// Address, signing and readiness are a Transport. External servers are external_engine.h.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "http/client.h"

namespace bulkhead::engine {

class Transport {
 public:
  virtual ~Transport() = default;
  virtual http::Client& client() = 0;
  // Adds path prefix, credentials and signed context. Fails when the engine isn't ready.
  virtual base::Result<void> prepare(http::Request& request, const CallContext& context,
                                     Priority priority) = 0;
  // The same for a burn of kept prefixes, and for what belongs to no tenant (the list of models).
  virtual base::Result<void> prepare_burn(http::Request& request, const BurnTarget& target) = 0;
  virtual base::Result<void> prepare_platform(http::Request& request) = 0;
  virtual bool ready() const = 0;
};

class HttpEngine final : public Engine {
 public:
  explicit HttpEngine(std::unique_ptr<Transport> transport);

  base::Task<base::Result<std::unique_ptr<ChatStream>>> chat(CallContext context,
                                                             ChatRequest request) override;
  base::Task<base::Result<Embeddings>> embed(CallContext context, std::string model,
                                             std::vector<std::string> texts,
                                             base::EmbeddingSpace space = {}) override;
  // By the hashes that the server reports; a server that serves one version of a model.
  EmbeddingSpaces embedding_spaces(const std::string& model) const override;
  base::Task<base::Result<Ranking>> rerank(CallContext context, std::string model, std::string query,
                                           std::vector<std::string> documents) override;
  base::Task<base::Result<std::vector<std::int64_t>>> count_tokens(CallContext context, std::string model,
                                                                   std::vector<std::string> texts) override;
  base::Task<base::Result<base::BurnReport>> burn_kept(BurnTarget target) override;
  std::vector<ModelInfo> models() const override;
  bool ready() const override;

  // Asks the server for its models and remembers them.
  base::Task<base::Result<void>> refresh_models();
  void set_models(std::vector<ModelInfo> models);

 private:
  base::Task<base::Result<std::string>> post(const CallContext& context, std::string path, std::string body,
                                             std::size_t answer_bytes_max, Priority priority);

  std::unique_ptr<Transport> transport_;
  mutable std::mutex mutex_;
  std::vector<ModelInfo> models_;
};

}  // namespace bulkhead::engine
