// How failures of SQLite and of the operating system become StorageErrors: one table for all.
#pragma once

#include <filesystem>
#include <string>

#include "base/error.h"
#include "storage/store.h"
#include "storage/store_common.h"

struct sqlite3;

namespace bulkhead::storage {

// `code` is SQLite's extended result code; `handle` may be null.
base::Error sqlite_error(sqlite3* handle, int code, const std::filesystem::path& path);
base::Error system_error(const std::string& what, int error_number);
// The same for what base/file.h says of a folder.
base::Error folder_error(const base::Error& cause);

}  // namespace bulkhead::storage
