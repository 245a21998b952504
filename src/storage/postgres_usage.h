// What a store in PostgreSQL keeps, counted by triggers of the database: whatever statement adds, changes or
// removes rows, also by a foreign key, adds what they weigh to settings of its transaction (bulkhead.used_*),
// and the transaction adds those to the rows of `meta` just before it commits. So no writer waits for another
// before its end.
//
// A row counts for the bytes of its boxes and ids and 64 more, a word of the text index for 64. Rotated
// vectors (postgres_vectors.cc) are derived and not counted.
#pragma once

#include "storage/postgres_connection.h"
#include "storage/postgres_pool.h"
#include "storage/store.h"

namespace bulkhead::storage {

// The functions and triggers, for the tables in the current schema.
Ddl postgres_usage_triggers();

// Inside a transaction.
base::Result<Usage> read_usage(PostgresTransaction& transaction);
// What the transaction has added so far, as signed numbers in the order of Usage.
struct UsageChange {
  std::int64_t by[5] = {};
  bool none() const;
};
base::Result<UsageChange> usage_change(PostgresTransaction& transaction);
// Adds it to the rows of meta, which are locked from here on; gives what is kept before and after.
struct UsageStep {
  Usage before;
  Usage after;
};
base::Result<UsageStep> settle_usage(PostgresTransaction& transaction, const UsageChange& change);
// Counts all rows and sets the rows of meta.
base::Result<Usage> recount_usage(PostgresTransaction& transaction);

}  // namespace bulkhead::storage
