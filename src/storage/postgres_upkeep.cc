// PostgresStore: moving what is stored from older keys to the newest.
#include "storage/chunk_record.h"
#include "storage/postgres_data_keys.h"
#include "storage/postgres_store.h"
#include "storage/postgres_usage.h"
#include "storage/record_json.h"
#include "storage/store_common.h"

namespace bulkhead::storage {
namespace {

using base::Result;

constexpr std::uint64_t kPiecesAtOnce = 16;  // 4 MiB of an original in flight at once
constexpr std::int64_t kChunksAtOnce = 128;

Result<base::Bytes> moved(const RecordSealer& from, const RecordSealer& to, const RecordPlace& place,
                          base::ByteView box) {
  BULKHEAD_TRY(plain, from.open(place, box));
  base::Bytes sealed = to.seal(place, plain);
  base::wipe(plain);
  return sealed;
}

// A subject of before there were data keys: all of it is sealed anew, with a data key of its own.
class Renewal {
 public:
  Renewal(PostgresTransaction& transaction, RecordSealer from, const FreshKey& key, std::string id)
      : transaction_(transaction), from_(std::move(from)), key_(key), id_(std::move(id)) {}

  Result<void> file() {
    BULKHEAD_TRY(row, transaction_.run("SELECT no, batch, pieces, name_box, details_box, status_detail_box, "
                                       "access_box FROM files WHERE id = $1",
                                       id_));
    const std::int64_t no = row.integer(0, 0);
    BULKHEAD_TRY(name, move({RecordKind::FileName, id_}, row.blob(0, 3)));
    BULKHEAD_TRY(details, move({RecordKind::FileDetails, id_}, row.blob(0, 4)));
    BULKHEAD_TRY(detail, move({RecordKind::FileStatusDetail, id_}, row.blob(0, 5)));
    BULKHEAD_TRY(access, move({RecordKind::FileAccess, id_}, row.blob(0, 6)));
    BULKHEAD_TRY(updated, transaction_.run(
                              "UPDATE files SET name_box = $2, details_box = $3, status_detail_box = $4, "
                              "access_box = $5, key_version = $6, key_box = $7 WHERE no = $1",
                              no, name, details, detail, access, key_.wrapped.key_version, key_.wrapped.box));
    BULKHEAD_CHECK_OK(pieces(no, row.count(0, 2)));
    BULKHEAD_CHECK_OK(chunks(row.integer(0, 1)));
    return attachments(no);
  }

  Result<void> vector_store() {
    BULKHEAD_TRY(
        row,
        transaction_.run("SELECT name_box, details_box, metadata_box FROM vector_stores WHERE id = $1", id_));
    BULKHEAD_TRY(name, move({RecordKind::VectorStoreName, id_}, row.blob(0, 0)));
    BULKHEAD_TRY(details, move({RecordKind::VectorStoreDetails, id_}, row.blob(0, 1)));
    BULKHEAD_TRY(metadata, move({RecordKind::VectorStoreMetadata, id_}, row.blob(0, 2)));
    BULKHEAD_TRY(updated,
                 transaction_.run("UPDATE vector_stores SET name_box = $2, details_box = $3, "
                                  "metadata_box = $4, key_version = $5, key_box = $6 WHERE id = $1",
                                  id_, name, details, metadata, key_.wrapped.key_version, key_.wrapped.box));
    return {};
  }

  Result<void> chat() {
    BULKHEAD_TRY(row, transaction_.run("SELECT details_box, metadata_box, messages_box, completion_box "
                                       "FROM chats WHERE id = $1",
                                       id_));
    BULKHEAD_TRY(details, move({RecordKind::ChatDetails, id_}, row.blob(0, 0)));
    BULKHEAD_TRY(metadata, move({RecordKind::ChatMetadata, id_}, row.blob(0, 1)));
    BULKHEAD_TRY(messages, move({RecordKind::ChatMessages, id_}, row.blob(0, 2)));
    BULKHEAD_TRY(completion, move({RecordKind::ChatCompletion, id_}, row.blob(0, 3)));
    BULKHEAD_TRY(updated,
                 transaction_.run("UPDATE chats SET details_box = $2, metadata_box = $3, messages_box = $4, "
                                  "completion_box = $5, key_version = $6, key_box = $7 WHERE id = $1",
                                  id_, details, metadata, messages, completion, key_.wrapped.key_version,
                                  key_.wrapped.box));
    return {};
  }

