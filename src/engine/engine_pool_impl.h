// The inside of EnginePool, shared by its source files; not for other modules.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "engine/engine_pool.h"

namespace bulkhead::engine {

// Whose work on the blocking pool this is.
constexpr char kParty[] = "engine.models";

struct EnginePool::Impl {
  // The shared workers of one model.
  struct Route {
    std::shared_ptr<ModelWorker> current, next;
  };
  struct Retired {
    std::shared_ptr<ModelWorker> worker;
    base::MonotonicTime deadline;
    bool stopping = false;
  };
  struct Reached {
    ModelWorker::Lease worker;
    bool own = false;  // serves this tenant alone: worth waiting for
  };

  Impl(PoolOptions o, base::FairPool& b, http::ReactorPool& r, const base::Clock& c)
      : options(std::move(o)),
        blocking(b),
        reactors(r),
        clock(c),
        hold_off(options.hold_off, c),
        embed_queue(options.embed_queue) {}

  // engine_pool.cc: routing
  base::Result<Reached> pick(const CallContext& context, const std::string& model,
                             const base::EmbeddingSpace& space);
  base::Result<Reached> pick_embedding(const CallContext& context, const ModelEntry& entry,
                                       const base::EmbeddingSpace& space);
  // The tenant's own worker, which carries what is no chat model beside its chat model.
  base::Result<Reached> pick_carrier(const tenancy::Tenant& tenant);
  static const ModelVersion* version_for(const ModelEntry& entry, const base::EmbeddingSpace& space);
  base::Task<base::Result<ModelWorker::Lease>> reach(CallContext context, std::string model,
                                                     base::EmbeddingSpace space = {});
  base::Result<std::shared_ptr<ModelWorker>> dedicated_worker(const std::string& tenant,
                                                              const ModelEntry& entry);
  // The tenant's worker of this version, started when there is none. With `suffix` beside one of the id
  // alone.
  base::Result<std::shared_ptr<ModelWorker>> own_worker(const std::string& tenant,
                                                        const ModelVersion& version,
                                                        const std::string& suffix);
  const ModelEntry* embedding_entry() const;
  const ModelEntry* rerank_entry() const;

  // engine_pool_supervisor.cc: processes. With the lock held unless said otherwise.
  base::Result<std::shared_ptr<ModelWorker>> start_worker(const ModelVersion& version,
                                                          const std::string& tenant);
  void retire(std::shared_ptr<ModelWorker> worker);
  void retire_dedicated();
  std::vector<std::shared_ptr<ModelWorker>> all_workers() const;
  std::vector<WorkerStatus> describe_workers() const;
  void retire_idle();
  void supervise();     // without the lock; the supervisor's thread
  void stop_drained();  // without the lock
  void stop();          // without the lock

  // engine_pool_changes.cc
  base::Result<void> begin_change();
  void end_change();
  // Admits and starts a version; it is in `candidate` until published or retired.
  base::Task<base::Result<std::shared_ptr<ModelWorker>>> bring_up(ModelVersion& version);
  // Saves the table as it would be; puts it in place when that has worked, and `then` does its part before
  // anybody sees it.
  base::Task<base::Result<void>> commit(std::function<void(ModelTable&)> change, std::function<void()> then);
  // The commonest change: one entry's.
  base::Task<base::Result<void>> put(ModelEntry entry, std::function<void()> then);
  // The lock is held; there is a next version. Nobody is sent to one that doesn't answer.
  base::Result<void> next_answers(const std::string& id);
  // The next version takes the current one's place.
  base::Task<base::Result<ModelEntry>> complete(ModelEntry entry);

  const PoolOptions options;
  base::FairPool& blocking;
  http::ReactorPool& reactors;
  const base::Clock& clock;
  HoldOff hold_off;
  EmbedQueue embed_queue;

  mutable std::mutex mutex;
  std::condition_variable wake;
  bool stopping = false;
  bool changing = false;
  bool attention = false;  // the supervisor should look now
  ModelTable table;
  std::map<std::string, Route, std::less<>> routes;
  std::map<std::pair<std::string, std::string>, std::shared_ptr<ModelWorker>> dedicated;  // tenant, model
  std::shared_ptr<ModelWorker> candidate;
  std::vector<Retired> retired;
  std::uint64_t sockets_made = 0;
  base::Gate stops;  // workers being stopped in the background
  std::thread supervisor;
};

}  // namespace bulkhead::engine
