#include "engine/engine_queues.h"

namespace bulkhead::engine {

using base::Result;
using base::Task;

EngineQueues::EngineQueues(std::size_t capacity, std::size_t line_max, OwnEngine own_engine)
    : capacity_(capacity),
      line_max_(line_max),
      own_engine_(std::move(own_engine)),
      shared_(capacity, line_max) {}

std::shared_ptr<FairQueue> EngineQueues::own_queue(const base::TenantId& tenant) {
  std::lock_guard lock(mutex_);
  std::shared_ptr<FairQueue>& queue = own_[tenant];
  if (!queue) queue = std::make_shared<FairQueue>(capacity_, line_max_);
  return queue;
}

Task<Result<FairQueue::Place>> EngineQueues::enter(base::TenantId tenant, base::CancelToken cancel) {
  BULKHEAD_CO_TRY(own, own_engine_(tenant));
  if (!own) co_return co_await shared_.enter(std::move(tenant), std::move(cancel));
  std::shared_ptr<FairQueue> queue = own_queue(tenant);
  co_return co_await queue->enter(std::move(tenant), std::move(cancel));
}

void EngineQueues::forget(const base::TenantId& tenant) {
  std::lock_guard lock(mutex_);
  own_.erase(tenant);
}

std::size_t EngineQueues::inside() const {
  std::lock_guard lock(mutex_);
  std::size_t sum = shared_.inside();
  for (const auto& [tenant, queue] : own_) sum += queue->inside();
  return sum;
}

std::size_t EngineQueues::waiting() const {
  std::lock_guard lock(mutex_);
  std::size_t sum = shared_.waiting();
  for (const auto& [tenant, queue] : own_) sum += queue->waiting();
  return sum;
}

}  // namespace bulkhead::engine
