// What every backend does alike: versions that only grow, refusals, the bounds of a page.
#pragma once

#include <atomic>
#include <cstdint>

#include "storage/store.h"

namespace bulkhead::storage {

// Whatever the order in which commits are published.
void raise_version(std::atomic<std::uint64_t>& version, std::uint64_t to);
// Pages hold at most 100 rows; one more is allowed, so that callers can see whether there is a next.
std::int64_t page_rows(const Page& page);
// Where a list begins that continues after nothing, as (created, no).
std::int64_t page_edge(const Page& page);

// How many bytes of originals a store may hold for this scope. A copy of what is there already is made
// whatever has become of the quota since.
std::uint64_t storage_bytes_max(const tenancy::TenantScope& scope);

base::Error tenant_gone(const base::TenantId& tenant);
base::Error scope_mismatch(const base::TenantId& scope, const base::TenantId& store);
base::Error not_found(std::string_view kind);
base::Error chunks_replaced();
base::Error space_lacking();
base::Error id_taken(std::string detail);
base::Error quota_exceeded(std::uint64_t used, std::uint64_t added, std::uint64_t max);

}  // namespace bulkhead::storage
