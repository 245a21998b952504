// The PostgreSQL backend of TenantStore: one class for the three layouts, which differ in the login it is
// given and in what each transaction begins with (storage/postgres_schema.h). No statement names a
// tenant: whose rows there are is decided by the role's rights or by the row policies.
//
// Everything a tenant or its users typed is sealed, also what the embedded backend leaves to the
// encryption of its file: owners, access lists, purposes, error messages, names of API keys. Owners are
// compared by a keyed hash, and words are found by one (docs/storage.md says what that gives away).
//
// Versions are this process's view: they are read when the store is opened and moved by its own writes.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <shared_mutex>

#include "base/clock.h"
#include "storage/backend.h"
#include "storage/postgres_pool.h"
#include "storage/seal.h"
#include "storage/word_tokens.h"

namespace bulkhead::storage {

// Keyed hashes of words and owners, under a key that only this tenant has: what can be compared in a
// database that may not know them.
class BlindIndex {
 public:
  explicit BlindIndex(const tenancy::TenantScope& scope);
  base::Bytes tag(std::string_view word) const;
  base::Bytes owner(std::string_view user) const;

 private:
  base::Bytes hash(std::string_view kind, std::string_view text) const;
  base::Secret key_;
};

// Misconfigured when the role of this login has any right beyond its own rows.
base::Result<void> check_serving_role(PostgresTransaction& transaction, const PostgresLogin& login,
                                      const PostgresOptions& options);
// Misconfigured when a role that serves several tenants may end or cancel its sessions, which are theirs too,
// or take advisory locks.
base::Result<void> check_shared_role(PostgresTransaction& transaction, const PostgresLogin& login);
// Misconfigured when every role may connect to another database of the server: rights on functions are a
// database's own, but sessions can be ended from any.
base::Result<void> check_other_databases(PostgresTransaction& transaction);
// Misconfigured unless every shared table, and every partition, has row-level security forced, and Bulkhead's
// policy alone.
base::Result<void> check_row_policies(PostgresTransaction& transaction, PostgresVectors vectors);

// Makes the index for vectors of this space and these dimensions, by the admin role.
using VectorIndexer = std::function<base::Result<void>(const base::EmbeddingSpace&, std::size_t dimensions)>;

// What was seen of the vectors of one space.
struct SpaceSeen {
  // Of the vectors, when it was looked: as published, and as it stands in the database.
  std::pair<std::uint64_t, std::int64_t> version;
  base::EmbeddingSpace space;
  bool complete = false;
  std::size_t dimensions = 0;
  std::uint64_t chunks = 0;
};

class PostgresStore final : public OpenStore {
 public:
  // The tables are there (PostgresBackend saw to it). Refuses (Misconfigured) a role with more rights
  // than it should have and tables without their policy.
  static Result<std::shared_ptr<PostgresStore>> open(const Scope& scope, PostgresPool& pool,
                                                     std::shared_ptr<const PostgresPlace> place,
                                                     const WordTokenizer& words, const base::Clock& clock,
                                                     VectorIndexer indexer);
  ~PostgresStore() override;

  void shut() override;
  bool needs_upkeep() const override { return needs_upkeep_.load(); }
  std::optional<Result<FoundApiKey>> try_find_api_key(const Scope& opener, const base::ApiKeyId& id) override;
  // The same without an open store. `database_keys` are the tenant's Database keys, newest first.
  static Result<FoundApiKey> find_api_key(PostgresPool& pool, const PostgresPlace& place,
                                          const base::TenantId& tenant,
                                          const std::vector<base::Secret>& database_keys,
                                          const base::ApiKeyId& id);

  Result<void> put_file(const Scope&, const FileRecord& file, std::string_view content) override;
  Result<FileRecord> get_file(const Scope&, const base::FileId& id) override;
  Result<std::vector<FileRecord>> list_files(const Scope&, const Page& page) override;
  Result<std::string> file_content(const Scope&, const base::FileId& id) override;
  Result<void> set_file_status(const Scope&, const base::FileId& id, FileStatus status,
                               std::string detail) override;
  Result<void> set_file_access(const Scope&, const base::FileId& id,
                               const access::DocumentAccess& access) override;
  Result<void> delete_file(const Scope&, const base::FileId& id) override;
  Result<Usage> usage(const Scope&) override;
  Result<Usage> recount_usage(const Scope&) override;

