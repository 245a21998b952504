#include "storage/watched_store.h"

#include "storage/seal.h"

namespace bulkhead::storage {

using base::Result;

// Writes.

Result<void> WatchedStore::put_file(const Scope& scope, const FileRecord& file, std::string_view content) {
  auto done = store_->put_file(scope, file, content);
  journal_->note(subject_of(file.id));
  return done;
}

Result<void> WatchedStore::set_file_status(const Scope& scope, const base::FileId& id, FileStatus status,
                                           std::string detail) {
  auto done = store_->set_file_status(scope, id, status, std::move(detail));
  journal_->note(subject_of(id));
  return done;
}

Result<void> WatchedStore::set_file_access(const Scope& scope, const base::FileId& id,
                                           const access::DocumentAccess& access) {
  auto done = store_->set_file_access(scope, id, access);
  journal_->note(subject_of(id));
  return done;
}

Result<void> WatchedStore::delete_file(const Scope& scope, const base::FileId& id) {
  auto done = store_->delete_file(scope, id);
  journal_->note(subject_of(id));
  return done;
}

Result<void> WatchedStore::put_vector_store(const Scope& scope, const VectorStoreRecord& store) {
  auto done = store_->put_vector_store(scope, store);
  journal_->note(subject_of(store.id));
  return done;
}

Result<void> WatchedStore::delete_vector_store(const Scope& scope, const base::VectorStoreId& id) {
  auto done = store_->delete_vector_store(scope, id);
  journal_->note(subject_of(id));
  return done;
}

Result<void> WatchedStore::put_attachment(const Scope& scope, const AttachmentRecord& attachment) {
  auto done = store_->put_attachment(scope, attachment);
  journal_->note(subject_of(attachment.store));
  return done;
}

Result<void> WatchedStore::delete_attachment(const Scope& scope, const base::VectorStoreId& store,
                                             const base::FileId& file) {
  auto done = store_->delete_attachment(scope, store, file);
  journal_->note(subject_of(store));
  return done;
}

Result<void> WatchedStore::replace_chunks(const Scope& scope, const base::FileId& file,
                                          const std::vector<Chunk>& chunks,
                                          const std::vector<ChunkVectors>& vectors) {
  auto done = store_->replace_chunks(scope, file, chunks, vectors);
  journal_->note(subject_of(file));
  return done;
}

Result<void> WatchedStore::put_vectors(const Scope& scope, const base::FileId& file, std::int64_t batch,
                                       const std::vector<ChunkVectors>& vectors) {
  auto done = store_->put_vectors(scope, file, batch, vectors);
  journal_->note(subject_of(file));
  return done;
}

Result<void> WatchedStore::put_api_key(const Scope& scope, const identity::ApiKeyRecord& key) {
  auto done = store_->put_api_key(scope, key);
  journal_->note(subject_of(key.id));
  return done;
}

Result<void> WatchedStore::revoke_api_key(const Scope& scope, const base::ApiKeyId& id) {
  auto done = store_->revoke_api_key(scope, id);
  journal_->note(subject_of(id));
  return done;
}

Result<void> WatchedStore::delete_api_key(const Scope& scope, const base::ApiKeyId& id) {
  auto done = store_->delete_api_key(scope, id);
  journal_->note(subject_of(id));
  return done;
}

Result<void> WatchedStore::put_chat(const Scope& scope, const ChatRecord& chat) {
  auto done = store_->put_chat(scope, chat);
  journal_->note(subject_of(chat.id));
  return done;
}

Result<void> WatchedStore::delete_chat(const Scope& scope, const base::ChatId& id) {
  auto done = store_->delete_chat(scope, id);
  journal_->note(subject_of(id));
  return done;
}

// An expired chat is hidden already, in a copy as well, and goes from there by itself.
Result<std::size_t> WatchedStore::delete_expired_chats(const Scope& scope, std::int64_t now) {
  return store_->delete_expired_chats(scope, now);
}

// Wraps data keys anew; what they seal stays as it is.
Result<TenantStore::Reseal> WatchedStore::reseal_some(const Scope& scope) {
  return store_->reseal_some(scope);
}

// Reads.

Result<FileRecord> WatchedStore::get_file(const Scope& scope, const base::FileId& id) {
  return store_->get_file(scope, id);
}
Result<std::vector<FileRecord>> WatchedStore::list_files(const Scope& scope, const Page& page) {
  return store_->list_files(scope, page);
}
Result<std::string> WatchedStore::file_content(const Scope& scope, const base::FileId& id) {
  return store_->file_content(scope, id);
}
Result<Usage> WatchedStore::usage(const Scope& scope) { return store_->usage(scope); }
Result<Usage> WatchedStore::recount_usage(const Scope& scope) { return store_->recount_usage(scope); }
Result<VectorStoreRecord> WatchedStore::get_vector_store(const Scope& scope, const base::VectorStoreId& id) {
  return store_->get_vector_store(scope, id);
}
Result<std::vector<VectorStoreRecord>> WatchedStore::list_vector_stores(const Scope& scope,
                                                                        const Page& page) {
  return store_->list_vector_stores(scope, page);
}
Result<std::vector<VectorStoreRecord>> WatchedStore::default_vector_stores(const Scope& scope) {
  return store_->default_vector_stores(scope);
}
Result<AttachmentRecord> WatchedStore::get_attachment(const Scope& scope, const base::VectorStoreId& store,
                                                      const base::FileId& file) {
  return store_->get_attachment(scope, store, file);
}
Result<std::vector<AttachmentRecord>> WatchedStore::list_attachments(const Scope& scope,
                                                                     const base::VectorStoreId& store,
                                                                     const Page& page) {
  return store_->list_attachments(scope, store, page);
}
Result<bool> WatchedStore::has_chunks(const Scope& scope, const base::FileId& file) {
  return store_->has_chunks(scope, file);
}
Result<TenantStore::FileChunks> WatchedStore::file_chunks(const Scope& scope, const base::FileId& file) {
  return store_->file_chunks(scope, file);
}
Result<std::vector<Chunk>> WatchedStore::get_chunks(const Scope& scope, const std::vector<ChunkKey>& keys) {
  return store_->get_chunks(scope, keys);
}
Result<void> WatchedStore::for_each_vector(const Scope& scope, const VectorVisitor& visit) {
  return store_->for_each_vector(scope, visit);
}
Result<TenantStore::VectorHits> WatchedStore::search_vectors(const Scope& scope,
                                                             const base::EmbeddingSpace& space,
                                                             const std::vector<float>& query,
                                                             const std::vector<base::FileId>& files,
                                                             std::size_t limit) {
  return store_->search_vectors(scope, space, query, files, limit);
}
Result<std::vector<LexicalHit>> WatchedStore::search_text(const Scope& scope,
                                                          const std::vector<std::string>& words,
                                                          const std::vector<base::FileId>& files,
                                                          std::size_t limit) {
  return store_->search_text(scope, words, files, limit);
}
Result<std::vector<TenantStore::Candidate>> WatchedStore::candidates(
    const Scope& scope, const std::vector<base::VectorStoreId>& stores) {
  return store_->candidates(scope, stores);
}
Result<std::vector<identity::ApiKeyRecord>> WatchedStore::list_api_keys(const Scope& scope) {
  return store_->list_api_keys(scope);
}
Result<ChatRecord> WatchedStore::get_chat(const Scope& scope, const base::ChatId& id) {
  return store_->get_chat(scope, id);
}
Result<std::vector<ChatRecord>> WatchedStore::list_chats(const Scope& scope,
                                                         const std::vector<std::string>& owners,
                                                         const Page& page) {
  return store_->list_chats(scope, owners, page);
}
Result<std::string> WatchedStore::data_key_id(const Scope& scope, const std::string& subject) {
  return store_->data_key_id(scope, subject);
}

}  // namespace bulkhead::storage
