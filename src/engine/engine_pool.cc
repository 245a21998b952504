#include "engine/engine_pool.h"

#include <algorithm>

#include "base/json.h"
#include "base/log.h"
#include "crypto/hash.h"
#include "engine/engine_pool_impl.h"
#include "engine/guarantees.h"

namespace bulkhead::engine {

using base::Error;
using base::Result;
using base::Task;

namespace {

Error model_unknown() {
  return Error(EngineError::ModelUnknown, "There is no such model. GET /v1/models lists those you can use.")
      .with_parameter("model");
}

bool wants_own_worker(const CallContext& context) {
  return context.scope.record().policy.engine.engine == tenancy::EngineMode::Dedicated;
}

// Where these users stand on the line from 0 to 1: the same ones at every request, in every process.
double place_of(std::string_view tenant, std::string_view user) {
  crypto::Digest digest = crypto::sha256_parts({base::as_bytes(tenant), base::as_bytes(user)});
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < sizeof number; ++i) number = number << 8 | digest[i];
  return static_cast<double>(number >> 11) * 0x1.0p-53;
}

// A stream that keeps its worker from being drained.
class PoolStream final : public ChatStream {
 public:
  PoolStream(ModelWorker::Lease worker, std::unique_ptr<ChatStream> stream)
      : worker_(std::move(worker)), stream_(std::move(stream)) {}
  Task<Result<std::optional<Piece>>> next() override { return stream_->next(); }
  bool buffered() const override { return stream_->buffered(); }
  const Completion& result() const override { return stream_->result(); }

 private:
  ModelWorker::Lease worker_;
  std::unique_ptr<ChatStream> stream_;  // ends before the lease does
};

// Sockets of an earlier run that was killed.
void remove_old_sockets(const std::filesystem::path& run_dir) {
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(run_dir, failed)) {
    std::string name = entry.path().filename().string();
    if (name.starts_with("engine-") && name.ends_with(".sock")) std::filesystem::remove(entry.path(), failed);
  }
}

}  // namespace

