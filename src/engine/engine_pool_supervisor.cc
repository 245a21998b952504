// The pool's processes: starting, watching, draining, stopping.
#include <algorithm>
#include <tuple>

#include "base/log.h"
#include "engine/engine_pool_impl.h"

namespace bulkhead::engine {

using base::Result;

namespace {

constexpr std::chrono::milliseconds kBusyInterval{50};  // something starts or drains
constexpr std::chrono::milliseconds kQuietInterval{250};
constexpr std::chrono::milliseconds kLastRequestsTimeMax{2'000};
constexpr std::chrono::seconds kIndexingIdleMax{3};

// The worker goes before the pass does: what it holds needs the reactors, which go when the gate is closed.
struct LastStop {
  std::optional<base::Gate::Pass> pass;
  std::shared_ptr<ModelWorker> worker;
};

void add_model(std::vector<std::string>& arguments, const ModelVersion& version) {
  std::string flag = version.kind == "embedding" ? "--embed-model"
                     : version.kind == "rerank"  ? "--rerank-model"
                                                 : "--chat-model";
  arguments.insert(arguments.end(),
                   {flag, version.id + "=" + version.path.string(), flag + "-sha256", version.sha256});
  if (!version.chat_template.empty()) {
    arguments.insert(arguments.end(), {"--chat-template", version.chat_template.string()});
  }
}

}  // namespace

Result<std::shared_ptr<ModelWorker>> EnginePool::Impl::start_worker(const ModelVersion& version,
                                                                    const std::string& tenant) {
  ModelWorker::Options worker;
  worker.version = version;
  worker.tenant = tenant;
  worker.client = options.client;
  worker.on_event = options.on_event;
  worker.on_blame = [this](const std::string& blamed) {
    if (hold_off.blame(blamed)) {
      base::log::warning("tenant_held_off", {{"tenant", std::string_view(blamed)}});
    }
  };
  worker.process.stall_time_max = options.stall_time_max;
  worker.process.executable = options.executable;
  worker.process.socket = options.run_dir / ("engine-" + std::to_string(++sockets_made) + ".sock");
  std::vector<std::string>& arguments = worker.process.arguments;
  arguments = options.common_arguments;
  arguments.insert(arguments.end(),
                   {"--context", std::to_string(version.context), "--slots", std::to_string(version.slots),
                    "--gpu-layers", std::to_string(version.gpu_layers)});
  add_model(arguments, version);
  const bool carries = !tenant.empty() && version.kind != "embedding";
  if (const ModelEntry* embedding = carries ? embedding_entry() : nullptr) {
    add_model(arguments, embedding->current);
    worker.embedding_sha256 = embedding->current.sha256;
  }
  const ModelEntry* rerank = carries ? rerank_entry() : nullptr;
  if (rerank) add_model(arguments, rerank->current);
  return ModelWorker::start(std::move(worker), clock);
}

void EnginePool::Impl::retire(std::shared_ptr<ModelWorker> worker) {
  if (!worker) return;
  retired.push_back({std::move(worker), clock.monotonic() + options.answer_time_max});
  attention = true;
  wake.notify_all();
}

void EnginePool::Impl::retire_dedicated() {
  for (auto& [key, worker] : dedicated) retire(std::move(worker));
  dedicated.clear();
}

std::vector<std::shared_ptr<ModelWorker>> EnginePool::Impl::all_workers() const {
  std::vector<std::shared_ptr<ModelWorker>> list;
  for (const auto& [id, route] : routes) {
    list.push_back(route.current);
    if (route.next) list.push_back(route.next);
  }
  for (const auto& [key, worker] : dedicated) list.push_back(worker);
  if (candidate) list.push_back(candidate);
  for (const Retired& one : retired) list.push_back(one.worker);
  return list;
}

std::vector<WorkerStatus> EnginePool::Impl::describe_workers() const {
  std::vector<WorkerStatus> list;
  auto add = [&list](std::string name, const ModelWorker& worker) {
    const ModelVersion& version = worker.version();
    list.push_back({std::move(name), version.id, version.kind, version.sha256, worker.tenant(), worker.pid(),
                    worker.ready(), worker.restarts(), worker.inside()});
  };
  for (const auto& [id, route] : routes) {
    add(id, *route.current);
    if (route.next) add(id + "@next", *route.next);
  }
  for (const auto& [key, worker] : dedicated) add(key.first + "/" + key.second, *worker);
  return list;
}

void EnginePool::Impl::retire_idle() {
  auto now = clock.monotonic();
  for (auto one = dedicated.begin(); one != dedicated.end();) {
    const ModelWorker& worker = *one->second;
    // One for embeddings alone is there for an indexing that others may be waiting to have their turn at.
    const auto idle_max = worker.version().kind == "embedding"
                              ? std::min(options.dedicated_idle_max, kIndexingIdleMax)
                              : options.dedicated_idle_max;
    bool idle = worker.inside() == 0 && now - worker.last_used() >= idle_max;
    if (!idle) {
      ++one;
      continue;
    }
    base::log::info("engine_idle_stopped", {{"tenant", std::string_view(worker.tenant())}});
    retire(one->second);
    one = dedicated.erase(one);
  }
}

// Retired workers without a request inside, or past their time, stop in the background: a process
// that is slow to end must not hold up the watching of the others.
void EnginePool::Impl::stop_drained() {
  std::vector<std::shared_ptr<ModelWorker>> drained;
  {
    std::lock_guard lock(mutex);
    auto now = clock.monotonic();
    std::erase_if(retired, [](const Retired& one) {
      return one.stopping && one.worker->pid() == 0 && one.worker->inside() == 0 && !one.worker->probing();
    });
    for (Retired& one : retired) {
      if (one.stopping || (one.worker->inside() > 0 && now < one.deadline)) continue;
      one.stopping = true;
      drained.push_back(one.worker);
    }
  }
  for (const auto& worker : drained) {
    auto last = std::make_shared<LastStop>(LastStop{stops.enter(), worker});
    if (!blocking.post({.party = kParty}, [last] { last->worker->stop(); })) worker->stop();
  }
}

void EnginePool::Impl::supervise() {
  // What others are shown: a worker that runs already changes it once more when it gets its route.
  using Shown = std::vector<std::tuple<std::string, int, bool>>;
  Shown seen;
  bool busy = true;
  auto looked = clock.monotonic();
  while (true) {
    std::vector<std::shared_ptr<ModelWorker>> watched;
    Shown now;
    {
      std::unique_lock lock(mutex);
      wake.wait_for(lock, busy ? kBusyInterval : kQuietInterval, [this] { return stopping || attention; });
      attention = false;
      if (stopping) return;
      retire_idle();
      watched = all_workers();
      busy = !retired.empty();
      for (const WorkerStatus& status : describe_workers())
        now.emplace_back(status.name, status.pid, status.ready);
    }
    stop_drained();
    for (const auto& worker : watched) busy = busy || !worker->ready();
    if (now != seen) {
      seen = std::move(now);
      if (options.on_workers_changed) options.on_workers_changed();
    }
    const auto elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(clock.monotonic() - looked);
    looked += elapsed;
    for (const auto& worker : watched) {
      worker->probe(reactors.at(0));
      worker->tick(elapsed);
    }
  }
}

void EnginePool::Impl::stop() {
  std::vector<std::shared_ptr<ModelWorker>> last;
  {
    std::lock_guard lock(mutex);
    if (stopping) return;
    stopping = true;
    last = all_workers();
  }
  wake.notify_all();
  if (supervisor.joinable()) supervisor.join();
  // Side by side: each may take its whole grace time.
  std::vector<std::thread> stoppers;
  for (const auto& worker : last) stoppers.emplace_back([worker] { worker->stop(); });
  for (std::thread& stopper : stoppers) stopper.join();
  stops.close();
  // What was inside has failed by now; its coroutines end on the reactors, which still run.
  auto over = [this, &last] {
    return !changing && std::all_of(last.begin(), last.end(), [](const auto& worker) {
      return worker->inside() == 0 && !worker->probing();
    });
  };
  std::unique_lock lock(mutex);
  for (auto waited = kBusyInterval; !over() && waited < kLastRequestsTimeMax; waited += kBusyInterval) {
    wake.wait_for(lock, kBusyInterval);
  }
}

}  // namespace bulkhead::engine
