// A subject: the smallest piece of a tenant's store that is copied, compared and erased as a whole. A file
// with its original, chunks and vectors; a vector store with the list of files in it; a kept chat; an API
// key (its keyed hash).
//
// A subject has one form in bytes, the same whatever backend it was read from, and the SHA-256 of that form
// is its digest: two stores hold the same when the digests of all their subjects are equal. The form is a
// row of parts, each preceded by its length (4 bytes, little endian); a number is a part of 8 bytes, little
// endian. The first part is "bulkhead/subject/1", the second the kind; docs/formats.md lists the others.
// What a backend makes for itself (row numbers, keys of chunks, seals, hashes of words) is no part of it.
//
// Thread safety: values and plain functions.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/hash.h"
#include "storage/store.h"

namespace bulkhead::storage {

struct FileSubject {
  FileRecord record;
  std::string content;
  TenantStore::FileChunks chunks;
};

struct VectorStoreSubject {
  VectorStoreRecord record;
  std::vector<AttachmentRecord> attachments;  // by time and file
};

using Subject = std::variant<FileSubject, VectorStoreSubject, ChatRecord, identity::ApiKeyRecord>;

// "file/<id>", "vector_store/<id>", "chat/<id>", "api_key/<id>"
std::string subject_name(const Subject& subject);

// Files before the vector stores that hold them; the order in which a store is copied.
enum class SubjectKind { File, VectorStore, Chat, ApiKey };
inline constexpr SubjectKind kSubjectKinds[] = {SubjectKind::File, SubjectKind::VectorStore,
                                                SubjectKind::Chat, SubjectKind::ApiKey};
// Nothing: not a subject's name.
std::optional<SubjectKind> subject_kind(std::string_view name);
// The id behind the slash; "" when there is none.
std::string_view subject_id(std::string_view name);

// What a store, or an archive, holds under a name.
struct SubjectEntry {
  std::string name;
  crypto::Digest digest;
};

// Gives the form piece by piece, so that a large original is never held twice.
using ByteSink = std::function<void(base::ByteView)>;
void encode_subject(const Subject& subject, const ByteSink& sink);
std::uint64_t encoded_bytes(const Subject& subject);
crypto::Digest digest_of(const Subject& subject);
// Corrupt when it is not exactly what `encode_subject` gives.
base::Result<Subject> decode_subject(std::string_view form);

}  // namespace bulkhead::storage
