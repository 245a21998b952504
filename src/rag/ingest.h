// Ingest: from an uploaded file to searchable chunks: extract (sandboxed), chunk, embed, store.
//
// Nobody waits for another tenant's document. A permit is held for extraction only, and no tenant holds all
// of them. Documents wait in lanes by their size, in turn between tenants, which bounds the memory that they
// take together; a small one never waits for a large one. Their pieces are embedded a few at a time, at
// background priority, in turn between tenants (engine/embed_queue.h).
//
// Attaching a processed file to a further vector store reuses its chunks. A failure costs that file only and
// says why in the attachment. Detaching or deleting ends the work within one batch.
//
// What only could not be done just now (the database or the engine was away) stays InProgress and is
// taken up again by a later request of its tenant (`take_up`), since only a request brings a scope; and
// so is what a crash or restart cut short, by the next one that looks at it (`resume`).
//
// Thread safety: all members from every reactor.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/task.h"
#include "engine/engine.h"
#include "engine/fair_queue.h"
#include "rag/extractor.h"
#include "storage/store_manager.h"
#include "storage/store_pools.h"

namespace bulkhead::rag {

// Documents of up to a size, which are in memory together: their text, and two vectors a piece.
struct IngestLane {
  std::uint64_t bytes_max = 0;    // of the file
  std::size_t pieces_max = 0;     // of its text
  std::size_t documents_max = 0;  // at once
  std::size_t tenant_max = 0;     // of these of one tenant
};

struct IngestOptions {
  std::string embedding_model;
  std::size_t chunk_tokens_max = 254;  // all-MiniLM-L6-v2's authors cut at 256 word pieces
  std::size_t embed_batch = 8;         // pieces of one turn at the model
  std::size_t concurrent = 2;          // extractions at once; as many as the extractor takes
  // About 1, 12 and 90 MiB each; the last takes what no other does.
  std::vector<IngestLane> lanes = {
      {256u << 10, 512, 64, 4}, {2u << 20, 4096, 24, 2}, {UINT64_MAX, SIZE_MAX, 8, 1}};
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
  // The attachment, file or vector store is gone: ends what is done for it within one batch.
  void detached(const base::TenantId& tenant, const base::VectorStoreId& store, const base::FileId& file);
  void file_deleted(const base::TenantId& tenant, const base::FileId& file);
  void store_deleted(const base::TenantId& tenant, const base::VectorStoreId& store);
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
