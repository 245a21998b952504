#include "storage/sqlite_database.h"

#include <fcntl.h>
#define SQLITE_HAS_CODEC 1  // declares sqlite3_key_v2
#include <sqlite3.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>

#include "base/descriptor.h"
#include "base/file.h"
#include "storage/sqlite_error.h"
#include "storage/term_hits.h"

namespace bulkhead::storage {
namespace {

constexpr int kBusyTimeoutMs = 5'000;
constexpr int kStepsBetweenLooks = 1'000;  // of SQLite's virtual machine: well below a millisecond
constexpr int kValueBytesMax = 64 << 20;
constexpr char kSetPointerType[] = "bulkhead.sorted_set";

void start_library() {
  static std::once_flag once;
  std::call_once(once, [] {
    // Each connection is locked by its owner; the allocator's statistics would be one lock for all.
    sqlite3_config(SQLITE_CONFIG_MULTITHREAD);
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    sqlite3_initialize();
  });
}

// in_set(set, value): whether value is in the set that was bound by pointer.
void in_set(sqlite3_context* context, int, sqlite3_value** arguments) {
  const auto* set =
      static_cast<const std::vector<std::int64_t>*>(sqlite3_value_pointer(arguments[0], kSetPointerType));
  const bool found = set && std::binary_search(set->begin(), set->end(), sqlite3_value_int64(arguments[1]));
  sqlite3_result_int(context, found ? 1 : 0);
}

// The textual form x'<hex>' tells SQLCipher that this is the key itself, not a passphrase.
base::Secret raw_key_form(const base::Secret& key) {
  static constexpr char kDigits[] = "0123456789abcdef";
  base::Secret form(3 + 2 * key.size());
  std::uint8_t* out = form.writable();
  *out++ = 'x';
  *out++ = '\'';
  for (std::uint8_t byte : key.reveal()) {
    *out++ = static_cast<std::uint8_t>(kDigits[byte >> 4]);
    *out++ = static_cast<std::uint8_t>(kDigits[byte & 15]);
  }
  *out = '\'';
  return form;
}

// SQLite makes files with the umask's mode; ours are private from their first byte. The folder is
// synced so that the new name survives a crash.
base::Result<void> create_private(const std::filesystem::path& path) {
  const base::Descriptor made(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!made) {
    if (errno == EEXIST) return {};
    return system_error("can't make " + path.string(), errno);
  }
  if (auto synced = base::sync_directory(path.parent_path()); !synced) return folder_error(synced.error());
  return {};
}

}  // namespace

base::Result<std::unique_ptr<SqliteDatabase>> SqliteDatabase::open(const Options& options,
                                                                   const base::Secret& raw_key) {
  start_library();
  if (options.mode == Mode::Create) BULKHEAD_CHECK_OK(create_private(options.path));
  sqlite3* handle = nullptr;
  const int opened = sqlite3_open_v2(
      options.path.c_str(), &handle,
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE, nullptr);
  if (!handle) return sqlite_error(nullptr, opened ? opened : SQLITE_NOMEM, options.path);
  std::unique_ptr<SqliteDatabase> database(new SqliteDatabase(handle, options.path));
  if (opened != SQLITE_OK) return database->error(opened);

  // SQLCipher would write to standard error by itself; what it has to say comes back as an error.
  BULKHEAD_CHECK_OK(database->execute("PRAGMA cipher_log_level=NONE"));
  {
    const base::Secret form = raw_key_form(raw_key);
    const int keyed = sqlite3_key_v2(handle, "main", form.reveal().data(), static_cast<int>(form.size()));
    if (keyed != SQLITE_OK) return database->error(keyed);
  }
  BULKHEAD_CHECK_OK(database->configure(options));
  return database;
}

SqliteDatabase::SqliteDatabase(sqlite3* handle, std::filesystem::path path)
    : handle_(handle), path_(std::move(path)) {}

base::Result<void> SqliteDatabase::configure(const Options& options) {
  sqlite3_busy_timeout(handle_, kBusyTimeoutMs);
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, nullptr);
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_DQS_DML, 0, nullptr);
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_DQS_DDL, 0, nullptr);
  sqlite3_limit(handle_, SQLITE_LIMIT_LENGTH, kValueBytesMax);
  sqlite3_limit(handle_, SQLITE_LIMIT_ATTACHED, 0);
  sqlite3_create_function_v2(handle_, "in_set", 2, SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY,
                             nullptr, in_set, nullptr, nullptr, nullptr);
  if (const int code = register_term_hits(handle_); code != SQLITE_OK) return error(code);
  // The first read decides whether the key fits: a page that does not authenticate is "not a
  // database", whatever the reason.
  if (auto read = execute("SELECT count(*) FROM sqlite_schema"); !read) {
    if (!read.error().is(StorageError::Corrupt)) return read.take_error();
    return base::Error(StorageError::WrongKey,
                       "The store does not open with its key. Ask your operator to check the "
                       "platform key file, or to restore the store from a backup.",
                       path_.string() +
                           ": the key is not the one this file was made with, or its "
                           "first page is damaged");
  }
  BULKHEAD_CHECK_OK(
      execute("PRAGMA journal_mode=WAL;"
              "PRAGMA synchronous=FULL;"
              "PRAGMA secure_delete=ON;"
              "PRAGMA foreign_keys=ON;"
              "PRAGMA temp_store=MEMORY;"
              "PRAGMA cell_size_check=ON;"
              "PRAGMA mmap_size=0;"
              "PRAGMA cache_size=-256;"
              "PRAGMA journal_size_limit=4194304"));
  if (options.mode == Mode::ReadOnly) BULKHEAD_CHECK_OK(execute("PRAGMA query_only=ON"));
  if (options.pages_max > 0) set_pages_max(options.pages_max);
  return {};
}

