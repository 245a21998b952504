// Changes of the models while serving: add, replace, roll out in steps, roll back, remove.
#include "base/log.h"
#include "engine/engine_pool_impl.h"

namespace bulkhead::engine {

using base::Error;
using base::Result;
using base::Task;

namespace {

Error conflict(std::string message) { return Error(EngineError::ModelBusy, std::move(message)); }

Error no_such_model() { return Error(EngineError::ModelUnknown, "There is no such model here."); }

// Lets the next change begin when this one is over, however it ends.
class ChangeEnd {
 public:
  explicit ChangeEnd(std::function<void()> end) : end_(std::move(end)) {}
  ChangeEnd(const ChangeEnd&) = delete;
  ~ChangeEnd() { end_(); }

 private:
  std::function<void()> end_;
};

}  // namespace

Result<void> EnginePool::Impl::begin_change() {
  std::lock_guard lock(mutex);
  if (stopping) return Error(EngineError::Unavailable, "The gateway is shutting down.");
  if (changing) return conflict("Another change of the models is running. Try again when it is done.");
  changing = true;
  return Result<void>();
}

void EnginePool::Impl::end_change() {
  std::lock_guard lock(mutex);
  changing = false;
  if (candidate) retire(std::exchange(candidate, nullptr));
}

Task<Result<std::shared_ptr<ModelWorker>>> EnginePool::Impl::bring_up(ModelVersion& version) {
  if (version.sha256.empty()) {
    co_return Error(EngineError::ModelRefused,
                    "A model that is loaded while serving needs its pinned sha256.")
        .with_parameter("sha256");
  }
  auto admitted = co_await blocking.run({.party = kParty}, [&]() -> Result<void> {
    BULKHEAD_TRY(path, resolve_model_path(options.rules, version.path));
    version.path = std::move(path);
    return admit_model(options.rules, version);
  });
  if (!admitted) co_return admitted.take_error();
  version.loaded_at = clock.unix_seconds();
  std::shared_ptr<ModelWorker> worker;
  {
    std::lock_guard lock(mutex);
    if (stopping) co_return Error(EngineError::Unavailable, "The gateway is shutting down.");
    auto started = start_worker(version, "");
    if (!started) co_return started.take_error();
    worker = candidate = std::move(*started);
    attention = true;
  }
  wake.notify_all();
  BULKHEAD_CO_CHECK_OK(
      co_await worker->wait_ready(base::CancelToken(), clock.monotonic() + options.start_time_max));
  co_return worker;
}

Task<Result<void>> EnginePool::Impl::commit(std::function<void(ModelTable&)> change,
                                            std::function<void()> then) {
  ModelTable changed;
  {
    std::lock_guard lock(mutex);
    changed = table;
  }
  change(changed);
  if (options.save) {
    auto saved = co_await blocking.run({.party = kParty}, [&] { return options.save(changed.to_json()); });
    if (!saved) co_return saved.take_error();
  }
  std::lock_guard lock(mutex);
  table = std::move(changed);
  then();
  co_return Result<void>();
}

Task<Result<void>> EnginePool::Impl::put(ModelEntry entry, std::function<void()> then) {
  co_return co_await commit([&entry](ModelTable& changed) { changed.put(entry); }, std::move(then));
}

Result<void> EnginePool::Impl::next_answers(const std::string& id) {
  if (routes[id].next->ready()) return Result<void>();
  return Error(EngineError::Unavailable, "The new version does not answer just now; the old one goes on.");
}

Task<Result<ModelEntry>> EnginePool::Impl::complete(ModelEntry entry) {
  entry.current = *entry.next;
  entry.next.reset();
  entry.next_share = 0;
  auto switch_over = [&] {
    Route& route = routes[entry.current.id];
    retire(std::exchange(route.current, std::exchange(route.next, nullptr)));
  };
  BULKHEAD_CO_CHECK_OK(co_await put(entry, switch_over));
  co_return entry;
}

Task<Result<ModelEntry>> EnginePool::add(ModelVersion version) {
  Impl& pool = *impl_;
  BULKHEAD_CO_CHECK_OK(pool.begin_change());
  ChangeEnd end([&pool] { pool.end_change(); });
  {
    std::lock_guard lock(pool.mutex);
    if (pool.table.find(version.id)) {
      co_return conflict("A model of this id is served already. Replace it, or choose another id.");
    }
    if (version.kind == "rerank" && pool.rerank_entry()) {
      co_return conflict("A rerank model is served already. Replace it, or remove it first.");
    }
  }
  auto worker = co_await pool.bring_up(version);
  if (!worker) co_return worker.take_error();
  ModelEntry entry;
  entry.current = version;
  auto publish = [&] {
    pool.routes[version.id].current = std::exchange(pool.candidate, nullptr);
    if (version.kind == "rerank") pool.retire_dedicated();
  };
  BULKHEAD_CO_CHECK_OK(co_await pool.put(entry, publish));
  co_return entry;
}

Task<Result<ModelEntry>> EnginePool::replace(ModelVersion version, double share) {
  Impl& pool = *impl_;
  BULKHEAD_CO_CHECK_OK(pool.begin_change());
  ChangeEnd end([&pool] { pool.end_change(); });
  ModelEntry entry;
  bool embedding = false;
  {
    std::lock_guard lock(pool.mutex);
    const ModelEntry* found = pool.table.find(version.id);
    if (!found) co_return no_such_model();
    embedding = found->current.kind == "embedding";
    if (embedding && share < 1) {
      co_return Error(
          EngineError::ModelRefused,
          "An embedding model is replaced for everybody at once, when everything is indexed with the "
          "new one. Leave the share out.")
          .with_parameter("share");
    }
    if (embedding && version.sha256 == found->current.sha256) {
      co_return conflict("This version of the embedding model is in use already.");
    }
    if (found->current.kind == "rerank" && share < 1) {
      co_return Error(EngineError::ModelRefused,
                      "A rerank model is switched over at once: leave 'share' away, or give 1.")
          .with_parameter("share");
    }
    if (found->next) {
      co_return conflict(
          "A new version of this model is being rolled out. Complete it with share 1 or roll it "
          "back with share 0 first.");
    }
    entry = *found;
  }
  auto worker = co_await pool.bring_up(version);
  if (!worker) co_return worker.take_error();
  // An embedding model waits as the next version until `finish_embedding`.
  const bool at_once = share >= 1 && !embedding;
  if (at_once) {
    entry.current = version;
  } else {
    entry.next = version;
    entry.next_share = embedding ? 0 : share;
  }
  auto publish = [&] {
    Impl::Route& route = pool.routes[version.id];
    if (at_once) {
      pool.retire(std::exchange(route.current, std::exchange(pool.candidate, nullptr)));
      if (version.kind == "rerank") pool.retire_dedicated();
    } else {
      route.next = std::exchange(pool.candidate, nullptr);
    }
  };
  BULKHEAD_CO_CHECK_OK(co_await pool.put(entry, publish));
  co_return entry;
}

Task<Result<ModelEntry>> EnginePool::set_share(std::string id, double share) {
  Impl& pool = *impl_;
  BULKHEAD_CO_CHECK_OK(pool.begin_change());
  ChangeEnd end([&pool] { pool.end_change(); });
  ModelEntry entry;
  {
    std::lock_guard lock(pool.mutex);
    const ModelEntry* found = pool.table.find(id);
    if (!found) co_return no_such_model();
    if (!found->next) co_return conflict("No new version of this model is being rolled out.");
    if (found->current.kind == "embedding" && share > 0) {
      co_return conflict(
          "Documents are being indexed with the new embedding model, which takes over by itself when that is "
          "done. Only share 0 can be set: it cancels.");
    }
    if (share >= 1) {
      BULKHEAD_CO_CHECK_OK(pool.next_answers(id));
    }
    entry = *found;
  }
  if (share >= 1) co_return co_await pool.complete(std::move(entry));
  if (share <= 0) entry.next.reset();
  entry.next_share = share;
  auto publish = [&] {
    if (share <= 0) pool.retire(std::exchange(pool.routes[id].next, nullptr));
  };
  BULKHEAD_CO_CHECK_OK(co_await pool.put(entry, publish));
  co_return entry;
}

Task<Result<ModelEntry>> EnginePool::finish_embedding(std::string id, base::EmbeddingSpace space) {
  Impl& pool = *impl_;
  BULKHEAD_CO_CHECK_OK(pool.begin_change());
  ChangeEnd end([&pool] { pool.end_change(); });
  ModelEntry entry;
  {
    std::lock_guard lock(pool.mutex);
    const ModelEntry* found = pool.table.find(id);
    if (!found) co_return no_such_model();
    if (!found->next || base::EmbeddingSpace::of_model(found->next->sha256) != space) {
      co_return conflict("This version is not waiting to take over any more.");
    }
    BULKHEAD_CO_CHECK_OK(pool.next_answers(id));
    entry = *found;
  }
  co_return co_await pool.complete(std::move(entry));
}

Task<Result<ModelEntry>> EnginePool::remove(std::string id) {
  Impl& pool = *impl_;
  BULKHEAD_CO_CHECK_OK(pool.begin_change());
  ChangeEnd end([&pool] { pool.end_change(); });
  ModelEntry entry;
  {
    std::lock_guard lock(pool.mutex);
    const ModelEntry* found = pool.table.find(id);
    if (!found) co_return no_such_model();
    if (found->from_config) {
      co_return conflict("This model is named in the configuration file. Remove it there and restart.");
    }
    entry = *found;
  }
  auto erase = [&id](ModelTable& table) { table.erase(id); };
  auto retire_all = [&] {
    auto route = pool.routes.find(id);
    pool.retire(route->second.current);
    pool.retire(route->second.next);
    pool.routes.erase(route);
    if (entry.current.kind == "rerank") pool.retire_dedicated();
    for (auto one = pool.dedicated.begin(); one != pool.dedicated.end();) {
      if (one->first.second != id) {
        ++one;
        continue;
      }
      pool.retire(one->second);
      one = pool.dedicated.erase(one);
    }
  };
  BULKHEAD_CO_CHECK_OK(co_await pool.commit(erase, retire_all));
  co_return entry;
}

}  // namespace bulkhead::engine
