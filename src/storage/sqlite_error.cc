#include "storage/sqlite_error.h"

#include <sqlite3.h>

#include <cerrno>
#include <cstring>

namespace bulkhead::storage {
namespace {

bool means_full(int error_number) {
  return error_number == ENOSPC || error_number == EDQUOT || error_number == EFBIG;
}

StorageError classify(sqlite3* handle, int code) {
  switch (code & 0xff) {
    case SQLITE_FULL: return StorageError::Full;
    case SQLITE_IOERR:
      return handle && means_full(sqlite3_system_errno(handle)) ? StorageError::Full : StorageError::Io;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return StorageError::Busy;
    case SQLITE_INTERRUPT: return StorageError::Cancelled;
    case SQLITE_TOOBIG: return StorageError::TooLarge;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT: return StorageError::Corrupt;
    case SQLITE_CONSTRAINT:
      if (code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY) {
        return StorageError::AlreadyExists;
      }
      return code == SQLITE_CONSTRAINT_FOREIGNKEY ? StorageError::NotFound : StorageError::Corrupt;
    default: return StorageError::Io;
  }
}

std::string public_message(StorageError code) {
  if (code == StorageError::Full) {
    return "The server's storage is full; nothing was changed. Ask your operator to free space, "
           "then retry.";
  }
  if (code == StorageError::Busy) return "The store is busy. Retry in a moment.";
  if (code == StorageError::Cancelled) return "The request was cancelled.";
  if (code == StorageError::TooLarge) return "The record is too large to store. Make it smaller.";
  if (code == StorageError::AlreadyExists) return "An object with this id exists already.";
  if (code == StorageError::NotFound) return "No such object.";
  if (code == StorageError::Corrupt) {
    return "The store is damaged and was not used. Ask your operator to restore it from a backup.";
  }
  return "The server could not read or write its storage. Retry; if it goes on, tell your operator.";
}

}  // namespace

base::Error sqlite_error(sqlite3* handle, int code, const std::filesystem::path& path) {
  const StorageError kind = classify(handle, code);
  // sqlite3_errmsg may quote values of a row, so the operator gets the code's own text only.
  std::string detail = path.string() + ": SQLite " + std::to_string(code) + " " + sqlite3_errstr(code & 0xff);
  if (handle && (code & 0xff) == SQLITE_IOERR) {
    detail += ", " + std::string(std::strerror(sqlite3_system_errno(handle)));
  }
  return base::Error(kind, public_message(kind), std::move(detail));
}

base::Error system_error(const std::string& what, int error_number) {
  const StorageError kind = means_full(error_number) ? StorageError::Full : StorageError::Io;
  return base::Error(kind, public_message(kind), what + ": " + std::strerror(error_number));
}

base::Error folder_error(const base::Error& cause) {
  return base::Error(StorageError::Io,
                     "The server could not read or write its storage. Retry; if it goes on, tell "
                     "your operator.",
                     cause.describe());
}

}  // namespace bulkhead::storage
