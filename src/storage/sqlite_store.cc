#include "storage/sqlite_store.h"

#include "storage/sqlite_error.h"
#include "storage/sqlite_usage.h"
#include "storage/store_common.h"
#include "storage/tenant_schema.h"

namespace bulkhead::storage {
namespace {

base::Result<std::uint64_t> read_meta(SqliteDatabase& database, std::string_view name) {
  Statement query = database.prepare("SELECT value FROM meta WHERE name = ?1");
  query.bind(name);
  BULKHEAD_TRY(row, query.step());
  if (!row) {
    return base::Error(StorageError::Corrupt,
                       "The store is damaged and was not used. Ask your operator to restore it from "
                       "a backup.",
                       "meta row " + std::string(name) + " is missing");
  }
  return query.count(0);
}

base::Result<std::uint64_t> increment_meta(SqliteDatabase& database, std::string_view name) {
  BULKHEAD_CHECK_OK(database.prepare("UPDATE meta SET value = value + 1 WHERE name = ?1").bind(name).run());
  return read_meta(database, name);
}

// A rotation that a crash cut short leaves the file under the older key or the newer one.
base::Result<std::unique_ptr<SqliteDatabase>> open_by_any_key(const tenancy::TenantScope& scope,
                                                              const std::filesystem::path& path,
                                                              SqliteDatabase::Mode mode,
                                                              std::uint32_t& version) {
  std::optional<base::Error> failure;
  for (const std::uint32_t each : scope.key_versions(crypto::Purpose::Database)) {
    const base::Secret* key = scope.key(crypto::Purpose::Database, each);
    if (!key) continue;
    auto opened = open_tenant_database(path, *key, mode);
    version = each;
    if (opened) return opened;
    if (!opened.error().is(StorageError::WrongKey)) return opened;
    if (!failure) failure = opened.take_error();
  }
  if (failure) return std::move(*failure);
  return tenant_gone(scope.tenant());
}

base::Result<bool> has_stale_records(SqliteDatabase& database, const tenancy::TenantScope& scope) {
  Statement query = database.prepare(
      "SELECT EXISTS (SELECT 1 FROM data_keys WHERE key_version <> ?1) OR "
      "(SELECT count(*) FROM data_keys) < (SELECT count(*) FROM files) + "
      "(SELECT count(*) FROM vector_stores) + (SELECT count(*) FROM chats)");
  query.bind(scope.key_version(crypto::Purpose::RecordSeal));
  BULKHEAD_TRY(row, query.step());
  return row && query.integer(0) != 0;
}

}  // namespace

base::Result<std::shared_ptr<SqliteStore>> SqliteStore::open(const Scope& scope, std::filesystem::path path,
                                                             const base::Clock& clock) {
  if (!scope.alive()) return tenant_gone(scope.tenant());
  std::uint32_t key_version = 0;
  BULKHEAD_TRY(database, open_by_any_key(scope, path, SqliteDatabase::Mode::Create, key_version));
  BULKHEAD_TRY(content, read_meta(*database, "content_version"));
  BULKHEAD_TRY(vectors, read_meta(*database, "vectors_version"));
  std::shared_ptr<SqliteStore> store(
      new SqliteStore(scope.tenant(), std::move(path), clock, std::move(database), key_version));
  BULKHEAD_TRY(stale, has_stale_records(*store->main_, scope));
  store->needs_upkeep_ = stale || key_version != scope.key_version(crypto::Purpose::Database);
  store->publish({.content = content, .vectors = vectors});
  BULKHEAD_TRY(used, read_usage(*store->main_));
  store->note_usage(used);
  return store;
}

SqliteStore::SqliteStore(base::TenantId tenant, std::filesystem::path path, const base::Clock& clock,
                         std::unique_ptr<SqliteDatabase> main, std::uint32_t key_version)
    : tenant_(std::move(tenant)),
      path_(std::move(path)),
      clock_(clock),
      main_(std::move(main)),
      key_version_(key_version) {}

SqliteStore::~SqliteStore() = default;

void SqliteStore::shut() {
  std::scoped_lock both(main_mutex_, reader_mutex_);
  shut_ = true;
  reader_.reset();
  main_.reset();
}

void SqliteStore::forget_pages() {
  if (std::unique_lock lock(main_mutex_, std::try_to_lock);
      lock && main_ && std::exchange(main_used_, false)) {
    main_->forget_pages();
  }
  if (std::unique_lock lock(reader_mutex_, std::try_to_lock);
      lock && reader_ && std::exchange(reader_used_, false)) {
    reader_->forget_pages();
  }
}

base::Result<void> SqliteStore::check(const Scope& scope) const {
  if (scope.tenant() != tenant_) {
    return scope_mismatch(scope.tenant(), tenant_);
  }
  if (!scope.alive()) return tenant_gone(tenant_);
  return {};
}

base::Result<SqliteDatabase*> SqliteStore::main_connection(const Scope& scope) {
  if (shut_) return tenant_gone(tenant_);
  if (!main_) {
    BULKHEAD_TRY(opened, open_by_any_key(scope, path_, SqliteDatabase::Mode::ReadWrite, key_version_));
    main_ = std::move(opened);
  }
  main_used_ = true;
  return main_.get();
}

base::Result<SqliteStore::Use> SqliteStore::writing(const Scope& scope) {
  BULKHEAD_CHECK_OK(check(scope));
  base::FairPool::finish_what_runs();
  std::unique_lock lock(main_mutex_);
  BULKHEAD_TRY(database, main_connection(scope));
  return Use{std::move(lock), database};
}

base::Result<SqliteStore::Use> SqliteStore::reading(const Scope& scope) {
  BULKHEAD_CHECK_OK(check(scope));
  if (std::unique_lock lock(main_mutex_, std::try_to_lock); lock) {
    BULKHEAD_TRY(database, main_connection(scope));
    return Use{std::move(lock), database, std::nullopt, Interrupting(*database)};
  }
  std::unique_lock lock(reader_mutex_);
  if (shut_) return tenant_gone(tenant_);
  if (!reader_) {
    std::uint32_t version = 0;
    BULKHEAD_TRY(opened, open_by_any_key(scope, path_, SqliteDatabase::Mode::ReadOnly, version));
    reader_ = std::move(opened);
  }
  reader_used_ = true;
  BULKHEAD_TRY(snapshot, ReadTransaction::begin(*reader_));
  return Use{std::move(lock), reader_.get(), std::move(snapshot), Interrupting(*reader_)};
}

base::Result<SqliteStore::Versions> SqliteStore::moved(SqliteDatabase& database, bool vectors_too) {
  Versions versions;
  BULKHEAD_TRY(content, increment_meta(database, "content_version"));
  versions.content = content;
  if (vectors_too) {
    BULKHEAD_TRY(vectors, increment_meta(database, "vectors_version"));
    versions.vectors = vectors;
  }
  return versions;
}

void SqliteStore::publish(const Versions& versions) {
  raise_version(content_version_, versions.content);
  raise_version(vectors_version_, versions.vectors);
}

void SqliteStore::set_pages_max(std::int64_t pages) {
  std::scoped_lock lock(main_mutex_);
  if (main_) main_->set_pages_max(pages);
}

std::uint64_t SqliteStore::memory_bytes() {
  std::scoped_lock both(main_mutex_, reader_mutex_);
  return (main_ ? main_->memory_bytes() : 0) + (reader_ ? reader_->memory_bytes() : 0);
}

std::vector<std::string> SqliteStore::query_plans() {
  std::scoped_lock lock(main_mutex_);
  return main_ ? main_->query_plans() : std::vector<std::string>();
}

base::Result<Usage> SqliteStore::usage(const Scope& scope) {
  BULKHEAD_TRY(use, reading(scope));
  return read_usage(*use);
}

base::Result<Usage> SqliteStore::recount_usage(const Scope& scope) {
  BULKHEAD_TRY(use, writing(scope));
  BULKHEAD_TRY(transaction, Transaction::begin(*use));
  BULKHEAD_TRY(counted, storage::recount_usage(*use));
  BULKHEAD_CHECK_OK(transaction.commit());
  note_usage(counted);
  return counted;
}

base::Result<SqliteStore::Change> SqliteStore::begin_change(const Scope& scope) {
  BULKHEAD_TRY(use, writing(scope));
  BULKHEAD_TRY(transaction, Transaction::begin(*use));
  BULKHEAD_TRY(before, read_usage(*use));
  return Change{std::move(use), std::move(transaction), before};
}

base::Result<void> SqliteStore::commit(const Scope& scope, Change& change, Bounds bounds) {
  BULKHEAD_TRY(after, read_usage(*change));
  if (bounds == Bounds::Hold) BULKHEAD_CHECK_OK(check_usage(scope, change.before, after));
  BULKHEAD_CHECK_OK(change.transaction.commit());
  note_usage(after);
  return {};
}

}  // namespace bulkhead::storage
