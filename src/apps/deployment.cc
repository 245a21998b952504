#include "apps/deployment.h"

#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "apps/stores.h"
#include "apps/support.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/scrub.h"
#include "engine/adapters.h"
#include "gateway/dispatcher.h"

namespace bulkhead::apps {

using base::Error;
using base::Result;

namespace {

constexpr std::size_t kPoolThreads = 8;
constexpr std::size_t kPoolQueueMax = 100'000;
constexpr std::chrono::milliseconds kProbeInterval{200};
constexpr std::size_t kKeyBytesMax = 4096;

std::vector<std::string> worker_arguments(const gateway::Config& config) {
  const gateway::EngineConfig& engine = config.engine;
  std::vector<std::string> arguments = {
      "--context", std::to_string(engine.chat_context), "--slots", std::to_string(engine.slots),
      "--threads", std::to_string(engine.threads), "--batch-threads", std::to_string(engine.batch_threads),
      "--gpu-layers", std::to_string(engine.gpu_layers)};
  auto model = [&arguments](const char* flag, const gateway::LocalModel& file) {
    if (file.path.empty()) return;
    arguments.insert(arguments.end(), {std::string(flag), file.id + "=" + file.path.string()});
    if (!file.sha256.empty()) {
      arguments.insert(arguments.end(), {std::string(flag) + "-sha256", file.sha256});
    }
  };
  model("--chat-model", engine.chat);
  model("--embed-model", engine.embedding);
  if (!config.burn) arguments.push_back("--no-burn");
  return arguments;
}

}  // namespace

struct Deployment::Parts {
  gateway::Config config;
  std::filesystem::path config_file;
  const base::Clock& clock = base::Clock::system();

  // In the order of making; destruction runs backwards.
  std::shared_ptr<crypto::PlatformKeys> platform_keys;
  std::unique_ptr<storage::PlatformDatabase> platform;
  std::unique_ptr<crypto::SigningKey> signer;
  std::unique_ptr<audit::Log> audit;
  watch::Metrics metrics;
  std::unique_ptr<access::RoleTable> roles;
  std::unique_ptr<tenancy::TenantDirectory> tenants;
  std::unique_ptr<storage::StoreManager> stores;
  vector::IndexCache indexes;
  std::unique_ptr<identity::ApiKeyFormat> key_format;
  base::Secret operator_hash_key;
  std::unique_ptr<base::BlockingPool> pool;
  std::unique_ptr<http::ReactorPool> reactors;
  std::unique_ptr<identity::Authenticator> authenticator;
  std::unique_ptr<engine::WorkerProcess> worker;
  std::unique_ptr<engine::HttpEngine> worker_engine, remote_engine;
  std::unique_ptr<engine::SplitEngine> split_engine;
  std::unique_ptr<engine::FairQueue> engine_queue;
  std::unique_ptr<rag::Extractor> extractor;
  std::unique_ptr<rag::Retriever> retriever;
  std::unique_ptr<rag::Ingestor> ingestor;
  std::unique_ptr<gateway::Limiter> limiter;
  std::unique_ptr<gateway::ReceiptBook> receipts;
  std::unique_ptr<gateway::Services> services;
  std::unique_ptr<gateway::Dispatcher> dispatcher;
  std::unique_ptr<http::Server> server;

  std::mutex mutex;
  std::condition_variable stop_requested;
  bool stopping = false;
  std::thread prober;

  ~Parts() { stop(); }

