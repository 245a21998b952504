#include "storage/store_common.h"

#include <algorithm>
#include <limits>

namespace bulkhead::storage {

void raise_version(std::atomic<std::uint64_t>& version, std::uint64_t to) {
  std::uint64_t seen = version.load();
  while (seen < to && !version.compare_exchange_weak(seen, to)) {
  }
}

std::int64_t page_rows(const Page& page) {
  return static_cast<std::int64_t>(std::clamp<std::size_t>(page.limit, 1, 101));
}

std::int64_t page_edge(const Page& page) {
  return page.ascending ? std::numeric_limits<std::int64_t>::min() : std::numeric_limits<std::int64_t>::max();
}

namespace {

base::Error storage_full(std::uint64_t used, std::uint64_t wanted, std::uint64_t max) {
  return base::Error(StorageError::QuotaExceeded,
                     "The tenant's storage quota is used up: " + std::to_string(used) + " of " +
                         std::to_string(max) +
                         " bytes are used. Delete files or kept chats, or ask your operator for more.",
                     std::to_string(wanted) + " bytes wanted in all");
}

base::Result<void> check_count(std::string_view what, std::uint64_t before, std::uint64_t after,
                               std::uint64_t max) {
  if (after <= before || after <= max) return {};
  return base::Error(StorageError::QuotaExceeded, "The tenant has its most " + std::string(what) + ", " +
                                                      std::to_string(max) +
                                                      ". Delete some, or ask your operator for more.");
}

}  // namespace

base::Result<void> check_usage(const tenancy::TenantScope& scope, const Usage& before, const Usage& after) {
  if (scope.principal().is_upkeep()) return {};
  const tenancy::TenantLimits& limits = scope.record().policy.limits;
  if (after.bytes > before.bytes && after.bytes > limits.storage_bytes_max) {
    return storage_full(before.bytes, after.bytes, limits.storage_bytes_max);
  }
  BULKHEAD_CHECK_OK(check_count("files", before.files, after.files, limits.files_max));
  BULKHEAD_CHECK_OK(
      check_count("vector stores", before.vector_stores, after.vector_stores, limits.vector_stores_max));
  BULKHEAD_CHECK_OK(check_count("kept chats", before.chats, after.chats, limits.kept_chats_max));
  return check_count("API keys", before.api_keys, after.api_keys, limits.api_keys_max);
}

base::Result<void> check_room(const tenancy::TenantScope& scope, const Usage& now, std::uint64_t added) {
  Usage then = now;
  then.bytes += added;
  return check_usage(scope, now, then);
}

base::Error tenant_gone(const base::TenantId& tenant) {
  return base::Error(
      StorageError::TenantGone,
      "This tenant was suspended or its store was closed. Retry, or ask your operator about the "
      "tenant's state.",
      "store of " + tenant.str() + " is closed or the scope was cut");
}

base::Error scope_mismatch(const base::TenantId& scope, const base::TenantId& store) {
  return base::Error(StorageError::ScopeMismatch,
                     "The request does not belong to this store. Tell your operator.",
                     "scope of " + scope.str() + " used on the store of " + store.str());
}

base::Error not_found(std::string_view kind) {
  return base::Error(StorageError::NotFound,
                     "No such " + std::string(kind) + ". Check the id and list what there is.");
}

base::Error chunks_replaced() {
  return base::Error(StorageError::Busy, "The document was indexed anew meanwhile. Try again.",
                     "the chunks that these vectors are for are gone");
}

base::Error space_lacking() {
  return base::Error(
      StorageError::Reindexing,
      "Documents are being indexed anew for another embedding model. Try again in a few minutes.",
      "some chunks have no vector of the embedding model in use yet");
}

// For backends that don't search: a caller that did not ask them.
base::Result<TenantStore::VectorHits> TenantStore::search_vectors(const Scope&, const base::EmbeddingSpace&,
                                                                  const std::vector<float>&,
                                                                  const std::vector<base::FileId>&,
                                                                  std::size_t) {
  return base::Error(StorageError::Io, "The search failed. Tell your operator.",
                     "this store does not search vectors");
}

base::Error id_taken(std::string detail) {
  return base::Error(StorageError::AlreadyExists, "An object with this id exists already.",
                     std::move(detail));
}

}  // namespace bulkhead::storage
