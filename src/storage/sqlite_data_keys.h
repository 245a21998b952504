// The data keys of a store (table data_keys): one a file, vector store and chat. Called with the
// connection's lock held, and inside a transaction where more than one row must fit together.
#pragma once

#include <string>

#include "storage/seal.h"
#include "storage/sqlite_database.h"

namespace bulkhead::storage {

// For a record of `subject` that exists: with its data key, or directly when it has none.
base::Result<RecordSealer> sealer_of(SqliteDatabase& database, const tenancy::TenantScope& scope,
                                     const std::string& subject);
// For a subject that is written whole: with a fresh data key that replaces any before it.
base::Result<RecordSealer> fresh_sealer(SqliteDatabase& database, const tenancy::TenantScope& scope,
                                        const std::string& subject);
base::Result<void> drop_data_key(SqliteDatabase& database, const std::string& subject);

}  // namespace bulkhead::storage
