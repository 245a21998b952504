// SqliteStore: moving what is stored from older keys to the newest, and overwriting what was deleted.
#include <limits>

#include "storage/record_json.h"
#include "storage/sqlite_data_keys.h"
#include "storage/sqlite_error.h"
#include "storage/sqlite_store.h"
#include "storage/tenant_schema.h"

namespace bulkhead::storage {
namespace {

using base::Result;

constexpr int kSubjectsAtOnce = 64;  // wrapped anew in one transaction

// A subject of before there were data keys: all of it is sealed anew, with a data key of its own.
struct Renewal {
  SqliteDatabase& database;
  const RecordSealer& from;
  const RecordSealer& to;
  std::string id;

  Result<base::Bytes> moved(const RecordPlace& place, base::ByteView box) const {
    BULKHEAD_TRY(plain, from.open(place, box));
    base::Bytes sealed = to.seal(place, plain);
    base::wipe(plain);
    return sealed;
  }

  // Rows are read one by one, because a table is not walked while it is written.
  Result<void> pieces(std::int64_t no, std::uint64_t count) const {
    for (std::uint64_t i = 0; i < count; ++i) {
      base::Bytes box;
      {
        Statement read = database.prepare("SELECT box FROM file_pieces WHERE file_no = ?1 AND ordinal = ?2");
        read.bind(no, i);
        BULKHEAD_TRY(row, read.step());
        if (!row) return damaged("the pieces of a file");
        BULKHEAD_TRY(renewed, moved({RecordKind::FilePiece, id, i, count}, read.blob(0)));
        box = std::move(renewed);
      }
      BULKHEAD_CHECK_OK(
          database.prepare("UPDATE file_pieces SET box = ?3 WHERE file_no = ?1 AND ordinal = ?2")
              .bind(no, i, box)
              .run());
    }
    return {};
  }

  Result<void> chunks(std::int64_t batch) const {
    if (batch == 0) return {};
    const ChunkKey last = chunk_key(batch, kChunksPerFileMax - 1);
    for (ChunkKey after = chunk_key(batch, 0) - 1;;) {
      base::Bytes text;
      base::Bytes vector;
      {
        Statement read = database.prepare(
            "SELECT c.key, c.box, v.box FROM chunks c JOIN chunk_vectors v ON v.key = c.key "
            "WHERE c.key > ?1 AND c.key <= ?2 ORDER BY c.key LIMIT 1");
        read.bind(after, last);
        BULKHEAD_TRY(row, read.step());
        if (!row) return {};
        after = read.integer(0);
        const std::uint32_t ordinal = ordinal_of(after);
        const auto generation = static_cast<std::uint64_t>(batch);
        BULKHEAD_TRY(first, moved({RecordKind::ChunkText, id, ordinal, generation}, read.blob(1)));
        BULKHEAD_TRY(second, moved({RecordKind::ChunkVector, id, ordinal, generation}, read.blob(2)));
        text = std::move(first);
        vector = std::move(second);
      }
      BULKHEAD_CHECK_OK(
          database.prepare("UPDATE chunks SET box = ?2 WHERE key = ?1").bind(after, text).run());
      BULKHEAD_CHECK_OK(
          database.prepare("UPDATE chunk_vectors SET box = ?2 WHERE key = ?1").bind(after, vector).run());
    }
  }

  Result<bool> file() const {
    std::int64_t no = 0;
    std::int64_t batch = 0;
    std::uint64_t count = 0;
    base::Bytes name;
    base::Bytes detail;
    {
      Statement read =
          database.prepare("SELECT no, batch, pieces, name_box, status_detail_box FROM files WHERE id = ?1");
      read.bind(id);
      BULKHEAD_TRY(row, read.step());
      if (!row) return false;
      no = read.integer(0);
      batch = read.integer(1);
      count = read.count(2);
      BULKHEAD_TRY(first, moved({RecordKind::FileName, id}, read.blob(3)));
      BULKHEAD_TRY(second, moved({RecordKind::FileStatusDetail, id}, read.blob(4)));
      name = std::move(first);
      detail = std::move(second);
    }
    BULKHEAD_CHECK_OK(database.prepare("UPDATE files SET name_box = ?2, status_detail_box = ?3 WHERE no = ?1")
                          .bind(no, name, detail)
                          .run());
    BULKHEAD_CHECK_OK(pieces(no, count));
    BULKHEAD_CHECK_OK(chunks(batch));
    return true;
  }

