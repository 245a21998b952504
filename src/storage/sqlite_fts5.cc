#include "storage/sqlite_fts5.h"

#include <sqlite3.h>

namespace bulkhead::storage {

int find_fts5(sqlite3* connection, fts5_api*& api) {
  api = nullptr;
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v2(connection, "SELECT fts5(?1)", -1, &statement, nullptr);
  if (code == SQLITE_OK) {
    sqlite3_bind_pointer(statement, 1, static_cast<void*>(&api), "fts5_api_ptr", nullptr);
    sqlite3_step(statement);
  }
  sqlite3_finalize(statement);
  if (api) return SQLITE_OK;
  return code == SQLITE_OK ? SQLITE_ERROR : code;
}

}  // namespace bulkhead::storage
