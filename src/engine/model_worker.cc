#include "engine/model_worker.h"

#include <algorithm>
#include <set>

#include "base/log.h"
#include "engine/adapters.h"

namespace bulkhead::engine {

using base::Error;
using base::Result;
using base::Task;

struct ModelWorker::Waiter {
  enum class End { Waiting, Ready, Died, Late, Stopped, Cancelled };
  base::Event called;
  base::MonotonicTime deadline{};
  End end = End::Waiting;
  std::string how;
};

ModelWorker::Lease::Lease(std::shared_ptr<ModelWorker> worker) : worker_(std::move(worker)) {
  worker_->inside_.fetch_add(1);
}

void ModelWorker::Lease::belongs_to(std::string request_id, std::string tenant) {
  request_id_ = std::move(request_id);
  tenant_ = std::move(tenant);
  std::lock_guard lock(worker_->requests_mutex_);
  worker_->requests_.emplace(request_id_, tenant_);
}

ModelWorker::Lease::~Lease() {
  if (!worker_) return;
  if (!tenant_.empty()) {
    std::lock_guard lock(worker_->requests_mutex_);
    if (auto one = worker_->requests_.find(request_id_); one != worker_->requests_.end()) {
      worker_->requests_.erase(one);
      worker_->ended_.push_back({request_id_, tenant_, worker_->clock_.monotonic()});
      if (worker_->ended_.size() > kEndedRemembered) worker_->ended_.pop_front();
    }
  }
  worker_->last_used_.store(worker_->clock_.monotonic().time_since_epoch().count());
  worker_->inside_.fetch_sub(1);
}

Result<std::shared_ptr<ModelWorker>> ModelWorker::start(Options options, const base::Clock& clock) {
  std::shared_ptr<ModelWorker> worker(new ModelWorker(std::move(options), clock));
  worker->last_used_.store(clock.monotonic().time_since_epoch().count());
  WorkerOptions process = worker->options_.process;
  // The process is a member and ends before the rest of the worker does.
  ModelWorker* raw = worker.get();
  process.on_started = [raw](int) { raw->note_started(); };
  process.on_died = [raw](const WorkerDeath& death) { raw->note_died(death); };
  BULKHEAD_TRY(started, WorkerProcess::start(process, clock));
  worker->process_ = std::move(started);
  worker->engine_ = make_worker_engine(*worker->process_, process.socket, worker->options_.client);
  return worker;
}

ModelWorker::~ModelWorker() {
  if (process_) process_->stop();
  engine_.reset();  // holds a reference to the process
}

base::MonotonicTime ModelWorker::last_used() const {
  return base::MonotonicTime(base::MonotonicTime::duration(last_used_.load()));
}

bool ModelWorker::ready() const { return process_->ready(); }

void ModelWorker::tell(WorkerEvent::Kind kind, std::string detail) {
  std::lock_guard lock(listener_mutex_);
  if (deaf_ || !options_.on_event) return;
  options_.on_event({kind, options_.version.id, options_.version.sha256, options_.tenant, std::move(detail)});
}

void ModelWorker::note_started() { tell(WorkerEvent::Kind::Started); }

// A worker's death closes its connections before it is noticed: its requests may be over by then.
void ModelWorker::blame(const WorkerDeath& death) {
  if (!death.own_fault || !options_.on_blame) return;
  std::set<std::string> inside, named;
  {
    std::lock_guard lock(requests_mutex_);
    const auto is_named = [&death](const std::string& request) {
      return std::find(death.requests.begin(), death.requests.end(), request) != death.requests.end();
    };
    for (const auto& [request, tenant] : requests_) {
      inside.insert(tenant);
      if (is_named(request)) named.insert(tenant);
    }
    for (const EndedRequest& ended : ended_) {
      if (clock_.monotonic() - ended.when < kEndedWithTheWorker) inside.insert(ended.tenant);
      if (is_named(ended.request)) named.insert(ended.tenant);
    }
  }
  const std::set<std::string>& suspects = named.empty() ? inside : named;
  // Of several nobody can say whose it was.
  if (suspects.size() == 1) options_.on_blame(*suspects.begin());
}

void ModelWorker::note_died(const WorkerDeath& death) {
  blame(death);
  tell(WorkerEvent::Kind::Died, death.how);
  wake([&how = death.how](Waiter& waiter) {
    waiter.end = Waiter::End::Died;
    waiter.how = how;
    return true;
  });
}

void ModelWorker::wake(const std::function<bool(Waiter&)>& over) {
  std::vector<std::shared_ptr<Waiter>> called;
  {
    std::lock_guard lock(mutex_);
    auto rest = std::partition(waiters_.begin(), waiters_.end(),
                               [&over](const auto& waiter) { return !over(*waiter); });
    called.assign(rest, waiters_.end());
    waiters_.erase(rest, waiters_.end());
  }
  for (const auto& waiter : called) waiter->called.set();
}

void ModelWorker::tick(std::chrono::milliseconds elapsed) {
  process_->watch_pulse(elapsed);
  wake_waiters();
}

void ModelWorker::wake_waiters() {
  bool answers = ready();
  auto now = clock_.monotonic();
  wake([answers, now](Waiter& waiter) {
    if (answers)
      waiter.end = Waiter::End::Ready;
    else if (now >= waiter.deadline)
      waiter.end = Waiter::End::Late;
    return waiter.end != Waiter::End::Waiting;
  });
}

Task<Result<void>> ModelWorker::wait_ready(base::CancelToken cancel, base::MonotonicTime deadline) {
  if (ready()) co_return Result<void>();
  std::shared_ptr<ModelWorker> self = shared_from_this();
  auto waiter = std::make_shared<Waiter>();
  waiter->deadline = deadline;
  {
    std::lock_guard lock(mutex_);
    if (stopped_) {
      waiter->end = Waiter::End::Stopped;
      waiter->called.set();
    } else {
      waiters_.push_back(waiter);
    }
  }
  auto watching = cancel.on_cancel([self, waiter] {
    self->wake([&waiter](Waiter& one) {
      if (&one != waiter.get()) return false;
      one.end = Waiter::End::Cancelled;
      return true;
    });
  });
  co_await waiter->called;
  switch (waiter->end) {
    case Waiter::End::Ready: co_return Result<void>();
    case Waiter::End::Cancelled:
      co_return Error(EngineError::Cancelled, "The request was cancelled while the model started.");
    case Waiter::End::Died:
      co_return Error(
          EngineError::Unavailable,
          "The model's worker ended while it loaded the model. Its reason is in the gateway's log.",
          "worker of " + version().id + " ended: " + waiter->how);
    case Waiter::End::Late:
      co_return Error(EngineError::Unavailable, "The model did not start in time. Try again shortly.",
                      "worker of " + version().id + " was not ready within engine.start_time_max");
    case Waiter::End::Waiting:
    case Waiter::End::Stopped: break;
  }
  co_return Error(EngineError::Unavailable, "The model was stopped. Try again shortly.");
}

void ModelWorker::probe(base::Executor& executor) {
  int running = pid();
  if (running == 0 || ready() || probing_.exchange(true)) return;
  base::spawn(executor, ask(shared_from_this(), running));
}

Task<void> ModelWorker::ask(std::shared_ptr<ModelWorker> self, int pid) {
  auto models = co_await self->engine_->refresh_models();
  self->note_answer(models.ok(), pid);
}

void ModelWorker::note_answer(bool answered, int asked_pid) {
  // A worker that died meanwhile is asked again; another file than the pinned one never serves.
  bool pinned = answered && reports_pinned_hash();
  if (answered && !pinned) {
    base::log::error("engine_wrong_model", {{"model", std::string_view(version().id)}});
  }
  if (pinned && asked_pid == pid()) {
    process_->mark_ready();
    base::log::info("engine_ready",
                    {{"pid", std::int64_t{asked_pid}}, {"model", std::string_view(version().id)}});
    tell(WorkerEvent::Kind::Loaded);
  }
  probing_.store(false);
  wake_waiters();
}

bool ModelWorker::reports_pinned_hash() const {
  for (const ModelInfo& info : engine_->models()) {
    if (info.id == version().id) return info.sha256 == version().sha256;
  }
  return false;
}

void ModelWorker::stop() {
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  wake([](Waiter& waiter) {
    waiter.end = Waiter::End::Stopped;
    return true;
  });
  std::lock_guard once(stop_mutex_);
  process_->stop();
  // A question that is still under way may outlive whoever listens.
  std::lock_guard lock(listener_mutex_);
  deaf_ = true;
}

}  // namespace bulkhead::engine