 private:
  Result<base::Bytes> move(const RecordPlace& place, base::ByteView box) const {
    return moved(from_, key_.sealer, place, box);
  }

  Result<void> pieces(std::int64_t no, std::uint64_t count) {
    for (std::uint64_t first = 0; first < count;) {
      BULKHEAD_TRY(rows, transaction_.run("SELECT ordinal, box FROM file_pieces WHERE file_no = $1 "
                                          "AND ordinal >= $2 ORDER BY ordinal LIMIT $3",
                                          no, first, kPiecesAtOnce));
      if (rows.empty()) return damaged("the pieces of a file");
      std::vector<std::int64_t> ordinals;
      std::vector<base::Bytes> boxes;
      for (int i = 0; i < rows.size(); ++i, ++first) {
        BULKHEAD_TRY(box, move({RecordKind::FilePiece, id_, rows.count(i, 0), count}, rows.blob(i, 1)));
        ordinals.push_back(rows.integer(i, 0));
        boxes.push_back(std::move(box));
      }
      BULKHEAD_TRY(updated, transaction_.run("UPDATE file_pieces SET box = n.box "
                                             "FROM unnest($2::bigint[], $3::bytea[]) AS n(ordinal, box) "
                                             "WHERE file_no = $1 AND file_pieces.ordinal = n.ordinal",
                                             no, ordinals, boxes));
    }
    return {};
  }

  Result<void> chunks(std::int64_t batch) {
    if (batch == 0) return {};
    const auto generation = static_cast<std::uint64_t>(batch);
    const ChunkKey last = chunk_key(batch, kChunksPerFileMax - 1);
    for (ChunkKey after = chunk_key(batch, 0) - 1;;) {
      BULKHEAD_TRY(rows, transaction_.run("SELECT c.key, c.box, v.box FROM chunks c "
                                          "JOIN chunk_vectors v ON v.key = c.key "
                                          "WHERE c.key > $1 AND c.key <= $2 ORDER BY c.key LIMIT $3",
                                          after, last, kChunksAtOnce));
      if (rows.empty()) return {};
      std::vector<std::int64_t> keys;
      std::vector<base::Bytes> texts, vectors;
      for (int i = 0; i < rows.size(); ++i) {
        after = rows.integer(i, 0);
        const std::uint32_t ordinal = ordinal_of(after);
        BULKHEAD_TRY(text, move({RecordKind::ChunkText, id_, ordinal, generation}, rows.blob(i, 1)));
        BULKHEAD_TRY(vector, move({RecordKind::ChunkVector, id_, ordinal, generation}, rows.blob(i, 2)));
        keys.push_back(after);
        texts.push_back(std::move(text));
        vectors.push_back(std::move(vector));
      }
      BULKHEAD_TRY(text_rows, transaction_.run("UPDATE chunks SET box = n.box FROM "
                                               "unnest($1::bigint[], $2::bytea[]) AS n(key, box) "
                                               "WHERE chunks.key = n.key",
                                               keys, texts));
      BULKHEAD_TRY(vector_rows, transaction_.run("UPDATE chunk_vectors SET box = n.box FROM "
                                                 "unnest($1::bigint[], $2::bytea[]) AS n(key, box) "
                                                 "WHERE chunk_vectors.key = n.key",
                                                 keys, vectors));
    }
  }

  Result<void> attachments(std::int64_t file_no) {
    BULKHEAD_TRY(rows, transaction_.run("SELECT a.no, s.id, a.error_box FROM attachments a "
                                        "JOIN vector_stores s ON s.no = a.store_no WHERE a.file_no = $1",
                                        file_no));
    for (int i = 0; i < rows.size(); ++i) {
      const std::string place = rows.text(i, 1) + "/" + id_;
      BULKHEAD_TRY(box, move({RecordKind::AttachmentError, place}, rows.blob(i, 2)));
      BULKHEAD_TRY(updated, transaction_.run("UPDATE attachments SET error_box = $2 WHERE no = $1",
                                             rows.integer(i, 0), box));
    }
    return {};
  }