  Result<bool> vector_store() const {
    base::Bytes name;
    base::Bytes metadata;
    {
      Statement read = database.prepare("SELECT name_box, metadata_box FROM vector_stores WHERE id = ?1");
      read.bind(id);
      BULKHEAD_TRY(row, read.step());
      if (!row) return false;
      BULKHEAD_TRY(first, moved({RecordKind::VectorStoreName, id}, read.blob(0)));
      BULKHEAD_TRY(second, moved({RecordKind::VectorStoreMetadata, id}, read.blob(1)));
      name = std::move(first);
      metadata = std::move(second);
    }
    BULKHEAD_CHECK_OK(
        database.prepare("UPDATE vector_stores SET name_box = ?2, metadata_box = ?3 WHERE id = ?1")
            .bind(id, name, metadata)
            .run());
    return true;
  }

  Result<bool> chat() const {
    base::Bytes metadata;
    base::Bytes messages;
    base::Bytes completion;
    {
      Statement read =
          database.prepare("SELECT metadata_box, messages_box, completion_box FROM chats WHERE id = ?1");
      read.bind(id);
      BULKHEAD_TRY(row, read.step());
      if (!row) return false;
      BULKHEAD_TRY(first, moved({RecordKind::ChatMetadata, id}, read.blob(0)));
      BULKHEAD_TRY(second, moved({RecordKind::ChatMessages, id}, read.blob(1)));
      BULKHEAD_TRY(third, moved({RecordKind::ChatCompletion, id}, read.blob(2)));
      metadata = std::move(first);
      messages = std::move(second);
      completion = std::move(third);
    }
    BULKHEAD_CHECK_OK(
        database
            .prepare("UPDATE chats SET metadata_box = ?2, messages_box = ?3, completion_box = ?4 "
                     "WHERE id = ?1")
            .bind(id, metadata, messages, completion)
            .run());
    return true;
  }
};

// Subjects whose data keys are wrapped by an older key.
Result<std::vector<std::string>> stale_subjects(SqliteDatabase& database, std::uint32_t newest) {
  std::vector<std::string> subjects;
  Statement old = database.prepare("SELECT subject FROM data_keys WHERE key_version < ?1 LIMIT ?2");
  old.bind(newest, kSubjectsAtOnce);
  while (true) {
    BULKHEAD_TRY(row, old.step());
    if (!row) return subjects;
    subjects.push_back(old.text(0));
  }
}

// A subject that has no data key; "" when there is none.
Result<std::string> bare_subject(SqliteDatabase& database) {
  Statement bare = database.prepare(
      "SELECT 'file/' || id FROM files WHERE 'file/' || id NOT IN (SELECT subject FROM data_keys) "
      "UNION ALL SELECT 'vector_store/' || id FROM vector_stores "
      "WHERE 'vector_store/' || id NOT IN (SELECT subject FROM data_keys) "
      "UNION ALL SELECT 'chat/' || id FROM chats "
      "WHERE 'chat/' || id NOT IN (SELECT subject FROM data_keys) LIMIT 1");
  BULKHEAD_TRY(row, bare.step());
  return row ? bare.text(0) : std::string();
}

Result<void> rewrap(SqliteDatabase& database, const tenancy::TenantScope& scope, const std::string& subject) {
  WrappedDataKey wrapped;
  {
    Statement read = database.prepare("SELECT key_version, box FROM data_keys WHERE subject = ?1");
    read.bind(subject);
    BULKHEAD_TRY(row, read.step());
    if (!row) return {};
    BULKHEAD_TRY(key,
                 unwrap_data_key(scope, subject, static_cast<std::uint32_t>(read.integer(0)), read.blob(1)));
    wrapped = wrap_data_key(scope, subject, key);
  }
  return database.prepare("UPDATE data_keys SET key_version = ?2, box = ?3 WHERE subject = ?1")
      .bind(subject, wrapped.key_version, wrapped.box)
      .run();
}

Result<void> renew(SqliteDatabase& database, const tenancy::TenantScope& scope, const std::string& subject) {
  BULKHEAD_TRY(transaction, Transaction::begin(database));
  BULKHEAD_TRY(from, RecordSealer::before_data_keys(scope));
  BULKHEAD_TRY(to, fresh_sealer(database, scope, subject));
  const std::size_t slash = subject.find('/');
  const Renewal renewal{database, from, to, subject.substr(slash + 1)};
  const std::string kind = subject.substr(0, slash);
  BULKHEAD_TRY(there, kind == "file"   ? renewal.file()
                      : kind == "chat" ? renewal.chat()
                                       : renewal.vector_store());
  if (!there) BULKHEAD_CHECK_OK(drop_data_key(database, subject));
  return transaction.commit();
}

base::Error store_closed() {
  return base::Error(StorageError::TenantGone, "The tenant's store was closed. Retry.");
}

base::Error reader_in_the_way(const std::filesystem::path& path) {
  return base::Error(StorageError::Busy, "The store is busy. Retry in a moment.",
                     path.string() + ": a reader keeps deleted pages in the log");
}

}  // namespace

Result<void> SqliteStore::renew_database_key(const Scope& scope) {
  reader_.reset();
  BULKHEAD_CHECK_OK(main_connection(scope));
  const std::uint32_t newest = scope.key_version(crypto::Purpose::Database);
  if (key_version_ != newest) {
    const base::Secret* key = scope.key(crypto::Purpose::Database, newest);
    if (!key) return reader_in_the_way(path_);
    // On failure there is no connection any more; the next use makes one, by the key that the file then has.
    BULKHEAD_TRY(renewed, SqliteDatabase::rekey(std::move(main_), *key));
    main_ = std::move(renewed);
    key_version_ = newest;
  }
  BULKHEAD_TRY(done, main_->checkpoint());
  if (!done) return reader_in_the_way(path_);
  return {};
}

Result<TenantStore::Reseal> SqliteStore::reseal_some(const Scope& scope) {
  {
    BULKHEAD_TRY(use, writing(scope));
    BULKHEAD_TRY(stale, stale_subjects(*use, scope.key_version(crypto::Purpose::RecordSeal)));
    if (!stale.empty()) {
      BULKHEAD_TRY(transaction, Transaction::begin(*use));
      for (const std::string& subject : stale) BULKHEAD_CHECK_OK(rewrap(*use, scope, subject));
      BULKHEAD_CHECK_OK(transaction.commit());
      return Reseal::More;
    }
    BULKHEAD_TRY(bare, bare_subject(*use));
    if (!bare.empty()) {
      BULKHEAD_CHECK_OK(renew(*use, scope, bare));
      return Reseal::More;
    }
  }
  std::scoped_lock both(main_mutex_, reader_mutex_);
  if (shut_) return store_closed();
  BULKHEAD_CHECK_OK(renew_database_key(scope));
  needs_upkeep_ = false;
  return Reseal::Done;
}

Result<std::string> SqliteStore::data_key_id(const Scope& scope, const std::string& subject) {
  BULKHEAD_TRY(use, reading(scope));
  Statement query = use->prepare("SELECT box FROM data_keys WHERE subject = ?1");
  query.bind(subject);
  BULKHEAD_TRY(row, query.step());
  if (!row) return not_found("data key");
  return data_key_id_of(query.blob(0));
}

}  // namespace bulkhead::storage
