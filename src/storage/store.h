// TenantStore: everything that is kept of one tenant, behind one interface that every backend
// implements (embedded SQLCipher, PostgreSQL in three layouts). tests/unit/storage/store_contract.h runs the
// same suite against each.
//
// Walls: a store is opened by a TenantScope and belongs to that tenant alone. Each call takes the
// scope again and refuses (ScopeMismatch) another tenant's and a dead one's. What is content
// (originals, chunk texts, file names, chats) arrives here already sealed or is sealed here with the
// tenant's RecordSeal key and the record's own identity as associated data (storage/seal.h,
// invariant I3), inside a database that is itself encrypted with the tenant's Database key.
//
// All members block; run them on StorePools. Thread safe. Pagination: `limit` 1..100, `after`
// an id, newest first unless stated. Not found is NotFound, whatever the reason.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "access/decision.h"
#include "base/embedding_space.h"
#include "base/ids.h"
#include "base/result.h"
#include "identity/api_key.h"
#include "tenancy/scope.h"

namespace bulkhead::storage {

enum class StorageError {
  NotFound,
  AlreadyExists,
  ScopeMismatch,
  TenantGone,
  Full,
  Corrupt,
  WrongKey,
  Busy,
  Io,
  SealBroken,
  TooLarge,
  QuotaExceeded,
  BackupRefused,  // an archive that is not whole, not authentic, or not what was asked for
  Unavailable,    // the database server can't be reached just now
  Misconfigured,  // the database is not what the configuration asks for; the detail says what to change
  Cancelled,      // the client left while its read was under way
  Reindexing,     // some vectors of the embedding space that was asked for are still to be made
};
base::ErrorName error_name(StorageError code);

enum class FileStatus { Uploaded, Processing, Processed, Failed };
std::string_view file_status_name(FileStatus status);

struct FileRecord {
  base::FileId id;
  std::string name;          // base name as uploaded; sealed at rest
  std::string purpose;       // "assistants", "user_data"
  std::string owner;         // user id, or the name in a record from before there were any
  std::string content_type;  // as detected, not as claimed
  std::uint64_t bytes = 0;
  std::int64_t created = 0;
  FileStatus status = FileStatus::Uploaded;
  std::string
      status_detail;  // why it failed, for its owner; of a processed one its ExtractionReport, as JSON
  access::DocumentAccess access;
  std::string sha256;  // hex of the original, keyed: HMAC under the tenant's AuditHash key
};

struct VectorStoreRecord {
  base::VectorStoreId id;
  std::string name;
  std::string owner;
  std::string metadata_json = "{}";
  std::int64_t created = 0;
  std::int64_t last_active = 0;
  bool is_default = false;  // a plain chat request searches the tenant's default stores
};

enum class AttachmentStatus { InProgress, Completed, Failed };

struct AttachmentRecord {  // a file in a vector store
  base::VectorStoreId store;
  base::FileId file;
  std::int64_t created = 0;
  AttachmentStatus status = AttachmentStatus::InProgress;
  std::string error_code;  // "unsupported_file", "invalid_file", "server_error"
  std::string error_message;
  std::uint32_t chunks = 0;
};

// A piece of a document, as the chunker made it.
struct Chunk {
  base::FileId file;
  std::uint32_t ordinal = 0;  // position in the document, from 0
  std::string text;
  std::string heading;      // path of headings above it: "Dosage > Adults"
  std::uint32_t page = 0;   // from 1; 0: the format has no pages
  std::uint32_t begin = 0;  // character offsets into the extracted text, [begin, end)
  std::uint32_t end = 0;
  std::uint32_t tokens = 0;  // of the embedding model
};

// Row id of a chunk in its tenant's store. Meaningless elsewhere.
using ChunkKey = std::int64_t;

// A chunk's vector in one space; unit length.
struct SpaceVector {
  base::EmbeddingSpace space;
  std::vector<float> vector;
  friend bool operator==(const SpaceVector&, const SpaceVector&) = default;
};
// One entry a space, by space; two while a tenant's documents go over to another embedding model. What an
// older version of Bulkhead stored has one entry of a space that is not known.
using ChunkVectors = std::vector<SpaceVector>;
// The chunk's vector in this space; null: it has none.
const SpaceVector* vector_in(const ChunkVectors& vectors, const base::EmbeddingSpace& space);

struct LexicalHit {
  ChunkKey key = 0;
  double score = 0;  // BM25, larger is better
};

struct ChatRecord {
  base::ChatId id;
  std::string owner;
  std::string model;
  std::int64_t created = 0;
  std::int64_t expires = 0;
  std::string metadata_json = "{}";
  std::string messages_json;    // request messages; sealed at rest
  std::string completion_json;  // the answer object; sealed at rest
};

// What is kept of a tenant: the bytes of all its records (originals, chunks and their index, vectors, access
// lists, metadata, chats, keys, and a fixed part for each row), and how many objects there are. Counted with
// every change, in its transaction.
struct Usage {
  std::uint64_t bytes = 0;
  std::uint64_t files = 0;
  std::uint64_t vector_stores = 0;
  std::uint64_t chats = 0;
  std::uint64_t api_keys = 0;
  friend bool operator==(const Usage&, const Usage&) = default;
};

struct Page {
  std::size_t limit = 20;
  std::optional<std::string> after;
  bool ascending = false;
};

class TenantStore {
 public:
  virtual ~TenantStore() = default;
  using Scope = tenancy::TenantScope;
  template <typename T>
  using Result = base::Result<T>;

