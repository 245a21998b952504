#include "storage/seal.h"

#include "crypto/aead.h"
#include "storage/seal_alarm.h"

namespace bulkhead::storage {
namespace {

constexpr std::string_view kRecordFormat = "bulkhead/record/1";

void append_part(base::Bytes& out, base::ByteView part) {
  const auto size = static_cast<std::uint32_t>(part.size());
  for (int shift = 24; shift >= 0; shift -= 8) {
    out.push_back(static_cast<std::uint8_t>(size >> shift));
  }
  out.insert(out.end(), part.begin(), part.end());
}

void append_number(base::Bytes& out, std::uint64_t number) {
  std::uint8_t bytes[8];
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<std::uint8_t>(number >> (56 - 8 * i));
  append_part(out, bytes);
}

base::Bytes associated_data(const tenancy::TenantScope& scope, const RecordPlace& place) {
  base::Bytes out;
  out.reserve(128);
  append_part(out, base::as_bytes(kRecordFormat));
  append_part(out, base::as_bytes(scope.tenant().str()));
  append_part(out, base::as_bytes(record_kind_name(place.kind)));
  append_part(out, base::as_bytes(place.id));
  append_number(out, place.ordinal);
  append_number(out, place.extent);
  return out;
}

}  // namespace

std::string_view record_kind_name(RecordKind kind) {
  switch (kind) {
    case RecordKind::FileName: return "file.name";
    case RecordKind::FilePiece: return "file.piece";
    case RecordKind::FileStatusDetail: return "file.status_detail";
    case RecordKind::ChunkText: return "chunk.text";
    case RecordKind::ChunkVector: return "chunk.vector";
    case RecordKind::VectorStoreName: return "vector_store.name";
    case RecordKind::VectorStoreMetadata: return "vector_store.metadata";
    case RecordKind::ChatMetadata: return "chat.metadata";
    case RecordKind::ChatMessages: return "chat.messages";
    case RecordKind::ChatCompletion: return "chat.completion";
    case RecordKind::FileDetails:
      return "file.details";
    case RecordKind::FileAccess:
      return "file.access";
    case RecordKind::VectorStoreDetails:
      return "vector_store.details";
    case RecordKind::AttachmentError:
      return "attachment.error";
    case RecordKind::ChatDetails:
      return "chat.details";
  }
  return "";
}

base::Bytes RecordSealer::seal(const RecordPlace& place, base::ByteView content) const {
  return crypto::seal(scope_.key(crypto::Purpose::RecordSeal), content,
                      associated_data(scope_, place));
}

base::Result<base::Bytes> RecordSealer::open(const RecordPlace& place, base::ByteView box) const {
  auto opened = crypto::open(scope_.key(crypto::Purpose::RecordSeal), box,
                             associated_data(scope_, place));
  if (!opened) {
    const std::string record = std::string(record_kind_name(place.kind)) + " " + std::string(place.id) +
                               " #" + std::to_string(place.ordinal);
    raise_seal_alarm(scope_.tenant().str(), record);
    return base::Error(StorageError::SealBroken,
                       "A stored record failed its integrity check and was not used. Tell your "
                       "administrator.",
                       "seal of " + record + " of tenant " + scope_.tenant().str() + " does not open");
  }
  return std::move(*opened);
}

base::Result<std::string> RecordSealer::open_text(const RecordPlace& place,
                                                  base::ByteView box) const {
  BULKHEAD_TRY(bytes, open(place, box));
  std::string text(base::as_text(bytes));
  base::wipe(bytes);
  return text;
}

}  // namespace bulkhead::storage
