#include "apps/deployment.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <mutex>

#include "apps/blocking_pools.h"
#include "apps/engine_parts.h"
#include "apps/key_providers.h"
#include "apps/reindex_parts.h"
#include "apps/rounds.h"
#include "apps/stores.h"
#include "apps/support.h"
#include "apps/work_records.h"
#include "base/captured_output.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/scrub.h"
#include "crypto/random.h"
#include "gateway/dispatcher.h"
#include "gateway/tenant_dto.h"
#include "storage/api_key_lookup.h"
#include "storage/seal_alarm.h"
#include "storage/store_sweeper.h"

namespace bulkhead::apps {

using base::Error;
using base::Result;

namespace {

constexpr std::chrono::seconds kFarewellTime{2};
constexpr std::chrono::seconds kUpkeepInterval{2};
constexpr std::chrono::seconds kRefusalRounds{1};

base::Task<void> burn_kept(engine::Engine& engine, base::TenantId tenant, std::string why) {
  auto burned = co_await engine.burn_kept({.tenant = tenant, .session = "", .request_id = std::move(why)});
  if (burned) co_return;
  base::log::warning("kept_prefixes_not_burned", {{"tenant", std::string_view(tenant.str())},
                                                  {"error", burned.error().name().code},
                                                  {"detail", std::string_view(burned.error().detail())}});
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
  std::unique_ptr<audit::RefusalBook> refusals;
  watch::Metrics metrics;
  std::unique_ptr<access::RoleTable> roles;
  std::unique_ptr<tenancy::TenantDirectory> tenants;
  std::unique_ptr<KeyProviders> key_providers;
  std::unique_ptr<storage::StoreManager> stores;
  std::unique_ptr<WorkRecords> work_records;
  std::unique_ptr<storage::StoreSweeper> sweeper;
  std::unique_ptr<storage::ApiKeyLookup> api_keys;
  std::unique_ptr<storage::Upkeep> upkeep;
  std::unique_ptr<storage::Eraser> eraser;
  std::unique_ptr<storage::Backups> backups;
  std::unique_ptr<storage::Mover> mover;
  vector::IndexCache indexes;
  std::shared_ptr<identity::UserNames> user_names;
  std::unique_ptr<storage::LegacyUsers> legacy_users;
  std::unique_ptr<identity::ApiKeyFormat> key_format;
  base::Secret operator_hash_key;
  std::unique_ptr<BlockingPools> pools;
  std::unique_ptr<http::ReactorPool> reactors;
  std::unique_ptr<identity::Authenticator> authenticator;
  std::unique_ptr<EngineParts> engine_parts;
  base::Gate burning;  // of prefixes whose tenant was closed or went elsewhere
  std::unique_ptr<ReindexParts> reindexing;
  std::unique_ptr<rag::Extractor> extractor;
  std::unique_ptr<rag::Retriever> retriever;
  std::unique_ptr<rag::Ingestor> ingestor;
  std::unique_ptr<gateway::Limiter> limiter;
  std::unique_ptr<gateway::ReceiptBook> receipts;
  std::unique_ptr<gateway::Services> services;
  std::unique_ptr<gateway::Dispatcher> dispatcher;
  std::unique_ptr<http::Server> server;
  // The same routes on a Unix socket in data.dir/run, for the commands of this machine: there no certificate
  // has to match the address that the gateway listens on.
  std::unique_ptr<http::Server> local_server;

  std::mutex mutex, announcing;
  std::atomic<bool> serving{false};
  bool stopping = false;
  // Rotations, erasures and moves that a crash cut short go on here after a start.
  Rounds upkeeping{kUpkeepInterval, [this](const std::function<bool()>& ending) {
                     static_cast<void>(upkeep->run_once(ending));
                     eraser->resume(ending);
                   }};
  Rounds counting{kRefusalRounds, [this](const std::function<bool()>&) { refusals->close_windows(); }};
  Rounds moving{kUpkeepInterval, [this](const std::function<bool()>& ending) { mover->run_once(ending); }};

  ~Parts() { stop(); }

  Result<void> open_data();
  Result<void> start_engine();
  Result<void> start_server();
  Result<std::unique_ptr<http::Server>> listen(http::ListenAddress address,
                                               std::shared_ptr<http::TlsContext> tls);
  bool drain_servers(std::chrono::milliseconds deadline);
  Result<std::shared_ptr<http::TlsContext>> make_tls() const;
  Result<void> announce();
  void leave_nothing(const base::TenantId& tenant);
  void burn_prefixes(const base::TenantId& tenant, std::string why);
  void register_key_listeners();
  void register_gauges();
  void stop();
  engine::Engine& engine() { return engine_parts->engine(); }
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
  log.reserve_bytes = config.audit.reserve_bytes;
  log.tenant_bytes_per_hour = config.audit.tenant_bytes_per_hour;
  BULKHEAD_TRY(kept_head, platform->setting("audit-head"));
  if (kept_head)
    log.kept_heads.push_back({std::move(*kept_head), "the platform database's copy of the head"});
  BULKHEAD_TRY(opened, audit::Log::open(std::move(log), std::move(audit_key), clock));
  audit = std::move(opened);
  refusals = std::make_unique<audit::RefusalBook>(
      *audit, clock, audit::RefusalBook::Options{.window = config.audit.refusal_window});
  audit->on_checkpoint([this](std::string head) {
    if (auto kept = platform->set_setting("audit-head", head); !kept) {
      base::log::warning("audit_head_not_kept", {{"detail", std::string_view(kept.error().detail())}});
    }
  });
  storage::set_seal_alarm([this](std::string_view tenant, std::string_view broken) {
    metrics
        .counter("bulkhead_seal_broken_total",
                 "Stored records that did not unseal: altered, moved or exchanged",
                 {{"tenant", std::string(tenant)}})
        .add();
    base::log::error("seal_broken", {{"tenant", tenant}, {"record", broken}});
    audit::Record entry;
    entry.time = clock.wall();
    entry.event = audit::Event::SealBroken;
    entry.tenant = tenant;
    entry.reason = "seal_broken";
    entry.target = broken;
    static_cast<void>(audit->append(entry));
  });
  BULKHEAD_TRY(table, access::RoleTable::build(config.roles));
  roles = std::make_unique<access::RoleTable>(std::move(table));
  tenants = std::make_unique<tenancy::TenantDirectory>(platform_keys, *platform, clock);
  BULKHEAD_CHECK_OK(tenants->load());
  BULKHEAD_TRY(providers, KeyProviders::open(config, *tenants, metrics));
  key_providers = std::move(providers);
  stores =
      std::make_unique<storage::StoreManager>(config.data.dir, *tenants, clock, config.data.open_stores_max);
  api_keys = std::make_unique<storage::ApiKeyLookup>(*platform, *stores);
  BULKHEAD_CHECK_OK(add_stores(config, *platform, *tenants, *stores, clock));
  work_records = std::make_unique<WorkRecords>(*audit, clock);
  stores->record_expiry({.may_remove = [this] { return audit->healthy(); },
                         .removed = [this](const base::TenantId& id,
                                           std::size_t count) { work_records->chats_expired(id, count); }});
  sweeper = std::make_unique<storage::StoreSweeper>(*stores, storage::StoreSweeper::Intervals());
  upkeep = std::make_unique<storage::Upkeep>(*stores, *tenants);
  upkeep->record_with(work_records.get());
  upkeep->on_rotated([this](const base::TenantId& id, const tenancy::KeyStatus& status) {
    work_records->ended(storage::WorkRecorder::Kind::Rotation, id,
                        "older keys destroyed: " + status.rotation);
  });
  eraser = std::make_unique<storage::Eraser>(*platform, *tenants, *upkeep, *signer, clock);
  eraser->record_with(work_records.get());
  backups =
      std::make_unique<storage::Backups>(storage::BackupOptions{config.backup.dir, config.backup.key_file},
                                         *platform, *tenants, *stores, *upkeep, clock);
  auto adopted = std::make_shared<identity::AdoptedApiKeys>();
  BULKHEAD_CHECK_OK(
      backups->on_adopted([adopted](const base::TenantId& id, const std::vector<base::ApiKeyId>& keys) {
        adopted->set(id, keys);
      }));
  BULKHEAD_CHECK_OK(backups->clean_up());
  user_names = std::make_shared<identity::UserNames>(config.issuers);
  legacy_users = std::make_unique<storage::LegacyUsers>(*platform, user_names);
  BULKHEAD_CHECK_OK(legacy_users->load(tenants->list()));
  backups->use_legacy_users(*legacy_users);
  mover = std::make_unique<storage::Mover>(*platform, *tenants, *stores, *upkeep, *signer, clock);
  mover->record_with(work_records.get());
  BULKHEAD_CHECK_OK(mover->load());
  // Keys of chunks are the new place's own. A worker of the tenant's own goes when it is idle.
  mover->on_switched([this](const base::TenantId& id) { indexes.drop(id); });
  mover->on_moved([this](const base::TenantId& id, const storage::MoveStatus& status) {
    work_records->ended(storage::WorkRecorder::Kind::Move, id,
                        gateway::place_text(status.from) + " to " + gateway::place_text(status.to));
    burn_prefixes(id, "moved");
  });
  BULKHEAD_TRY(tag_key, platform->secret("api-key-tag"));
  BULKHEAD_TRY(hash_key, platform->secret("operator-key-hash"));
  key_format = std::make_unique<identity::ApiKeyFormat>(tag_key.clone());
  operator_hash_key = std::move(hash_key);
  pools = std::make_unique<BlockingPools>(config, *tenants);
  reactors = std::make_unique<http::ReactorPool>(config.server.threads);
  identity::AuthenticatorOptions identity_options;
  identity_options.issuers = config.issuers;
  identity_options.user_names = user_names;
  authenticator = std::make_unique<identity::Authenticator>(
      std::move(identity_options), identity::ApiKeyFormat(std::move(tag_key), adopted), *api_keys, *tenants,
      [this](const std::optional<base::TenantId>& tenant) -> base::FairPool& {
        return tenant ? pools->stores.opening(*tenant) : pools->stores.opening();
      },
      clock);
  limiter = std::make_unique<gateway::Limiter>(clock);
  receipts = std::make_unique<gateway::ReceiptBook>(*signer, clock);
  tenants->on_change([this](const base::TenantId& id) {
    authenticator->forget_tenant(id);
    auto tenant = tenants->find(id);
    if (tenant && tenant->state == tenancy::TenantState::Active) {
      if (reindexing) reindexing->reembedder().came_back(id);
      return;
    }
    if (tenant && tenant->state == tenancy::TenantState::Destroyed) backups->forget(id);
    leave_nothing(id);
  });
  register_key_listeners();
  return Result<void>();
}

// Of a tenant that may not be served any more.
void Deployment::Parts::leave_nothing(const base::TenantId& id) {
  indexes.drop(id);
  limiter->forget(id);
  receipts->forget(id);
  if (ingestor) ingestor->forget(id);
  if (engine_parts) engine_parts->forget_tenant(id);
  stores->close(id);
}

// What the tenant's policy keeps in the workers. Nothing is kept before the first of them runs.
void Deployment::Parts::burn_prefixes(const base::TenantId& id, std::string why) {
  auto pass = std::make_shared<std::optional<base::Gate::Pass>>(burning.enter());
  if (!*pass || !serving) return;
  base::spawn(reactors->at(0), burn_kept(engine(), id, std::move(why)), [pass] { pass->reset(); });
}

void Deployment::Parts::register_key_listeners() {
  auto record_of = [this](audit::Event event, const base::TenantId& id, std::string_view reason) {
    audit::Record entry;
    entry.time = clock.wall();
    entry.event = event;
    entry.tenant = id.str();
    entry.reason = reason;
    entry.target = id.str();
    static_cast<void>(audit->append(entry));
  };
  tenants->keyring().on_lost([this, record_of](const base::TenantId& id, const Error& why) {
    record_of(audit::Event::TenantKeyLost, id, why.name().code);
    leave_nothing(id);
    burn_prefixes(id, "key-lost");
  });
  tenants->keyring().on_returned([this, record_of](const base::TenantId& id) {
    record_of(audit::Event::TenantKeyReturned, id, "");
    if (reindexing) reindexing->reembedder().came_back(id);
  });
}

Result<void> Deployment::Parts::start_engine() {
  const gateway::EngineConfig& options = config.engine;
  // Once we serve, run/serve.json follows the workers as they come and go.
  auto changed = [this] {
    if (serving) static_cast<void>(announce().ok());
  };
  BULKHEAD_TRY(started, EngineParts::start({config, *platform, *audit, metrics, *tenants, pools->platform,
                                            *reactors, clock, std::move(changed)}));
  engine_parts = std::move(started);
  rag::ExtractorOptions extract;
  extract.executable = config.extract.executable;
  extract.concurrent = config.extract.concurrent;
  extract.time_max = config.extract.time_max;
  extract.memory_bytes_max = config.extract.memory_bytes_max;
  if (config.extract.ocr) extract.ocr_languages = config.extract.ocr_languages;
  extract.ocr_time_max = config.extract.ocr_time_max;
  extract.allow_swap = config.development;
  extractor = std::make_unique<rag::Extractor>(std::move(extract), pools->extract);
  reindexing = std::unique_ptr<ReindexParts>(
      new ReindexParts({config, *platform, *audit, metrics, *tenants, *upkeep, *stores, *engine_parts,
                        pools->stores, *reactors, clock}));
  retriever = std::make_unique<rag::Retriever>(
      *stores, indexes, engine(), *roles, options.embedding.id, pools->stores,
      [this](const base::TenantId& id) { reindexing->reembedder().start(id); },
      [this] { return engine_parts->reranks_retrieval_with(); });
  rag::IngestOptions ingest;
  ingest.embedding_model = options.embedding.id;
  ingest.concurrent = config.extract.concurrent;
  ingestor =
      std::make_unique<rag::Ingestor>(*stores, engine(), *extractor, pools->stores, clock, std::move(ingest));
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
  services = std::unique_ptr<gateway::Services>(new gateway::Services{config,
                                                                      clock,
                                                                      pools->stores,
                                                                      pools->platform,
                                                                      pools->audit,
                                                                      platform_keys,
                                                                      *platform,
                                                                      *tenants,
                                                                      *stores,
                                                                      indexes,
                                                                      *authenticator,
                                                                      *user_names,
                                                                      *key_format,
                                                                      *roles,
                                                                      *audit,
                                                                      *refusals,
                                                                      metrics,
                                                                      engine(),
                                                                      engine_parts->queues(),
                                                                      *retriever,
                                                                      *ingestor,
                                                                      reindexing->reembedder(),
                                                                      *limiter,
                                                                      *receipts,
                                                                      *upkeep,
                                                                      *eraser,
                                                                      *backups,
                                                                      *mover,
                                                                      [this] { upkeeping.wake(); },
                                                                      [this] { moving.wake(); },
                                                                      *signer,
                                                                      operator_hash_key,
                                                                      config.engine.chat_model,
                                                                      config.engine.embedding.id,
                                                                      engine_parts->pool()});
  dispatcher = std::make_unique<gateway::Dispatcher>(*services);
  BULKHEAD_TRY(tls, make_tls());
  BULKHEAD_TRY(for_clients, listen({.host = config.server.host, .port = config.server.port}, std::move(tls)));
  server = std::move(for_clients);
  BULKHEAD_CHECK_OK(base::make_private_directory(command_socket(config).parent_path()));
  BULKHEAD_TRY(for_commands, listen({.unix_path = command_socket(config)}, nullptr));
  local_server = std::move(for_commands);
  register_gauges();
  serving = true;
  BULKHEAD_CHECK_OK(announce());
  base::log::info("listening", {{"host", std::string_view(config.server.host)},
                                {"port", static_cast<std::int64_t>(server->port())}});
  return Result<void>();
}

Result<std::unique_ptr<http::Server>> Deployment::Parts::listen(http::ListenAddress address,
                                                                std::shared_ptr<http::TlsContext> tls) {
  http::Server::Options options;
  options.address = std::move(address);
  options.limits.connections_max = config.server.connections_max;
  options.limits.connections_per_address_max = config.server.connections_per_address_max;
  options.limits.parser.body_bytes_max = config.server.body_bytes_max;
  options.limits.stall_time_max = config.server.stall_time_max;
  options.limits.transfer_rate_min = config.server.transfer_rate_min;
  options.tls = std::move(tls);
  options.handler = [this](http::Exchange& exchange) { return dispatcher->handle(exchange); };
  options.body_on_demand = true;
  options.malformed = &gateway::Dispatcher::malformed;
  return http::Server::start(*reactors, std::move(options));
}

Result<void> Deployment::Parts::announce() {
  std::lock_guard lock(announcing);
  if (!serving) return Result<void>();  // the server is gone, or going
  bool plain = config.server.plain_http;
  std::string host =
      config.server.host.find(':') == std::string::npos ? config.server.host : "[" + config.server.host + "]";
  std::string base_url =
      std::string(plain ? "http" : "https") + "://" + host + ":" + std::to_string(server->port());
  std::filesystem::path ca =
      config.server.certificate.empty() && !plain ? config.data.dir / "tls" / "ca.pem" : "";
  std::vector<engine::WorkerStatus> workers = engine_parts->workers();
  int engine_pid = 0;
  for (const engine::WorkerStatus& worker : workers) {
    if (worker.name == config.engine.chat_model) engine_pid = worker.pid;
  }
  base::json::Writer w;
  w.begin_object()
      .member("pid", static_cast<std::int64_t>(::getpid()))
      .member("port", static_cast<std::int64_t>(server->port()))
      .member("base_url", base_url)
      .member("ca_file", ca.string())
      .member("engine_pid", std::int64_t{engine_pid});
  // "MODEL", "MODEL@next", "TENANT/MODEL": each with the pid of its worker.
  w.key("engines").begin_object();
  for (const engine::WorkerStatus& worker : workers) w.member(worker.name, std::int64_t{worker.pid});
  w.end_object().end_object();
  return base::write_file_atomically(run_file(config, "serve"), w.take() + "\n");
}

void Deployment::Parts::register_gauges() {
  auto gauge = [this](std::string_view name, std::string_view help, std::function<double()> read) {
    metrics.gauge(name, help, {}, std::move(read));
  };
  gauge("bulkhead_engine_ready", "1 when the engine answers",
        [this] { return engine().ready() ? 1.0 : 0.0; });
  gauge("bulkhead_engine_restarts_total", "Restarts of the engine worker", [this] {
    double sum = 0;
    for (const engine::WorkerStatus& worker : engine_parts->workers())
      sum += static_cast<double>(worker.restarts);
    return sum;
  });
  gauge("bulkhead_engine_queue_waiting", "Requests waiting for the engine",
        [this] { return static_cast<double>(engine_parts->queues().waiting()); });
  gauge("bulkhead_engine_queue_inside", "Requests at the engine",
        [this] { return static_cast<double>(engine_parts->queues().inside()); });
  if (const engine::EnginePool* models = engine_parts->pool()) {
    gauge("bulkhead_embedding_queue_waiting", "Requests waiting for the embedding model",
          [models] { return static_cast<double>(models->embed_queue().waiting()); });
    gauge("bulkhead_embedding_queue_inside", "Requests at the embedding model",
          [models] { return static_cast<double>(models->embed_queue().inside()); });
  }
  gauge("bulkhead_audit_records_total", "Audit records on disk",
        [this] { return static_cast<double>(audit->stats().records); });
  gauge("bulkhead_audit_commits_total", "Group commits of the audit log",
        [this] { return static_cast<double>(audit->stats().commits); });
  gauge("bulkhead_audit_failures_total", "Group commits that failed",
        [this] { return static_cast<double>(audit->stats().failures); });
  gauge("bulkhead_audit_reserve_bytes", "Disk space held back for records that must be written",
        [this] { return static_cast<double>(audit->stats().reserve_held); });
  gauge("bulkhead_foreign_output_bytes_total",
        "Bytes that libraries and child processes wrote to standard error, dropped",
        [] { return static_cast<double>(base::foreign_bytes()); });
  gauge("bulkhead_stores_open", "Open tenant stores",
        [this] { return static_cast<double>(stores->open_count()); });
  gauge("bulkhead_storage_bytes", "Bytes kept of the tenants whose stores are open",
        [this] { return static_cast<double>(stores->usage_seen().bytes); });
  for (const auto& [kind, count] :
       std::initializer_list<std::pair<const char*, std::uint64_t storage::Usage::*>>{
           {"files", &storage::Usage::files},
           {"vector_stores", &storage::Usage::vector_stores},
           {"kept_chats", &storage::Usage::chats},
           {"api_keys", &storage::Usage::api_keys}}) {
    metrics.gauge("bulkhead_storage_objects", "Objects kept of the tenants whose stores are open",
                  {{"kind", kind}},
                  [this, count] { return static_cast<double>(stores->usage_seen().*count); });
  }
  pools->register_gauges(metrics);
  for (const char* state : {"active", "cold", "suspended", "destroyed"}) {
    metrics.gauge("bulkhead_tenants", "Tenants by what they are doing", {{"state", state}},
                  [this, wanted = std::string_view(state)] {
                    std::size_t count = 0;
                    for (const tenancy::Tenant& tenant : tenants->list()) {
                      count += gateway::activity_of(tenant, *services) == wanted ? 1 : 0;
                    }
                    return static_cast<double>(count);
                  });
  }
  gauge("bulkhead_key_rotations_running", "Tenants whose data is being moved to new keys",
        [this] { return static_cast<double>(tenants->keyring().rotating().size()); });
  gauge("bulkhead_moves_running", "Tenants that are being moved to another mode or store",
        [this] { return static_cast<double>(mover->running()); });
  gauge("bulkhead_credentials_cached", "Verified credentials in the cache",
        [this] { return static_cast<double>(authenticator->stats().cache_entries); });
  gauge("bulkhead_jwks_unusable_keys", "Keys of the identity providers' sets that can't be used",
        [this] { return static_cast<double>(authenticator->stats().jwks_unusable_keys); });
  gauge("bulkhead_connections_open", "Open client connections",
        [this] { return static_cast<double>(server->stats().connections_open); });
  gauge("bulkhead_connections_refused_total", "Connections refused for the bounds of all or of an address",
        [this] { return static_cast<double>(server->stats().connections_refused); });
  gauge("bulkhead_body_bytes_reserved", "Memory that requests' bodies may take just now",
        [this] { return static_cast<double>(dispatcher->bodies().bytes_reserved()); });
  gauge("bulkhead_bodies_waiting", "Requests whose body waits for room",
        [this] { return static_cast<double>(dispatcher->bodies().waiting()); });
  gauge("bulkhead_malformed_requests_total", "Requests refused by the parser",
        [this] { return static_cast<double>(server->stats().malformed_total); });
}

void Deployment::Parts::stop() {
  {
    std::lock_guard lock(mutex);
    if (stopping) return;
    stopping = true;
  }
  serving = false;
  {
    std::lock_guard lock(announcing);  // whoever announces has done so; nobody will
  }
  if (reindexing) reindexing->stop();
  moving.stop();
  upkeeping.stop();
  counting.stop();
  if (key_providers) key_providers->stop();
  if (dispatcher) dispatcher->cancel_all();
  if (ingestor) ingestor->stop();
  sweeper.reset();
  server.reset();
  local_server.reset();
  ::unlink(run_file(config, "serve").c_str());
  storage::set_seal_alarm({});
  if (refusals) refusals->close_all();
  if (work_records) work_records->pause();
  if (audit) {
    audit::Record entry;
    entry.time = clock.wall();
    entry.event = audit::Event::ServiceStopped;
    static_cast<void>(audit->append(entry).wait());
  }
  if (authenticator) authenticator->stop();
  burning.close();
  // Clients of the engine live on the reactors.
  engine_parts.reset();
  reactors.reset();
  pools.reset();
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
  parts->key_providers->start();
  parts->counting.start();
  parts->upkeeping.start();
  parts->moving.start();
  parts->reindexing->start();
  return std::unique_ptr<Deployment>(new Deployment(std::move(parts)));
}

void Deployment::reload() {
  auto fresh = gateway::load_config(parts_->config_file);
  if (!fresh) {
    base::log::error("reload_refused", {{"message", std::string_view(fresh.error().message())}});
    return;
  }
  // Whom to believe is changed here, so it is on record before and after, like what requests change.
  audit::Record intent;
  intent.time = parts_->clock.wall();
  intent.event = audit::Event::ChangeIntended;
  intent.intended = audit::event_name(audit::Event::ConfigReloaded);
  intent.request_id = base::RequestId::make(crypto::random_public_id()).str();
  if (auto announced = parts_->audit->append(intent).wait(); !announced) {
    base::log::error("reload_refused", {{"message", std::string_view(announced.error().message())}});
    return;
  }
  parts_->authenticator->replace_issuers(fresh->issuers);
  auto tls = parts_->make_tls();
  if (tls && *tls) parts_->server->replace_tls(std::move(*tls));
  audit::Record outcome;
  outcome.time = parts_->clock.wall();
  outcome.event = audit::Event::ConfigReloaded;
  outcome.request_id = intent.request_id;
  outcome.note = "issuers_and_certificate";
  outcome.concludes = true;
  static_cast<void>(parts_->audit->append(outcome));
  base::log::info("reloaded", {{"what", std::string_view("issuers, certificate")}});
}

// Both stop accepting before either is waited for.
bool Deployment::Parts::drain_servers(std::chrono::milliseconds deadline) {
  const base::MonotonicTime end = clock.monotonic() + deadline;
  static_cast<void>(local_server->drain(std::chrono::milliseconds(0)));
  const bool drained = server->drain(deadline);
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - clock.monotonic());
  return local_server->drain(std::max(left, std::chrono::milliseconds(0))) && drained;
}

void Deployment::drain() {
  base::log::info("draining");
  parts_->dispatcher->start_draining();
  if (!parts_->drain_servers(parts_->config.server.drain_time_max)) {
    base::log::warning("drain_time_over");
    // What still runs is told so before its connection goes.
    parts_->dispatcher->cancel_all();
    static_cast<void>(parts_->drain_servers(kFarewellTime));
  }
}

}  // namespace bulkhead::apps
