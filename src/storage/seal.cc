#include "storage/seal.h"

#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "storage/seal_alarm.h"

namespace bulkhead::storage {
namespace {

constexpr std::string_view kRecordFormat = "bulkhead/record/1";
constexpr std::string_view kDataKeyFormat = "bulkhead/data-key/1";
constexpr std::size_t kDataKeyBytes = 32;

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

base::Bytes data_key_context(const tenancy::TenantScope& scope, std::string_view subject) {
  base::Bytes out;
  append_part(out, base::as_bytes(kDataKeyFormat));
  append_part(out, base::as_bytes(scope.tenant().str()));
  append_part(out, base::as_bytes(subject));
  return out;
}

base::Error broken(std::string detail) {
  return base::Error(StorageError::SealBroken,
                     "A stored record failed its integrity check and was not used. Tell your "
                     "administrator.",
                     std::move(detail));
}

}  // namespace

std::string subject_of(const base::FileId& id) { return "file/" + id.str(); }
std::string subject_of(const base::VectorStoreId& id) { return "vector_store/" + id.str(); }
std::string subject_of(const base::ChatId& id) { return "chat/" + id.str(); }
std::string subject_of(const base::ApiKeyId& id) { return "api_key/" + id.str(); }

base::Secret make_data_key() { return crypto::random_secret(kDataKeyBytes); }

WrappedDataKey wrap_data_key(const tenancy::TenantScope& scope, std::string_view subject,
                             const base::Secret& data_key) {
  // A rotation may end between the two look-ups; the version that is written must be the key's.
  while (true) {
    const std::uint32_t version = scope.key_version(crypto::Purpose::RecordSeal);
    const base::Secret* key = scope.key(crypto::Purpose::RecordSeal, version);
    if (!key) continue;
    return {version, crypto::seal(*key, data_key.reveal(), data_key_context(scope, subject))};
  }
}

base::Result<base::Secret> unwrap_data_key(const tenancy::TenantScope& scope, std::string_view subject,
                                           std::uint32_t key_version, base::ByteView box) {
  const base::Secret* key = scope.key(crypto::Purpose::RecordSeal, key_version);
  if (!key) {
    raise_seal_alarm(scope.tenant().str(), "data key of " + std::string(subject));
    return broken("data key of " + std::string(subject) + " needs record-seal key version " +
                  std::to_string(key_version) + ", which tenant " + scope.tenant().str() + " has no more");
  }
  auto opened = crypto::open_secret(*key, box, data_key_context(scope, subject));
  if (!opened) {
    raise_seal_alarm(scope.tenant().str(), "data key of " + std::string(subject));
    return broken("data key of " + std::string(subject) + " of tenant " + scope.tenant().str() +
                  " does not open");
  }
  return std::move(*opened);
}

std::string data_key_id_of(base::ByteView box) {
  const crypto::Digest digest = crypto::sha256(box);
  return base::hex_encode(base::ByteView(digest).first(16));
}

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
    case RecordKind::FileDetails: return "file.details";
    case RecordKind::FileAccess: return "file.access";
    case RecordKind::VectorStoreDetails: return "vector_store.details";
    case RecordKind::AttachmentError: return "attachment.error";
    case RecordKind::ChatDetails: return "chat.details";
  }
  return "";
}

base::Result<RecordSealer> RecordSealer::open_for(const tenancy::TenantScope& scope, std::string_view subject,
                                                  std::uint32_t key_version, base::ByteView box) {
  if (key_version == 0) return before_data_keys(scope);
  BULKHEAD_TRY(key, unwrap_data_key(scope, subject, key_version, box));
  return RecordSealer(scope, std::move(key));
}

base::Result<RecordSealer> RecordSealer::before_data_keys(const tenancy::TenantScope& scope) {
  const base::Secret* first = scope.key(crypto::Purpose::RecordSeal, 1);
  if (first) return RecordSealer(scope, first->clone());
  raise_seal_alarm(scope.tenant().str(), "record without a data key");
  return broken("a record of tenant " + scope.tenant().str() +
                " has no data key, and the first record-seal key is gone");
}

base::Bytes RecordSealer::seal(const RecordPlace& place, base::ByteView content) const {
  return crypto::seal(data_key_, content, associated_data(scope_, place));
}

base::Result<base::Bytes> RecordSealer::open(const RecordPlace& place, base::ByteView box) const {
  auto opened = crypto::open(data_key_, box, associated_data(scope_, place));
  if (!opened) {
    const std::string record = std::string(record_kind_name(place.kind)) + " " + std::string(place.id) +
                               " #" + std::to_string(place.ordinal);
    raise_seal_alarm(scope_.tenant().str(), record);
    return broken("seal of " + record + " of tenant " + scope_.tenant().str() + " does not open");
  }
  return std::move(*opened);
}

base::Result<std::string> RecordSealer::open_text(const RecordPlace& place, base::ByteView box) const {
  BULKHEAD_TRY(bytes, open(place, box));
  std::string text(base::as_text(bytes));
  base::wipe(bytes);
  return text;
}

}  // namespace bulkhead::storage