  Result<void> put_vector_store(const Scope&, const VectorStoreRecord& store) override;
  Result<VectorStoreRecord> get_vector_store(const Scope&, const base::VectorStoreId& id) override;
  Result<std::vector<VectorStoreRecord>> list_vector_stores(const Scope&, const Page& page) override;
  Result<std::vector<VectorStoreRecord>> default_vector_stores(const Scope&) override;
  Result<void> delete_vector_store(const Scope&, const base::VectorStoreId& id) override;
  Result<void> put_attachment(const Scope&, const AttachmentRecord& attachment) override;
  Result<AttachmentRecord> get_attachment(const Scope&, const base::VectorStoreId& store,
                                          const base::FileId& file) override;
  Result<std::vector<AttachmentRecord>> list_attachments(const Scope&, const base::VectorStoreId& store,
                                                         const Page& page) override;
  Result<void> delete_attachment(const Scope&, const base::VectorStoreId& store,
                                 const base::FileId& file) override;

  Result<void> replace_chunks(const Scope&, const base::FileId& file, const std::vector<Chunk>& chunks,
                              const std::vector<ChunkVectors>& vectors) override;
  Result<void> put_vectors(const Scope&, const base::FileId& file, std::int64_t batch,
                           const std::vector<ChunkVectors>& vectors) override;
  Result<bool> has_chunks(const Scope&, const base::FileId& file) override;
  Result<FileChunks> file_chunks(const Scope&, const base::FileId& file) override;
  Result<std::vector<Chunk>> get_chunks(const Scope&, const std::vector<ChunkKey>& keys) override;
  Result<void> for_each_vector(const Scope&, const VectorVisitor& visit) override;
  bool searches_vectors() const override { return pool_.options().vectors == PostgresVectors::Pgvector; }
  Result<VectorHits> search_vectors(const Scope&, const base::EmbeddingSpace& space,
                                    const std::vector<float>& query, const std::vector<base::FileId>& files,
                                    std::size_t limit) override;
  Result<std::vector<LexicalHit>> search_text(const Scope&, const std::vector<std::string>& words,
                                              const std::vector<base::FileId>& files,
                                              std::size_t limit) override;
  Result<std::vector<Candidate>> candidates(const Scope&,
                                            const std::vector<base::VectorStoreId>& stores) override;
  std::uint64_t content_version() const override { return published(content_version_); }
  std::uint64_t vectors_version() const override { return published(vectors_version_); }

  Result<void> put_api_key(const Scope&, const identity::ApiKeyRecord& key) override;
  Result<std::vector<identity::ApiKeyRecord>> list_api_keys(const Scope&) override;
  Result<void> revoke_api_key(const Scope&, const base::ApiKeyId& id) override;
  Result<void> delete_api_key(const Scope&, const base::ApiKeyId& id) override;

  Result<void> put_chat(const Scope&, const ChatRecord& chat) override;
  Result<ChatRecord> get_chat(const Scope&, const base::ChatId& id) override;
  Result<std::vector<ChatRecord>> list_chats(const Scope&, const std::vector<std::string>& owners,
                                             const Page& page) override;
  Result<void> delete_chat(const Scope&, const base::ChatId& id) override;
  Result<std::size_t> delete_expired_chats(const Scope&, std::int64_t now) override;

  Result<Reseal> reseal_some(const Scope&) override;
  Result<std::string> data_key_id(const Scope&, const std::string& subject) override;

 private:
  // A transaction, with the store held open around it.
  struct Use {
    std::shared_lock<std::shared_mutex> open;
    PostgresTransaction transaction;
    std::optional<Usage> usage = std::nullopt;  // as counted, to be seen after the commit
    PostgresTransaction& operator*() { return transaction; }
    PostgresTransaction* operator->() { return &transaction; }
  };
  struct Versions {
    std::uint64_t content = 0;
    std::uint64_t vectors = 0;
  };

