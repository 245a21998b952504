// SqliteStore: files and their originals.
#include <limits>

#include "storage/record_json.h"
#include "storage/sqlite_data_keys.h"
#include "storage/sqlite_error.h"
#include "storage/sqlite_store.h"

namespace bulkhead::storage {
namespace {

// Columns: id, name_box, purpose, owner, content_type, bytes, created, status, status_detail_box,
// access, sha256.
base::Result<FileRecord> file_from_row(SqliteDatabase& database, const tenancy::TenantScope& scope,
                                       const Statement& row) {
  auto id = base::FileId::parse(row.text(0));
  const std::int64_t status = row.integer(7);
  if (!id || status < 0 || status > static_cast<int>(FileStatus::Failed)) return damaged("a file");
  FileRecord file{.id = std::move(*id)};
  BULKHEAD_TRY(sealer, sealer_of(database, scope, subject_of(file.id)));
  BULKHEAD_TRY(name, sealer.open_text({RecordKind::FileName, file.id.str()}, row.blob(1)));
  file.name = std::move(name);
  file.purpose = row.text(2);
  file.owner = row.text(3);
  file.content_type = row.text(4);
  file.bytes = row.count(5);
  file.created = row.integer(6);
  file.status = static_cast<FileStatus>(status);
  BULKHEAD_TRY(detail, sealer.open_text({RecordKind::FileStatusDetail, file.id.str()}, row.blob(8)));
  file.status_detail = std::move(detail);
  BULKHEAD_TRY(access, access_from_json(row.text(9)));
  file.access = std::move(access);
  file.sha256 = row.text(10);
  return file;
}

}  // namespace

base::Result<void> SqliteStore::put_file(const Scope& scope, const FileRecord& file,
                                         std::string_view content) {
  BULKHEAD_CHECK_OK(check(scope));
  if (content.size() > kFileBytesMax) {
    return base::Error(StorageError::TooLarge, "The file is larger than 1 GiB. Split it.");
  }
  const std::string& id = file.id.str();
  const std::string access = access_to_json(file.access);
  const std::uint64_t pieces = file_pieces(content.size());

  BULKHEAD_TRY(use, begin_change(scope));
  // Before its pieces are written, which may be a gigabyte.
  BULKHEAD_CHECK_OK(check_room(scope, use.before, content.size()));
  BULKHEAD_TRY(sealer, fresh_sealer(*use, scope, subject_of(file.id)));
  const base::Bytes name = sealer.seal({RecordKind::FileName, id}, file.name);
  const base::Bytes detail = sealer.seal({RecordKind::FileStatusDetail, id}, file.status_detail);
  std::int64_t no = 0;
  {
    Statement insert = use->prepare(
        "INSERT INTO files (id, name_box, purpose, owner, content_type, bytes, created, status, "
        "status_detail_box, access, sha256, pieces) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) RETURNING no");
    insert.bind(id, name, file.purpose, file.owner, file.content_type,
                static_cast<std::uint64_t>(content.size()), file.created, static_cast<int>(file.status),
                detail, access, file.sha256, pieces);
    BULKHEAD_TRY(row, insert.step());
    if (row) no = insert.integer(0);
    BULKHEAD_CHECK_OK(insert.run());
  }
  for (std::uint64_t i = 0; i < pieces; ++i) {
    const base::Bytes box = sealer.seal({RecordKind::FilePiece, id, i, pieces},
                                        content.substr(i * kFilePieceBytes, kFilePieceBytes));
    BULKHEAD_CHECK_OK(use->prepare("INSERT INTO file_pieces (file_no, ordinal, box) VALUES (?1, ?2, ?3)")
                          .bind(no, i, box)
                          .run());
  }
  BULKHEAD_TRY(versions, moved(*use, false));
  BULKHEAD_CHECK_OK(commit(scope, use));
  publish(versions);
  return {};
}

base::Result<FileRecord> SqliteStore::get_file(const Scope& scope, const base::FileId& id) {
  BULKHEAD_TRY(use, reading(scope));
  Statement query = use->prepare(
      "SELECT id, name_box, purpose, owner, content_type, bytes, created, status, "
      "status_detail_box, access, sha256 FROM files WHERE id = ?1");
  query.bind(id.str());
  BULKHEAD_TRY(row, query.step());
  if (!row) return not_found("file");
  return file_from_row(*use, scope, query);
}

base::Result<std::vector<FileRecord>> SqliteStore::list_files(const Scope& scope, const Page& page) {
  BULKHEAD_TRY(use, reading(scope));
  const std::int64_t edge =
      page.ascending ? std::numeric_limits<std::int64_t>::min() : std::numeric_limits<std::int64_t>::max();
  std::int64_t created = edge;
  std::int64_t no = edge;
  if (page.after) {
    Statement start = use->prepare("SELECT created, no FROM files WHERE id = ?1");
    start.bind(*page.after);
    BULKHEAD_TRY(row, start.step());
    if (!row) return not_found("file to continue after");
    created = start.integer(0);
    no = start.integer(1);
  }
  Statement query = page.ascending
                        ? use->prepare(
                              "SELECT id, name_box, purpose, owner, content_type, bytes, created, status, "
                              "status_detail_box, access, sha256 FROM files "
                              "WHERE (created, no) > (?1, ?2) ORDER BY created, no LIMIT ?3")
                        : use->prepare(
                              "SELECT id, name_box, purpose, owner, content_type, bytes, created, status, "
                              "status_detail_box, access, sha256 FROM files "
                              "WHERE (created, no) < (?1, ?2) ORDER BY created DESC, no DESC LIMIT ?3");
  query.bind(created, no, page_rows(page));
  std::vector<FileRecord> files;
  while (true) {
    BULKHEAD_TRY(row, query.step());
    if (!row) return files;
    BULKHEAD_TRY(file, file_from_row(*use, scope, query));
    files.push_back(std::move(file));
  }
}

base::Result<std::string> SqliteStore::file_content(const Scope& scope, const base::FileId& id) {
  BULKHEAD_TRY(use, reading(scope));
  std::int64_t no = 0;
  std::uint64_t bytes = 0;
  std::uint64_t pieces = 0;
  {
    Statement query = use->prepare("SELECT no, bytes, pieces FROM files WHERE id = ?1");
    query.bind(id.str());
    BULKHEAD_TRY(row, query.step());
    if (!row) return not_found("file");
    no = query.integer(0);
    bytes = query.count(1);
    pieces = query.count(2);
  }
  if (bytes > kFileBytesMax) return damaged("a file");
  BULKHEAD_TRY(sealer, sealer_of(*use, scope, subject_of(id)));
  Statement query = use->prepare("SELECT ordinal, box FROM file_pieces WHERE file_no = ?1 ORDER BY ordinal");
  query.bind(no);
  std::string content;
  content.reserve(bytes);
  // The piece count is in every seal, so a file that lost its tail can't pass for a shorter one.
  for (std::uint64_t expected = 0; expected < pieces; ++expected) {
    BULKHEAD_TRY(row, query.step());
    if (!row || query.count(0) != expected) return damaged("the pieces of a file");
    BULKHEAD_TRY(piece, sealer.open({RecordKind::FilePiece, id.str(), expected, pieces}, query.blob(1)));
    content.append(base::as_text(piece));
    base::wipe(piece);
  }
  if (content.size() != bytes) return damaged("the length of a file");
  return content;
}

base::Result<void> SqliteStore::set_file_status(const Scope& scope, const base::FileId& id, FileStatus status,
                                                std::string detail) {
  BULKHEAD_TRY(use, begin_change(scope));
  BULKHEAD_TRY(sealer, sealer_of(*use, scope, subject_of(id)));
  const base::Bytes box = sealer.seal({RecordKind::FileStatusDetail, id.str()}, detail);
  {
    Statement update =
        use->prepare("UPDATE files SET status = ?2, status_detail_box = ?3 WHERE id = ?1 RETURNING no");
    update.bind(id.str(), static_cast<int>(status), box);
    BULKHEAD_TRY(found, update.step());
    if (!found) return not_found("file");
    BULKHEAD_CHECK_OK(update.run());
  }
  return commit(scope, use, Bounds::Ignore);
}

base::Result<void> SqliteStore::set_file_access(const Scope& scope, const base::FileId& id,
                                                const access::DocumentAccess& access) {
  BULKHEAD_TRY(use, begin_change(scope));
  {
    const std::string text = access_to_json(access);
    Statement update = use->prepare("UPDATE files SET access = ?2 WHERE id = ?1 RETURNING no");
    update.bind(id.str(), text);
    BULKHEAD_TRY(found, update.step());
    if (!found) return not_found("file");
    BULKHEAD_CHECK_OK(update.run());
  }
  BULKHEAD_TRY(versions, moved(*use, false));
  BULKHEAD_CHECK_OK(commit(scope, use));
  publish(versions);
  return {};
}

base::Result<void> SqliteStore::delete_file(const Scope& scope, const base::FileId& id) {
  BULKHEAD_TRY(use, begin_change(scope));
  std::int64_t no = 0;
  std::int64_t batch = 0;
  {
    Statement query = use->prepare("SELECT no, batch FROM files WHERE id = ?1");
    query.bind(id.str());
    BULKHEAD_TRY(row, query.step());
    if (!row) return not_found("file");
    no = query.integer(0);
    batch = query.integer(1);
  }
  if (batch != 0) BULKHEAD_CHECK_OK(drop_batch(*use, batch));
  // Pieces and attachments go by their foreign keys.
  BULKHEAD_CHECK_OK(use->prepare("DELETE FROM files WHERE no = ?1").bind(no).run());
  BULKHEAD_CHECK_OK(drop_data_key(*use, subject_of(id)));
  BULKHEAD_TRY(versions, moved(*use, batch != 0));
  BULKHEAD_CHECK_OK(commit(scope, use));
  publish(versions);
  // Best effort: a reader in the way only delays when the log's old pages go.
  (void)use->checkpoint().ok();
  return {};
}

}  // namespace bulkhead::storage