SqliteDatabase::~SqliteDatabase() {
  for (auto& [text, cached] : cache_) sqlite3_finalize(cached->statement);
  sqlite3_close_v2(handle_);
}

base::Error SqliteDatabase::error(int code) const { return sqlite_error(handle_, code, path_); }

Statement SqliteDatabase::prepare(Sql sql) {
  auto& slot = cache_[sql.text()];
  if (!slot) slot = std::make_unique<Cached>();
  const bool nested = slot->in_use;
  sqlite3_stmt* statement = nested ? nullptr : slot->statement;
  if (!statement) {
    const unsigned flags = nested ? 0 : SQLITE_PREPARE_PERSISTENT;
    const int code = sqlite3_prepare_v3(handle_, sql.text(), -1, flags, &statement, nullptr);
    if (code != SQLITE_OK) return Statement(*this, error(code));
  }
  if (nested) return Statement(*this, statement, nullptr);
  slot->statement = statement;
  slot->in_use = true;
  return Statement(*this, statement, &slot->in_use);
}

base::Result<void> SqliteDatabase::execute(Sql script) {
  const int code = sqlite3_exec(handle_, script.text(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return error(sqlite3_extended_errcode(handle_));
  return {};
}

base::Result<void> SqliteDatabase::migrate(std::span<const Sql> migrations) {
  const auto known = static_cast<std::int64_t>(migrations.size());
  std::int64_t version = 0;
  {
    Statement read = prepare("PRAGMA user_version");
    BULKHEAD_TRY(row, read.step());
    if (row) version = read.integer(0);
  }
  if (version > known) {
    return base::Error(StorageError::Corrupt,
                       "The store was written by a newer version of Bulkhead. Ask your operator to "
                       "install that version again.",
                       path_.string() + ": schema " + std::to_string(version) +
                           ", this version knows up to " + std::to_string(known));
  }
  for (; version < known; ++version) {
    BULKHEAD_TRY(transaction, Transaction::begin(*this));
    // Another process may have migrated between the read above and the lock.
    {
      Statement read = prepare("PRAGMA user_version");
      BULKHEAD_TRY(row, read.step());
      if (row && read.integer(0) != version) continue;
    }
    BULKHEAD_CHECK_OK(execute(migrations[static_cast<std::size_t>(version)]));
    BULKHEAD_CHECK_OK(transaction.commit());
  }
  return {};
}

base::Result<bool> SqliteDatabase::checkpoint() {
  Statement truncate = prepare("PRAGMA wal_checkpoint(TRUNCATE)");
  BULKHEAD_TRY(row, truncate.step());
  return row && truncate.integer(0) == 0;
}

base::Result<std::unique_ptr<SqliteDatabase>> SqliteDatabase::rekey(std::unique_ptr<SqliteDatabase> database,
                                                                    const base::Secret& raw_key) {
  const std::filesystem::path path = database->path_;
  {
    const base::Secret form = raw_key_form(raw_key);
    const int code =
        sqlite3_rekey_v2(database->handle_, "main", form.reveal().data(), static_cast<int>(form.size()));
    if (code != SQLITE_OK) return database->error(code);
  }
  database.reset();
  auto opened = open({.path = path}, raw_key);
  if (opened || !opened.error().is(StorageError::WrongKey)) return opened;
  return base::Error(
      StorageError::Io, "The store could not be written anew. Tell your operator, who looks at the disk.",
      path.string() + ": changing the key of the file failed; it is still under the older one");
}

// Asked by SQLite itself, on the thread that runs the statement, so that nobody reaches into a connection
// that another thread uses.
void SqliteDatabase::interrupt_when(const base::CancelToken* token) {
  const auto cancelled = [](void* known) {
    return static_cast<const base::CancelToken*>(known)->cancelled() ? 1 : 0;
  };
  sqlite3_progress_handler(handle_, token ? kStepsBetweenLooks : 0, token ? +cancelled : nullptr,
                           const_cast<base::CancelToken*>(token));
}

void SqliteDatabase::set_pages_max(std::int64_t pages) {
  // A pragma takes no parameters; the text is made of a number alone and never of input.
  const std::string text = "PRAGMA max_page_count=" + std::to_string(pages);
  sqlite3_exec(handle_, text.c_str(), nullptr, nullptr, nullptr);
}

void SqliteDatabase::forget_pages() {
  sqlite3_db_release_memory(handle_);
  // SQLCipher decrypts into a buffer of its own, which holds the last page it read: the next to stand in it
  // is one without content.
  static_cast<void>(execute("PRAGMA schema_version"));
}

std::vector<std::string> SqliteDatabase::query_plans() const {
  std::vector<std::string> plans;
  for (const auto& [text, cached] : cache_) {
    const std::string explained = "EXPLAIN QUERY PLAN " + std::string(text);
    sqlite3_stmt* plan = nullptr;
    if (sqlite3_prepare_v2(handle_, explained.c_str(), -1, &plan, nullptr) != SQLITE_OK) continue;
    while (sqlite3_step(plan) == SQLITE_ROW) {
      const auto* step = reinterpret_cast<const char*>(sqlite3_column_text(plan, 3));
      plans.push_back(std::string(step ? step : "") + "  of: " + text);
    }
    sqlite3_finalize(plan);
  }
  return plans;
}

std::uint64_t SqliteDatabase::memory_bytes() const {
  std::uint64_t total = 0;
  for (int what : {SQLITE_DBSTATUS_CACHE_USED, SQLITE_DBSTATUS_SCHEMA_USED, SQLITE_DBSTATUS_STMT_USED}) {
    int current = 0;
    int highest = 0;
    sqlite3_db_status(handle_, what, &current, &highest, 0);
    total += static_cast<std::uint64_t>(current);
  }
  return total;
}

// --- Statement

Statement::Statement(SqliteDatabase& database, sqlite3_stmt* statement, bool* in_use)
    : database_(&database), statement_(statement), in_use_(in_use) {}

Statement::Statement(SqliteDatabase& database, base::Error error)
    : database_(&database), error_(std::move(error)) {}

Statement::Statement(Statement&& other) noexcept
    : database_(other.database_),
      statement_(std::exchange(other.statement_, nullptr)),
      in_use_(std::exchange(other.in_use_, nullptr)),
      next_(other.next_),
      error_(std::move(other.error_)) {}

Statement::~Statement() {
  if (!statement_) return;
  if (!in_use_) {
    sqlite3_finalize(statement_);
    return;
  }
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
  *in_use_ = false;
}

void Statement::note(int code) {
  if (code != SQLITE_OK && !error_) error_ = database_->error(code);
}

void Statement::bind_one(std::int64_t value) {
  if (statement_) note(sqlite3_bind_int64(statement_, next_++, value));
}

void Statement::bind_one(std::string_view text) {
  if (!statement_) return;
  note(sqlite3_bind_text64(statement_, next_++, text.data() ? text.data() : "", text.size(), SQLITE_TRANSIENT,
                           SQLITE_UTF8));
}

void Statement::bind_one(base::ByteView blob) {
  if (!statement_) return;
  static constexpr std::uint8_t kNothing = 0;
  note(sqlite3_bind_blob64(statement_, next_++, blob.empty() ? &kNothing : blob.data(), blob.size(),
                           SQLITE_STATIC));
}

void Statement::bind_one(const std::vector<std::int64_t>* sorted) {
  if (!statement_) return;
  note(sqlite3_bind_pointer(statement_, next_++, const_cast<std::vector<std::int64_t>*>(sorted),
                            kSetPointerType, nullptr));
}

base::Result<bool> Statement::step() {
  if (error_) return std::move(*error_);
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  base::Error failure = database_->error(code);
  sqlite3_reset(statement_);
  return failure;
}

base::Result<void> Statement::run() {
  while (true) {
    BULKHEAD_TRY(row, step());
    if (!row) break;
  }
  sqlite3_reset(statement_);
  return {};
}

std::int64_t Statement::integer(int column) const { return sqlite3_column_int64(statement_, column); }
double Statement::real(int column) const { return sqlite3_column_double(statement_, column); }
bool Statement::is_null(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }

std::string Statement::text(int column) const { return std::string(base::as_text(blob(column))); }

base::ByteView Statement::blob(int column) const {
  const auto* data = static_cast<const std::uint8_t*>(sqlite3_column_blob(statement_, column));
  const int bytes = sqlite3_column_bytes(statement_, column);
  if (!data) return {};
  return {data, static_cast<std::size_t>(bytes)};
}

// --- Transactions

base::Result<ReadTransaction> ReadTransaction::begin(SqliteDatabase& database) {
  BULKHEAD_CHECK_OK(database.prepare("BEGIN").run());
  return ReadTransaction(database);
}

ReadTransaction::~ReadTransaction() {
  if (database_) (void)database_->prepare("COMMIT").run().ok();
}

base::Result<Transaction> Transaction::begin(SqliteDatabase& database) {
  BULKHEAD_CHECK_OK(database.prepare("BEGIN IMMEDIATE").run());
  return Transaction(database);
}

Transaction::~Transaction() {
  // A failure that SQLite already rolled back leaves nothing to do; the error is the caller's.
  if (database_) (void)database_->prepare("ROLLBACK").run().ok();
}

base::Result<void> Transaction::commit() {
  BULKHEAD_CHECK_OK(database_->prepare("COMMIT").run());
  database_ = nullptr;
  return {};
}

}  // namespace bulkhead::storage
