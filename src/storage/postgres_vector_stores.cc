// PostgresStore: vector stores and the files attached to them.
#include "storage/postgres_data_keys.h"
#include "storage/postgres_store.h"
#include "storage/record_json.h"
#include "storage/record_parts.h"
#include "storage/store_common.h"

namespace bulkhead::storage {
namespace {

// Columns: id, name_box, details_box, metadata_box, created, last_active, is_default, key_version, key_box.
base::Result<VectorStoreRecord> vector_store_from_row(const PostgresRows& rows, int row,
                                                      const tenancy::TenantScope& scope) {
  auto id = base::VectorStoreId::parse(rows.text(row, 0));
  if (!id) return damaged("a vector store");
  VectorStoreRecord store{.id = std::move(*id)};
  const std::string& place = store.id.str();
  BULKHEAD_TRY(sealer, sealer_of(rows, row, 7, scope, subject_of(store.id)));
  BULKHEAD_TRY(name, sealer.open_text({RecordKind::VectorStoreName, place}, rows.blob(row, 1)));
  BULKHEAD_TRY(owner, sealer.open_text({RecordKind::VectorStoreDetails, place}, rows.blob(row, 2)));
  BULKHEAD_TRY(metadata, sealer.open_text({RecordKind::VectorStoreMetadata, place}, rows.blob(row, 3)));
  store.name = std::move(name);
  store.owner = std::move(owner);
  store.metadata_json = std::move(metadata);
  store.created = rows.integer(row, 4);
  store.last_active = rows.integer(row, 5);
  store.is_default = rows.flag(row, 6);
  return store;
}

base::Result<std::vector<VectorStoreRecord>> vector_stores_from(const PostgresRows& rows,
                                                                const tenancy::TenantScope& scope) {
  std::vector<VectorStoreRecord> stores;
  for (int i = 0; i < rows.size(); ++i) {
    BULKHEAD_TRY(store, vector_store_from_row(rows, i, scope));
    stores.push_back(std::move(store));
  }
  return stores;
}

std::string attachment_place(const base::VectorStoreId& store, std::string_view file) {
  // Neither id can hold a slash.
  return store.str() + "/" + std::string(file);
}

// Columns: file id, created, status, error_box, chunks, and the file's key_version and key_box: its data key
// seals the error.
base::Result<AttachmentRecord> attachment_from_row(const PostgresRows& rows, int row,
                                                   const tenancy::TenantScope& scope,
                                                   const base::VectorStoreId& store) {
  auto file = base::FileId::parse(rows.text(row, 0));
  const std::int64_t status = rows.integer(row, 2);
  if (!file || status < 0 || status > static_cast<int>(AttachmentStatus::Failed))
    return damaged("an attachment");
  BULKHEAD_TRY(sealer, sealer_of(rows, row, 5, scope, subject_of(*file)));
  BULKHEAD_TRY(packed, sealer.open({RecordKind::AttachmentError, attachment_place(store, file->str())},
                                   rows.blob(row, 3)));
  BULKHEAD_TRY(error, unpack_parts(packed, 2, "an attachment"));
  AttachmentRecord attachment{.store = store, .file = std::move(*file)};
  attachment.created = rows.integer(row, 1);
  attachment.status = static_cast<AttachmentStatus>(status);
  attachment.error_code = std::move(error[0]);
  attachment.error_message = std::move(error[1]);
  attachment.chunks = static_cast<std::uint32_t>(rows.integer(row, 4));
  return attachment;
}

}  // namespace

base::Result<void> PostgresStore::put_vector_store(const Scope& scope, const VectorStoreRecord& store) {
  BULKHEAD_TRY(use, writing(scope));
  const FreshKey key(scope, subject_of(store.id));
  const RecordSealer& sealer = key.sealer;
  const std::string& id = store.id.str();
  // An update that names another owner touches nothing: an id can't be taken over.
  BULKHEAD_TRY(
      written,
      use->run(
          "INSERT INTO vector_stores (id, name_box, details_box, metadata_box, owner_tag, created, "
          "last_active, is_default, key_version, key_box) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) "
          "ON CONFLICT ON CONSTRAINT vector_stores_id DO UPDATE SET name_box = excluded.name_box, "
          "details_box = excluded.details_box, key_version = excluded.key_version, "
          "key_box = excluded.key_box, "
          "metadata_box = excluded.metadata_box, last_active = excluded.last_active, "
          "is_default = excluded.is_default WHERE vector_stores.owner_tag = excluded.owner_tag",
          id, sealer.seal({RecordKind::VectorStoreName, id}, store.name),
          sealer.seal({RecordKind::VectorStoreDetails, id}, store.owner),
          sealer.seal({RecordKind::VectorStoreMetadata, id}, store.metadata_json),
          BlindIndex(scope).owner(store.owner), store.created, store.last_active, store.is_default,
          key.wrapped.key_version, key.wrapped.box));
  if (written.affected() == 0) return id_taken("vector store " + id + " belongs to another user");
  return commit_counted(scope, use);
}

base::Result<VectorStoreRecord> PostgresStore::get_vector_store(const Scope& scope,
                                                                const base::VectorStoreId& id) {
  BULKHEAD_TRY(use, reading(scope));
  BULKHEAD_TRY(rows,
               use->run("SELECT id, name_box, details_box, metadata_box, created, last_active, is_default, "
                        "key_version, key_box FROM vector_stores WHERE id = $1",
                        id.str()));
  if (rows.empty()) return not_found("vector store");
  return vector_store_from_row(rows, 0, scope);
}

base::Result<std::vector<VectorStoreRecord>> PostgresStore::list_vector_stores(const Scope& scope,
                                                                               const Page& page) {
  BULKHEAD_TRY(use, reading(scope));
  std::int64_t created = page_edge(page);
  std::int64_t no = created;
  if (page.after) {
    BULKHEAD_TRY(start, use->run("SELECT created, no FROM vector_stores WHERE id = $1", *page.after));
    if (start.empty()) return not_found("vector store to continue after");
    created = start.integer(0, 0);
    no = start.integer(0, 1);
  }
  BULKHEAD_TRY(
      rows,
      use->run(page.ascending
                   ? Sql("SELECT id, name_box, details_box, metadata_box, created, last_active, "
                         "is_default, key_version, key_box FROM vector_stores WHERE (created, no) > ($1, $2) "
                         "ORDER BY created, no LIMIT $3")
                   : Sql("SELECT id, name_box, details_box, metadata_box, created, last_active, "
                         "is_default, key_version, key_box FROM vector_stores WHERE (created, no) < ($1, $2) "
                         "ORDER BY created DESC, no DESC LIMIT $3"),
               created, no, page_rows(page)));
  return vector_stores_from(rows, scope);
}

base::Result<std::vector<VectorStoreRecord>> PostgresStore::default_vector_stores(const Scope& scope) {
  BULKHEAD_TRY(use, reading(scope));
  BULKHEAD_TRY(
      rows,
      use->run("SELECT id, name_box, details_box, metadata_box, created, last_active, is_default, "
               "key_version, key_box FROM vector_stores WHERE is_default ORDER BY created DESC, no DESC"));
  return vector_stores_from(rows, scope);
}

base::Result<void> PostgresStore::delete_vector_store(const Scope& scope, const base::VectorStoreId& id) {
  BULKHEAD_TRY(use, writing(scope));
  BULKHEAD_TRY(gone, use->run("DELETE FROM vector_stores WHERE id = $1", id.str()));
  if (gone.affected() == 0) return not_found("vector store");
  return commit_moved(scope, use, false);
}

base::Result<void> PostgresStore::put_attachment(const Scope& scope, const AttachmentRecord& attachment) {
  BULKHEAD_TRY(use, writing(scope));
  BULKHEAD_TRY(store, use->run("SELECT no FROM vector_stores WHERE id = $1", attachment.store.str()));
  if (store.empty()) return not_found("vector store");
  BULKHEAD_TRY(file, use->run("SELECT no, key_version, key_box FROM files WHERE id = $1 FOR NO KEY UPDATE",
                              attachment.file.str()));
  if (file.empty()) return not_found("file");
  BULKHEAD_TRY(sealer, sealer_of(file, 0, 1, scope, subject_of(attachment.file)));
  const std::string place = attachment_place(attachment.store, attachment.file.str());
  const base::Bytes error = sealer.seal({RecordKind::AttachmentError, place},
                                        pack_parts({attachment.error_code, attachment.error_message}));
  BULKHEAD_TRY(
      written,
      use->run("INSERT INTO attachments (store_no, file_no, created, status, error_box, chunks) "
               "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT ON CONSTRAINT attachments_once DO UPDATE SET "
               "status = excluded.status, error_box = excluded.error_box, chunks = excluded.chunks",
               store.integer(0, 0), file.integer(0, 0), attachment.created,
               static_cast<int>(attachment.status), error, attachment.chunks));
  // How an ingest ended is noted whatever is used.
  const bool is_new = attachment.status == AttachmentStatus::InProgress;
  return commit_moved(scope, use, false, is_new ? Bounds::Hold : Bounds::Ignore);
}

base::Result<AttachmentRecord> PostgresStore::get_attachment(const Scope& scope,
                                                             const base::VectorStoreId& store,
                                                             const base::FileId& file) {
  BULKHEAD_TRY(use, reading(scope));
  BULKHEAD_TRY(
      rows,
      use->run(
          "SELECT f.id, a.created, a.status, a.error_box, a.chunks, f.key_version, f.key_box "
          "FROM attachments a JOIN vector_stores s ON s.no = a.store_no JOIN files f ON f.no = a.file_no "
          "WHERE s.id = $1 AND f.id = $2",
          store.str(), file.str()));
  if (rows.empty()) return not_found("file in this vector store");
  return attachment_from_row(rows, 0, scope, store);
}

base::Result<std::vector<AttachmentRecord>> PostgresStore::list_attachments(const Scope& scope,
                                                                            const base::VectorStoreId& store,
                                                                            const Page& page) {
  BULKHEAD_TRY(use, reading(scope));
  BULKHEAD_TRY(own, use->run("SELECT no FROM vector_stores WHERE id = $1", store.str()));
  if (own.empty()) return not_found("vector store");
  const std::int64_t store_no = own.integer(0, 0);
  std::int64_t created = page_edge(page);
  std::int64_t no = created;
  if (page.after) {
    BULKHEAD_TRY(start, use->run("SELECT a.created, a.no FROM attachments a JOIN files f ON f.no = a.file_no "
                                 "WHERE a.store_no = $1 AND f.id = $2",
                                 store_no, *page.after));
    if (start.empty()) return not_found("file to continue after");
    created = start.integer(0, 0);
    no = start.integer(0, 1);
  }
  BULKHEAD_TRY(
      rows,
      use->run(page.ascending ? Sql("SELECT f.id, a.created, a.status, a.error_box, a.chunks, f.key_version, "
                                    "f.key_box FROM attachments a "
                                    "JOIN files f ON f.no = a.file_no WHERE a.store_no = $1 "
                                    "AND (a.created, a.no) > ($2, $3) ORDER BY a.created, a.no LIMIT $4")
                              : Sql("SELECT f.id, a.created, a.status, a.error_box, a.chunks, f.key_version, "
                                    "f.key_box FROM attachments a "
                                    "JOIN files f ON f.no = a.file_no WHERE a.store_no = $1 "
                                    "AND (a.created, a.no) < ($2, $3) "
                                    "ORDER BY a.created DESC, a.no DESC LIMIT $4"),
               store_no, created, no, page_rows(page)));
  std::vector<AttachmentRecord> attachments;
  for (int i = 0; i < rows.size(); ++i) {
    BULKHEAD_TRY(attachment, attachment_from_row(rows, i, scope, store));
    attachments.push_back(std::move(attachment));
  }
  return attachments;
}

base::Result<void> PostgresStore::delete_attachment(const Scope& scope, const base::VectorStoreId& store,
                                                    const base::FileId& file) {
  BULKHEAD_TRY(use, writing(scope));
  BULKHEAD_TRY(
      gone, use->run("DELETE FROM attachments WHERE store_no = (SELECT no FROM vector_stores WHERE id = $1) "
                     "AND file_no = (SELECT no FROM files WHERE id = $2)",
                     store.str(), file.str()));
  if (gone.affected() == 0) return not_found("file in this vector store");
  return commit_moved(scope, use, false);
}

base::Result<std::vector<TenantStore::Candidate>> PostgresStore::candidates(
    const Scope& scope, const std::vector<base::VectorStoreId>& stores) {
  BULKHEAD_TRY(use, reading(scope));
  std::vector<std::string> ids;
  for (const base::VectorStoreId& store : stores) ids.push_back(store.str());
  BULKHEAD_TRY(
      rows,
      use->run(
          "SELECT f.id, f.details_box, f.access_box, f.key_version, f.key_box FROM files f WHERE f.no IN ("
          "SELECT a.file_no FROM attachments a JOIN vector_stores s ON s.no = a.store_no "
          "WHERE s.id = ANY($1) AND a.status = $2) ORDER BY f.no",
          ids, static_cast<int>(AttachmentStatus::Completed)));
  std::vector<Candidate> result;
  for (int i = 0; i < rows.size(); ++i) {
    auto id = base::FileId::parse(rows.text(i, 0));
    if (!id) return damaged("a file");
    BULKHEAD_TRY(sealer, sealer_of(rows, i, 3, scope, subject_of(*id)));
    BULKHEAD_TRY(packed, sealer.open({RecordKind::FileDetails, id->str()}, rows.blob(i, 1)));
    BULKHEAD_TRY(details, unpack_parts(packed, 4, "a file"));
    BULKHEAD_TRY(text, sealer.open_text({RecordKind::FileAccess, id->str()}, rows.blob(i, 2)));
    BULKHEAD_TRY(access, access_from_json(text));
    result.push_back({std::move(*id), std::move(details[1]), std::move(access)});
  }
  return result;
}

}  // namespace bulkhead::storage
