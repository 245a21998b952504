// The tables of PostgreSQL stores, once for the three layouts (docs/storage.md).
//
// In the schema and database layouts every tenant has these tables for itself. With row-level security
// they are shared: each has a column `tenant` in front of every key, filled from the transaction's
// setting, and one policy, `tenant = current_tenant()`. current_tenant() gives the tenant of the
// setting bulkhead.tenant only when bulkhead.proof, a secret of that tenant which the gateway keeps,
// fits the hash in tenant_access, a table that the application role can't read. So a stolen password of
// the application role opens no tenant's rows.
//
// Columns named *_box are sealed records (storage/seal.h); *_tag are keyed hashes; `word` in `words` is a
// keyed hash of a stemmed word. What stands in plain: ids that Bulkhead made, times, sizes, counts,
// states.
#pragma once

#include <span>
#include <string_view>

#include "storage/postgres_connection.h"

namespace bulkhead::storage {

inline constexpr std::int64_t kPostgresSchemaVersion = 3;

// The tables with tenants' rows.
std::span<const std::string_view> postgres_tables();
// Makes all of it in `schema`, which must stand first in the search path. `shared`: with row-level security.
Ddl postgres_schema(bool shared, std::string_view schema);
// What search in the database needs beside them, with its policies and the serving role's rights: rotated
// vectors (storage/vector_rotation.h), derived from the sealed ones. With row-level security the vectors'
// table has a partition a tenant.
std::span<const std::string_view> postgres_search_tables();
Ddl postgres_search_schema(bool shared, std::string_view role);
Ddl postgres_search_partition(std::string_view partition, std::string_view tenant);
// Brings the tables in `schema` from version `from`, 1 or 2, that an earlier release made to the newest.
Ddl postgres_upgrade(bool shared, std::int64_t from);
// What a role that serves requests may do in `schema`, and nothing else.
Ddl postgres_grants(bool shared, std::string_view schema, std::string_view role);

}  // namespace bulkhead::storage
