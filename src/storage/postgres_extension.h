// The extension vector (pgvector) as a store with vectors = "pgvector" needs it: in a schema that holds
// nothing else, of a version whose scans go on when a filter leaves too few rows (0.8.0) and that is free of
// CVE-2026-3172 (0.8.2). It is not a trusted extension, so a superuser makes it, once a database
// (docs/storage.md#pgvector).
//
// Misconfigured, with the statements to run, where something is missing.
#pragma once

#include <string>

#include "storage/postgres_pool.h"

namespace bulkhead::storage {

// Whether "0.8.5" is new enough; what can't be read is not.
bool extension_is_new_enough(const std::string& version);

// At start, in the configuration's database: the extension itself, or with the database layout the template
// that tenants' databases are copied from.
base::Result<void> check_extension(PostgresTransaction& transaction, const PostgresOptions& options);
// In the database of this transaction.
base::Result<void> check_extension_here(PostgresTransaction& transaction, const PostgresOptions& options,
                                        const std::string& dbname);

// Inside a transaction: the tables of this login, then the extension's types.
base::Result<void> search_with_extension(PostgresTransaction& transaction, const PostgresLogin& login);
// With row-level security: the part of search_vectors with one tenant's rows.
inline std::string search_partition(const PostgresPlace& place) { return "search_" + place.name; }

}  // namespace bulkhead::storage
