// WatchedStore: an open store that notes in a journal which subjects were written, while a copy of it is
// being made (StoreManager::Watch). Everything else it hands on.
//
// A write is noted when it is over, whether it succeeded or not: who then reads the subject sees it.
// Thread safety: all members from every thread.
#pragma once

#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "storage/backend.h"

namespace bulkhead::storage {

// The names of subjects (storage/subject.h) that were written since it was last asked. A file that goes takes
// its attachments with it; the vector stores that held it are not noted for that.
class Journal {
 public:
  using Written = std::set<std::string>;
  void note(std::string subject) {
    std::scoped_lock lock(mutex_);
    written_.insert(std::move(subject));
  }
  std::size_t size() const {
    std::scoped_lock lock(mutex_);
    return written_.size();
  }
  Written take() {
    std::scoped_lock lock(mutex_);
    return std::exchange(written_, {});
  }

 private:
  mutable std::mutex mutex_;
  Written written_;
};

class WatchedStore final : public OpenStore {
 public:
  WatchedStore(std::shared_ptr<OpenStore> store, std::shared_ptr<Journal> journal)
      : store_(std::move(store)), journal_(std::move(journal)) {}
  const std::shared_ptr<OpenStore>& watched() const { return store_; }

  void shut() override { store_->shut(); }
  void forget_pages() override { store_->forget_pages(); }
  bool needs_upkeep() const override { return store_->needs_upkeep(); }
  std::optional<Result<FoundApiKey>> try_find_api_key(const Scope& opener,
                                                      const base::ApiKeyId& id) override {
    return store_->try_find_api_key(opener, id);
  }

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
  bool searches_vectors() const override { return store_->searches_vectors(); }
  Result<VectorHits> search_vectors(const Scope&, const base::EmbeddingSpace& space,
                                    const std::vector<float>& query, const std::vector<base::FileId>& files,
                                    std::size_t limit) override;
  Result<std::vector<LexicalHit>> search_text(const Scope&, const std::vector<std::string>& words,
                                              const std::vector<base::FileId>& files,
                                              std::size_t limit) override;
  Result<std::vector<Candidate>> candidates(const Scope&,
                                            const std::vector<base::VectorStoreId>& stores) override;
  std::uint64_t content_version() const override { return store_->content_version(); }
  std::uint64_t vectors_version() const override { return store_->vectors_version(); }

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
  const std::shared_ptr<OpenStore> store_;
  const std::shared_ptr<Journal> journal_;
};

}  // namespace bulkhead::storage