  Result<void> open_data();
  Result<void> start_engine();
  Result<void> start_server();
  Result<std::shared_ptr<http::TlsContext>> make_tls() const;
  Result<void> announce() const;
  void register_gauges();
  void probe();
  void stop();
  void record(audit::Event event, std::string note);
  engine::Engine& engine() {
    if (split_engine) return *split_engine;
    return worker_engine ? *worker_engine : *remote_engine;
  }
};

Result<void> Deployment::Parts::open_data() {
  BULKHEAD_TRY(keys, load_platform_keys(config));
  platform_keys = std::move(keys);
  auto database = storage::PlatformDatabase::open(config.data.dir, *platform_keys, false);
  if (!database) return database.take_error();
  platform = std::move(*database);
  BULKHEAD_TRY(seed, platform->secret("audit-signing"));
  BULKHEAD_TRY(key, crypto::SigningKey::from_seed(seed));
  BULKHEAD_TRY(audit_key, crypto::SigningKey::from_seed(seed));
  signer = std::make_unique<crypto::SigningKey>(std::move(key));
  audit::LogOptions log;
  log.dir = config.audit.dir;
  log.witness_dir = config.audit.witness_dir;
  log.checkpoint_interval = config.audit.checkpoint_interval;
  BULKHEAD_TRY(opened, audit::Log::open(std::move(log), std::move(audit_key), clock));
  audit = std::move(opened);
  audit->on_checkpoint([this](std::string head) {
    if (auto kept = platform->set_setting("audit-head", head); !kept) {
      base::log::warning("audit_head_not_kept", {{"detail", std::string_view(kept.error().detail())}});
    }
  });
  BULKHEAD_TRY(table, access::RoleTable::build(config.roles));
  roles = std::make_unique<access::RoleTable>(std::move(table));
  tenants = std::make_unique<tenancy::TenantDirectory>(platform_keys, *platform, clock);
  BULKHEAD_CHECK_OK(tenants->load());
  stores = std::make_unique<storage::StoreManager>(config.data.dir, *platform, *tenants, clock,
                                                   config.data.open_stores_max);
  BULKHEAD_CHECK_OK(add_stores(config, *platform, *tenants, *stores, clock));
  BULKHEAD_TRY(tag_key, platform->secret("api-key-tag"));
  BULKHEAD_TRY(hash_key, platform->secret("operator-key-hash"));
  key_format = std::make_unique<identity::ApiKeyFormat>(tag_key.clone());
  operator_hash_key = std::move(hash_key);
  pool = std::make_unique<base::BlockingPool>(kPoolThreads, kPoolQueueMax);
  reactors = std::make_unique<http::ReactorPool>(config.server.threads);
  identity::AuthenticatorOptions identity_options;
  identity_options.issuers = config.issuers;
  authenticator = std::make_unique<identity::Authenticator>(std::move(identity_options),
                                                            identity::ApiKeyFormat(std::move(tag_key)), *stores,
                                                            *tenants, *pool, clock);
  limiter = std::make_unique<gateway::Limiter>(clock);
  receipts = std::make_unique<gateway::ReceiptBook>(*signer, clock);
  tenants->on_change([this](const base::TenantId& id) {
    authenticator->forget_tenant(id);
    auto tenant = tenants->find(id);
    if (tenant && tenant->state == tenancy::TenantState::Active) return;
    indexes.drop(id);
    limiter->forget(id);
    receipts->forget(id);
    stores->close(id);
  });
  return Result<void>();
}

Result<void> Deployment::Parts::start_engine() {
  const gateway::EngineConfig& options = config.engine;
  http::ClientOptions client;
  client.answer_time_max = options.answer_time_max;
  client.stall_time_max = options.answer_time_max;
  // As many as may be at the engine at once: a connection a request would cost more than the request.
  client.idle_connections_max = std::max(client.idle_connections_max, options.concurrent);
  if (!options.chat.path.empty() || !options.embedding.path.empty()) {
    engine::WorkerOptions worker_options;
    worker_options.executable = options.executable;
    worker_options.socket = config.data.dir / "run" / "engine.sock";
    worker_options.arguments = worker_arguments(config);
    worker_options.on_started = [this](int) { record(audit::Event::EngineStarted, ""); };
    worker_options.on_died = [this](std::string_view how) { record(audit::Event::EngineDied, std::string(how)); };
    BULKHEAD_TRY(started, engine::WorkerProcess::start(worker_options, clock));
    worker = std::move(started);
    worker_engine = engine::make_worker_engine(*worker, worker_options.socket, client);
  }
  if (!options.chat_url.empty()) {
    engine::RemoteOptions remote;
    remote.url = options.chat_url;
    remote.client = client;
    if (remote.url.starts_with("https:")) {
      BULKHEAD_TRY(tls, http::TlsContext::client(""));
      remote.client.tls = std::move(tls);
    }
    if (!options.chat_api_key_file.empty()) {
      BULKHEAD_TRY(key, base::read_secret_file(options.chat_api_key_file, kKeyBytesMax));
      remote.api_key = std::move(key);
    }
    BULKHEAD_TRY(made, engine::make_remote_engine(std::move(remote)));
    remote_engine = std::move(made);
    remote_engine->set_models({{options.chat_model, "chat", options.chat_context, 0, ""}});
    if (worker_engine) split_engine = std::make_unique<engine::SplitEngine>(*remote_engine, *worker_engine);
  }
  engine_queue = std::make_unique<engine::FairQueue>(options.concurrent, options.waiting_per_tenant);
  rag::ExtractorOptions extract;
  extract.executable = config.extract.executable;
  extract.concurrent = config.extract.concurrent;
  extract.time_max = config.extract.time_max;
  extract.memory_bytes_max = config.extract.memory_bytes_max;
  extractor = std::make_unique<rag::Extractor>(std::move(extract), *pool);
  retriever = std::make_unique<rag::Retriever>(*stores, indexes, engine(), *roles, options.embedding.id, *pool);
  rag::IngestOptions ingest;
  ingest.embedding_model = options.embedding.id;
  ingestor = std::make_unique<rag::Ingestor>(*stores, engine(), *extractor, *pool, clock, std::move(ingest));
  return Result<void>();
}

Result<std::shared_ptr<http::TlsContext>> Deployment::Parts::make_tls() const {
  if (config.server.plain_http) return std::shared_ptr<http::TlsContext>();
  if (!config.server.certificate.empty()) {
    return http::TlsContext::server(config.server.certificate, config.server.key);
  }
  std::filesystem::path folder = config.data.dir / "tls";
  BULKHEAD_CHECK_OK(http::ensure_development_certificate(folder));
  return http::TlsContext::server(folder / "cert.pem", folder / "key.pem");
}

Result<void> Deployment::Parts::start_server() {
  services = std::unique_ptr<gateway::Services>(new gateway::Services{
      config, clock, *pool, platform_keys, *platform, *tenants, *stores, indexes, *authenticator, *key_format,
      *roles, *audit, metrics, engine(), *engine_queue, *retriever, *ingestor, *limiter, *receipts, *signer,
      operator_hash_key, config.engine.chat_model, config.engine.embedding.id});
  dispatcher = std::make_unique<gateway::Dispatcher>(*services);
  BULKHEAD_TRY(tls, make_tls());
  http::Server::Options options;
  options.address.host = config.server.host;
  options.address.port = config.server.port;
  options.limits.connections_max = config.server.connections_max;
  options.limits.parser.body_bytes_max = config.server.body_bytes_max;
  options.tls = std::move(tls);
  options.handler = [this](http::Exchange& exchange) { return dispatcher->handle(exchange); };
  options.early_check = [this](const http::Request& request) { return dispatcher->early_check(request); };
  options.malformed = &gateway::Dispatcher::malformed;
  BULKHEAD_TRY(started, http::Server::start(*reactors, std::move(options)));
  server = std::move(started);
  register_gauges();
  return announce();
}

Result<void> Deployment::Parts::announce() const {
  bool plain = config.server.plain_http;
  std::string host = config.server.host.find(':') == std::string::npos ? config.server.host
                                                                       : "[" + config.server.host + "]";
  std::string base_url = std::string(plain ? "http" : "https") + "://" + host + ":" + std::to_string(server->port());
  std::filesystem::path ca = config.server.certificate.empty() && !plain ? config.data.dir / "tls" / "ca.pem" : "";
  base::json::Writer w;
  w.begin_object()
      .member("pid", static_cast<std::int64_t>(::getpid()))
      .member("port", static_cast<std::int64_t>(server->port()))
      .member("base_url", base_url)
      .member("ca_file", ca.string())
      .member("engine_pid", static_cast<std::int64_t>(worker ? worker->pid() : 0))
      .end_object();
  base::log::info("listening", {{"url", std::string_view(base_url)}});
  return base::write_file_atomically(run_file(config, "serve"), w.take() + "\n");
}

void Deployment::Parts::register_gauges() {
  auto gauge = [this](std::string_view name, std::string_view help, std::function<double()> read) {
    metrics.gauge(name, help, {}, std::move(read));
  };
  gauge("bulkhead_engine_ready", "1 when the engine answers", [this] { return engine().ready() ? 1.0 : 0.0; });
  gauge("bulkhead_engine_restarts_total", "Restarts of the engine worker",
        [this] { return worker ? static_cast<double>(worker->restarts()) : 0.0; });
  gauge("bulkhead_engine_queue_waiting", "Requests waiting for the engine",
        [this] { return static_cast<double>(engine_queue->waiting()); });
  gauge("bulkhead_engine_queue_inside", "Requests at the engine",
        [this] { return static_cast<double>(engine_queue->inside()); });
  gauge("bulkhead_audit_records_total", "Audit records on disk",
        [this] { return static_cast<double>(audit->stats().records); });
  gauge("bulkhead_audit_commits_total", "Group commits of the audit log",
        [this] { return static_cast<double>(audit->stats().commits); });
  gauge("bulkhead_audit_failures_total", "Group commits that failed",
        [this] { return static_cast<double>(audit->stats().failures); });
  gauge("bulkhead_stores_open", "Open tenant stores", [this] { return static_cast<double>(stores->open_count()); });
  gauge("bulkhead_credentials_cached", "Verified credentials in the cache",
        [this] { return static_cast<double>(authenticator->stats().cache_entries); });
  gauge("bulkhead_connections_open", "Open client connections",
        [this] { return static_cast<double>(server->stats().connections_open); });
  gauge("bulkhead_malformed_requests_total", "Requests refused by the parser",
        [this] { return static_cast<double>(server->stats().malformed_total); });
}

// Asks a worker that isn't ready yet for its models; its answer is what makes it ready.
void Deployment::Parts::probe() {
  int announced = 0;
  while (true) {
    {
      std::unique_lock lock(mutex);
      if (stop_requested.wait_for(lock, kProbeInterval, [this] { return stopping; })) return;
    }
    int pid = worker->pid();
    if (pid != announced) {
      announced = pid;
      static_cast<void>(announce().ok());
    }
    if (pid == 0 || worker->ready()) continue;
    struct Asked {
      std::mutex mutex;
      std::condition_variable done;
      bool finished = false, answered = false;
    };
    auto asked = std::make_shared<Asked>();
    auto ask = [](engine::HttpEngine* target, std::shared_ptr<Asked> state) -> base::Task<void> {
      auto models = co_await target->refresh_models();
      std::lock_guard lock(state->mutex);
      state->answered = models.ok();
      state->finished = true;
      state->done.notify_all();
    };
    base::spawn(reactors->at(0), ask(worker_engine.get(), asked));
    std::unique_lock lock(asked->mutex);
    asked->done.wait_for(lock, std::chrono::seconds(30), [&] { return asked->finished; });
    if (asked->answered) {
      worker->mark_ready();
      base::log::info("engine_ready", {{"pid", std::int64_t{pid}}});
      record(audit::Event::ModelLoaded, "");
    }
  }
}

void Deployment::Parts::record(audit::Event event, std::string note) {
  audit::Record entry;
  entry.time = clock.wall();
  entry.event = event;
  entry.note = std::move(note);
  if (event == audit::Event::ModelLoaded && worker_engine) {
    for (const engine::ModelInfo& model : worker_engine->models()) {
      entry.model = model.id;
      entry.target = "sha256:" + model.sha256;
      static_cast<void>(audit->append(entry));
    }
    return;
  }
  static_cast<void>(audit->append(entry));
}

void Deployment::Parts::stop() {
  {
    std::lock_guard lock(mutex);
    if (stopping) return;
    stopping = true;
  }
  stop_requested.notify_all();
  if (prober.joinable()) prober.join();
  if (dispatcher) dispatcher->cancel_all();
  if (ingestor) ingestor->stop();
  server.reset();
  ::unlink(run_file(config, "serve").c_str());
  if (audit) {
    audit::Record entry;
    entry.time = clock.wall();
    entry.event = audit::Event::ServiceStopped;
    static_cast<void>(audit->append(entry).wait());
  }
  // Clients of the engine live on the reactors; the worker goes last, so nothing waits for it.
  worker_engine.reset();
  remote_engine.reset();
  worker.reset();
  reactors.reset();
  pool.reset();
}

Deployment::Deployment(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Deployment::~Deployment() = default;

Result<std::unique_ptr<Deployment>> Deployment::start(gateway::Config config, std::filesystem::path file) {
  auto parts = std::make_unique<Parts>();
  parts->config = std::move(config);
  parts->config_file = std::move(file);
  if (!parts->config.burn) base::set_heap_scrubbing(false);
  BULKHEAD_CHECK_OK(base::make_private_directory(parts->config.data.dir / "run"));
  BULKHEAD_CHECK_OK(parts->open_data());
  audit::Record entry;
  entry.time = parts->clock.wall();
  entry.event = audit::Event::ServiceStarted;
  entry.note = parts->config.burn ? "" : "burn_is_off";
  BULKHEAD_CHECK_OK(parts->audit->append(entry).wait());
  BULKHEAD_CHECK_OK(parts->start_engine());
  BULKHEAD_CHECK_OK(parts->start_server());
  if (parts->worker) {
    Parts* raw = parts.get();
    parts->prober = std::thread([raw] { raw->probe(); });
  }
  return std::unique_ptr<Deployment>(new Deployment(std::move(parts)));
}

void Deployment::reload() {
  auto fresh = gateway::load_config(parts_->config_file);
  if (!fresh) {
    base::log::error("reload_refused", {{"message", std::string_view(fresh.error().message())}});
    return;
  }
  parts_->authenticator->replace_issuers(fresh->issuers);
  auto tls = parts_->make_tls();
  if (tls && *tls) parts_->server->replace_tls(std::move(*tls));
  parts_->record(audit::Event::ConfigReloaded, "issuers_and_certificate");
  base::log::info("reloaded", {{"what", std::string_view("issuers, certificate")}});
}

void Deployment::drain() {
  base::log::info("draining");
  parts_->dispatcher->start_draining();
  if (!parts_->server->drain(parts_->config.server.drain_time_max)) {
    base::log::warning("drain_time_over");
  }
}

}  // namespace bulkhead::apps
