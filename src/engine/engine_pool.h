// EnginePool: several models behind one Engine, each version of each in a worker process of its own.
//
// Routing. A request goes by its model's id and its tenant's policy: to the shared worker of that
// model, or, for `engine = "dedicated"`, to a worker that serves this tenant alone. While a new
// version is rolled out, a share of the users, fixed by a hash of tenant and user, goes to it; a
// tenant with a worker of its own moves as a whole. A version that is not ready loses its share to
// the old one.
// Dedicated workers start at the first request (which waits, at most `start_time_max`; further ones
// wait for the same start), stop after `dedicated_idle_max` without one, and at once when their
// tenant is suspended or destroyed. They carry the embedding and the rerank model too: nothing of such a
// tenant is computed in a shared process. At most `dedicated_max` run; more are refused with Unavailable.
// Changes. `add`, `replace`, `set_share` and `remove` run one at a time (others get ModelBusy). A new
// version is admitted (model_admission.h), started beside the old one and answers before any traffic
// moves; if it doesn't, the old one goes on untouched. A version without traffic drains: its requests
// finish, within `answer_time_max`, and then it stops.
// Workers that end. A worker that dies, or makes no progress for `stall_time_max` and is killed, is started
// again; a tenant whose request it was is refused with HeldOff for a while (hold_off.h). Thread safety: all
// members from every thread; `forget_tenant` and `stop` block.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/fair_pool.h"
#include "base/task.h"
#include "engine/embed_queue.h"
#include "engine/engine.h"
#include "engine/hold_off.h"
#include "engine/model_admission.h"
#include "engine/model_registry.h"
#include "engine/model_worker.h"
#include "http/reactor.h"

namespace bulkhead::engine {

struct PoolOptions {
  std::filesystem::path executable;
  std::filesystem::path run_dir;              // sockets are made here
  std::vector<std::string> common_arguments;  // threads, burn
  http::ClientOptions client;
  AdmissionRules rules;
  std::string default_model;  // the chat model that readiness speaks of; "" for none
  std::chrono::seconds answer_time_max{300};
  std::chrono::seconds start_time_max{120};
  std::chrono::seconds dedicated_idle_max{300};
  std::size_t dedicated_max = 4;
  EmbedQueueOptions embed_queue;             // before the embedding model's shared workers
  std::chrono::seconds stall_time_max{120};  // of a worker's loop without progress
  HoldOff::Options hold_off;                 // of tenants whose requests end workers
  // The saved table of models; `save` is called where blocking is allowed.
  std::function<base::Result<std::optional<std::string>>()> load;
  std::function<base::Result<void>(const std::string&)> save;
  WorkerListener on_event;
  // Processes or their readiness changed. Called on a thread of the pool's.
  std::function<void()> on_workers_changed;
};

struct WorkerStatus {
  std::string name;  // "MODEL", "MODEL@next", "TENANT/MODEL"
  std::string model, kind, sha256, tenant;
  int pid = 0;  // 0: not running just now
  bool ready = false;
  std::uint64_t restarts = 0;
  std::size_t inside = 0;
};

class EnginePool final : public Engine {
 public:
  // `configured`: the models of the configuration file. Those without a pinned hash are read and
  // pinned here. All three references outlive the pool; it is stopped before the reactors.
  static base::Result<std::unique_ptr<EnginePool>> start(PoolOptions options,
                                                         std::vector<ModelVersion> configured,
                                                         base::FairPool& blocking,
                                                         http::ReactorPool& reactors,
                                                         const base::Clock& clock);
  ~EnginePool() override;

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
  // The id of the one rerank model, whether it answers already or not; "" for none.
  std::string rerank_model() const;

  // A new model; its path is taken inside rules.model_dir and its sha256 must be given. At most one
  // model reranks. When it changes, dedicated workers are drained and start anew with it.
  base::Task<base::Result<ModelEntry>> add(ModelVersion version);
  // A new version of a model; of a chat model `share` 1 switches over, less begins a roll-out in steps. Of an
  // embedding model, where only 1 makes sense, it becomes the next one until `finish_embedding`.
  // A rerank model is switched over at once.
  base::Task<base::Result<ModelEntry>> replace(ModelVersion version, double share);
  // The running roll-out: 1 completes it (not of an embedding model), 0 rolls it back.
  base::Task<base::Result<ModelEntry>> set_share(std::string id, double share);
  // Everything is indexed in the next version's space: it becomes the current one.
  base::Task<base::Result<ModelEntry>> finish_embedding(std::string id, base::EmbeddingSpace space);
  base::Task<base::Result<ModelEntry>> remove(std::string id);

  std::vector<ModelEntry> entries() const;
  std::vector<WorkerStatus> workers() const;
  const EmbedQueue& embed_queue() const;
  // Ends the tenant's own workers; they are gone when it returns.
  void forget_tenant(const base::TenantId& tenant);
  // Ends everything. Running requests fail.
  void stop();

 private:
  struct Impl;
  explicit EnginePool(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bulkhead::engine
