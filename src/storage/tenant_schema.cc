#include "storage/tenant_schema.h"

#include "storage/api_key_rows.h"
#include "storage/sqlite_usage.h"

namespace bulkhead::storage {
namespace {

// Append only: entry n takes the schema from version n to n + 1.
//
// content_version starts at a random number, so that a store which was restored from a backup or
// made anew under an old name is never taken for the one an index was built from.
const Sql kMigrations[] = {
    R"sql(
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('content_version', (random() & 0x3fffffffffff) + 1),
                        ('vectors_version', (random() & 0x3fffffffffff) + 1),
                        ('bytes_used', 0);

CREATE TABLE files (
  no INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  name_box BLOB NOT NULL,
  purpose TEXT NOT NULL,
  owner TEXT NOT NULL,
  content_type TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  created INTEGER NOT NULL,
  status INTEGER NOT NULL,
  status_detail_box BLOB NOT NULL,
  access TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  pieces INTEGER NOT NULL,
  batch INTEGER NOT NULL DEFAULT 0);
CREATE INDEX files_by_time ON files (created, no);

CREATE TABLE file_pieces (
  file_no INTEGER NOT NULL REFERENCES files (no) ON DELETE CASCADE,
  ordinal INTEGER NOT NULL,
  box BLOB NOT NULL,
  PRIMARY KEY (file_no, ordinal));

CREATE TABLE batches (
  batch INTEGER PRIMARY KEY AUTOINCREMENT,
  file_no INTEGER NOT NULL UNIQUE REFERENCES files (no) ON DELETE CASCADE,
  chunks INTEGER NOT NULL);
CREATE TABLE chunks (key INTEGER PRIMARY KEY, box BLOB NOT NULL);
CREATE TABLE chunk_vectors (key INTEGER PRIMARY KEY, box BLOB NOT NULL);
CREATE VIRTUAL TABLE chunk_text USING fts5 (heading, body, content='', contentless_delete=1,
  tokenize='porter unicode61 remove_diacritics 2');

CREATE TABLE vector_stores (
  no INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  name_box BLOB NOT NULL,
  owner TEXT NOT NULL,
  metadata_box BLOB NOT NULL,
  created INTEGER NOT NULL,
  last_active INTEGER NOT NULL,
  is_default INTEGER NOT NULL);
CREATE INDEX vector_stores_by_time ON vector_stores (created, no);

CREATE TABLE attachments (
  no INTEGER PRIMARY KEY AUTOINCREMENT,
  store_no INTEGER NOT NULL REFERENCES vector_stores (no) ON DELETE CASCADE,
  file_no INTEGER NOT NULL REFERENCES files (no) ON DELETE CASCADE,
  created INTEGER NOT NULL,
  status INTEGER NOT NULL,
  error_code TEXT NOT NULL,
  error_message TEXT NOT NULL,
  chunks INTEGER NOT NULL,
  UNIQUE (store_no, file_no));
CREATE INDEX attachments_by_time ON attachments (store_no, created, no);
CREATE INDEX attachments_by_file ON attachments (file_no);

CREATE TABLE api_keys (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  user TEXT NOT NULL,
  roles TEXT NOT NULL,
  groups TEXT NOT NULL,
  created INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  revoked INTEGER NOT NULL,
  keyed_hash BLOB NOT NULL) WITHOUT ROWID;

CREATE TABLE chats (
  no INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  owner TEXT NOT NULL,
  model TEXT NOT NULL,
  created INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  metadata_box BLOB NOT NULL,
  messages_box BLOB NOT NULL,
  completion_box BLOB NOT NULL);
CREATE INDEX chats_by_time ON chats (created, no);
CREATE INDEX chats_by_owner ON chats (owner, created, no);
CREATE INDEX chats_by_expiry ON chats (expires);
PRAGMA user_version = 1;
)sql",
    R"sql(
CREATE TABLE data_keys (
  subject TEXT PRIMARY KEY,
  key_version INTEGER NOT NULL,
  box BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX data_keys_by_version ON data_keys (key_version);
PRAGMA user_version = 2;
)sql",
    usage_migration(),
    // What is listed, or asked for with every question, without going through a whole table.
    R"sql(
CREATE INDEX IF NOT EXISTS vector_stores_default ON vector_stores (created, no) WHERE is_default = 1;
CREATE INDEX IF NOT EXISTS api_keys_by_time ON api_keys (created DESC, id);
PRAGMA user_version = 4;
)sql",
};

}  // namespace

std::filesystem::path tenant_folder(const std::filesystem::path& data_dir, const base::TenantId& tenant) {
  return data_dir / "tenants" / tenant.str();
}

std::filesystem::path tenant_database_path(const std::filesystem::path& data_dir,
                                           const base::TenantId& tenant) {
  return tenant_folder(data_dir, tenant) / "store.db";
}

base::Result<std::unique_ptr<SqliteDatabase>> open_tenant_database(const std::filesystem::path& path,
                                                                   const base::Secret& key,
                                                                   SqliteDatabase::Mode mode) {
  BULKHEAD_TRY(database, SqliteDatabase::open({.path = path, .mode = mode}, key));
  if (mode != SqliteDatabase::Mode::ReadOnly) BULKHEAD_CHECK_OK(database->migrate(kMigrations));
  return database;
}

base::Result<std::optional<identity::ApiKeyRecord>> read_api_key(SqliteDatabase& database,
                                                                 const base::ApiKeyId& id) {
  Statement query = database.prepare(
      "SELECT id, name, user, roles, groups, created, expires, revoked, keyed_hash "
      "FROM api_keys WHERE id = ?1");
  query.bind(id.str());
  BULKHEAD_TRY(row, query.step());
  if (!row) return std::optional<identity::ApiKeyRecord>();
  BULKHEAD_TRY(record, api_key_from_row(query));
  return std::optional<identity::ApiKeyRecord>(std::move(record));
}

}  // namespace bulkhead::storage
