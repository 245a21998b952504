#include "storage/transfer.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "storage/record_json.h"
#include "storage/seal.h"

namespace bulkhead::storage {
namespace {

using base::Result;
using Scope = tenancy::TenantScope;
using Names = std::vector<std::string>;

constexpr std::size_t kPageRows = 100;

// Pages by `list`, which takes the id to go on after. What stood last may be deleted meanwhile; then the
// one before it is gone on after.
template <typename List, typename Record>
Result<std::vector<Record>> all_pages(const List& list, const std::string& (*id_of)(const Record&)) {
  std::vector<Record> all;
  while (true) {
    Page page{.limit = kPageRows, .after = std::nullopt, .ascending = true};
    if (!all.empty()) page.after = id_of(all.back());
    auto rows = list(page);
    if (!rows) {
      if (!rows.error().is(StorageError::NotFound) || all.empty()) return rows.take_error();
      all.pop_back();
      continue;
    }
    const bool last = rows->size() < kPageRows;
    for (Record& row : *rows) all.push_back(std::move(row));
    if (last) return all;
  }
}

template <typename Record>
Result<Names> names_of(Result<std::vector<Record>> records) {
  if (!records) return records.take_error();
  Names names;
  for (const Record& record : *records) names.push_back(subject_of(record.id));
  return names;
}

const std::string& file_id_of(const FileRecord& file) { return file.id.str(); }
const std::string& store_id_of(const VectorStoreRecord& store) { return store.id.str(); }
const std::string& chat_id_of(const ChatRecord& chat) { return chat.id.str(); }
const std::string& attached_file_of(const AttachmentRecord& each) { return each.file.str(); }

Result<std::vector<AttachmentRecord>> all_attachments(TenantStore& store, const Scope& scope,
                                                      const base::VectorStoreId& id) {
  return all_pages([&](const Page& page) { return store.list_attachments(scope, id, page); },
                   &attached_file_of);
}

template <typename T>
Result<std::optional<Subject>> absent_or(Result<T> failed) {
  if (failed.error().is(StorageError::NotFound)) return std::optional<Subject>();
  return failed.take_error();
}

Result<std::optional<Subject>> read_file(TenantStore& store, const Scope& scope, const base::FileId& id) {
  auto record = store.get_file(scope, id);
  if (!record) return absent_or(std::move(record));
  auto content = store.file_content(scope, id);
  if (!content) return absent_or(std::move(content));
  auto chunks = store.file_chunks(scope, id);
  if (!chunks) return absent_or(std::move(chunks));
  return std::optional<Subject>(FileSubject{std::move(*record), std::move(*content), std::move(*chunks)});
}

Result<std::optional<Subject>> read_vector_store(TenantStore& store, const Scope& scope,
                                                 const base::VectorStoreId& id) {
  auto record = store.get_vector_store(scope, id);
  if (!record) return absent_or(std::move(record));
  auto attachments = all_attachments(store, scope, id);
  if (!attachments) return absent_or(std::move(attachments));
  // Within a second a store has them in the order in which they came to it, and in a copy they may come in
  // another one.
  std::sort(attachments->begin(), attachments->end(), [](const auto& a, const auto& b) {
    return std::tie(a.created, a.file) < std::tie(b.created, b.file);
  });
  return std::optional<Subject>(VectorStoreSubject{std::move(*record), std::move(*attachments)});
}

Result<std::optional<Subject>> read_api_key(TenantStore& store, const Scope& scope,
                                            const base::ApiKeyId& id) {
  BULKHEAD_TRY(keys, store.list_api_keys(scope));
  for (identity::ApiKeyRecord& key : keys) {
    if (key.id == id) return std::optional<Subject>(std::move(key));
  }
  return std::optional<Subject>();
}

bool same_chunks(const TenantStore::FileChunks& left, const TenantStore::FileChunks& right) {
  return left.vectors == right.vectors &&
         std::equal(left.chunks.begin(), left.chunks.end(), right.chunks.begin(), right.chunks.end(),
                    [](const Chunk& a, const Chunk& b) {
                      return a.ordinal == b.ordinal && a.text == b.text && a.heading == b.heading &&
                             a.page == b.page && a.begin == b.begin && a.end == b.end && a.tokens == b.tokens;
                    });
}

Result<void> write(TenantStore& store, const Scope& scope, const FileSubject& file) {
  const base::FileId& id = file.record.id;
  auto there = store.get_file(scope, id);
  if (!there && !there.error().is(StorageError::NotFound)) return there.take_error();
  // An original never changes; what has this id and another one is not a copy of it.
  if (there && (there->sha256 != file.record.sha256 || there->bytes != file.record.bytes ||
                there->created != file.record.created)) {
    BULKHEAD_CHECK_OK(store.delete_file(scope, id));
    there = base::Error(StorageError::NotFound, "");
  }
  if (!there) {
    BULKHEAD_CHECK_OK(store.put_file(scope, file.record, file.content));
    if (file.chunks.chunks.empty()) return {};
    return store.replace_chunks(scope, id, file.chunks.chunks, file.chunks.vectors);
  }
  BULKHEAD_CHECK_OK(store.set_file_status(scope, id, file.record.status, file.record.status_detail));
  BULKHEAD_CHECK_OK(store.set_file_access(scope, id, file.record.access));
  BULKHEAD_TRY(chunks, store.file_chunks(scope, id));
  if (same_chunks(chunks, file.chunks)) return {};
  return store.replace_chunks(scope, id, file.chunks.chunks, file.chunks.vectors);
}

Result<void> write(TenantStore& store, const Scope& scope, const VectorStoreSubject& subject) {
  const base::VectorStoreId& id = subject.record.id;
  auto there = store.get_vector_store(scope, id);
  if (!there && !there.error().is(StorageError::NotFound)) return there.take_error();
  if (there && (there->owner != subject.record.owner || there->created != subject.record.created)) {
    BULKHEAD_CHECK_OK(store.delete_vector_store(scope, id));
  }
  BULKHEAD_CHECK_OK(store.put_vector_store(scope, subject.record));
  BULKHEAD_TRY(before, all_attachments(store, scope, id));
  const auto same = [](const AttachmentRecord& a, const AttachmentRecord& b) {
    return a.created == b.created && a.status == b.status && a.error_code == b.error_code &&
           a.error_message == b.error_message && a.chunks == b.chunks;
  };
  std::map<base::FileId, const AttachmentRecord*> wanted, kept;
  for (const AttachmentRecord& each : subject.attachments) wanted.emplace(each.file, &each);
  for (const AttachmentRecord& old : before) {
    const auto stays = wanted.find(old.file);
    if (stays != wanted.end() && stays->second->created == old.created) {
      kept.emplace(old.file, &old);
    } else {
      BULKHEAD_CHECK_OK(store.delete_attachment(scope, id, old.file));
    }
  }
  // A store may hold thousands of files, of which one is new.
  for (const AttachmentRecord& each : subject.attachments) {
    const auto there_already = kept.find(each.file);
    if (there_already != kept.end() && same(*there_already->second, each)) continue;
    auto put = store.put_attachment(scope, each);
    if (!put && !put.error().is(StorageError::NotFound)) return put;
  }
  return {};
}

Result<void> write(TenantStore& store, const Scope& scope, const ChatRecord& chat) {
  return store.put_chat(scope, chat);
}

// Gone already is as good as removed.
Result<void> unless_gone(Result<void> done) {
  if (!done && !done.error().is(StorageError::NotFound)) return done;
  return {};
}

Result<void> write(TenantStore& store, const Scope& scope, const identity::ApiKeyRecord& key) {
  BULKHEAD_CHECK_OK(unless_gone(store.delete_api_key(scope, key.id)));
  return store.put_api_key(scope, key);
}

}  // namespace

Result<Names> list_subjects(TenantStore& store, const Scope& scope, SubjectKind kind) {
  switch (kind) {
    case SubjectKind::File:
      return names_of(
          all_pages([&](const Page& page) { return store.list_files(scope, page); }, &file_id_of));
    case SubjectKind::VectorStore:
      return names_of(
          all_pages([&](const Page& page) { return store.list_vector_stores(scope, page); }, &store_id_of));
    case SubjectKind::Chat:
      return names_of(
          all_pages([&](const Page& page) { return store.list_chats(scope, {}, page); }, &chat_id_of));
    case SubjectKind::ApiKey: break;
  }
  return names_of(store.list_api_keys(scope));
}

Result<Names> list_subjects(TenantStore& store, const Scope& scope) {
  Names all;
  for (const SubjectKind kind : kSubjectKinds) {
    BULKHEAD_TRY(names, list_subjects(store, scope, kind));
    for (std::string& name : names) all.push_back(std::move(name));
  }
  return all;
}

Result<std::optional<Subject>> read_subject(TenantStore& store, const Scope& scope, const std::string& name) {
  const auto kind = subject_kind(name);
  if (!kind) return damaged("the name of a record");
  const std::string_view id = subject_id(name);
  switch (*kind) {
    case SubjectKind::File: return read_file(store, scope, *base::FileId::parse(id));
    case SubjectKind::VectorStore: return read_vector_store(store, scope, *base::VectorStoreId::parse(id));
    case SubjectKind::Chat: {
      auto chat = store.get_chat(scope, *base::ChatId::parse(id));
      if (!chat) return absent_or(std::move(chat));
      return std::optional<Subject>(std::move(*chat));
    }
    case SubjectKind::ApiKey: break;
  }
  return read_api_key(store, scope, *base::ApiKeyId::parse(id));
}

Result<void> write_subject(TenantStore& store, const Scope& scope, const Subject& subject) {
  return std::visit([&](const auto& each) { return write(store, scope, each); }, subject);
}

Result<void> remove_subject(TenantStore& store, const Scope& scope, const std::string& name) {
  const auto kind = subject_kind(name);
  if (!kind) return damaged("the name of a record");
  const std::string_view id = subject_id(name);
  switch (*kind) {
    case SubjectKind::File: return unless_gone(store.delete_file(scope, *base::FileId::parse(id)));
    case SubjectKind::VectorStore:
      return unless_gone(store.delete_vector_store(scope, *base::VectorStoreId::parse(id)));
    case SubjectKind::Chat: return unless_gone(store.delete_chat(scope, *base::ChatId::parse(id)));
    case SubjectKind::ApiKey: break;
  }
  return unless_gone(store.delete_api_key(scope, *base::ApiKeyId::parse(id)));
}

}  // namespace bulkhead::storage
