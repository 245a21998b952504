// ExternalEngine: chat at servers that are not ours (vLLM, llama.cpp, SGLang, Ollama, any OpenAI-compatible
// one), each kind held to what guarantees.h says of it.
//
// Several replicas: a session's requests go to one and the same while it is usable (rendezvous hashing over a
// keyed name of the session), and to the next when it is not. A request is handed on only when the first
// replica did not take it (no connection, 429, 502 to 504); one that was taken and lost is answered by an
// error, so that a request that kills a server is not given the next one. Nothing is handed on once an
// answer has begun.
//
// A llama.cpp server serves only while it is known to be started safely (llama_server.h): one that is
// reachable and unsafe refuses the start, one that comes up later is inspected first.
//
// Thread safety: all members from every thread; requests are awaited on a reactor. Destroy it before the
// reactors, from a thread that is none of them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/engine.h"
#include "engine/replica.h"
#include "http/reactor.h"

namespace bulkhead::engine {

struct ReplicaEvent {
  std::string replica;
  bool up = false;
  std::string reason;  // why it is down; a fixed phrase of ours
};

struct ReplicaStatus {
  std::string name;
  bool ready = false;
  CircuitBreaker::State breaker = CircuitBreaker::State::Closed;
  std::uint64_t failures = 0;
};

struct ExternalOptions {
  ReplicaOptions replica;
  std::vector<std::string> urls;
  base::Secret api_key;   // empty: none is sent
  base::Secret salt_key;  // this deployment's
  std::string model;
  std::int64_t context = 0;
  std::size_t retries = 1;   // further replicas to try
  bool reset_cache = false;  // may everything kept be dropped, all tenants', to burn one's
  std::chrono::milliseconds health_interval{5'000};
  std::function<void(const ReplicaEvent&)> on_event;  // any thread; may be empty
};

class ExternalEngine final : public Engine {
 public:
  // Waits for the first look at each replica.
  static base::Result<std::unique_ptr<ExternalEngine>> start(ExternalOptions options,
                                                             http::ReactorPool& reactors,
                                                             const base::Clock& clock);
  ~ExternalEngine() override;

  base::Task<base::Result<std::unique_ptr<ChatStream>>> chat(CallContext context,
                                                             ChatRequest request) override;
  base::Task<base::Result<Embeddings>> embed(CallContext context, std::string model,
                                             std::vector<std::string> texts,
                                             base::EmbeddingSpace space = {}) override;
  EmbeddingSpaces embedding_spaces(const std::string& model) const override;
  // An estimate that is too high for every tokenizer we know, so that a budget kept by it is safe.
  base::Task<base::Result<Ranking>> rerank(CallContext context, std::string model, std::string query,
                                           std::vector<std::string> documents) override;
  base::Task<base::Result<std::vector<std::int64_t>>> count_tokens(CallContext context, std::string model,
                                                                   std::vector<std::string> texts) override;
  base::Task<base::Result<base::BurnReport>> burn_kept(BurnTarget target) override;
  std::vector<ModelInfo> models() const override;
  bool ready() const override;  // true when a replica is usable

  std::vector<ReplicaStatus> replicas() const;
  std::uint64_t failovers() const;

  struct Core;  // external_engine_impl.h

 private:
  explicit ExternalEngine(std::shared_ptr<Core> core) : core_(std::move(core)) {}
  std::shared_ptr<Core> core_;
};

}  // namespace bulkhead::engine
