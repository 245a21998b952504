#include "vector/search.h"

namespace bulkhead::vector {

base::Result<storage::TenantStore::VectorHits> search(const tenancy::TenantScope& scope,
                                                      storage::TenantStore& store, IndexCache& indexes,
                                                      const base::EmbeddingSpace& space,
                                                      const std::vector<float>& query,
                                                      const std::vector<base::FileId>& files, std::size_t k) {
  if (store.searches_vectors()) return store.search_vectors(scope, space, query, files, k);
  BULKHEAD_TRY(index, indexes.get(scope, store, space));
  storage::TenantStore::VectorHits found{.dimensions = index->size() > 0 ? index->dimensions() : 0};
  if (found.dimensions == query.size()) found.hits = index->search(query, files, k);
  return found;
}

}  // namespace bulkhead::vector
