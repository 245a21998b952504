// The way to FTS5's own interface (SQLite's FTS5 documentation, 7): of one connection, and valid as long as
// it.
#pragma once

struct sqlite3;
struct fts5_api;

namespace bulkhead::storage {

// SQLite's result code; `api` is set when it is SQLITE_OK.
int find_fts5(sqlite3* connection, fts5_api*& api);

}  // namespace bulkhead::storage
