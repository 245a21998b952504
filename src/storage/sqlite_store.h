// The embedded backend of TenantStore: one SQLCipher file a tenant (storage/tenant_schema.h).
//
// Two connections at most: one for all that writes, and a second, opened only when a reader finds the
// first one busy, so that a search does not wait for an upload. Each has a lock of its own.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>

#include "base/clock.h"
#include "base/fair_pool.h"
#include "storage/backend.h"
#include "storage/sqlite_database.h"
#include "storage/store.h"

namespace bulkhead::storage {

class SqliteStore final : public OpenStore {
 public:
  // `path` lies in an existing private folder. Makes the file when it is not there.
  static Result<std::shared_ptr<SqliteStore>> open(const Scope& scope, std::filesystem::path path,
                                                   const base::Clock& clock);
  ~SqliteStore() override;

  void shut() override;
  void forget_pages() override;
  std::optional<Result<FoundApiKey>> try_find_api_key(const Scope&, const base::ApiKeyId& id) override;
  // For tests and capacity planning.
  void set_pages_max(std::int64_t pages);
  std::uint64_t memory_bytes();
  std::vector<std::string> query_plans();
  // Something in it is sealed with an older key, or was written before there were data keys.
  bool needs_upkeep() const override { return needs_upkeep_.load(); }

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
  Result<std::vector<LexicalHit>> search_text(const Scope&, const std::vector<std::string>& words,
                                              const std::vector<base::FileId>& files,
                                              std::size_t limit) override;
  Result<std::vector<Candidate>> candidates(const Scope&,
                                            const std::vector<base::VectorStoreId>& stores) override;
  std::uint64_t content_version() const override { return content_version_.load(); }
  std::uint64_t vectors_version() const override { return vectors_version_.load(); }

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
  // Ends statements of a connection when the client of the work that runs here leaves.
  struct Interrupting {
    explicit Interrupting(SqliteDatabase& database) : database_(&database) {
      database.interrupt_when(base::FairPool::running_cancel());
    }
    Interrupting(Interrupting&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
    Interrupting& operator=(Interrupting&&) = delete;
    ~Interrupting() {
      if (database_) database_->interrupt_when(nullptr);
    }

   private:
    SqliteDatabase* database_;
  };
  // A connection held under its lock.
  struct Use {
    std::unique_lock<std::mutex> lock;
    SqliteDatabase* database;
    // On the second connection, where a commit could come between two statements.
    std::optional<ReadTransaction> snapshot = std::nullopt;
    // While it reads. Ends before the snapshot does, so that its end isn't cut short.
    std::optional<Interrupting> interrupting = std::nullopt;
    SqliteDatabase& operator*() const { return *database; }
    SqliteDatabase* operator->() const { return database; }
  };
  // A transaction that writes, and what was kept before it.
  struct Change {
    Use use;  // goes last
    Transaction transaction;
    Usage before;
    SqliteDatabase& operator*() const { return *use; }
    SqliteDatabase* operator->() const { return use.database; }
  };
  // Whether the tenant's policy bounds what a change adds, or it is the platform's own note.
  enum class Bounds { Hold, Ignore };
  struct Versions {
    std::uint64_t content = 0;
    std::uint64_t vectors = 0;
  };

  SqliteStore(base::TenantId tenant, std::filesystem::path path, const base::Clock& clock,
              std::unique_ptr<SqliteDatabase> main, std::uint32_t key_version);
  // The file under the newest database key; both locks are held.
  Result<void> renew_database_key(const Scope& scope);
  // The connection that writes, made anew when it had to be given up. Its lock is held.
  Result<SqliteDatabase*> main_connection(const Scope& scope);
  Result<void> check(const Scope& scope) const;
  Result<Use> reading(const Scope& scope);
  Result<Use> writing(const Scope& scope);
  Result<Change> begin_change(const Scope& scope);
  // QuotaExceeded, and nothing is changed, when more is kept than may be.
  Result<void> commit(const Scope& scope, Change& change, Bounds bounds = Bounds::Hold);

  // Inside a transaction: moves the content version (and the vectors' one), for publish() after the
  // commit.
  static Result<Versions> moved(SqliteDatabase& database, bool vectors_too);
  void publish(const Versions& versions);
  // Inside a transaction: takes chunks, vectors and words of a batch out of all indexes.
  static Result<void> drop_batch(SqliteDatabase& database, std::int64_t batch);

  const base::TenantId tenant_;
  const std::filesystem::path path_;
  const base::Clock& clock_;
  std::atomic<std::uint64_t> content_version_{0};
  std::atomic<std::uint64_t> vectors_version_{0};

  std::mutex main_mutex_;
  std::unique_ptr<SqliteDatabase> main_;  // null once shut, or when it had to be given up
  bool main_used_ = false;                // since forget_pages()
  std::mutex reader_mutex_;
  bool reader_used_ = false;
  std::unique_ptr<SqliteDatabase> reader_;  // made on demand
  std::atomic<bool> needs_upkeep_{false};
  std::uint32_t key_version_;  // of the database key; under main_mutex_
  bool shut_ = false;          // under both locks
};

}  // namespace bulkhead::storage
