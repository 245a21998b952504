// Seals: what ties a stored record to its tenant and to its own place (invariant I3).
//
// Every file, vector store and chat (a "subject") has a data key of its own: 32 random bytes, wrapped
// as crypto::seal(RecordSeal key of the tenant, data key, "bulkhead/data-key/1" | tenant | subject)
// and kept beside the version of the RecordSeal key. Destroying that one row shreds the subject
// (docs/erasure.md). A subject without one was written before there were data keys and is sealed with
// the RecordSeal key's version 1 itself.
//
// A sealed record is crypto::seal(the subject's data key, content, associated), where
//   associated = "bulkhead/record/1" | tenant | kind | record id | ordinal | extent
// each part preceded by its length (4 bytes, big endian); ordinal and extent are 8 bytes, big endian.
// So a record moved to another tenant's store, to another id, to another place in its document, or
// left over from a longer version of it, does not open: SealBroken, and nothing of it is given out.
//
//   kind            id          ordinal        extent
//   FilePiece       file id     piece number   number of pieces
//   Chunk*, vector  file id     chunk ordinal  batch of the ingest that made it
//   all others      own id      0              0
//
// Thread safety: immutable; the scope must outlive it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "storage/store.h"
#include "tenancy/scope.h"

namespace bulkhead::storage {

enum class RecordKind {
  FileName,
  FilePiece,
  FileStatusDetail,
  ChunkText,
  ChunkVector,
  VectorStoreName,
  VectorStoreMetadata,
  ChatMetadata,
  ChatMessages,
  ChatCompletion,
  // PostgreSQL only: its files aren't encrypted, so there what else was typed is sealed as well.
  FileDetails,
  FileAccess,
  VectorStoreDetails,
  AttachmentError,
  ChatDetails,
};
std::string_view record_kind_name(RecordKind kind);

// Originals are sealed in pieces of this size, so that they never lie whole in memory twice.
inline constexpr std::size_t kFilePieceBytes = 256u << 10;
inline constexpr std::uint64_t kFileBytesMax = 1ull << 30;
inline constexpr std::uint64_t file_pieces(std::uint64_t bytes) {
  return (bytes + kFilePieceBytes - 1) / kFilePieceBytes;
}

struct RecordPlace {
  RecordKind kind;
  std::string_view id;
  std::uint64_t ordinal = 0;
  std::uint64_t extent = 0;
};

struct WrappedDataKey {
  std::uint32_t key_version = 0;  // of the tenant's RecordSeal key; 0: the subject has no data key
  base::Bytes box;
};
// "file/<id>", "vector_store/<id>", "chat/<id>"
std::string subject_of(const base::FileId& id);
std::string subject_of(const base::VectorStoreId& id);
std::string subject_of(const base::ChatId& id);
std::string subject_of(const base::ApiKeyId& id);  // "api_key/<id>"; has no data key

base::Secret make_data_key();
// Under the newest RecordSeal key.
WrappedDataKey wrap_data_key(const tenancy::TenantScope& scope, std::string_view subject,
                             const base::Secret& data_key);
base::Result<base::Secret> unwrap_data_key(const tenancy::TenantScope& scope, std::string_view subject,
                                           std::uint32_t key_version, base::ByteView box);
// A name for a data key that says nothing of it: 32 hex digits of SHA-256 over the wrapped key.
std::string data_key_id_of(base::ByteView box);

class RecordSealer {
 public:
  RecordSealer(const tenancy::TenantScope& scope, base::Secret data_key)
      : scope_(scope), data_key_(std::move(data_key)) {}
  // Of a subject that has this wrapped data key beside it.
  static base::Result<RecordSealer> open_for(const tenancy::TenantScope& scope, std::string_view subject,
                                             std::uint32_t key_version, base::ByteView box);
  // Of a subject that has none.
  static base::Result<RecordSealer> before_data_keys(const tenancy::TenantScope& scope);

  base::Bytes seal(const RecordPlace& place, base::ByteView content) const;
  base::Bytes seal(const RecordPlace& place, std::string_view content) const {
    return seal(place, base::as_bytes(content));
  }
  base::Result<base::Bytes> open(const RecordPlace& place, base::ByteView box) const;
  base::Result<std::string> open_text(const RecordPlace& place, base::ByteView box) const;

 private:
  tenancy::TenantScope scope_;
  base::Secret data_key_;
};

}  // namespace bulkhead::storage
