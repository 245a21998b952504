// Rows of API keys, the same in tenants' stores and in the platform's database.
#pragma once

#include "identity/api_key.h"
#include "storage/sqlite_database.h"

namespace bulkhead::storage {

// Columns: id, name, user, roles, groups, created, expires, revoked, keyed_hash.
base::Result<identity::ApiKeyRecord> api_key_from_row(const Statement& row);
base::Result<void> insert_api_key(SqliteDatabase& database, const identity::ApiKeyRecord& key);
base::Result<std::vector<identity::ApiKeyRecord>> all_api_keys(SqliteDatabase& database);
base::Result<void> mark_api_key_revoked(SqliteDatabase& database, const base::ApiKeyId& id);

}  // namespace bulkhead::storage