  PostgresStore(base::TenantId tenant, PostgresPool& pool, std::shared_ptr<const PostgresPlace> place,
                const WordTokenizer& words, const base::Clock& clock, VectorIndexer indexer);
  // With every lost connection and every step back a number that was not there before: what an index was
  // built from may not be what the server holds.
  std::uint64_t published(const std::atomic<std::uint64_t>& version) const;
  Result<void> check(const Scope& scope) const;
  Result<Use> use(const Scope& scope, PostgresTransaction::Mode mode);
  Result<Use> reading(const Scope& scope) { return use(scope, PostgresTransaction::Mode::Read); }
  Result<Use> writing(const Scope& scope) { return use(scope, PostgresTransaction::Mode::Write); }

  // Whether the tenant's policy bounds what a transaction adds, or it is the platform's own note.
  enum class Bounds { Hold, Ignore };
  // Before a commit: adds what the transaction keeps more or less to the counts; QuotaExceeded when more is
  // kept than may be.
  Result<void> count(const Scope& scope, Use& use, Bounds bounds);
  Result<void> commit_counted(const Scope& scope, Use& use, Bounds bounds = Bounds::Hold);
  // The same after moving the content version (and the vectors' one); then publishes both.
  Result<void> commit_moved(const Scope& scope, Use& use, bool vectors_too, Bounds bounds = Bounds::Hold);
  // Inside a transaction: takes chunks, vectors and words of a batch out.
  Result<void> drop_batch(PostgresTransaction& transaction, std::int64_t batch);
  // Inside a transaction: so many more (or fewer) in the totals that ranking needs.
  static Result<void> count_batch(PostgresTransaction& transaction, std::int64_t chunks, std::int64_t words);
  // Inside a transaction: every API key under the newest Database key.
  static Result<void> reseal_api_keys(PostgresTransaction& transaction, const Scope& scope);
  // postgres_vectors.cc, for search in the database. Before a transaction: the index that these vectors need.
  Result<void> prepare_vectors(const std::vector<ChunkVectors>& vectors);
  // Inside a transaction: takes the rotated vectors of a batch out.
  Result<void> drop_vectors(PostgresTransaction& transaction, std::int64_t batch);
  // Inside a transaction: these chunks' vectors, rotated.
  static Result<void> write_vectors(PostgresTransaction& transaction, const Scope& scope,
                                    const std::vector<ChunkKey>& keys,
                                    const std::vector<ChunkVectors>& vectors);
  // Inside a transaction that opens the store: whether vectors are still to be made from the sealed ones.
  Result<bool> lacks_vectors(PostgresTransaction& transaction);
  // Some more of them.
  Result<Reseal> fill_some(const Scope& scope);
  Result<SpaceSeen> look_at_space(PostgresTransaction& transaction, const base::EmbeddingSpace& space);
  using WordCounts = std::map<std::string, std::uint32_t>;

  const base::TenantId tenant_;
  PostgresPool& pool_;
  const std::shared_ptr<const PostgresPlace> place_;
  const WordTokenizer& words_;
  const base::Clock& clock_;
  const VectorIndexer indexer_;
  std::atomic<bool> vectors_lacking_{false};
  std::mutex vectors_mutex_;  // for the next two
  std::set<std::pair<base::EmbeddingSpace, std::size_t>> indexed_;
  std::optional<SpaceSeen> space_seen_;
  std::atomic<bool> needs_upkeep_{false};
  std::atomic<std::uint64_t> content_version_{0};
  std::atomic<std::uint64_t> vectors_version_{0};
  std::atomic<std::uint64_t> steps_back_{0};  // the server gave a version that it had given before
  mutable std::shared_mutex shut_mutex_;      // calls hold it shared
  bool shut_ = false;
};

}  // namespace bulkhead::storage