  // Files. `content` is the original; it is sealed in pieces, so it never lies whole in the clear
  // on disk. put_file and its content are one transaction.
  virtual Result<void> put_file(const Scope&, const FileRecord& file, std::string_view content) = 0;
  virtual Result<FileRecord> get_file(const Scope&, const base::FileId& id) = 0;
  virtual Result<std::vector<FileRecord>> list_files(const Scope&, const Page& page) = 0;  // all owners
  virtual Result<std::string> file_content(const Scope&, const base::FileId& id) = 0;
  virtual Result<void> set_file_status(const Scope&, const base::FileId& id, FileStatus status,
                                       std::string detail) = 0;
  virtual Result<void> set_file_access(const Scope&, const base::FileId& id,
                                       const access::DocumentAccess& access) = 0;
  // Removes original, chunks, vectors, index entries and attachments; freed pages are overwritten.
  virtual Result<void> delete_file(const Scope&, const base::FileId& id) = 0;
  // Whatever makes this grow beyond the tenant's policy is refused (QuotaExceeded), and changes nothing; the
  // platform's own scopes have no bounds.
  virtual Result<Usage> usage(const Scope&) = 0;
  // Counts everything anew, and puts right what `usage` gives. Reads all rows.
  virtual Result<Usage> recount_usage(const Scope&) = 0;

  // Vector stores and the files in them.
  virtual Result<void> put_vector_store(const Scope&,
                                        const VectorStoreRecord& store) = 0;  // insert or update
  virtual Result<VectorStoreRecord> get_vector_store(const Scope&, const base::VectorStoreId& id) = 0;
  virtual Result<std::vector<VectorStoreRecord>> list_vector_stores(const Scope&, const Page& page) = 0;
  virtual Result<std::vector<VectorStoreRecord>> default_vector_stores(const Scope&) = 0;
  virtual Result<void> delete_vector_store(const Scope&, const base::VectorStoreId& id) = 0;
  virtual Result<void> put_attachment(const Scope&, const AttachmentRecord& attachment) = 0;
  virtual Result<AttachmentRecord> get_attachment(const Scope&, const base::VectorStoreId& store,
                                                  const base::FileId& file) = 0;
  virtual Result<std::vector<AttachmentRecord>> list_attachments(const Scope&,
                                                                 const base::VectorStoreId& store,
                                                                 const Page& page) = 0;
  virtual Result<void> delete_attachment(const Scope&, const base::VectorStoreId& store,
                                         const base::FileId& file) = 0;