EnginePool::EnginePool(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
EnginePool::~EnginePool() { impl_->stop(); }
void EnginePool::stop() { impl_->stop(); }

Result<std::unique_ptr<EnginePool>> EnginePool::start(PoolOptions options,
                                                      std::vector<ModelVersion> configured,
                                                      base::FairPool& blocking, http::ReactorPool& reactors,
                                                      const base::Clock& clock) {
  auto impl = std::make_unique<Impl>(std::move(options), blocking, reactors, clock);
  remove_old_sockets(impl->options.run_dir);
  ModelTable saved;
  if (impl->options.load) {
    BULKHEAD_TRY(text, impl->options.load());
    if (text) {
      BULKHEAD_TRY(read, ModelTable::from_json(*text));
      saved = std::move(read);
    }
  }
  for (ModelVersion& version : configured) {
    // The worker checks a pinned hash itself; what isn't pinned yet is pinned by its first reading.
    if (version.sha256.empty() || !impl->options.rules.signers.empty()) {
      BULKHEAD_CHECK_OK(admit_model(impl->options.rules, version));
    }
    version.loaded_at = clock.unix_seconds();
    version.loaded_by = "config";
    impl->table.add_configured(std::move(version), saved);
  }
  impl->table.add_saved(saved);
  {
    std::lock_guard lock(impl->mutex);
    for (const ModelEntry& entry : impl->table.all()) {
      Impl::Route& route = impl->routes[entry.current.id];
      BULKHEAD_TRY(current, impl->start_worker(entry.current, ""));
      route.current = std::move(current);
      if (!entry.next) continue;
      BULKHEAD_TRY(next, impl->start_worker(*entry.next, ""));
      route.next = std::move(next);
    }
  }
  Impl* raw = impl.get();
  impl->supervisor = std::thread([raw] { raw->supervise(); });
  return std::unique_ptr<EnginePool>(new EnginePool(std::move(impl)));
}

const ModelEntry* EnginePool::Impl::embedding_entry() const {
  for (const auto& [id, route] : routes) {
    const ModelEntry* entry = table.find(id);
    if (entry && entry->current.kind == "embedding") return entry;
  }
  return nullptr;
}

const ModelEntry* EnginePool::Impl::rerank_entry() const {
  for (const auto& [id, route] : routes) {
    const ModelEntry* entry = table.find(id);
    if (entry && entry->current.kind == "rerank") return entry;
  }
  return nullptr;
}

Result<std::shared_ptr<ModelWorker>> EnginePool::Impl::dedicated_worker(const std::string& tenant,
                                                                        const ModelEntry& entry) {
  bool moved = entry.next && place_of(tenant, "") < entry.next_share;
  return own_worker(tenant, moved ? *entry.next : entry.current, "");
}

Result<std::shared_ptr<ModelWorker>> EnginePool::Impl::own_worker(const std::string& tenant,
                                                                  const ModelVersion& version,
                                                                  const std::string& suffix) {
  std::pair<std::string, std::string> key(tenant, version.id + suffix);
  auto found = dedicated.find(key);
  if (found != dedicated.end()) {
    const ModelVersion& running = found->second->version();
    const ModelEntry* embedding = version.kind == "embedding" ? nullptr : embedding_entry();
    const bool same_embedding =
        found->second->embedding_sha256() == (embedding ? embedding->current.sha256 : std::string());
    if (running.sha256 == version.sha256 && running.path == version.path && same_embedding) {
      return found->second;
    }
    retire(found->second);
    dedicated.erase(found);
  }
  if (dedicated.size() >= options.dedicated_max) {
    return Error(EngineError::Unavailable,
                 "No further engine of a tenant's own can be started just now. Try again later, or ask your "
                 "operator.",
                 "engine.dedicated_max = " + std::to_string(options.dedicated_max) + " workers run");
  }
  BULKHEAD_TRY(worker, start_worker(version, tenant));
  dedicated.emplace(std::move(key), worker);
  attention = true;
  wake.notify_all();
  return worker;
}

// Which version of an embedding model makes vectors of this space; null: none does any more.
const ModelVersion* EnginePool::Impl::version_for(const ModelEntry& entry,
                                                  const base::EmbeddingSpace& space) {
  if (!space.known() || space == base::EmbeddingSpace::of_model(entry.current.sha256)) return &entry.current;
  if (entry.next && space == base::EmbeddingSpace::of_model(entry.next->sha256)) return &*entry.next;
  return nullptr;
}

Result<EnginePool::Impl::Reached> EnginePool::Impl::pick_embedding(const CallContext& context,
                                                                   const ModelEntry& entry,
                                                                   const base::EmbeddingSpace& space) {
  const ModelVersion* version = version_for(entry, space);
  if (!version) {
    return Error(EngineError::Unavailable, "The embedding model was replaced just now. Try again.");
  }
  const bool is_next = version != &entry.current;
  if (!wants_own_worker(context)) {
    const Route& route = routes.find(entry.current.id)->second;
    return Reached{ModelWorker::Lease(is_next ? route.next : route.current), false};
  }
  const tenancy::Tenant& tenant = context.scope.record();
  // Documents that are indexed anew need no chat model.
  if (is_next || context.scope.principal().is_upkeep()) {
    BULKHEAD_TRY(worker, own_worker(tenant.id.str(), *version, is_next ? "@next" : ""));
    return Reached{ModelWorker::Lease(std::move(worker)), true};
  }
  return pick_carrier(tenant);
}

Result<EnginePool::Impl::Reached> EnginePool::Impl::pick_carrier(const tenancy::Tenant& tenant) {
  const std::string& own = tenant.policy.chat_model;
  const ModelEntry* generating = table.find(own.empty() ? options.default_model : own);
  if (!generating) {
    return Error(EngineError::Unavailable,
                 "This tenant's policy asks for an engine of its own, and there is no local chat model to "
                 "start it with. Ask your operator.");
  }
  BULKHEAD_TRY(worker, dedicated_worker(tenant.id.str(), *generating));
  return Reached{ModelWorker::Lease(std::move(worker)), true};
}

Result<EnginePool::Impl::Reached> EnginePool::Impl::pick(const CallContext& context, const std::string& model,
                                                         const base::EmbeddingSpace& space) {
  std::lock_guard lock(mutex);
  const ModelEntry* entry = table.find(model);
  auto found = routes.find(model);
  if (!entry || found == routes.end()) return model_unknown();
  // A tenant that was cut while this request was on its way gets no new process.
  if (stopping || !context.scope.alive()) {
    return Error(EngineError::Cancelled, "The request was cancelled.", "tenant cut or gateway stopping");
  }
  if (entry->current.kind == "embedding") return pick_embedding(context, *entry, space);
  const tenancy::Tenant& tenant = context.scope.record();
  if (wants_own_worker(context)) {
    if (entry->current.kind != "chat") return pick_carrier(tenant);
    BULKHEAD_TRY(worker, dedicated_worker(tenant.id.str(), *entry));
    return Reached{ModelWorker::Lease(std::move(worker)), true};
  }
  const Route& route = found->second;
  bool moved = entry->next && route.next && route.next->ready() &&
               place_of(tenant.id.str(), context.scope.principal().user()) < entry->next_share;
  return Reached{ModelWorker::Lease(moved ? route.next : route.current), false};
}

Task<Result<ModelWorker::Lease>> EnginePool::Impl::reach(CallContext context, std::string model,
                                                         base::EmbeddingSpace space) {
  const std::string tenant = context.scope.tenant().str();
  if (auto left = hold_off.left(tenant)) {
    co_return Error(
        EngineError::HeldOff,
        "A request of this tenant ended the model's worker, so its requests are refused for now. Try "
        "again in " +
            std::to_string(left->count()) + " s, without that request.");
  }
  auto reached = pick(context, model, space);
  if (!reached) co_return reached.take_error();
  reached->worker.belongs_to(context.request_id, tenant);
  if (reached->own) {
    auto deadline = clock.monotonic() + options.start_time_max;
    BULKHEAD_CO_CHECK_OK(co_await reached->worker->wait_ready(context.cancel, deadline));
  }
  co_return std::move(reached->worker);
}

Task<Result<std::unique_ptr<ChatStream>>> EnginePool::chat(CallContext context, ChatRequest request) {
  auto worker = co_await impl_->reach(context, request.model);
  if (!worker) co_return worker.take_error();
  auto stream = co_await (*worker)->engine().chat(std::move(context), std::move(request));
  if (!stream) co_return stream.take_error();
  co_return std::unique_ptr<ChatStream>(std::make_unique<PoolStream>(std::move(*worker), std::move(*stream)));
}

Task<Result<Embeddings>> EnginePool::embed(CallContext context, std::string model,
                                           std::vector<std::string> texts, base::EmbeddingSpace space) {
  auto worker = co_await impl_->reach(context, model, space);
  if (!worker) co_return worker.take_error();
  std::optional<EmbedQueue::Turn> turn;
  // A tenant with a worker of its own waits for nobody.
  if ((*worker)->tenant().empty()) {
    std::size_t bytes = 0;
    for (const std::string& text : texts) bytes += text.size();
    const tenancy::TenantScope& scope = context.scope;
    auto entered =
        co_await impl_->embed_queue.enter(scope.tenant(), scope.record().policy.engine.weight,
                                          context.priority, static_cast<double>(bytes), context.cancel);
    if (!entered) co_return entered.take_error();
    turn = std::move(*entered);
  }
  co_return co_await (*worker)->engine().embed(std::move(context), std::move(model), std::move(texts), space);
}

const EmbedQueue& EnginePool::embed_queue() const { return impl_->embed_queue; }

EmbeddingSpaces EnginePool::embedding_spaces(const std::string& model) const {
  std::lock_guard lock(impl_->mutex);
  const ModelEntry* entry = impl_->table.find(model);
  if (!entry || entry->current.kind != "embedding") return {};
  EmbeddingSpaces spaces{.current = base::EmbeddingSpace::of_model(entry->current.sha256),
                         .next = std::nullopt};
  if (entry->next) spaces.next = base::EmbeddingSpace::of_model(entry->next->sha256);
  return spaces;
}

Task<Result<Ranking>> EnginePool::rerank(CallContext context, std::string model, std::string query,
                                         std::vector<std::string> documents) {
  auto worker = co_await impl_->reach(context, model);
  if (!worker) co_return worker.take_error();
  co_return co_await (*worker)->engine().rerank(std::move(context), std::move(model), std::move(query),
                                                std::move(documents));
}

Task<Result<std::vector<std::int64_t>>> EnginePool::count_tokens(CallContext context, std::string model,
                                                                 std::vector<std::string> texts) {
  auto worker = co_await impl_->reach(context, model);
  if (!worker) co_return worker.take_error();
  co_return co_await (*worker)->engine().count_tokens(std::move(context), std::move(model), std::move(texts));
}

// Prefixes may be kept by every worker that generates for the tenant.
Task<Result<base::BurnReport>> EnginePool::burn_kept(BurnTarget target) {
  std::vector<ModelWorker::Lease> workers;
  {
    std::lock_guard lock(impl_->mutex);
    for (const auto& worker : impl_->all_workers()) {
      bool serves = worker->tenant().empty() || worker->tenant() == target.tenant.str();
      // A worker that is not running keeps nothing.
      if (serves && worker->version().kind == "chat" && worker->ready()) workers.emplace_back(worker);
    }
  }
  // Where no worker runs, nothing is kept.
  base::BurnReport sum;
  sum.engine = kind_name(EngineKind::Worker);
  sum.rows = base::RowsFate::NothingKept;
  sum.reuse = base::RowsReuse::None;
  for (std::size_t i = 0; i < workers.size(); ++i) {
    auto report = co_await workers[i]->engine().burn_kept(target);
    if (!report) co_return report.take_error();
    if (i == 0) {
      sum = std::move(*report);
    } else {
      sum.add(*report);
    }
  }
  co_return sum;
}

std::vector<ModelInfo> EnginePool::models() const {
  std::vector<ModelInfo> list;
  std::lock_guard lock(impl_->mutex);
  for (const auto& [id, route] : impl_->routes) {
    for (ModelInfo& info : route.current->models()) {
      if (info.id == id) list.push_back(std::move(info));
    }
  }
  return list;
}

bool EnginePool::ready() const {
  std::lock_guard lock(impl_->mutex);
  for (const auto& [id, route] : impl_->routes) {
    const ModelEntry* entry = impl_->table.find(id);
    bool needed = id == impl_->options.default_model || (entry && entry->current.kind != "chat");
    if (needed && !route.current->ready()) return false;
  }
  return !impl_->routes.empty();
}

std::string EnginePool::rerank_model() const {
  std::lock_guard lock(impl_->mutex);
  const ModelEntry* entry = impl_->rerank_entry();
  return entry ? entry->current.id : std::string();
}

std::vector<ModelEntry> EnginePool::entries() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->table.all();
}

std::vector<WorkerStatus> EnginePool::workers() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->describe_workers();
}

void EnginePool::forget_tenant(const base::TenantId& tenant) {
  std::vector<std::shared_ptr<ModelWorker>> own;
  {
    std::lock_guard lock(impl_->mutex);
    for (const auto& worker : impl_->all_workers()) {
      if (worker->tenant() == tenant.str()) own.push_back(worker);
    }
    for (auto one = impl_->dedicated.begin(); one != impl_->dedicated.end();) {
      if (one->first.first != tenant.str()) {
        ++one;
        continue;
      }
      impl_->retire(one->second);
      one = impl_->dedicated.erase(one);
    }
  }
  for (const auto& worker : own) worker->stop();
}

}  // namespace bulkhead::engine
