#include "apps/engine_parts.h"

#include <algorithm>

#include "base/log.h"

namespace bulkhead::apps {

using base::Error;
using base::Result;

namespace {

constexpr std::string_view kModelsSetting = "models";

engine::ModelVersion version_of(const gateway::LocalModel& model, const gateway::EngineConfig& engine,
                                std::string kind) {
  engine::ModelVersion version;
  version.id = model.id;
  version.kind = std::move(kind);
  version.path = model.path;
  version.sha256 = model.sha256;
  version.origin = model.origin;
  version.licence = model.licence;
  version.context = model.context > 0 ? model.context : engine.chat_context;
  version.slots = model.slots > 0 ? model.slots : static_cast<std::int64_t>(engine.slots);
  version.gpu_layers = model.gpu_layers >= 0 ? model.gpu_layers : engine.gpu_layers;
  version.chat_template = model.chat_template;
  return version;
}

std::vector<engine::ModelVersion> configured_models(const gateway::EngineConfig& engine) {
  std::vector<engine::ModelVersion> list;
  if (!engine.chat.path.empty()) list.push_back(version_of(engine.chat, engine, "chat"));
  for (const gateway::LocalModel& model : engine.models) list.push_back(version_of(model, engine, "chat"));
  if (!engine.embedding.path.empty()) list.push_back(version_of(engine.embedding, engine, "embedding"));
  if (!engine.rerank.path.empty()) list.push_back(version_of(engine.rerank, engine, "rerank"));
  return list;
}

http::ClientOptions client_options(const gateway::EngineConfig& engine) {
  http::ClientOptions client;
  client.answer_time_max = engine.answer_time_max;
  client.stall_time_max = engine.answer_time_max;
  // As many as may be at the engine at once: a connection a request would cost more than the request.
  client.idle_connections_max = std::max(client.idle_connections_max, engine.concurrent);
  return client;
}

audit::Event event_of(engine::WorkerEvent::Kind kind) {
  switch (kind) {
    case engine::WorkerEvent::Kind::Started: return audit::Event::EngineStarted;
    case engine::WorkerEvent::Kind::Died: return audit::Event::EngineDied;
    case engine::WorkerEvent::Kind::Loaded: return audit::Event::ModelLoaded;
  }
  return audit::Event::EngineDied;
}

}  // namespace

EngineParts::~EngineParts() { stop(); }

Result<std::unique_ptr<EngineParts>> EngineParts::start(Uses uses) {
  std::unique_ptr<EngineParts> parts(new EngineParts(std::move(uses)));
  const gateway::EngineConfig& config = parts->uses_.config.engine;
  if (!configured_models(config).empty() || !config.model_dir.empty()) BULKHEAD_CHECK_OK(parts->start_pool());
  if (config.is_external()) BULKHEAD_CHECK_OK(parts->start_external());
  tenancy::TenantDirectory& tenants = parts->uses_.tenants;
  bool own_possible = !config.is_external();
  parts->queues_ = std::make_unique<engine::EngineQueues>(
      config.concurrent, config.waiting_per_tenant,
      [&tenants, own_possible](const base::TenantId& id) -> Result<bool> {
        auto tenant = tenants.find(id);
        if (!tenant || tenant->policy.engine.engine != tenancy::EngineMode::Dedicated) return false;
        if (own_possible) return true;
        return Error(
            engine::EngineError::Unavailable,
            "This tenant's policy asks for an engine of its own, and this deployment's engine is an external "
            "server. Ask your operator.");
      });
  return parts;
}

Result<void> EngineParts::start_pool() {
  const gateway::EngineConfig& config = uses_.config.engine;
  engine::PoolOptions options;
  options.executable = config.executable;
  options.run_dir = uses_.config.data.dir / "run";
  options.common_arguments = {"--threads",
                              std::to_string(config.threads),
                              "--batch-threads",
                              std::to_string(config.batch_threads),
                              "--line-max",
                              std::to_string(config.waiting_per_tenant),
                              "--prefix-partitions",
                              std::to_string(config.prefix_partitions),
                              "--prefix-partition-bytes",
                              std::to_string(config.prefix_partition_bytes)};
  if (!config.lookahead) options.common_arguments.push_back("--no-lookahead");
  if (!uses_.config.burn) options.common_arguments.push_back("--no-burn");
  if (uses_.config.development) options.common_arguments.push_back("--allow-swap");
  options.client = client_options(config);
  options.rules.model_dir = config.model_dir;
  for (const std::string& text : config.model_signers) {
    BULKHEAD_TRY(key, crypto::VerifyKey::parse(text));
    options.rules.signers.push_back(key);
  }
  if (!config.is_external()) options.default_model = config.chat_model;
  options.answer_time_max = config.answer_time_max;
  options.start_time_max = config.start_time_max;
  options.stall_time_max = config.stall_time_max;
  options.hold_off.base_time = config.hold_off_time;
  options.dedicated_idle_max = config.dedicated_idle_time;
  options.dedicated_max = config.dedicated_max;
  storage::PlatformDatabase& platform = uses_.platform;
  options.load = [&platform] { return platform.setting(kModelsSetting); };
  options.save = [&platform](const std::string& text) { return platform.set_setting(kModelsSetting, text); };
  options.on_event = [this](const engine::WorkerEvent& event) { record(event); };
  options.on_workers_changed = [this] {
    register_gauges();
    if (uses_.on_workers_changed) uses_.on_workers_changed();
  };
  BULKHEAD_TRY(started, engine::EnginePool::start(std::move(options), configured_models(config),
                                                  uses_.blocking, uses_.reactors, uses_.clock));
  // The supervisor may be reading it already.
  std::lock_guard lock(mutex_);
  pool_ = std::move(started);
  return Result<void>();
}

engine::Engine& EngineParts::engine() {
  if (split_) return *split_;
  if (pool_) return *pool_;
  return *external_;
}

std::vector<engine::WorkerStatus> EngineParts::workers() const {
  return pool_ ? pool_->workers() : std::vector<engine::WorkerStatus>();
}

std::string EngineParts::reranks_retrieval_with() const {
  return pool_ && uses_.config.retrieval.rerank ? pool_->rerank_model() : std::string();
}

void EngineParts::forget_tenant(const base::TenantId& tenant) {
  if (pool_) pool_->forget_tenant(tenant);
  if (queues_) queues_->forget(tenant);
}

void EngineParts::stop() {
  if (pool_) pool_->stop();
  split_.reset();
  external_.reset();
}

void EngineParts::record(const engine::WorkerEvent& event) {
  audit::Record entry;
  entry.time = uses_.clock.wall();
  entry.event = event_of(event.kind);
  entry.tenant = event.tenant;
  entry.model = event.model;
  entry.target = "sha256:" + event.sha256;
  entry.note = event.detail;
  static_cast<void>(uses_.audit.append(entry));
}

// Models come and go; a gauge stays and reads 0 when its model is gone.
void EngineParts::register_gauges() {
  std::lock_guard lock(mutex_);
  if (!pool_) return;
  for (const engine::ModelEntry& entry : pool_->entries()) {
    std::string id = entry.current.id;
    if (!measured_.insert(id).second) continue;
    auto read = [this, id](auto value) {
      return [this, id, value] {
        double sum = 0;
        for (const engine::WorkerStatus& worker : pool_->workers()) {
          if (worker.model == id) sum += value(worker);
        }
        return sum;
      };
    };
    uses_.metrics.gauge(
        "bulkhead_model_ready", "1 when the model's shared worker answers", {{"model", id}},
        read([id](const engine::WorkerStatus& w) { return w.name == id && w.ready ? 1.0 : 0.0; }));
    uses_.metrics.gauge("bulkhead_model_workers", "Worker processes of the model, all versions and tenants",
                        {{"model", id}},
                        read([](const engine::WorkerStatus& w) { return w.pid != 0 ? 1.0 : 0.0; }));
    uses_.metrics.gauge("bulkhead_model_restarts_total", "Restarts of the model's running workers",
                        {{"model", id}},
                        read([](const engine::WorkerStatus& w) { return static_cast<double>(w.restarts); }));
    uses_.metrics.gauge("bulkhead_model_requests_inside", "Requests at the model's workers", {{"model", id}},
                        read([](const engine::WorkerStatus& w) { return static_cast<double>(w.inside); }));
  }
}

}  // namespace bulkhead::apps
