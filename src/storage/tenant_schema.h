// The schema of a tenant's store (embedded backend) and how its file is opened.
//
//   meta            name → number: content_version, vectors_version, bytes_used and the
//                   counts of files, vector_stores, chats, api_keys (storage/sqlite_usage.h)
//   files           one row a file; `no` orders and is never reused; `batch` names the ingest whose
//                   chunks are current (0: none)
//   file_pieces     the original, sealed in pieces
//   chunks          key = batch << kOrdinalBits | ordinal, so that the file filter of a text search
//                   needs the key alone; sealed text and place
//   chunk_vectors   apart from chunks, so that building the index reads no texts; sealed
//   chunk_text      FTS5 without content: words exist only here, inside the encrypted file
//   vector_stores, attachments, api_keys, chats
//   data_keys       subject ("file/<id>", ...) → its wrapped data key (storage/seal.h)
//
// Columns named *_box are sealed records (storage/seal.h).
#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "storage/chunk_record.h"
#include "storage/sqlite_database.h"

namespace bulkhead::storage {

std::filesystem::path tenant_folder(const std::filesystem::path& data_dir, const base::TenantId& tenant);
std::filesystem::path tenant_database_path(const std::filesystem::path& data_dir,
                                           const base::TenantId& tenant);

base::Result<std::unique_ptr<SqliteDatabase>> open_tenant_database(const std::filesystem::path& path,
                                                                   const base::Secret& key,
                                                                   SqliteDatabase::Mode mode);

// The one row that authentication needs before there is a scope.
base::Result<std::optional<identity::ApiKeyRecord>> read_api_key(SqliteDatabase& database,
                                                                 const base::ApiKeyId& id);

}  // namespace bulkhead::storage
