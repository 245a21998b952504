// Retrieval in code, before any prompt exists (invariant I4).
//
// The question is embedded and split into words; both the vector index and the text index are asked
// about exactly the files that (a) are in the given vector stores of this scope's tenant and (b) the
// scope's principal may read by access::decide_document. The two rankings are fused by reciprocal
// rank (Cormack, Clarke, Büttcher 2009, k = 60); the winners' texts are unsealed under the tenant's
// key, and one that does not unseal stops the whole request (invariant I3), it is not skipped.
//
// Question and chunks meet in one embedding space, the model's current one. When some chunk of the tenant has
// no vector in it, nothing is searched (StorageError::Reindexing): never a part, never another model's
// vectors.
//
// Whether the documents bear on the question is decided here from the scores (`relevance`), never by
// the model.
//
// Where a rerank model is served, the best fused candidates are read by it together with the question and
// ordered by its scores before the first `results_max` are taken. It sees only chunks that have passed the
// access decision and the seal, and decides nothing but their order; when it fails, the request fails.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "access/decision.h"
#include "base/result.h"
#include "base/task.h"
#include "engine/engine.h"
#include "storage/store_manager.h"
#include "storage/store_pools.h"
#include "vector/index.h"

namespace bulkhead::rag {

struct RetrievedChunk {
  storage::ChunkKey key = 0;
  storage::Chunk chunk;
  std::string file_name;
  double score = 0;         // fused, in (0, 1]: 1 is first in both rankings
  double similarity = 0;    // cosine to the question
  double rerank_score = 0;  // the rerank model's own scale; 0 when there is none
  // The same text in other files that the asker may read too, or elsewhere in this one.
  struct Place {
    base::FileId file;
    std::string file_name;
    std::uint32_t page = 0;
  };
  std::vector<Place> also_in;
};

struct Retrieval {
  std::vector<RetrievedChunk> chunks;  // best first
  double relevance = 0;                // see relevance_of; of the fused order
  std::string reranked_by;             // id of the rerank model that made the order; "" for none
  std::size_t files_searched = 0;
  std::size_t files_withheld = 0;  // in the stores, but not readable by this principal
};

struct RetrievalOptions {
  std::size_t results_max = 6;
  std::size_t pool = 32;        // hits taken from each ranking
  std::size_t rerank_max = 24;  // fused candidates that a rerank model reads
};

// How strongly the best hits speak for an answer in the documents, 0..1: the best cosine, lifted by
// the share of the question's rare words that the best chunks contain. tests/retrieval measures it.
double relevance_of(std::span<const RetrievedChunk> chunks, const std::vector<std::string>& words);

// What of a question is looked for by keyword: first its numbers, codes and pairs of letters
// (storage/index_terms.h), then its words that carry meaning, in lower case. Each once, at most 32.
std::vector<std::string> content_words(std::string_view text);

class Retriever {
 public:
  Retriever(storage::StoreManager& stores, vector::IndexCache& indexes, engine::Engine& engine,
            const access::RoleTable& roles, std::string embedding_model, storage::StorePools& pools,
            std::function<void(const base::TenantId&)> on_lacking,  // called before Reindexing is given
            std::function<std::string()> rerank_model);

  // Searches `vector_stores`; empty means the tenant's default ones. `tokens` grows by what the models have
  // read, whether or not the search ends well.
  base::Task<base::Result<Retrieval>> retrieve(engine::CallContext context, std::string question,
                                               std::vector<base::VectorStoreId> vector_stores,
                                               RetrievalOptions options, std::int64_t& tokens);

 private:
  // The same in one space of the embedding model's.
  base::Task<base::Result<Retrieval>> retrieve_in(base::EmbeddingSpace space, engine::CallContext context,
                                                  std::string question,
                                                  std::vector<base::VectorStoreId> vector_stores,
                                                  RetrievalOptions options, std::int64_t& tokens);
  // The question's vector; of its head where the model can't take all of it.
  base::Task<base::Result<std::vector<float>>> embed_question(base::EmbeddingSpace space,
                                                              engine::CallContext context,
                                                              const std::string& question,
                                                              std::int64_t& tokens);
  // Orders the chunks by the scores of `model`.
  base::Task<base::Result<void>> rerank(engine::CallContext context, std::string model,
                                        const std::string& question, Retrieval& found, std::int64_t& tokens);
  base::Result<Retrieval> search(storage::TenantStore& store, const tenancy::TenantScope& scope,
                                 const std::string& question, const std::vector<float>& query,
                                 const base::EmbeddingSpace& space,
                                 std::vector<base::VectorStoreId> vector_stores,
                                 const RetrievalOptions& options, std::size_t chunks_max);

  storage::StoreManager& stores_;
  vector::IndexCache& indexes_;
  engine::Engine& engine_;
  const access::RoleTable& roles_;
  std::string embedding_model_;
  storage::StorePools& pools_;
  const std::function<void(const base::TenantId&)> on_lacking_;
  std::function<std::string()> rerank_model_;  // id of the model that is to rerank just now; "" for none
};

}  // namespace bulkhead::rag