  PostgresTransaction& transaction_;
  const RecordSealer from_;
  const FreshKey& key_;
  const std::string id_;
};

enum class Kind { File, VectorStore, Chat };

Result<PostgresRows> lock_subject(PostgresTransaction& transaction, Kind kind, const std::string& id) {
  switch (kind) {
    case Kind::File:
      return transaction.run("SELECT key_version, key_box FROM files WHERE id = $1 FOR NO KEY UPDATE", id);
    case Kind::VectorStore:
      return transaction.run("SELECT key_version, key_box FROM vector_stores WHERE id = $1 FOR NO KEY UPDATE",
                             id);
    case Kind::Chat: break;
  }
  return transaction.run("SELECT key_version, key_box FROM chats WHERE id = $1 FOR NO KEY UPDATE", id);
}

Result<void> store_key(PostgresTransaction& transaction, Kind kind, const std::string& id,
                       const WrappedDataKey& key) {
  const Sql statement =
      kind == Kind::File   ? Sql("UPDATE files SET key_version = $2, key_box = $3 WHERE id = $1")
      : kind == Kind::Chat ? Sql("UPDATE chats SET key_version = $2, key_box = $3 WHERE id = $1")
                           : Sql("UPDATE vector_stores SET key_version = $2, key_box = $3 WHERE id = $1");
  BULKHEAD_TRY(updated, transaction.run(statement, id, key.key_version, key.box));
  return {};
}

Kind kind_of(std::string_view subject) {
  if (subject.starts_with("file/")) return Kind::File;
  return subject.starts_with("chat/") ? Kind::Chat : Kind::VectorStore;
}

Result<void> renew(PostgresTransaction& transaction, const tenancy::TenantScope& scope,
                   const std::string& subject) {
  const Kind kind = kind_of(subject);
  const std::string id = subject.substr(subject.find('/') + 1);
  BULKHEAD_TRY(row, lock_subject(transaction, kind, id));
  if (row.empty()) return {};  // deleted meanwhile
  const auto version = static_cast<std::uint32_t>(row.integer(0, 0));
  if (version != 0) {
    BULKHEAD_TRY(key, unwrap_data_key(scope, subject, version, row.blob(0, 1)));
    return store_key(transaction, kind, id, wrap_data_key(scope, subject, key));
  }
  BULKHEAD_TRY(from, RecordSealer::before_data_keys(scope));
  const FreshKey key(scope, subject);
  Renewal renewal(transaction, std::move(from), key, id);
  switch (kind) {
    case Kind::File: return renewal.file();
    case Kind::VectorStore: return renewal.vector_store();
    case Kind::Chat: break;
  }
  return renewal.chat();
}

}  // namespace

Result<TenantStore::Reseal> PostgresStore::reseal_some(const Scope& scope) {
  if (vectors_lacking_) {
    BULKHEAD_TRY(filled, fill_some(scope));
    if (filled == Reseal::More) return filled;
  }
  {
    BULKHEAD_TRY(use, writing(scope));
    BULKHEAD_TRY(stale, stale_subjects(*use, scope));
    if (!stale.empty()) {
      for (const std::string& subject : stale) BULKHEAD_CHECK_OK(renew(*use, scope, subject));
      BULKHEAD_CHECK_OK(commit_counted(scope, use, Bounds::Ignore));
      return Reseal::More;
    }
  }
  // Alone: whoever took an older key has ended, and whoever comes takes the newest.
  BULKHEAD_CHECK_OK(check(scope));
  std::unique_lock alone(shut_mutex_);
  if (shut_) return tenant_gone(tenant_);
  BULKHEAD_TRY(transaction, PostgresTransaction::begin(pool_, *place_, PostgresTransaction::Mode::Write));
  BULKHEAD_TRY(stale, stale_subjects(transaction, scope));
  if (!stale.empty()) return Reseal::More;
  BULKHEAD_CHECK_OK(reseal_api_keys(transaction, scope));
  BULKHEAD_TRY(change, usage_change(transaction));
  BULKHEAD_CHECK_OK(settle_usage(transaction, change));
  BULKHEAD_CHECK_OK(transaction.commit());
  needs_upkeep_ = false;
  return Reseal::Done;
}

Result<std::string> PostgresStore::data_key_id(const Scope& scope, const std::string& subject) {
  BULKHEAD_TRY(use, writing(scope));
  BULKHEAD_TRY(row, lock_subject(*use, kind_of(subject), subject.substr(subject.find('/') + 1)));
  if (row.empty() || row.integer(0, 0) == 0) return not_found("data key");
  return data_key_id_of(row.blob(0, 1));
}

}  // namespace bulkhead::storage
