// The data keys of a PostgreSQL store: the columns key_version and key_box of files, vector_stores and chats
// (storage/seal.h). Called inside a transaction. Who seals with a data key that is there holds its row's
// lock, so that no renewal comes in between; who reads has one snapshot.
#pragma once

#include <string>
#include <vector>

#include "storage/postgres_pool.h"
#include "storage/seal.h"

namespace bulkhead::storage {

// For a subject that is written whole.
struct FreshKey {
  FreshKey(const tenancy::TenantScope& scope, const std::string& subject);
  WrappedDataKey wrapped;
  RecordSealer sealer;
};

// Of a row that has key_version in `column` and key_box in the next one.
base::Result<RecordSealer> sealer_of(const PostgresRows& rows, int row, int column,
                                     const tenancy::TenantScope& scope, const std::string& subject);
// Locks the file's row; NotFound.
base::Result<RecordSealer> lock_file(PostgresTransaction& transaction, const tenancy::TenantScope& scope,
                                     const base::FileId& id);
// Subjects whose data key is wrapped by an older key, or that have none; not all of them at once.
base::Result<std::vector<std::string>> stale_subjects(PostgresTransaction& transaction,
                                                      const tenancy::TenantScope& scope);

}  // namespace bulkhead::storage
