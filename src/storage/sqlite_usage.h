// What an embedded store keeps, counted by triggers: whatever statement adds, changes or removes a row, in
// whatever module, also by a foreign key, counts it in its own transaction.
//
// A row counts for the bytes of its texts and boxes and kRowBytes; the text of a chunk twice, for the words
// that the index holds of it. The counts are rows of `meta`.
#pragma once

#include "storage/sqlite_database.h"
#include "storage/store.h"

namespace bulkhead::storage {

// The migration that makes the rows and the triggers and counts what is there.
Sql usage_migration();

base::Result<Usage> read_usage(SqliteDatabase& database);
// Inside a transaction.
base::Result<Usage> recount_usage(SqliteDatabase& database);

}  // namespace bulkhead::storage
