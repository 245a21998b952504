// Reembedder: gives the stored chunks of tenants vectors of the embedding spaces that the engine works in
// (engine::Engine::embedding_spaces), and takes those of other spaces away. Documents are neither read nor
// cut anew: what was embedded of a chunk can be told from the stored chunk.
//
// Two ways lead here. `start`, when a search met a chunk without a vector of the current space; and
// `run_once`, which looks through all tenants as long as the spaces are others than those that everything was
// last found to have (a setting of the platform database), and then has the engine switch over when a new
// version of the model waits for that. Tenants that can't be opened are passed over and named; their
// documents are done at their first use.
//
// One file at a time of a tenant, admitted round-robin between tenants; embedded at maintenance priority, in
// turn by batch (engine/embed_queue.h). All is done in a scope of the
// platform's own for that tenant; what fails just now is tried again at the next round.
//
// Thread safety: all members from every thread; `run_once` blocks, `stop` too.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/task.h"
#include "engine/engine.h"
#include "storage/store_pools.h"
#include "storage/upkeep.h"

namespace bulkhead::rag {

struct ReembedOptions {
  std::string embedding_model;
  std::size_t embed_batch = 8;  // small: questions are embedded in between
  std::size_t concurrent = 8;   // files in memory at once, each of another tenant
  std::size_t tenants_at_once = 4;
  // The last spaces that everything was found to have; kept over restarts.
  std::function<base::Result<std::optional<std::string>>()> load;
  std::function<base::Result<void>(const std::string&)> save;
  // Everything is indexed in the next space: make it the current one. Called in `run_once`; may block.
  std::function<base::Result<void>(const base::EmbeddingSpace& next)> switch_over;
};

// How far `run_once` is.
struct ReembedProgress {
  bool running = false;
  std::size_t tenants_total = 0;  // that can be opened
  std::size_t tenants_done = 0;
  std::vector<std::string> skipped;  // suspended, or without their key
};

struct ReembedEvent {
  enum class Kind { Begun, Completed };
  Kind kind = Kind::Begun;
  base::EmbeddingSpace space;  // that everything is being, or was, indexed in
  ReembedProgress progress;
};

class Reembedder {
 public:
  // All outlive it; it is stopped before the executor.
  struct Uses {
    storage::Upkeep& upkeep;
    storage::StoreManager& stores;
    const tenancy::TenantDirectory& tenants;
    engine::Engine& engine;
    storage::StorePools& pools;
    base::Executor& executor;
  };
  Reembedder(Uses uses, ReembedOptions options);
  ~Reembedder();

  // Begins with this tenant's documents, unless that is under way. Returns at once.
  void start(const base::TenantId& tenant);
  // A tenant can be opened again; begins with it if it was passed over.
  void came_back(const base::TenantId& tenant);
  // One look through all tenants, if there is reason for one.
  void run_once(const std::function<bool()>& stopping);
  ReembedProgress progress() const;
  void on_event(std::function<void(const ReembedEvent&)> listener);  // before the first `run_once`
  // Cancels what runs and waits for it.
  void stop();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace bulkhead::rag