  // Chunks belong to a file and are shared by all stores that the file is in. Replaces the file's
  // chunks as one transaction; vectors[i] belongs to chunks[i].
  virtual Result<void> replace_chunks(const Scope&, const base::FileId& file,
                                      const std::vector<Chunk>& chunks,
                                      const std::vector<ChunkVectors>& vectors) = 0;
  // Other vectors for the chunks as they are, in the order of `file_chunks`: a space added, or one that is no
  // longer wanted left out. `batch` is what `file_chunks` gave; Busy when the chunks were replaced meanwhile.
  virtual Result<void> put_vectors(const Scope&, const base::FileId& file, std::int64_t batch,
                                   const std::vector<ChunkVectors>& vectors) = 0;
  virtual Result<bool> has_chunks(const Scope&, const base::FileId& file) = 0;
  // All of a file's chunks in their order, for copies of the store (storage/transfer.h).
  struct FileChunks {
    std::vector<Chunk> chunks;
    std::vector<ChunkVectors> vectors;
    std::int64_t batch = 0;  // names this set of chunks in this store; 0: there are none
  };
  virtual Result<FileChunks> file_chunks(const Scope&, const base::FileId& file) = 0;
  // Unseals: a chunk whose seal does not fit this tenant, file and ordinal is SealBroken.
  virtual Result<std::vector<Chunk>> get_chunks(const Scope&, const std::vector<ChunkKey>& keys) = 0;
  // Streams the vectors of every chunk of the tenant, for the in-memory index; a file's come together.
  using VectorVisitor = std::function<void(ChunkKey, const base::FileId&, const ChunkVectors& vectors)>;
  virtual Result<void> for_each_vector(const Scope&, const VectorVisitor& visit) = 0;
  // Whether it finds the nearest chunks itself; else an index is built from `for_each_vector`.
  virtual bool searches_vectors() const { return false; }
  // The `limit` chunks of `files` nearest to `query` by inner product, best first; Reindexing as long as some
  // chunk of the tenant has no vector in this space.
  struct VectorHit {
    ChunkKey key = 0;
    float score = 0;  // cosine, -1..1
  };
  struct VectorHits {
    std::size_t dimensions = 0;  // of the stored vectors; 0: there are none. No hits when the query's differ.
    std::vector<VectorHit> hits;
  };
  virtual Result<VectorHits> search_vectors(const Scope&, const base::EmbeddingSpace& space,
                                            const std::vector<float>& query,
                                            const std::vector<base::FileId>& files, std::size_t limit);
  // BM25 over the chunks of `files`. `words` are plain words, never query syntax.
  virtual Result<std::vector<LexicalHit>> search_text(const Scope&, const std::vector<std::string>& words,
                                                      const std::vector<base::FileId>& files,
                                                      std::size_t limit) = 0;
  // Files that are completely attached to any of `stores` (duplicates removed), with their access
  // lists: what access filtering starts from.
  struct Candidate {
    base::FileId file;
    std::string owner;
    access::DocumentAccess access;
  };
  virtual Result<std::vector<Candidate>> candidates(const Scope&,
                                                    const std::vector<base::VectorStoreId>& stores) = 0;
  // Grows with every change of files, chunks, attachments or access lists; in-memory indexes and
  // candidate lists are re-read when it moved.
  virtual std::uint64_t content_version() const = 0;
  // Grows only when chunks or their vectors change: access lists and attachments don't make an index stale.
  virtual std::uint64_t vectors_version() const { return content_version(); }

  // API keys of this tenant.
  virtual Result<void> put_api_key(const Scope&, const identity::ApiKeyRecord& key) = 0;
  virtual Result<std::vector<identity::ApiKeyRecord>> list_api_keys(const Scope&) = 0;
  virtual Result<void> revoke_api_key(const Scope&, const base::ApiKeyId& id) = 0;
  virtual Result<void> delete_api_key(const Scope&, const base::ApiKeyId& id) = 0;

  // Kept chats.
  virtual Result<void> put_chat(const Scope&, const ChatRecord& chat) = 0;
  virtual Result<ChatRecord> get_chat(const Scope&, const base::ChatId& id) = 0;
  // Without messages and completion. `owners`: at most two forms of one user
  // (identity::Principal::stored_users); none: everyone's.
  virtual Result<std::vector<ChatRecord>> list_chats(const Scope&, const std::vector<std::string>& owners,
                                                     const Page& page) = 0;
  virtual Result<void> delete_chat(const Scope&, const base::ChatId& id) = 0;
  virtual Result<std::size_t> delete_expired_chats(const Scope&, std::int64_t now) = 0;

  // Upkeep (storage/upkeep.h calls it).
  //
  // Moves some more subjects (file, vector store, chat) from an older key to the newest; the last step
  // is the database's own key. Requests go on between the steps. Done: nothing in the store needs an
  // older key any more, neither in its files nor in its logs.
  enum class Reseal { More, Done };
  virtual Result<Reseal> reseal_some(const Scope&) = 0;
  // A name for the data key of a subject (storage/seal.h), for certificates; NotFound when it has none.
  virtual Result<std::string> data_key_id(const Scope&, const std::string& subject) = 0;
};

}  // namespace bulkhead::storage
