// PostgresStore: files and their originals.
#include "storage/postgres_data_keys.h"
#include "storage/postgres_store.h"
#include "storage/postgres_usage.h"
#include "storage/record_json.h"
#include "storage/record_parts.h"
#include "storage/store_common.h"

namespace bulkhead::storage {
namespace {

// 4 MiB: how much of an original is in flight at once.
constexpr std::uint64_t kPiecesAtOnce = 16;

// Columns: id, name_box, details_box, bytes, created, status, status_detail_box, access_box, key_version,
// key_box.
base::Result<FileRecord> file_from_row(const PostgresRows& rows, int row, const tenancy::TenantScope& scope) {
  auto id = base::FileId::parse(rows.text(row, 0));
  const std::int64_t status = rows.integer(row, 5);
  if (!id || status < 0 || status > static_cast<int>(FileStatus::Failed)) return damaged("a file");
  FileRecord file{.id = std::move(*id)};
  const std::string& place = file.id.str();
  BULKHEAD_TRY(sealer, sealer_of(rows, row, 8, scope, subject_of(file.id)));
  BULKHEAD_TRY(name, sealer.open_text({RecordKind::FileName, place}, rows.blob(row, 1)));
  BULKHEAD_TRY(packed, sealer.open({RecordKind::FileDetails, place}, rows.blob(row, 2)));
  BULKHEAD_TRY(details, unpack_parts(packed, 4, "a file"));
  BULKHEAD_TRY(detail, sealer.open_text({RecordKind::FileStatusDetail, place}, rows.blob(row, 6)));
  BULKHEAD_TRY(access_text, sealer.open_text({RecordKind::FileAccess, place}, rows.blob(row, 7)));
  BULKHEAD_TRY(access, access_from_json(access_text));
  file.name = std::move(name);
  file.purpose = std::move(details[0]);
  file.owner = std::move(details[1]);
  file.content_type = std::move(details[2]);
  file.sha256 = std::move(details[3]);
  file.bytes = rows.count(row, 3);
  file.created = rows.integer(row, 4);
  file.status = static_cast<FileStatus>(status);
  file.status_detail = std::move(detail);
  file.access = std::move(access);
  return file;
}

}  // namespace

base::Result<void> PostgresStore::put_file(const Scope& scope, const FileRecord& file,
                                           std::string_view content) {
  BULKHEAD_CHECK_OK(check(scope));
  if (content.size() > kFileBytesMax) {
    return base::Error(StorageError::TooLarge, "The file is larger than 1 GiB. Split it.");
  }
  const FreshKey key(scope, subject_of(file.id));
  const RecordSealer& sealer = key.sealer;
  const std::string& id = file.id.str();
  const base::Bytes name = sealer.seal({RecordKind::FileName, id}, file.name);
  const base::Bytes details = sealer.seal(
      {RecordKind::FileDetails, id}, pack_parts({file.purpose, file.owner, file.content_type, file.sha256}));
  const base::Bytes status_detail = sealer.seal({RecordKind::FileStatusDetail, id}, file.status_detail);
  const base::Bytes access = sealer.seal({RecordKind::FileAccess, id}, access_to_json(file.access));
  const std::uint64_t pieces = file_pieces(content.size());

  BULKHEAD_TRY(use, writing(scope));
  // Before its pieces are written, which may be a gigabyte; what counts is what it is at the end.
  BULKHEAD_TRY(used, read_usage(*use));
  BULKHEAD_CHECK_OK(check_room(scope, used, content.size()));
  BULKHEAD_TRY(
      inserted,
      use->run("INSERT INTO files (id, name_box, details_box, status_detail_box, access_box, bytes, created, "
               "status, pieces, key_version, key_box) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) "
               "RETURNING no",
               id, name, details, status_detail, access, static_cast<std::uint64_t>(content.size()),
               file.created, static_cast<int>(file.status), pieces, key.wrapped.key_version,
               key.wrapped.box));
  const std::int64_t no = inserted.integer(0, 0);
  for (std::uint64_t first = 0; first < pieces; first += kPiecesAtOnce) {
    std::vector<base::Bytes> boxes;
    std::vector<std::int64_t> ordinals;
    for (std::uint64_t i = first; i < std::min(pieces, first + kPiecesAtOnce); ++i) {
      boxes.push_back(sealer.seal({RecordKind::FilePiece, id, i, pieces},
                                  content.substr(i * kFilePieceBytes, kFilePieceBytes)));
      ordinals.push_back(static_cast<std::int64_t>(i));
    }
    BULKHEAD_TRY(stored, use->run("INSERT INTO file_pieces (file_no, ordinal, box) "
                                  "SELECT $1, * FROM unnest($2::bigint[], $3::bytea[])",
                                  no, ordinals, boxes));
  }
  return commit_moved(scope, use, false);
}

base::Result<FileRecord> PostgresStore::get_file(const Scope& scope, const base::FileId& id) {
  BULKHEAD_TRY(use, reading(scope));
  BULKHEAD_TRY(
      rows,
      use->run("SELECT id, name_box, details_box, bytes, created, status, status_detail_box, access_box, "
               "key_version, key_box FROM files WHERE id = $1",
               id.str()));
  if (rows.empty()) return not_found("file");
  return file_from_row(rows, 0, scope);
}

base::Result<std::vector<FileRecord>> PostgresStore::list_files(const Scope& scope, const Page& page) {
  BULKHEAD_TRY(use, reading(scope));
  std::int64_t created = page_edge(page);
  std::int64_t no = created;
  if (page.after) {
    BULKHEAD_TRY(start, use->run("SELECT created, no FROM files WHERE id = $1", *page.after));
    if (start.empty()) return not_found("file to continue after");
    created = start.integer(0, 0);
    no = start.integer(0, 1);
  }
  BULKHEAD_TRY(
      rows, use->run(page.ascending
                         ? Sql("SELECT id, name_box, details_box, bytes, created, status, status_detail_box, "
                               "access_box, key_version, key_box FROM files WHERE (created, no) > ($1, $2) "
                               "ORDER BY created, no LIMIT $3")
                         : Sql("SELECT id, name_box, details_box, bytes, created, status, status_detail_box, "
                               "access_box, key_version, key_box FROM files WHERE (created, no) < ($1, $2) "
                               "ORDER BY created DESC, no DESC LIMIT $3"),
                     created, no, page_rows(page)));
  std::vector<FileRecord> files;
  for (int i = 0; i < rows.size(); ++i) {
    BULKHEAD_TRY(file, file_from_row(rows, i, scope));
    files.push_back(std::move(file));
  }
  return files;
}

base::Result<std::string> PostgresStore::file_content(const Scope& scope, const base::FileId& id) {
  BULKHEAD_TRY(use, reading(scope));
  BULKHEAD_TRY(file,
               use->run("SELECT no, bytes, pieces, key_version, key_box FROM files WHERE id = $1", id.str()));
  if (file.empty()) return not_found("file");
  const std::int64_t no = file.integer(0, 0);
  const std::uint64_t bytes = file.count(0, 1);
  const std::uint64_t pieces = file.count(0, 2);
  if (bytes > kFileBytesMax) return damaged("a file");
  BULKHEAD_TRY(sealer, sealer_of(file, 0, 3, scope, subject_of(id)));
  std::string content;
  content.reserve(bytes);
  // The piece count is in every seal, so a file that lost its tail can't pass for a shorter one.
  for (std::uint64_t expected = 0; expected < pieces;) {
    BULKHEAD_TRY(rows, use->run("SELECT ordinal, box FROM file_pieces WHERE file_no = $1 AND ordinal >= $2 "
                                "ORDER BY ordinal LIMIT $3",
                                no, expected, kPiecesAtOnce));
    if (rows.empty()) return damaged("the pieces of a file");
    for (int i = 0; i < rows.size(); ++i, ++expected) {
      if (rows.count(i, 0) != expected) return damaged("the pieces of a file");
      BULKHEAD_TRY(piece, sealer.open({RecordKind::FilePiece, id.str(), expected, pieces}, rows.blob(i, 1)));
      content.append(base::as_text(piece));
      base::wipe(piece);
    }
  }
  if (content.size() != bytes) return damaged("the length of a file");
  return content;
}

base::Result<void> PostgresStore::set_file_status(const Scope& scope, const base::FileId& id,
                                                  FileStatus status, std::string detail) {
  BULKHEAD_TRY(use, writing(scope));
  BULKHEAD_TRY(sealer, lock_file(*use, scope, id));
  const base::Bytes box = sealer.seal({RecordKind::FileStatusDetail, id.str()}, detail);
  BULKHEAD_TRY(updated, use->run("UPDATE files SET status = $2, status_detail_box = $3 WHERE id = $1",
                                 id.str(), static_cast<int>(status), box));
  if (updated.affected() == 0) return not_found("file");
  return commit_counted(scope, use, Bounds::Ignore);
}

base::Result<void> PostgresStore::set_file_access(const Scope& scope, const base::FileId& id,
                                                  const access::DocumentAccess& access) {
  BULKHEAD_TRY(use, writing(scope));
  BULKHEAD_TRY(sealer, lock_file(*use, scope, id));
  const base::Bytes box = sealer.seal({RecordKind::FileAccess, id.str()}, access_to_json(access));
  BULKHEAD_TRY(updated, use->run("UPDATE files SET access_box = $2 WHERE id = $1", id.str(), box));
  if (updated.affected() == 0) return not_found("file");
  return commit_moved(scope, use, false);
}

base::Result<void> PostgresStore::delete_file(const Scope& scope, const base::FileId& id) {
  BULKHEAD_TRY(use, writing(scope));
  BULKHEAD_TRY(file, use->run("SELECT no, batch FROM files WHERE id = $1 FOR UPDATE", id.str()));
  if (file.empty()) return not_found("file");
  const std::int64_t batch = file.integer(0, 1);
  if (batch != 0) BULKHEAD_CHECK_OK(drop_batch(*use, batch));
  // Pieces and attachments go by their foreign keys.
  BULKHEAD_TRY(gone, use->run("DELETE FROM files WHERE no = $1", file.integer(0, 0)));
  return commit_moved(scope, use, batch != 0);
}

}  // namespace bulkhead::storage
