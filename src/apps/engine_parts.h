// The engine side of a deployment: the pool of local workers, external servers, the queue before
// them. Made from the configuration; wiring only.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <set>

#include "audit/log.h"
#include "base/clock.h"
#include "base/fair_pool.h"
#include "base/task.h"
#include "engine/adapters.h"
#include "engine/engine_pool.h"
#include "engine/engine_queues.h"
#include "engine/external_engine.h"
#include "gateway/config.h"
#include "storage/store_manager.h"
#include "tenancy/directory.h"
#include "watch/metrics.h"

namespace bulkhead::apps {

class EngineParts {
 public:
  // All outlive the parts, which are stopped before the reactors.
  struct Uses {
    const gateway::Config& config;
    storage::PlatformDatabase& platform;
    audit::Log& audit;
    watch::Metrics& metrics;
    tenancy::TenantDirectory& tenants;
    base::FairPool& blocking;
    http::ReactorPool& reactors;
    const base::Clock& clock;
    std::function<void()> on_workers_changed;  // any thread
  };
  static base::Result<std::unique_ptr<EngineParts>> start(Uses uses);
  ~EngineParts();

  engine::Engine& engine();
  engine::EnginePool* pool() { return pool_.get(); }
  // The id of the model that orders what retrieval finds; "" for none.
  std::string reranks_retrieval_with() const;
  engine::EngineQueues& queues() { return *queues_; }
  // For run/serve.json: pid of each worker by name.
  std::vector<engine::WorkerStatus> workers() const;
  void forget_tenant(const base::TenantId& tenant);
  void stop();

 private:
  explicit EngineParts(Uses uses) : uses_(std::move(uses)) {}
  base::Result<void> start_pool();
  base::Result<void> start_external();
  void record(const engine::WorkerEvent& event);
  void register_gauges();
  void record(const engine::ReplicaEvent& event);
  void register_replica_gauges();

  Uses uses_;
  std::mutex mutex_;
  std::set<std::string> measured_;  // models with gauges
  std::unique_ptr<engine::EnginePool> pool_;
  std::unique_ptr<engine::ExternalEngine> external_;
  std::unique_ptr<engine::SplitEngine> split_;
  std::unique_ptr<engine::EngineQueues> queues_;
};

}  // namespace bulkhead::apps
