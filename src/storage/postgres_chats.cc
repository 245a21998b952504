// PostgresStore: kept chats and API keys.
#include <algorithm>

#include "crypto/aead.h"
#include "storage/postgres_data_keys.h"
#include "storage/postgres_store.h"
#include "storage/record_json.h"
#include "storage/record_parts.h"
#include "storage/store_common.h"

namespace bulkhead::storage {
namespace {

// Columns: id, details_box, created, expires, metadata_box, and the sealer of it.
base::Result<ChatRecord> chat_from_row(const PostgresRows& rows, int row, const RecordSealer& sealer) {
  auto id = base::ChatId::parse(rows.text(row, 0));
  if (!id) return damaged("a chat");
  ChatRecord chat{.id = std::move(*id)};
  BULKHEAD_TRY(packed, sealer.open({RecordKind::ChatDetails, chat.id.str()}, rows.blob(row, 1)));
  BULKHEAD_TRY(details, unpack_parts(packed, 2, "a chat"));
  BULKHEAD_TRY(metadata, sealer.open_text({RecordKind::ChatMetadata, chat.id.str()}, rows.blob(row, 4)));
  chat.owner = std::move(details[0]);
  chat.model = std::move(details[1]);
  chat.created = rows.integer(row, 2);
  chat.expires = rows.integer(row, 3);
  chat.metadata_json = std::move(metadata);
  return chat;
}

// API keys are read before there is a scope, so they are sealed under the Database key, which
// authentication may ask for, and not under RecordSeal.
base::Bytes api_key_associated(const base::TenantId& tenant, std::string_view id) {
  return pack_parts({"bulkhead/api-key/1", tenant.str(), id});
}

base::Bytes seal_api_key(const base::Secret& key, const base::TenantId& tenant,
                         const identity::ApiKeyRecord& record) {
  const base::Bytes packed =
      pack_parts({record.name, record.user, strings_to_json(record.roles), strings_to_json(record.groups),
                  std::to_string(record.created), std::to_string(record.expires),
                  base::as_text(base::ByteView(record.keyed_hash))});
  return crypto::seal(key, packed, api_key_associated(tenant, record.id.str()));
}

// Columns: id, box, revoked. Revocation stands outside the seal: it can be added without the key, and
// taken away only by somebody who can write the database, whom the walls of the database keep out.
base::Result<identity::ApiKeyRecord> api_key_from_row(const PostgresRows& rows, int row,
                                                      const std::vector<base::Secret>& keys,
                                                      const base::TenantId& tenant) {
  auto id = base::ApiKeyId::parse(rows.text(row, 0));
  if (!id) return damaged("an API key");
  base::Result<base::Bytes> packed = base::Error(crypto::CryptoError::SealBroken, "");
  for (const base::Secret& key : keys) {
    packed = crypto::open(key, rows.blob(row, 1), api_key_associated(tenant, id->str()));
    if (packed) break;
  }
  if (!packed) {
    return base::Error(
        StorageError::SealBroken,
        "A stored record failed its integrity check and was not used. Tell your administrator.",
        "seal of API key " + id->str() + " of tenant " + tenant.str() + " does not open");
  }
  BULKHEAD_TRY(parts, unpack_parts(*packed, 7, "an API key"));
  identity::ApiKeyRecord record{.id = std::move(*id)};
  if (parts[6].size() != record.keyed_hash.size()) return damaged("an API key");
  record.name = std::move(parts[0]);
  record.user = std::move(parts[1]);
  BULKHEAD_TRY(roles, strings_from_json(parts[2]));
  BULKHEAD_TRY(groups, strings_from_json(parts[3]));
  record.roles = std::move(roles);
  record.groups = std::move(groups);
  record.created = std::strtoll(parts[4].c_str(), nullptr, 10);
  record.expires = std::strtoll(parts[5].c_str(), nullptr, 10);
  record.revoked = rows.flag(row, 2);
  std::copy(parts[6].begin(), parts[6].end(), record.keyed_hash.begin());
  return record;
}

// Newest first.
std::vector<base::Secret> database_keys(const tenancy::TenantScope& scope) {
  std::vector<base::Secret> keys;
  for (const std::uint32_t version : scope.key_versions(crypto::Purpose::Database)) {
    const base::Secret* key = scope.key(crypto::Purpose::Database, version);
    if (key) keys.push_back(key->clone());
  }
  return keys;
}

// One statement for everyone's chats, one for an owner's, and one for an owner of two forms: each goes along
// its own index.
Sql chat_listing(const std::vector<std::string>& owners, bool ascending) {
  if (owners.empty()) {
    return ascending ? Sql("SELECT id, details_box, created, expires, metadata_box, key_version, key_box "
                           "FROM chats "
                           "WHERE (created, no) > ($1, $2) AND $4 AND length($5) > 0 AND length($7) > 0 "
                           "AND (expires = 0 OR expires > $6) ORDER BY created, no LIMIT $3")
                     : Sql("SELECT id, details_box, created, expires, metadata_box, key_version, key_box "
                           "FROM chats "
                           "WHERE (created, no) < ($1, $2) AND $4 AND length($5) > 0 AND length($7) > 0 "
                           "AND (expires = 0 OR expires > $6) ORDER BY created DESC, no DESC LIMIT $3");
  }
  if (owners.size() == 1) {
    return ascending ? Sql("SELECT id, details_box, created, expires, metadata_box, key_version, key_box "
                           "FROM chats "
                           "WHERE owner_tag = $5 AND (created, no) > ($1, $2) AND NOT $4 AND $7 = $5 "
                           "AND (expires = 0 OR expires > $6) ORDER BY created, no LIMIT $3")
                     : Sql("SELECT id, details_box, created, expires, metadata_box, key_version, key_box "
                           "FROM chats "
                           "WHERE owner_tag = $5 AND (created, no) < ($1, $2) AND NOT $4 AND $7 = $5 "
                           "AND (expires = 0 OR expires > $6) ORDER BY created DESC, no DESC LIMIT $3");
  }
  return ascending
             ? Sql("SELECT id, details_box, created, expires, metadata_box, key_version, key_box FROM chats "
                   "WHERE owner_tag IN ($5, $7) AND (created, no) > ($1, $2) AND NOT $4 "
                   "AND (expires = 0 OR expires > $6) ORDER BY created, no LIMIT $3")
             : Sql("SELECT id, details_box, created, expires, metadata_box, key_version, key_box FROM chats "
                   "WHERE owner_tag IN ($5, $7) AND (created, no) < ($1, $2) AND NOT $4 "
                   "AND (expires = 0 OR expires > $6) ORDER BY created DESC, no DESC LIMIT $3");
}

}  // namespace

base::Result<void> PostgresStore::reseal_api_keys(PostgresTransaction& transaction, const Scope& scope) {
  const std::vector<base::Secret> keys = database_keys(scope);
  BULKHEAD_TRY(rows, transaction.run("SELECT id, box, revoked FROM api_keys FOR UPDATE"));
  for (int i = 0; i < rows.size(); ++i) {
    BULKHEAD_TRY(record, api_key_from_row(rows, i, keys, scope.tenant()));
    BULKHEAD_TRY(moved, transaction.run("UPDATE api_keys SET box = $2 WHERE id = $1", record.id.str(),
                                        seal_api_key(keys.front(), scope.tenant(), record)));
  }
  return {};
}

base::Result<void> PostgresStore::put_chat(const Scope& scope, const ChatRecord& chat) {
  BULKHEAD_TRY(use, writing(scope));
  const FreshKey key(scope, subject_of(chat.id));
  const RecordSealer& sealer = key.sealer;
  const std::string& id = chat.id.str();
  // Another owner's chat is not overwritten: an id can't be taken over.
  BULKHEAD_TRY(
      written,
      use->run("INSERT INTO chats (id, details_box, metadata_box, messages_box, completion_box, owner_tag, "
               "created, expires, key_version, key_box) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) "
               "ON CONFLICT ON CONSTRAINT chats_id DO UPDATE SET expires = excluded.expires, "
               "details_box = excluded.details_box, key_version = excluded.key_version, "
               "key_box = excluded.key_box, "
               "metadata_box = excluded.metadata_box, messages_box = excluded.messages_box, "
               "completion_box = excluded.completion_box WHERE chats.owner_tag = excluded.owner_tag",
               id, sealer.seal({RecordKind::ChatDetails, id}, pack_parts({chat.owner, chat.model})),
               sealer.seal({RecordKind::ChatMetadata, id}, chat.metadata_json),
               sealer.seal({RecordKind::ChatMessages, id}, chat.messages_json),
               sealer.seal({RecordKind::ChatCompletion, id}, chat.completion_json),
               BlindIndex(scope).owner(chat.owner), chat.created, chat.expires, key.wrapped.key_version,
               key.wrapped.box));
  if (written.affected() == 0) return id_taken("chat " + id + " belongs to another user");
  return commit_counted(scope, use);
}

// An expired chat is gone from the moment it expires, not from the sweep that removes it.
base::Result<ChatRecord> PostgresStore::get_chat(const Scope& scope, const base::ChatId& id) {
  BULKHEAD_TRY(use, reading(scope));
  BULKHEAD_TRY(
      rows, use->run("SELECT id, details_box, created, expires, metadata_box, messages_box, completion_box, "
                     "key_version, key_box FROM chats WHERE id = $1 AND (expires = 0 OR expires > $2)",
                     id.str(), clock_.unix_seconds()));
  if (rows.empty()) return not_found("chat");
  BULKHEAD_TRY(sealer, sealer_of(rows, 0, 7, scope, subject_of(id)));
  BULKHEAD_TRY(chat, chat_from_row(rows, 0, sealer));
  BULKHEAD_TRY(messages, sealer.open_text({RecordKind::ChatMessages, id.str()}, rows.blob(0, 5)));
  BULKHEAD_TRY(completion, sealer.open_text({RecordKind::ChatCompletion, id.str()}, rows.blob(0, 6)));
  chat.messages_json = std::move(messages);
  chat.completion_json = std::move(completion);
  return chat;
}

base::Result<std::vector<ChatRecord>> PostgresStore::list_chats(const Scope& scope,
                                                                const std::vector<std::string>& owners,
                                                                const Page& page) {
  BULKHEAD_TRY(use, reading(scope));
  const bool everyones = owners.empty();
  const base::Bytes tag = BlindIndex(scope).owner(everyones ? "" : owners.front());
  const base::Bytes other_tag = BlindIndex(scope).owner(everyones ? "" : owners.back());
  std::int64_t created = page_edge(page);
  std::int64_t no = created;
  if (page.after) {
    BULKHEAD_TRY(start,
                 use->run("SELECT created, no FROM chats WHERE id = $1 AND ($2 OR owner_tag IN ($3, $4))",
                          *page.after, everyones, tag, other_tag));
    if (start.empty()) return not_found("chat to continue after");
    created = start.integer(0, 0);
    no = start.integer(0, 1);
  }
  BULKHEAD_TRY(rows, use->run(chat_listing(owners, page.ascending), created, no, page_rows(page), everyones,
                              tag, clock_.unix_seconds(), other_tag));
  std::vector<ChatRecord> chats;
  for (int i = 0; i < rows.size(); ++i) {
    BULKHEAD_TRY(sealer, sealer_of(rows, i, 5, scope, "chat/" + rows.text(i, 0)));
    BULKHEAD_TRY(chat, chat_from_row(rows, i, sealer));
    chats.push_back(std::move(chat));
  }
  return chats;
}

base::Result<void> PostgresStore::delete_chat(const Scope& scope, const base::ChatId& id) {
  BULKHEAD_TRY(use, writing(scope));
  BULKHEAD_TRY(gone, use->run("DELETE FROM chats WHERE id = $1", id.str()));
  if (gone.affected() == 0) return not_found("chat");
  return commit_counted(scope, use);
}

base::Result<std::size_t> PostgresStore::delete_expired_chats(const Scope& scope, std::int64_t now) {
  BULKHEAD_TRY(use, writing(scope));
  BULKHEAD_TRY(gone, use->run("DELETE FROM chats WHERE expires > 0 AND expires <= $1", now));
  BULKHEAD_CHECK_OK(commit_counted(scope, use));
  return static_cast<std::size_t>(gone.affected());
}

base::Result<void> PostgresStore::put_api_key(const Scope& scope, const identity::ApiKeyRecord& key) {
  BULKHEAD_TRY(use, writing(scope));
  BULKHEAD_TRY(
      inserted,
      use->run("INSERT INTO api_keys (id, box, created, revoked) VALUES ($1, $2, $3, $4)", key.id.str(),
               seal_api_key(scope.key(crypto::Purpose::Database), tenant_, key), key.created, key.revoked));
  return commit_counted(scope, use);
}

base::Result<std::vector<identity::ApiKeyRecord>> PostgresStore::list_api_keys(const Scope& scope) {
  BULKHEAD_TRY(use, reading(scope));
  BULKHEAD_TRY(rows, use->run("SELECT id, box, revoked FROM api_keys ORDER BY created DESC, id"));
  const std::vector<base::Secret> opening = database_keys(scope);
  std::vector<identity::ApiKeyRecord> keys;
  for (int i = 0; i < rows.size(); ++i) {
    BULKHEAD_TRY(key, api_key_from_row(rows, i, opening, tenant_));
    keys.push_back(std::move(key));
  }
  return keys;
}

base::Result<void> PostgresStore::revoke_api_key(const Scope& scope, const base::ApiKeyId& id) {
  BULKHEAD_TRY(use, writing(scope));
  BULKHEAD_TRY(updated, use->run("UPDATE api_keys SET revoked = true WHERE id = $1", id.str()));
  if (updated.affected() == 0) return not_found("API key");
  return commit_counted(scope, use);
}

base::Result<void> PostgresStore::delete_api_key(const Scope& scope, const base::ApiKeyId& id) {
  BULKHEAD_TRY(use, writing(scope));
  BULKHEAD_TRY(gone, use->run("DELETE FROM api_keys WHERE id = $1", id.str()));
  if (gone.affected() == 0) return not_found("API key");
  return commit_counted(scope, use);
}

base::Result<FoundApiKey> PostgresStore::find_api_key(PostgresPool& pool, const PostgresPlace& place,
                                                      const base::TenantId& tenant,
                                                      const std::vector<base::Secret>& database_keys,
                                                      const base::ApiKeyId& id) {
  BULKHEAD_TRY(transaction, PostgresTransaction::begin(pool, place, PostgresTransaction::Mode::Read));
  BULKHEAD_TRY(rows, transaction.run("SELECT id, box, revoked FROM api_keys WHERE id = $1", id.str()));
  if (rows.empty()) return FoundApiKey();
  BULKHEAD_TRY(record, api_key_from_row(rows, 0, database_keys, tenant));
  return FoundApiKey(std::move(record));
}

std::optional<base::Result<FoundApiKey>> PostgresStore::try_find_api_key(const Scope& opener,
                                                                         const base::ApiKeyId& id) {
  std::shared_lock lock(shut_mutex_, std::try_to_lock);
  if (!lock || shut_) return std::nullopt;
  return find_api_key(pool_, *place_, tenant_, database_keys(opener), id);
}

}  // namespace bulkhead::storage
