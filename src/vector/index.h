// The in-memory vector index of one tenant: exact cosine search over unit vectors.
//
// Exact and fast: a first pass over int8 codes with a proven error bound picks the candidates that
// could be among the best k, a second pass scores those with the float vectors; so the result is
// that of a full float scan (ties aside). SIMD chosen at run time (AVX-512 VNNI, AVX2, scalar).
// Filtering comes before ranking: only chunks of the allowed files are scored (AISVS 5.2.2).
//
// Memory: dimensions * 5 + 24 bytes a chunk. Thread safety: searches may run side by side; `build`
// makes an immutable index.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "storage/store.h"

namespace bulkhead::vector {

enum class Simd;

using Hit = storage::TenantStore::VectorHit;

class ExactIndex {
 public:
  class Builder {
   public:
    explicit Builder(std::size_t dimensions);
    ~Builder();
    void add(storage::ChunkKey key, const base::FileId& file, const float* vector);
    std::shared_ptr<const ExactIndex> build();

   private:
    std::unique_ptr<ExactIndex> index_;
  };
  ~ExactIndex();

  // The best `k` of the chunks whose file is in `files`, best first. `query` has unit length.
  std::vector<Hit> search(const std::vector<float>& query, const std::vector<base::FileId>& files,
                          std::size_t k) const;
  std::size_t size() const;
  std::size_t dimensions() const;
  std::size_t bytes() const;

 private:
  // The same search with a given instruction set (kernels.h); for tests and measurements.
  friend std::vector<Hit> search_with(Simd simd, const ExactIndex& index, const std::vector<float>& query,
                                      const std::vector<base::FileId>& files, std::size_t k);

  ExactIndex();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Indexes of the tenants in use: built from the store on first search, rebuilt when the store's
// vectors_version has moved or another embedding space is asked for, dropped least recently used first
// beyond `bytes_max`. Keyed by tenant, reachable by scope only. An index holds the vectors of one space, and
// of every chunk of the tenant: as long as one lacks it, `get` gives StorageError::Reindexing.
class IndexCache {
 public:
  explicit IndexCache(std::size_t bytes_max = 512u << 20);
  ~IndexCache();
  // Blocks while it builds.
  base::Result<std::shared_ptr<const ExactIndex>> get(const tenancy::TenantScope& scope,
                                                      storage::TenantStore& store,
                                                      const base::EmbeddingSpace& space);
  void drop(const base::TenantId& tenant);
  std::size_t bytes_of(const base::TenantId& tenant) const;  // 0: none in memory

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bulkhead::vector
