// FairQueue: admission to the engine, round-robin between tenants (invariant I8).
//
// At most `capacity` requests are inside. When it is full, each tenant waits in a line of its own
// (first come, first served within it) and freed places go to the lines in turn, so a tenant with a
// thousand waiting requests delays another tenant's first one by at most one turn of each tenant.
// Lines are bounded: beyond `line_max` a request is refused with QueueFull at once. With `tenant_max` a
// tenant has at most so many inside, and leaves the rest to others even when nobody else waits yet. Thread
// safety: all members from every thread; `enter` is awaited on an executor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/ids.h"
#include "base/result.h"
#include "base/task.h"
#include "engine/engine.h"

namespace bulkhead::engine {

class FairQueue {
 public:
  FairQueue(std::size_t capacity, std::size_t line_max, std::size_t tenant_max = SIZE_MAX);
  ~FairQueue();

  // A place inside; given back when destroyed.
  class Place {
   public:
    Place(Place&&) noexcept = default;
    Place& operator=(Place&&) noexcept = default;
    ~Place();

   private:
    friend class FairQueue;
    struct State;
    explicit Place(std::shared_ptr<State> state) : state_(std::move(state)) {}
    std::shared_ptr<State> state_;
  };

  base::Task<base::Result<Place>> enter(base::TenantId tenant, base::CancelToken cancel);
  std::size_t inside() const;
  std::size_t waiting() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace bulkhead::engine
