// Seals: what ties a stored record to its tenant and to its own place (invariant I3).
//
// A sealed record is crypto::seal(RecordSeal key of the tenant, content, associated), where
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

class RecordSealer {
 public:
  explicit RecordSealer(const tenancy::TenantScope& scope) : scope_(scope) {}
  base::Bytes seal(const RecordPlace& place, base::ByteView content) const;
  base::Bytes seal(const RecordPlace& place, std::string_view content) const {
    return seal(place, base::as_bytes(content));
  }
  base::Result<base::Bytes> open(const RecordPlace& place, base::ByteView box) const;
  base::Result<std::string> open_text(const RecordPlace& place, base::ByteView box) const;

 private:
  const tenancy::TenantScope& scope_;
};

}  // namespace bulkhead::storage
