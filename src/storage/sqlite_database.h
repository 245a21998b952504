// One connection to one encrypted SQLite file (SQLCipher), and the only place that includes its
// header.
//
// SQL is fixed at compile time (storage/sql.h). Prepared statements are kept for the life of the connection.
//
// The file is opened with a raw 256-bit key, in WAL mode with synchronous=FULL (a commit is durable
// when it returns), secure_delete, memory-only temporary store, untrusted schema, defensive mode and
// no extensions. `cipher_memory_security` stays off: measured, it makes searches six times slower
// and the executables wipe all freed heap anyway (base/scrub_heap.cc).
//
// Errors: StorageError. Thread safety: one thread at a time; the owner locks.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"
#include "base/task.h"
#include "storage/sql.h"
#include "storage/store.h"

struct sqlite3;
struct sqlite3_stmt;

namespace bulkhead::storage {

class SqliteDatabase;

// A use of a prepared statement; goes back to the cache, reset and unbound, when destroyed.
class Statement {
 public:
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&&) = delete;
  ~Statement();

  // Binds the parameters ?1, ?2, ... in order. Text is copied; blobs are not and must live until the
  // statement is stepped to its end or destroyed.
  template <typename... Values>
  Statement& bind(const Values&... values) {
    next_ = 1;
    (bind_one(values), ...);
    return *this;
  }

  // True: a row can be read. False: the end.
  base::Result<bool> step();
  // For statements without rows.
  base::Result<void> run();

  std::int64_t integer(int column) const;
  std::uint64_t count(int column) const { return static_cast<std::uint64_t>(integer(column)); }
  double real(int column) const;
  std::string text(int column) const;
  base::ByteView blob(int column) const;  // until the next step
  bool is_null(int column) const;

 private:
  friend class SqliteDatabase;
  Statement(SqliteDatabase& database, sqlite3_stmt* statement, bool* in_use);
  Statement(SqliteDatabase& database, base::Error error);

  void bind_one(std::int64_t value);
  void bind_one(std::uint64_t value) { bind_one(static_cast<std::int64_t>(value)); }
  void bind_one(int value) { bind_one(static_cast<std::int64_t>(value)); }
  void bind_one(std::uint32_t value) { bind_one(static_cast<std::int64_t>(value)); }
  void bind_one(bool value) { bind_one(static_cast<std::int64_t>(value)); }
  void bind_one(std::string_view text);
  void bind_one(const std::string& text) { bind_one(std::string_view(text)); }
  void bind_one(const char*) = delete;  // would bind as bool
  void bind_one(base::ByteView blob);
  void bind_one(const base::Bytes& blob) { bind_one(base::ByteView(blob)); }
  // A sorted set for the SQL function in_set(?n, value); must outlive the statement's use.
  void bind_one(const std::vector<std::int64_t>* sorted);
  void note(int code);

  SqliteDatabase* database_;
  sqlite3_stmt* statement_ = nullptr;
  bool* in_use_ = nullptr;  // none: not from the cache, finalised at the end
  int next_ = 1;
  std::optional<base::Error> error_;  // of prepare or bind; reported by step
};

class SqliteDatabase {
 public:
  enum class Mode {
    Create,     // made when absent, with mode 0600
    ReadWrite,  // must exist
    ReadOnly,   // must exist; statements that write fail
  };
  struct Options {
    std::filesystem::path path;  // of an existing, private folder
    Mode mode = Mode::ReadWrite;
    // Pages that may be created; 0 for SQLite's own limit. Tests use it to fill a store.
    std::int64_t pages_max = 0;
  };
  static base::Result<std::unique_ptr<SqliteDatabase>> open(const Options& options,
                                                            const base::Secret& raw_key);
  ~SqliteDatabase();
  SqliteDatabase(const SqliteDatabase&) = delete;

  Statement prepare(Sql sql);
  // One or more statements without parameters.
  base::Result<void> execute(Sql script);

  // Brings the schema from its user_version to migrations.size(), one transaction each. A newer
  // schema than that is refused.
  base::Result<void> migrate(std::span<const Sql> migrations);

  // Moves all of the write-ahead log into the file and cuts it to nothing. False: a reader was in
  // the way.
  base::Result<bool> checkpoint();
  // Writes every page anew under another key, as one transaction: after a crash or an error the file opens
  // with the old key or with the new one. Uses the connection up, and gives one that has opened with the new
  // key: SQLCipher reports success of a change that failed, and such a connection would write with one key
  // what it reads with the other. No other connection of this process may be open on the file.
  static base::Result<std::unique_ptr<SqliteDatabase>> rekey(std::unique_ptr<SqliteDatabase> database,
                                                             const base::Secret& raw_key);
  // From now on a statement that runs when `token` is cancelled ends with Cancelled; null: none does. Only
  // for statements that read. The token outlives its use.
  void interrupt_when(const base::CancelToken* token);
  void set_pages_max(std::int64_t pages);
  // How SQLite goes about each statement that was prepared so far: a line a step. For tests.
  std::vector<std::string> query_plans() const;
  std::uint64_t memory_bytes() const;  // page cache, schema and statements
  // Gives back the decrypted pages that are in memory. The next use reads them again.
  void forget_pages();

 private:
  friend class Statement;
  struct Cached {
    sqlite3_stmt* statement = nullptr;
    bool in_use = false;
  };
  explicit SqliteDatabase(sqlite3* handle, std::filesystem::path path);
  base::Result<void> configure(const Options& options);
  base::Error error(int code) const;

  sqlite3* handle_;
  std::filesystem::path path_;
  std::unordered_map<const char*, std::unique_ptr<Cached>> cache_;
};

// BEGIN IMMEDIATE; rolled back by the destructor unless committed.
class Transaction {
 public:
  static base::Result<Transaction> begin(SqliteDatabase& database);
  Transaction(Transaction&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();
  base::Result<void> commit();

 private:
  explicit Transaction(SqliteDatabase& database) : database_(&database) {}
  SqliteDatabase* database_;
};

// BEGIN; everything read until the end is of one state of the file.
class ReadTransaction {
 public:
  static base::Result<ReadTransaction> begin(SqliteDatabase& database);
  ReadTransaction(ReadTransaction&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
  ReadTransaction& operator=(ReadTransaction&&) = delete;
  ~ReadTransaction();

 private:
  explicit ReadTransaction(SqliteDatabase& database) : database_(&database) {}
  SqliteDatabase* database_;
};

}  // namespace bulkhead::storage
