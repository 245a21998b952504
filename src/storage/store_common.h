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

// QuotaExceeded when what is kept has grown beyond the policy of this scope's tenant. What shrinks or stays
// as it is passes, whatever has become of the bounds since, and so does every copy that the platform makes.
base::Result<void> check_usage(const tenancy::TenantScope& scope, const Usage& before, const Usage& after);
// The same for bytes that are about to be written.
base::Result<void> check_room(const tenancy::TenantScope& scope, const Usage& now, std::uint64_t added);

base::Error tenant_gone(const base::TenantId& tenant);
base::Error scope_mismatch(const base::TenantId& scope, const base::TenantId& store);
base::Error not_found(std::string_view kind);
base::Error chunks_replaced();
base::Error space_lacking();
base::Error id_taken(std::string detail);

}  // namespace bulkhead::storage
