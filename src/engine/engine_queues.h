// EngineQueues: the fair queue before the shared engine, and one of its own for each tenant that has
// an engine of its own. Such a tenant neither waits for others nor takes a place from them while its
// worker starts.
// Thread safety: all members from every thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>

#include "engine/fair_queue.h"

namespace bulkhead::engine {

class EngineQueues {
 public:
  // Does this tenant have an engine of its own? An error refuses its requests: its policy asks for
  // one that this deployment can't give.
  using OwnEngine = std::function<base::Result<bool>(const base::TenantId&)>;
  // `own_engine` is asked at each request.
  EngineQueues(std::size_t capacity, std::size_t line_max, OwnEngine own_engine);

  base::Task<base::Result<FairQueue::Place>> enter(base::TenantId tenant, base::CancelToken cancel);
  void forget(const base::TenantId& tenant);
  std::size_t inside() const;  // over all queues
  std::size_t waiting() const;

 private:
  std::shared_ptr<FairQueue> own_queue(const base::TenantId& tenant);

  const std::size_t capacity_;
  const std::size_t line_max_;
  const OwnEngine own_engine_;
  FairQueue shared_;
  mutable std::mutex mutex_;
  std::map<base::TenantId, std::shared_ptr<FairQueue>> own_;
};

}  // namespace bulkhead::engine
