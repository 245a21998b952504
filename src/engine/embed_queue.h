// EmbedQueue: turns at the embedding model that tenants share, by batch.
//
// One turn is one request to the model: a question, a call of /v1/embeddings, a few pieces of a document.
// Interactive turns go before background ones, those before maintenance (base/fair_classes.h); in a class the
// tenant goes next that had the least by its weight. Background and maintenance together hold at most
// `background_max` of the `capacity` turns, and one tenant at most half of those; of interactive ones a
// tenant holds at most `interactive_per_tenant`. So neither a question nor another tenant's document waits
// for more than what is being computed; what is inside the model's own process takes turns there once more.
// A tenant has at most `line_max` waiting; more are refused with QueueFull at once.
// Thread safety: all members from every thread; `enter` is awaited on an executor.
#pragma once

#include <cstddef>
#include <memory>

#include "base/ids.h"
#include "base/result.h"
#include "base/task.h"
#include "engine/engine.h"

namespace bulkhead::engine {

struct EmbedQueueOptions {
  std::size_t capacity = 128;
  std::size_t interactive_per_tenant = 8;
  std::size_t background_max = 4;
  std::size_t line_max = 1024;
};

class EmbedQueue {
 public:
  explicit EmbedQueue(EmbedQueueOptions options = {});
  ~EmbedQueue();

  // A turn; it ends when destroyed.
  class Turn {
   public:
    Turn(Turn&&) noexcept = default;
    Turn& operator=(Turn&&) noexcept = default;
    ~Turn();

   private:
    friend class EmbedQueue;
    struct State;
    explicit Turn(std::shared_ptr<State> state) : state_(std::move(state)) {}
    std::shared_ptr<State> state_;
  };

  // `cost` is what the turn counts for between tenants, such as the bytes of its texts.
  base::Task<base::Result<Turn>> enter(base::TenantId tenant, double weight, Priority priority, double cost,
                                       base::CancelToken cancel);
  std::size_t inside() const;
  std::size_t waiting() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace bulkhead::engine
