#include <list>
#include <map>
#include <mutex>
#include <optional>

#include "storage/store_common.h"
#include "vector/index.h"

namespace bulkhead::vector {
namespace {

base::Error tenant_gone() {
  return base::Error(storage::StorageError::TenantGone,
                     "This tenant was suspended or destroyed, or its key was withdrawn. Ask your operator.");
}

base::Result<std::shared_ptr<const ExactIndex>> build(const tenancy::TenantScope& scope,
                                                      storage::TenantStore& store,
                                                      const base::EmbeddingSpace& space) {
  std::optional<ExactIndex::Builder> builder;
  std::size_t expected = 0;
  bool mixed = false;
  bool complete = true;
  const auto add = [&](storage::ChunkKey key, const base::FileId& file,
                       const storage::ChunkVectors& vectors) {
    const storage::SpaceVector* wanted = storage::vector_in(vectors, space);
    complete = complete && wanted;
    if (!complete) return;
    const std::size_t dimensions = wanted->vector.size();
    if (!builder) {
      builder.emplace(dimensions);
      expected = dimensions;
    }
    if (dimensions != expected) {
      mixed = true;
      return;
    }
    builder->add(key, file, wanted->vector.data());
  };
  BULKHEAD_CHECK_OK(store.for_each_vector(scope, add));
  // Never an index over a part: what is missing from it would be missed by nobody.
  if (!complete) return storage::space_lacking();
  if (mixed) {
    return base::Error(
        storage::StorageError::Corrupt,
        "The store is damaged and was not used. Ask your operator to restore it from a backup.",
        "vectors of one space of tenant " + scope.tenant().str() + " differ in dimensions");
  }
  if (!builder) builder.emplace(0);
  return builder->build();
}

}  // namespace

struct IndexCache::Impl {
  struct Entry {
    std::mutex building;                      // one build a tenant at a time; the others wait
    std::shared_ptr<const ExactIndex> index;  // this and what follows: under Impl::mutex
    std::uint64_t version = 0;
    base::EmbeddingSpace space;
    // What was found incomplete, so that not every question reads all vectors to find it again.
    std::optional<std::pair<std::uint64_t, base::EmbeddingSpace>> incomplete;
    std::uint64_t last_use = 0;
    bool dropped = false;
  };

  const std::size_t bytes_max;
  std::mutex mutex;
  std::map<base::TenantId, std::shared_ptr<Entry>> entries;
  std::uint64_t uses = 0;
  std::size_t bytes = 0;

  std::shared_ptr<Entry> entry_of(const base::TenantId& tenant) {
    std::scoped_lock lock(mutex);
    auto& entry = entries[tenant];
    if (!entry) entry = std::make_shared<Entry>();
    return entry;
  }

  bool known_incomplete(Entry& entry, std::uint64_t version, const base::EmbeddingSpace& space) {
    std::scoped_lock lock(mutex);
    return entry.incomplete == std::pair(version, space);
  }

  void note_incomplete(Entry& entry, std::uint64_t version, const base::EmbeddingSpace& space) {
    std::scoped_lock lock(mutex);
    entry.incomplete = std::pair(version, space);
  }

  std::shared_ptr<const ExactIndex> fresh(Entry& entry, std::uint64_t version,
                                          const base::EmbeddingSpace& space) {
    std::scoped_lock lock(mutex);
    if (!entry.index || entry.version != version || entry.space != space) return nullptr;
    entry.last_use = ++uses;
    return entry.index;
  }

  void keep(Entry& entry, std::shared_ptr<const ExactIndex> index, std::uint64_t version,
            const base::EmbeddingSpace& space) {
    std::scoped_lock lock(mutex);
    // Dropped while it was built: whoever asked may still use it, but it is not kept.
    if (entry.dropped) return;
    if (entry.index) bytes -= entry.index->bytes();
    bytes += index->bytes();
    entry.index = std::move(index);
    entry.version = version;
    entry.space = space;
    entry.last_use = ++uses;
    while (bytes > bytes_max) {
      auto oldest = entries.end();
      for (auto each = entries.begin(); each != entries.end(); ++each) {
        if (!each->second->index || each->second.get() == &entry) continue;
        if (oldest == entries.end() || each->second->last_use < oldest->second->last_use) {
          oldest = each;
        }
      }
      // The one just built stays, however large: its tenant is asking for it now.
      if (oldest == entries.end()) break;
      bytes -= oldest->second->index->bytes();
      oldest->second->index.reset();
    }
  }
};

IndexCache::IndexCache(std::size_t bytes_max) : impl_(new Impl{.bytes_max = bytes_max}) {}
IndexCache::~IndexCache() = default;

base::Result<std::shared_ptr<const ExactIndex>> IndexCache::get(const tenancy::TenantScope& scope,
                                                                storage::TenantStore& store,
                                                                const base::EmbeddingSpace& space) {
  if (!scope.alive()) return tenant_gone();
  // The index kept under this scope's tenant was read through a store that accepted a scope of the
  // same tenant. A foreign store's version does not match, and its for_each_vector refuses.
  const auto entry = impl_->entry_of(scope.tenant());
  if (auto index = impl_->fresh(*entry, store.vectors_version(), space)) return index;
  std::scoped_lock building(entry->building);
  // Read before the vectors: a change while reading makes the next search build again.
  const std::uint64_t version = store.vectors_version();
  if (auto index = impl_->fresh(*entry, version, space)) return index;
  if (impl_->known_incomplete(*entry, version, space)) return storage::space_lacking();
  auto index = build(scope, store, space);
  if (!index) {
    if (index.error().is(storage::StorageError::Reindexing)) impl_->note_incomplete(*entry, version, space);
    return index.take_error();
  }
  impl_->keep(*entry, *index, version, space);
  return *index;
}

std::size_t IndexCache::bytes_of(const base::TenantId& tenant) const {
  std::scoped_lock lock(impl_->mutex);
  const auto found = impl_->entries.find(tenant);
  return found == impl_->entries.end() || !found->second->index ? 0 : found->second->index->bytes();
}

void IndexCache::drop(const base::TenantId& tenant) {
  std::scoped_lock lock(impl_->mutex);
  const auto found = impl_->entries.find(tenant);
  if (found == impl_->entries.end()) return;
  if (found->second->index) impl_->bytes -= found->second->index->bytes();
  found->second->index.reset();
  found->second->dropped = true;
  impl_->entries.erase(found);
}

}  // namespace bulkhead::vector
