// The nearest passages of one tenant, from wherever they are searched: by its store where that does it, else
// by the index in memory that is built from it.
//
// Only chunks of `files` are ranked. Reindexing as long as some chunk of the tenant has no vector in `space`.
// Blocks. Thread safe.
#pragma once

#include "vector/index.h"

namespace bulkhead::vector {

base::Result<storage::TenantStore::VectorHits> search(const tenancy::TenantScope& scope,
                                                      storage::TenantStore& store, IndexCache& indexes,
                                                      const base::EmbeddingSpace& space,
                                                      const std::vector<float>& query,
                                                      const std::vector<base::FileId>& files, std::size_t k);

}  // namespace bulkhead::vector
