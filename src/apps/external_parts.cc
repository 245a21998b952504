// EngineParts' side of external servers: the check of every tenant's policy against what the engine gives,
// the engine itself, its gauges and its events in the audit log.
#include <cstdlib>

#include "apps/engine_parts.h"
#include "base/file.h"
#include "http/tls.h"

namespace bulkhead::apps {

using base::Error;
using base::Result;

namespace {

constexpr std::size_t kKeyBytesMax = 4096;

Result<base::Secret> api_key(const gateway::ExternalConfig& config) {
  if (!config.api_key_file.empty()) return base::read_secret_file(config.api_key_file, kKeyBytesMax);
  if (config.api_key_env.empty()) return base::Secret();
  const char* text = std::getenv(config.api_key_env.c_str());
  if (!text || *text == '\0') {
    return Error(gateway::ConfigError::Missing,
                 "engine.external.api_key_env names " + config.api_key_env + ", which is not set.");
  }
  return base::Secret::copy_of(std::string_view(text));
}

// A suspended tenant is no obstacle: its policy is checked again when it is resumed.
Result<void> check_tenants(engine::EngineKind kind, const tenancy::TenantDirectory& tenants) {
  for (const tenancy::Tenant& tenant : tenants.list()) {
    if (tenant.state != tenancy::TenantState::Active) continue;
    auto fits = engine::check_policy(kind, tenant.policy.engine);
    if (fits) continue;
    return Error(tenancy::TenancyError::BadPolicy,
                 "The policy of tenant '" + tenant.id.str() +
                     "' asks for more than the engine gives: " + fits.error().message());
  }
  return Result<void>();
}

}  // namespace

Result<void> EngineParts::start_external() {
  const gateway::EngineConfig& config = uses_.config.engine;
  const gateway::ExternalConfig& external = config.external;
  BULKHEAD_CHECK_OK(check_tenants(external.kind, uses_.tenants));
  engine::ExternalOptions options;
  options.replica.kind = external.kind;
  options.replica.slots = config.slots;
  options.replica.waiting_max = config.concurrent;
  options.replica.breaker = {external.failures_max, external.open_time};
  http::ClientOptions& client = options.replica.client;
  client.connect_time_max = external.connect_time_max;
  client.answer_time_max = config.answer_time_max;
  client.stall_time_max =
      external.stall_time_max.count() > 0 ? external.stall_time_max : config.answer_time_max;
  // As many as may be at the engine at once: a connection a request would cost more than the request.
  client.idle_connections_max = std::max(client.idle_connections_max, config.concurrent);
  for (const std::string& url : external.urls) {
    if (!url.starts_with("https:") || client.tls) continue;
    BULKHEAD_TRY(tls, http::TlsContext::client(external.ca_file));
    client.tls = std::move(tls);
  }
  options.urls = external.urls;
  BULKHEAD_TRY(key, api_key(external));
  options.api_key = std::move(key);
  BULKHEAD_TRY(salt_key, uses_.platform.secret("engine-cache-salt"));
  options.salt_key = std::move(salt_key);
  options.model = config.chat_model;
  options.context = config.chat_context;
  options.retries = external.retries;
  options.reset_cache = external.reset_cache;
  options.health_interval = external.health_interval;
  options.on_event = [this](const engine::ReplicaEvent& event) { record(event); };
  BULKHEAD_TRY(started, engine::ExternalEngine::start(std::move(options), uses_.reactors, uses_.clock));
  external_ = std::move(started);
  if (pool_) split_ = std::make_unique<engine::SplitEngine>(*external_, *pool_);
  register_replica_gauges();
  return Result<void>();
}

void EngineParts::record(const engine::ReplicaEvent& event) {
  audit::Record entry;
  entry.time = uses_.clock.wall();
  entry.event = event.up ? audit::Event::EngineStarted : audit::Event::EngineDied;
  entry.model = uses_.config.engine.chat_model;
  entry.target = "replica:" + event.replica;
  entry.note = event.reason;
  static_cast<void>(uses_.audit.append(entry));
}

void EngineParts::register_replica_gauges() {
  const std::vector<engine::ReplicaStatus> replicas = external_->replicas();
  for (std::size_t i = 0; i < replicas.size(); ++i) {
    const std::string& name = replicas[i].name;
    auto read = [this, i](auto value) {
      return [this, i, value] { return external_ ? value(external_->replicas()[i]) : 0.0; };
    };
    uses_.metrics.gauge("bulkhead_engine_replica_ready", "1 when the replica takes requests",
                        {{"replica", name}},
                        read([](const engine::ReplicaStatus& r) { return r.ready ? 1.0 : 0.0; }));
    uses_.metrics.gauge("bulkhead_engine_replica_breaker", "0 closed, 1 half-open, 2 open",
                        {{"replica", name}},
                        read([](const engine::ReplicaStatus& r) { return static_cast<double>(r.breaker); }));
    uses_.metrics.gauge("bulkhead_engine_replica_failures_total", "Times that the replica was found down",
                        {{"replica", name}},
                        read([](const engine::ReplicaStatus& r) { return static_cast<double>(r.failures); }));
  }
  uses_.metrics.gauge("bulkhead_engine_failovers_total", "Requests handed on to a further replica", {},
                      [this] { return external_ ? static_cast<double>(external_->failovers()) : 0.0; });
}

}  // namespace bulkhead::apps
