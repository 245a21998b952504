#include "storage/api_key_rows.h"

#include <algorithm>

#include "storage/record_json.h"
#include "storage/sqlite_error.h"

namespace bulkhead::storage {

base::Result<identity::ApiKeyRecord> api_key_from_row(const Statement& row) {
  auto id = base::ApiKeyId::parse(row.text(0));
  const base::ByteView hash = row.blob(8);
  if (!id || hash.size() != crypto::Digest().size()) return damaged("an API key");
  identity::ApiKeyRecord key{.id = std::move(*id)};
  key.name = row.text(1);
  key.user = row.text(2);
  BULKHEAD_TRY(roles, strings_from_json(row.text(3)));
  BULKHEAD_TRY(groups, strings_from_json(row.text(4)));
  key.roles = std::move(roles);
  key.groups = std::move(groups);
  key.created = row.integer(5);
  key.expires = row.integer(6);
  key.revoked = row.integer(7) != 0;
  std::copy(hash.begin(), hash.end(), key.keyed_hash.begin());
  return key;
}

base::Result<void> insert_api_key(SqliteDatabase& database, const identity::ApiKeyRecord& key) {
  const std::string roles = strings_to_json(key.roles);
  const std::string groups = strings_to_json(key.groups);
  Statement insert = database.prepare(
      "INSERT INTO api_keys (id, name, user, roles, groups, created, expires, revoked, keyed_hash) "
      "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)");
  return insert
      .bind(key.id.str(), key.name, key.user, roles, groups, key.created, key.expires, key.revoked,
            base::ByteView(key.keyed_hash))
      .run();
}

base::Result<std::vector<identity::ApiKeyRecord>> all_api_keys(SqliteDatabase& database) {
  Statement query = database.prepare(
      "SELECT id, name, user, roles, groups, created, expires, revoked, keyed_hash "
      "FROM api_keys ORDER BY created DESC, id");
  std::vector<identity::ApiKeyRecord> keys;
  while (true) {
    BULKHEAD_TRY(row, query.step());
    if (!row) return keys;
    BULKHEAD_TRY(key, api_key_from_row(query));
    keys.push_back(std::move(key));
  }
}

base::Result<void> mark_api_key_revoked(SqliteDatabase& database, const base::ApiKeyId& id) {
  Statement update = database.prepare("UPDATE api_keys SET revoked = 1 WHERE id = ?1 RETURNING id");
  update.bind(id.str());
  BULKHEAD_TRY(found, update.step());
  if (!found) return not_found("API key");
  return update.run();
}

}  // namespace bulkhead::storage
