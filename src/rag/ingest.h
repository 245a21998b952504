// Ingest: from an uploaded file to searchable chunks: extract (sandboxed), chunk, embed, store.
//
// One ingest of a file runs at a time; attaching a processed file to a further vector store reuses
// its chunks. Work is admitted round-robin between tenants. A failure costs that file only and says
// why in the attachment.
//
// What only could not be done just now (the database or the engine was away) stays InProgress and is
// taken up again by a later request of its tenant (`take_up`), since only a request brings a scope; and
// so is what a crash or restart cut short, by the next one that looks at it (`resume`).
//
// Thread safety: all members from every reactor.
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/task.h"
#include "engine/engine.h"
#include "engine/fair_queue.h"
#include "rag/extractor.h"
#include "storage/store_manager.h"
#include "storage/store_pools.h"

namespace bulkhead::rag {

struct IngestOptions {
  std::string embedding_model;
  std::size_t chunk_tokens_max = 254;  // all-MiniLM-L6-v2's authors cut at 256 word pieces
  std::size_t embed_batch = 32;
  std::size_t concurrent = 2;  // files at once; as many as the extractor takes
  std::size_t waiting_per_tenant = 1000;
};

class Ingestor {
 public:
  Ingestor(storage::StoreManager& stores, engine::Engine& engine, Extractor& extractor,
           storage::StorePools& pools, const base::Clock& clock, IngestOptions options);
  ~Ingestor();

  // Starts work on `attachment` (already stored as InProgress) on the calling reactor, unless it is
  // being worked on. Returns at once.
  void start(const tenancy::TenantScope& scope, storage::AttachmentRecord attachment);
  // The same for an attachment that was found InProgress, unless it waits for another try.
  void resume(const tenancy::TenantScope& scope, const storage::AttachmentRecord& attachment);
  // Starts again what could not be done before, each after a wait that doubles. On a reactor; costs
  // nothing while nothing is left.
  void take_up(const tenancy::TenantScope& scope);
  // What is left of a tenant that is served no more stays InProgress until somebody looks at it.
  void forget(const base::TenantId& tenant);
  // Cancels what runs and waits for it.
  void stop();
  std::size_t running() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace bulkhead::rag
