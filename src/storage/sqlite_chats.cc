// SqliteStore: kept chats and API keys.
#include <limits>

#include "storage/api_key_rows.h"
#include "storage/record_json.h"
#include "storage/sqlite_data_keys.h"
#include "storage/sqlite_error.h"
#include "storage/sqlite_store.h"
#include "storage/tenant_schema.h"

namespace bulkhead::storage {
namespace {

// Columns: id, owner, model, created, expires, metadata_box.
base::Result<ChatRecord> chat_from_row(const Statement& row, const RecordSealer& sealer) {
  auto id = base::ChatId::parse(row.text(0));
  if (!id) return damaged("a chat");
  ChatRecord chat{.id = std::move(*id)};
  chat.owner = row.text(1);
  chat.model = row.text(2);
  chat.created = row.integer(3);
  chat.expires = row.integer(4);
  BULKHEAD_TRY(metadata, sealer.open_text({RecordKind::ChatMetadata, chat.id.str()}, row.blob(5)));
  chat.metadata_json = std::move(metadata);
  return chat;
}

// One statement for everyone's chats, one for an owner's, and one for an owner of two forms: each goes along
// its own index.
Sql chat_listing(const std::vector<std::string>& owners, bool ascending) {
  if (owners.empty()) {
    return ascending ? Sql("SELECT id, owner, model, created, expires, metadata_box FROM chats "
                           "WHERE (created, no) > (?1, ?2) AND (expires = 0 OR expires > ?5) AND ?4 = ?6 "
                           "ORDER BY created, no LIMIT ?3")
                     : Sql("SELECT id, owner, model, created, expires, metadata_box FROM chats "
                           "WHERE (created, no) < (?1, ?2) AND (expires = 0 OR expires > ?5) AND ?4 = ?6 "
                           "ORDER BY created DESC, no DESC LIMIT ?3");
  }
  if (owners.size() == 1) {
    return ascending ? Sql("SELECT id, owner, model, created, expires, metadata_box FROM chats "
                           "WHERE owner = ?4 AND (created, no) > (?1, ?2) AND (expires = 0 OR expires > ?5) "
                           "AND ?4 = ?6 ORDER BY created, no LIMIT ?3")
                     : Sql("SELECT id, owner, model, created, expires, metadata_box FROM chats "
                           "WHERE owner = ?4 AND (created, no) < (?1, ?2) AND (expires = 0 OR expires > ?5) "
                           "AND ?4 = ?6 ORDER BY created DESC, no DESC LIMIT ?3");
  }
  return ascending
             ? Sql("SELECT id, owner, model, created, expires, metadata_box FROM chats "
                   "WHERE owner IN (?4, ?6) AND (created, no) > (?1, ?2) AND (expires = 0 OR expires > ?5) "
                   "ORDER BY created, no LIMIT ?3")
             : Sql("SELECT id, owner, model, created, expires, metadata_box FROM chats "
                   "WHERE owner IN (?4, ?6) AND (created, no) < (?1, ?2) AND (expires = 0 OR expires > ?5) "
                   "ORDER BY created DESC, no DESC LIMIT ?3");
}

}  // namespace

base::Result<void> SqliteStore::put_chat(const Scope& scope, const ChatRecord& chat) {
  BULKHEAD_TRY(use, begin_change(scope));
  BULKHEAD_TRY(sealer, fresh_sealer(*use, scope, subject_of(chat.id)));
  const std::string& id = chat.id.str();
  const base::Bytes metadata = sealer.seal({RecordKind::ChatMetadata, id}, chat.metadata_json);
  const base::Bytes messages = sealer.seal({RecordKind::ChatMessages, id}, chat.messages_json);
  const base::Bytes completion = sealer.seal({RecordKind::ChatCompletion, id}, chat.completion_json);
  // Another owner's chat is not overwritten: an id can't be taken over.
  {
    Statement upsert = use->prepare(
        "INSERT INTO chats (id, owner, model, created, expires, metadata_box, messages_box, "
        "completion_box) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) "
        "ON CONFLICT (id) DO UPDATE SET expires = excluded.expires, "
        "metadata_box = excluded.metadata_box, messages_box = excluded.messages_box, "
        "completion_box = excluded.completion_box WHERE owner = excluded.owner RETURNING no");
    upsert.bind(id, chat.owner, chat.model, chat.created, chat.expires, metadata, messages, completion);
    BULKHEAD_TRY(written, upsert.step());
    if (!written) {
      return base::Error(StorageError::AlreadyExists, "An object with this id exists already.",
                         "chat " + id + " belongs to another user");
    }
    BULKHEAD_CHECK_OK(upsert.run());
  }
  return commit(scope, use);
}

// An expired chat is gone from the moment it expires, not from the sweep that removes it.
base::Result<ChatRecord> SqliteStore::get_chat(const Scope& scope, const base::ChatId& id) {
  BULKHEAD_TRY(use, reading(scope));
  Statement query = use->prepare(
      "SELECT id, owner, model, created, expires, metadata_box, messages_box, completion_box "
      "FROM chats WHERE id = ?1 AND (expires = 0 OR expires > ?2)");
  query.bind(id.str(), clock_.unix_seconds());
  BULKHEAD_TRY(row, query.step());
  if (!row) return not_found("chat");
  BULKHEAD_TRY(sealer, sealer_of(*use, scope, subject_of(id)));
  BULKHEAD_TRY(chat, chat_from_row(query, sealer));
  BULKHEAD_TRY(messages, sealer.open_text({RecordKind::ChatMessages, id.str()}, query.blob(6)));
  BULKHEAD_TRY(completion, sealer.open_text({RecordKind::ChatCompletion, id.str()}, query.blob(7)));
  chat.messages_json = std::move(messages);
  chat.completion_json = std::move(completion);
  return chat;
}

base::Result<std::vector<ChatRecord>> SqliteStore::list_chats(const Scope& scope,
                                                              const std::vector<std::string>& owners,
                                                              const Page& page) {
  BULKHEAD_TRY(use, reading(scope));
  const std::string owner = owners.empty() ? "" : owners.front();
  const std::string other = owners.empty() ? "" : owners.back();
  const std::int64_t edge =
      page.ascending ? std::numeric_limits<std::int64_t>::min() : std::numeric_limits<std::int64_t>::max();
  std::int64_t created = edge;
  std::int64_t no = edge;
  if (page.after) {
    Statement start =
        use->prepare("SELECT created, no FROM chats WHERE id = ?1 AND (?2 = '' OR owner IN (?2, ?3))");
    start.bind(*page.after, owner, other);
    BULKHEAD_TRY(row, start.step());
    if (!row) return not_found("chat to continue after");
    created = start.integer(0);
    no = start.integer(1);
  }
  Statement query = use->prepare(chat_listing(owners, page.ascending));
  query.bind(created, no, page_rows(page), owner, clock_.unix_seconds(), other);
  std::vector<ChatRecord> chats;
  while (true) {
    BULKHEAD_TRY(row, query.step());
    if (!row) return chats;
    BULKHEAD_TRY(sealer, sealer_of(*use, scope, "chat/" + query.text(0)));
    BULKHEAD_TRY(chat, chat_from_row(query, sealer));
    chats.push_back(std::move(chat));
  }
}

base::Result<void> SqliteStore::delete_chat(const Scope& scope, const base::ChatId& id) {
  BULKHEAD_TRY(use, begin_change(scope));
  {
    Statement remove = use->prepare("DELETE FROM chats WHERE id = ?1 RETURNING no");
    remove.bind(id.str());
    BULKHEAD_TRY(found, remove.step());
    if (!found) return not_found("chat");
    BULKHEAD_CHECK_OK(remove.run());
  }
  BULKHEAD_CHECK_OK(drop_data_key(*use, subject_of(id)));
  BULKHEAD_CHECK_OK(commit(scope, use));
  (void)use->checkpoint().ok();
  return {};
}

base::Result<std::size_t> SqliteStore::delete_expired_chats(const Scope& scope, std::int64_t now) {
  BULKHEAD_TRY(use, begin_change(scope));
  std::vector<std::string> subjects;
  {
    Statement remove = use->prepare("DELETE FROM chats WHERE expires > 0 AND expires <= ?1 RETURNING id");
    remove.bind(now);
    while (true) {
      BULKHEAD_TRY(row, remove.step());
      if (!row) break;
      subjects.push_back("chat/" + remove.text(0));
    }
  }
  for (const std::string& subject : subjects) BULKHEAD_CHECK_OK(drop_data_key(*use, subject));
  BULKHEAD_CHECK_OK(commit(scope, use));
  const std::size_t removed = subjects.size();
  if (removed > 0) (void)use->checkpoint().ok();
  return removed;
}

base::Result<void> SqliteStore::put_api_key(const Scope& scope, const identity::ApiKeyRecord& key) {
  BULKHEAD_TRY(use, begin_change(scope));
  BULKHEAD_CHECK_OK(insert_api_key(*use, key));
  return commit(scope, use);
}

base::Result<std::vector<identity::ApiKeyRecord>> SqliteStore::list_api_keys(const Scope& scope) {
  BULKHEAD_TRY(use, reading(scope));
  return all_api_keys(*use);
}

base::Result<void> SqliteStore::revoke_api_key(const Scope& scope, const base::ApiKeyId& id) {
  BULKHEAD_TRY(use, writing(scope));
  return mark_api_key_revoked(*use, id);
}

base::Result<void> SqliteStore::delete_api_key(const Scope& scope, const base::ApiKeyId& id) {
  BULKHEAD_TRY(use, begin_change(scope));
  {
    Statement remove = use->prepare("DELETE FROM api_keys WHERE id = ?1 RETURNING id");
    remove.bind(id.str());
    BULKHEAD_TRY(found, remove.step());
    if (!found) return not_found("API key");
    BULKHEAD_CHECK_OK(remove.run());
  }
  return commit(scope, use);
}

std::optional<base::Result<FoundApiKey>> SqliteStore::try_find_api_key(const Scope&,
                                                                       const base::ApiKeyId& id) {
  std::unique_lock lock(main_mutex_, std::try_to_lock);
  if (!lock || !main_) return std::nullopt;
  return read_api_key(*main_, id);
}

}  // namespace bulkhead::storage
