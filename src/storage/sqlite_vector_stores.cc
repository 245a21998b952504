// SqliteStore: vector stores and the files attached to them.
#include <limits>
#include <map>

#include "storage/record_json.h"
#include "storage/sqlite_data_keys.h"
#include "storage/sqlite_error.h"
#include "storage/sqlite_store.h"

namespace bulkhead::storage {
namespace {

// Columns: id, name_box, owner, metadata_box, created, last_active, is_default.
base::Result<VectorStoreRecord> vector_store_from_row(SqliteDatabase& database,
                                                      const tenancy::TenantScope& scope,
                                                      const Statement& row) {
  auto id = base::VectorStoreId::parse(row.text(0));
  if (!id) return damaged("a vector store");
  VectorStoreRecord store{.id = std::move(*id)};
  const std::string& place = store.id.str();
  BULKHEAD_TRY(sealer, sealer_of(database, scope, subject_of(store.id)));
  BULKHEAD_TRY(name, sealer.open_text({RecordKind::VectorStoreName, place}, row.blob(1)));
  store.name = std::move(name);
  store.owner = row.text(2);
  BULKHEAD_TRY(metadata, sealer.open_text({RecordKind::VectorStoreMetadata, place}, row.blob(3)));
  store.metadata_json = std::move(metadata);
  store.created = row.integer(4);
  store.last_active = row.integer(5);
  store.is_default = row.integer(6) != 0;
  return store;
}

base::Result<std::vector<VectorStoreRecord>> vector_stores_from(SqliteDatabase& database,
                                                                const tenancy::TenantScope& scope,
                                                                Statement& query) {
  std::vector<VectorStoreRecord> stores;
  while (true) {
    BULKHEAD_TRY(row, query.step());
    if (!row) return stores;
    BULKHEAD_TRY(store, vector_store_from_row(database, scope, query));
    stores.push_back(std::move(store));
  }
}

// Columns: file id, created, status, error_code, error_message, chunks.
base::Result<AttachmentRecord> attachment_from_row(const Statement& row, const base::VectorStoreId& store) {
  auto file = base::FileId::parse(row.text(0));
  const std::int64_t status = row.integer(2);
  if (!file || status < 0 || status > static_cast<int>(AttachmentStatus::Failed)) {
    return damaged("an attachment");
  }
  AttachmentRecord attachment{.store = store, .file = std::move(*file)};
  attachment.created = row.integer(1);
  attachment.status = static_cast<AttachmentStatus>(status);
  attachment.error_code = row.text(3);
  attachment.error_message = row.text(4);
  attachment.chunks = static_cast<std::uint32_t>(row.integer(5));
  return attachment;
}

base::Result<std::int64_t> vector_store_number(SqliteDatabase& database, const base::VectorStoreId& id) {
  Statement query = database.prepare("SELECT no FROM vector_stores WHERE id = ?1");
  query.bind(id.str());
  BULKHEAD_TRY(row, query.step());
  if (!row) return not_found("vector store");
  return query.integer(0);
}

base::Result<std::int64_t> file_number(SqliteDatabase& database, const base::FileId& id) {
  Statement query = database.prepare("SELECT no FROM files WHERE id = ?1");
  query.bind(id.str());
  BULKHEAD_TRY(row, query.step());
  if (!row) return not_found("file");
  return query.integer(0);
}

}  // namespace

base::Result<void> SqliteStore::put_vector_store(const Scope& scope, const VectorStoreRecord& store) {
  BULKHEAD_TRY(use, begin_change(scope));
  BULKHEAD_TRY(sealer, fresh_sealer(*use, scope, subject_of(store.id)));
  const std::string& id = store.id.str();
  const base::Bytes name = sealer.seal({RecordKind::VectorStoreName, id}, store.name);
  const base::Bytes metadata = sealer.seal({RecordKind::VectorStoreMetadata, id}, store.metadata_json);
  // An update that names another owner touches nothing: an id can't be taken over.
  {
    Statement upsert = use->prepare(
        "INSERT INTO vector_stores (id, name_box, owner, metadata_box, created, last_active, "
        "is_default) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) "
        "ON CONFLICT (id) DO UPDATE SET name_box = excluded.name_box, "
        "metadata_box = excluded.metadata_box, last_active = excluded.last_active, "
        "is_default = excluded.is_default WHERE owner = excluded.owner RETURNING no");
    upsert.bind(id, name, store.owner, metadata, store.created, store.last_active, store.is_default);
    BULKHEAD_TRY(written, upsert.step());
    if (!written) {
      return base::Error(StorageError::AlreadyExists, "An object with this id exists already.",
                         "vector store " + id + " belongs to another user");
    }
    BULKHEAD_CHECK_OK(upsert.run());
  }
  return commit(scope, use);
}

base::Result<VectorStoreRecord> SqliteStore::get_vector_store(const Scope& scope,
                                                              const base::VectorStoreId& id) {
  BULKHEAD_TRY(use, reading(scope));
  Statement query = use->prepare(
      "SELECT id, name_box, owner, metadata_box, created, last_active, is_default "
      "FROM vector_stores WHERE id = ?1");
  query.bind(id.str());
  BULKHEAD_TRY(row, query.step());
  if (!row) return not_found("vector store");
  return vector_store_from_row(*use, scope, query);
}

base::Result<std::vector<VectorStoreRecord>> SqliteStore::list_vector_stores(const Scope& scope,
                                                                             const Page& page) {
  BULKHEAD_TRY(use, reading(scope));
  const std::int64_t edge =
      page.ascending ? std::numeric_limits<std::int64_t>::min() : std::numeric_limits<std::int64_t>::max();
  std::int64_t created = edge;
  std::int64_t no = edge;
  if (page.after) {
    Statement start = use->prepare("SELECT created, no FROM vector_stores WHERE id = ?1");
    start.bind(*page.after);
    BULKHEAD_TRY(row, start.step());
    if (!row) return not_found("vector store to continue after");
    created = start.integer(0);
    no = start.integer(1);
  }
  Statement query = page.ascending
                        ? use->prepare(
                              "SELECT id, name_box, owner, metadata_box, created, last_active, is_default "
                              "FROM vector_stores WHERE (created, no) > (?1, ?2) "
                              "ORDER BY created, no LIMIT ?3")
                        : use->prepare(
                              "SELECT id, name_box, owner, metadata_box, created, last_active, is_default "
                              "FROM vector_stores WHERE (created, no) < (?1, ?2) "
                              "ORDER BY created DESC, no DESC LIMIT ?3");
  query.bind(created, no, page_rows(page));
  return vector_stores_from(*use, scope, query);
}

base::Result<std::vector<VectorStoreRecord>> SqliteStore::default_vector_stores(const Scope& scope) {
  BULKHEAD_TRY(use, reading(scope));
  Statement query = use->prepare(
      "SELECT id, name_box, owner, metadata_box, created, last_active, is_default "
      "FROM vector_stores WHERE is_default = 1 ORDER BY created DESC, no DESC");
  return vector_stores_from(*use, scope, query);
}

base::Result<void> SqliteStore::delete_vector_store(const Scope& scope, const base::VectorStoreId& id) {
  BULKHEAD_TRY(use, begin_change(scope));
  BULKHEAD_TRY(no, vector_store_number(*use, id));
  BULKHEAD_CHECK_OK(use->prepare("DELETE FROM vector_stores WHERE no = ?1").bind(no).run());
  BULKHEAD_CHECK_OK(drop_data_key(*use, subject_of(id)));
  BULKHEAD_TRY(versions, moved(*use, false));
  BULKHEAD_CHECK_OK(commit(scope, use));
  publish(versions);
  return {};
}

base::Result<void> SqliteStore::put_attachment(const Scope& scope, const AttachmentRecord& attachment) {
  BULKHEAD_TRY(use, begin_change(scope));
  BULKHEAD_TRY(store_no, vector_store_number(*use, attachment.store));
  BULKHEAD_TRY(file_no, file_number(*use, attachment.file));
  BULKHEAD_CHECK_OK(use->prepare("INSERT INTO attachments (store_no, file_no, created, status, error_code, "
                                 "error_message, chunks) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) "
                                 "ON CONFLICT (store_no, file_no) DO UPDATE SET status = excluded.status, "
                                 "error_code = excluded.error_code, error_message = excluded.error_message, "
                                 "chunks = excluded.chunks")
                        .bind(store_no, file_no, attachment.created, static_cast<int>(attachment.status),
                              attachment.error_code, attachment.error_message, attachment.chunks)
                        .run());
  BULKHEAD_TRY(versions, moved(*use, false));
  // How an ingest ended is noted whatever is used.
  const bool is_new = attachment.status == AttachmentStatus::InProgress;
  BULKHEAD_CHECK_OK(commit(scope, use, is_new ? Bounds::Hold : Bounds::Ignore));
  publish(versions);
  return {};
}

base::Result<AttachmentRecord> SqliteStore::get_attachment(const Scope& scope,
                                                           const base::VectorStoreId& store,
                                                           const base::FileId& file) {
  BULKHEAD_TRY(use, reading(scope));
  Statement query = use->prepare(
      "SELECT f.id, a.created, a.status, a.error_code, a.error_message, a.chunks "
      "FROM attachments a JOIN vector_stores s ON s.no = a.store_no JOIN files f ON f.no = a.file_no "
      "WHERE s.id = ?1 AND f.id = ?2");
  query.bind(store.str(), file.str());
  BULKHEAD_TRY(row, query.step());
  if (!row) return not_found("file in this vector store");
  return attachment_from_row(query, store);
}

base::Result<std::vector<AttachmentRecord>> SqliteStore::list_attachments(const Scope& scope,
                                                                          const base::VectorStoreId& store,
                                                                          const Page& page) {
  BULKHEAD_TRY(use, reading(scope));
  BULKHEAD_TRY(store_no, vector_store_number(*use, store));
  const std::int64_t edge =
      page.ascending ? std::numeric_limits<std::int64_t>::min() : std::numeric_limits<std::int64_t>::max();
  std::int64_t created = edge;
  std::int64_t no = edge;
  if (page.after) {
    Statement start = use->prepare(
        "SELECT a.created, a.no FROM attachments a JOIN files f ON f.no = a.file_no "
        "WHERE a.store_no = ?1 AND f.id = ?2");
    start.bind(store_no, *page.after);
    BULKHEAD_TRY(row, start.step());
    if (!row) return not_found("file to continue after");
    created = start.integer(0);
    no = start.integer(1);
  }
  Statement query = page.ascending
                        ? use->prepare(
                              "SELECT f.id, a.created, a.status, a.error_code, a.error_message, a.chunks "
                              "FROM attachments a JOIN files f ON f.no = a.file_no WHERE a.store_no = ?1 "
                              "AND (a.created, a.no) > (?2, ?3) ORDER BY a.created, a.no LIMIT ?4")
                        : use->prepare(
                              "SELECT f.id, a.created, a.status, a.error_code, a.error_message, a.chunks "
                              "FROM attachments a JOIN files f ON f.no = a.file_no WHERE a.store_no = ?1 "
                              "AND (a.created, a.no) < (?2, ?3) "
                              "ORDER BY a.created DESC, a.no DESC LIMIT ?4");
  query.bind(store_no, created, no, page_rows(page));
  std::vector<AttachmentRecord> attachments;
  while (true) {
    BULKHEAD_TRY(row, query.step());
    if (!row) return attachments;
    BULKHEAD_TRY(attachment, attachment_from_row(query, store));
    attachments.push_back(std::move(attachment));
  }
}

base::Result<void> SqliteStore::delete_attachment(const Scope& scope, const base::VectorStoreId& store,
                                                  const base::FileId& file) {
  BULKHEAD_TRY(use, begin_change(scope));
  {
    Statement remove = use->prepare(
        "DELETE FROM attachments WHERE store_no = (SELECT no FROM vector_stores WHERE id = ?1) "
        "AND file_no = (SELECT no FROM files WHERE id = ?2) RETURNING no");
    remove.bind(store.str(), file.str());
    BULKHEAD_TRY(found, remove.step());
    if (!found) return not_found("file in this vector store");
    BULKHEAD_CHECK_OK(remove.run());
  }
  BULKHEAD_TRY(versions, moved(*use, false));
  BULKHEAD_CHECK_OK(commit(scope, use));
  publish(versions);
  return {};
}

base::Result<std::vector<TenantStore::Candidate>> SqliteStore::candidates(
    const Scope& scope, const std::vector<base::VectorStoreId>& stores) {
  BULKHEAD_TRY(use, reading(scope));
  std::map<std::int64_t, Candidate> by_number;
  for (const base::VectorStoreId& store : stores) {
    Statement query = use->prepare(
        "SELECT f.no, f.id, f.owner, f.access FROM attachments a JOIN files f ON f.no = a.file_no "
        "WHERE a.store_no = (SELECT no FROM vector_stores WHERE id = ?1) AND a.status = ?2");
    query.bind(store.str(), static_cast<int>(AttachmentStatus::Completed));
    while (true) {
      BULKHEAD_TRY(row, query.step());
      if (!row) break;
      if (by_number.contains(query.integer(0))) continue;
      auto id = base::FileId::parse(query.text(1));
      if (!id) return damaged("a file");
      BULKHEAD_TRY(access, access_from_json(query.text(3)));
      by_number.emplace(query.integer(0), Candidate{std::move(*id), query.text(2), std::move(access)});
    }
  }
  std::vector<Candidate> result;
  result.reserve(by_number.size());
  for (auto& [no, candidate] : by_number) result.push_back(std::move(candidate));
  return result;
}

}  // namespace bulkhead::storage
