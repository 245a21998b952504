#include <algorithm>
#include <map>
#include <mutex>

#include "base/file.h"
#include "base/json.h"
#include "crypto/random.h"
#include "storage/api_key_rows.h"
#include "storage/record_json.h"
#include "storage/sqlite_database.h"
#include "storage/sqlite_error.h"
#include "storage/store_manager.h"

namespace bulkhead::storage {
namespace {

constexpr char kKeyBoxName[] = "platform.key.box";
constexpr char kDatabaseName[] = "platform.db";
constexpr char kKeyBoxAssociated[] = "bulkhead/registry-key/1";
constexpr std::size_t kKeyBoxBytesMax = 4096;
constexpr std::size_t kSecretBytes = 32;

// Append only, as in tenant_schema.cc.
constexpr Sql kMigrations[] = {
    R"sql(
CREATE TABLE tenants (
  id TEXT PRIMARY KEY,
  display_name TEXT NOT NULL,
  state INTEGER NOT NULL,
  mode INTEGER NOT NULL,
  policy TEXT NOT NULL,
  created INTEGER NOT NULL,
  key_version INTEGER NOT NULL,
  key_box BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE api_keys (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  user TEXT NOT NULL,
  roles TEXT NOT NULL,
  groups TEXT NOT NULL,
  created INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  revoked INTEGER NOT NULL,
  keyed_hash BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
PRAGMA user_version = 1;
)sql",
    R"sql(
ALTER TABLE tenants ADD COLUMN key_number INTEGER NOT NULL DEFAULT 1;
ALTER TABLE tenants ADD COLUMN key_provider TEXT NOT NULL DEFAULT '';
ALTER TABLE tenants ADD COLUMN key_ring BLOB NOT NULL DEFAULT x'';
ALTER TABLE tenants ADD COLUMN rotation TEXT NOT NULL DEFAULT '';
PRAGMA user_version = 2;
)sql",
    R"sql(
CREATE TABLE erasures (
  no INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant TEXT NOT NULL,
  plan TEXT NOT NULL,
  certificate TEXT NOT NULL);
CREATE INDEX erasures_by_tenant ON erasures (tenant, no);
PRAGMA user_version = 3;
)sql",
    R"sql(
CREATE TABLE moves (
  no INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant TEXT NOT NULL,
  plan TEXT NOT NULL,
  certificate TEXT NOT NULL);
CREATE INDEX moves_by_tenant ON moves (tenant, no);
PRAGMA user_version = 4;
)sql",
    R"sql(
CREATE TABLE tombstones (
  tenant TEXT NOT NULL,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  stamp TEXT NOT NULL,
  PRIMARY KEY (tenant, kind, name)) WITHOUT ROWID;
PRAGMA user_version = 5;
)sql",
};

base::Error file_error(const base::Error& cause) {
  if (cause.is(base::FileError::NotFound)) {
    return base::Error(StorageError::NotFound,
                       "This data directory holds no platform. Run the set-up command first, or "
                       "check data_dir in the configuration.",
                       cause.describe());
  }
  return base::Error(StorageError::Io,
                     "The server could not read or write its storage. Retry; if it goes on, tell "
                     "your operator.",
                     cause.describe());
}

base::Result<std::vector<PlatformDatabase::PendingWork>> read_pending(Statement query, const char* what) {
  std::vector<PlatformDatabase::PendingWork> pending;
  while (true) {
    BULKHEAD_TRY(row, query.step());
    if (!row) return pending;
    auto tenant = base::TenantId::parse(query.text(1));
    if (!tenant) return damaged(what);
    pending.push_back({query.integer(0), std::move(*tenant), query.text(2)});
  }
}

base::Result<std::vector<std::string>> read_certificates(Statement query, const base::TenantId& tenant) {
  query.bind(tenant.str());
  std::vector<std::string> certificates;
  while (true) {
    BULKHEAD_TRY(row, query.step());
    if (!row) return certificates;
    certificates.push_back(query.text(0));
  }
}

// {"format":1,"platform_version":N,"box":"<base64url>"}
base::Result<void> write_key_box(const std::filesystem::path& path, const crypto::WrappedKey& wrapped) {
  base::json::Writer writer;
  writer.begin_object()
      .member("format", 1)
      .member("platform_version", static_cast<std::int64_t>(wrapped.platform_version))
      .member("box", base::base64url_encode(wrapped.box))
      .end_object();
  if (auto written = base::write_file_atomically(path, writer.take() + "\n"); !written) {
    return file_error(written.error());
  }
  return {};
}

base::Result<base::Secret> read_key_box(const std::filesystem::path& path, const crypto::PlatformKeys& keys) {
  auto text = base::read_file(path, kKeyBoxBytesMax);
  if (!text) return file_error(text.error());
  auto document = base::json::Document::parse(*text);
  if (!document) return damaged("platform.key.box");
  const auto version = document->root()["platform_version"].as_int();
  const auto box_text = document->root()["box"].as_string();
  auto box = box_text ? base::base64url_decode(*box_text) : std::nullopt;
  if (document->root()["format"].as_int() != 1 || !version || *version < 0 || !box) {
    return damaged("platform.key.box");
  }
  auto key = keys.unwrap({.platform_version = static_cast<std::uint32_t>(*version), .box = std::move(*box)},
                         kKeyBoxAssociated);
  if (!key) {
    return base::Error(StorageError::WrongKey,
                       "The platform key does not open this data directory. Use the key file that it "
                       "was set up with (with its older versions, if a rotation was cut short).",
                       path.string() + " needs platform key version " + std::to_string(*version) + ": " +
                           key.error().describe());
  }
  return key;
}

template <typename Enum>
base::Result<Enum> enum_from(std::int64_t number, Enum last) {
  if (number < 0 || number > static_cast<std::int64_t>(last)) return damaged("a tenant");
  return static_cast<Enum>(number);
}

base::Result<tenancy::StoredTenant> tenant_from_row(const Statement& row) {
  auto id = base::TenantId::parse(row.text(0));
  if (!id) return damaged("a tenant");
  tenancy::StoredTenant stored{.tenant = {.id = std::move(*id)}};
  stored.tenant.display_name = row.text(1);
  BULKHEAD_TRY(state, enum_from(row.integer(2), tenancy::TenantState::Restoring));
  BULKHEAD_TRY(mode, enum_from(row.integer(3), tenancy::IsolationMode::Pooled));
  stored.tenant.state = state;
  stored.tenant.mode = mode;
  auto document = base::json::Document::parse(row.text(4));
  if (!document) return damaged("a tenant's policy");
  auto policy = tenancy::TenantPolicy::from_json(document->root());
  if (!policy) return damaged("a tenant's policy");
  stored.tenant.policy = std::move(*policy);
  stored.tenant.created = row.integer(5);
  stored.wrapped_key.platform_version = static_cast<std::uint32_t>(row.integer(6));
  const base::ByteView box = row.blob(7);
  stored.wrapped_key.box.assign(box.begin(), box.end());
  stored.key_number = static_cast<std::uint32_t>(row.integer(8));
  stored.provider = row.text(9);
  const base::ByteView ring = row.blob(10);
  stored.ring.assign(ring.begin(), ring.end());
  stored.rotation = row.text(11);
  return stored;
}

}  // namespace

struct PlatformDatabase::Impl {
  std::filesystem::path data_dir;
  std::mutex mutex;
  std::unique_ptr<SqliteDatabase> database;
  base::Secret registry_key;

  // The one tenant of this name, or with "" all of them, by name.
  base::Result<std::vector<tenancy::StoredTenant>> tenants(const std::string& name) {
    std::scoped_lock lock(mutex);
    Statement query = database->prepare(
        "SELECT id, display_name, state, mode, policy, created, key_version, key_box, key_number, "
        "key_provider, key_ring, rotation FROM tenants WHERE ?1 = '' OR id = ?1 ORDER BY id");
    query.bind(name);
    std::vector<tenancy::StoredTenant> found;
    while (true) {
      BULKHEAD_TRY(row, query.step());
      if (!row) return found;
      BULKHEAD_TRY(tenant, tenant_from_row(query));
      found.push_back(std::move(tenant));
    }
  }

  // A wrapped key that was replaced or destroyed must not live on in the write-ahead log.
  base::Result<void> forget_old_pages() {
    BULKHEAD_TRY(done, database->checkpoint());
    if (done) return {};
    return base::Error(StorageError::Busy, "The store is busy. Retry in a moment.",
                       "another process reads platform.db, so its log can't be cut");
  }
};

PlatformDatabase::PlatformDatabase(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PlatformDatabase::~PlatformDatabase() = default;

base::Result<std::unique_ptr<PlatformDatabase>> PlatformDatabase::open(const std::filesystem::path& data_dir,
                                                                       const crypto::PlatformKeys& keys,
                                                                       bool create) {
  if (create) {
    if (auto made = base::make_private_directory(data_dir); !made) return file_error(made.error());
  }
  std::error_code unresolved;
  // SQLite refuses symbolic links anywhere in a path; the operator's own ones are resolved here.
  const auto root = std::filesystem::canonical(data_dir, unresolved);
  if (unresolved) {
    return base::Error(StorageError::NotFound,
                       "The data directory does not exist. Run the set-up command first, or check "
                       "data_dir in the configuration.",
                       data_dir.string() + ": " + unresolved.message());
  }
  const auto box_path = root / kKeyBoxName;
  const auto database_path = root / kDatabaseName;
  std::error_code ignored;
  const bool has_box = std::filesystem::exists(box_path, ignored);
  if (!has_box && std::filesystem::exists(database_path, ignored)) {
    return base::Error(StorageError::Corrupt,
                       "The platform's key box is missing. Restore platform.key.box from a backup.",
                       box_path.string() + " is missing, but platform.db is there");
  }
  auto impl = std::make_unique<Impl>();
  impl->data_dir = root;
  if (!has_box && create) {
    impl->registry_key = crypto::random_secret(crypto::kAeadKeyBytes);
    BULKHEAD_CHECK_OK(write_key_box(box_path, keys.wrap(impl->registry_key, kKeyBoxAssociated)));
  } else {
    BULKHEAD_TRY(key, read_key_box(box_path, keys));
    impl->registry_key = std::move(key);
  }
  BULKHEAD_TRY(database, SqliteDatabase::open({.path = database_path,
                                               .mode = create ? SqliteDatabase::Mode::Create
                                                              : SqliteDatabase::Mode::ReadWrite},
                                              impl->registry_key));
  BULKHEAD_CHECK_OK(database->migrate(kMigrations));
  impl->database = std::move(database);
  return std::unique_ptr<PlatformDatabase>(new PlatformDatabase(std::move(impl)));
}

base::Result<std::vector<tenancy::StoredTenant>> PlatformDatabase::load_all() { return impl_->tenants(""); }

base::Result<std::optional<tenancy::StoredTenant>> PlatformDatabase::load(const base::TenantId& tenant) {
  BULKHEAD_TRY(found, impl_->tenants(tenant.str()));
  if (found.empty()) return std::optional<tenancy::StoredTenant>();
  return std::optional<tenancy::StoredTenant>(std::move(found.front()));
}

base::Result<void> PlatformDatabase::insert(const tenancy::StoredTenant& stored) {
  std::scoped_lock lock(impl_->mutex);
  const tenancy::Tenant& tenant = stored.tenant;
  return impl_->database
      ->prepare(
          "INSERT INTO tenants (id, display_name, state, mode, policy, created, key_version, "
          "key_box, key_number, key_provider, key_ring, rotation) "
          "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)")
      .bind(tenant.id.str(), tenant.display_name, static_cast<int>(tenant.state),
            static_cast<int>(tenant.mode), tenant.policy.to_json(), tenant.created,
            stored.wrapped_key.platform_version, stored.wrapped_key.box, stored.key_number, stored.provider,
            stored.ring, stored.rotation)
      .run();
}

base::Result<void> PlatformDatabase::update(const tenancy::StoredTenant& stored) {
  std::scoped_lock lock(impl_->mutex);
  const tenancy::Tenant& tenant = stored.tenant;
  bool keys_change = true;
  {
    Statement before = impl_->database->prepare("SELECT key_box, key_ring FROM tenants WHERE id = ?1");
    before.bind(tenant.id.str());
    BULKHEAD_TRY(found, before.step());
    if (!found) return not_found("tenant");
    const auto same = [](base::ByteView left, const base::Bytes& right) {
      return std::equal(left.begin(), left.end(), right.begin(), right.end());
    };
    keys_change = !same(before.blob(0), stored.wrapped_key.box) || !same(before.blob(1), stored.ring);
  }
  {
    Statement update = impl_->database->prepare(
        "UPDATE tenants SET display_name = ?2, state = ?3, mode = ?4, policy = ?5, created = ?6, "
        "key_version = ?7, key_box = ?8, key_number = ?9, key_provider = ?10, key_ring = ?11, "
        "rotation = ?12 WHERE id = ?1 RETURNING id");
    update.bind(tenant.id.str(), tenant.display_name, static_cast<int>(tenant.state),
                static_cast<int>(tenant.mode), tenant.policy.to_json(), tenant.created,
                stored.wrapped_key.platform_version, stored.wrapped_key.box, stored.key_number,
                stored.provider, stored.ring, stored.rotation);
    BULKHEAD_TRY(found, update.step());
    if (!found) return not_found("tenant");
    BULKHEAD_CHECK_OK(update.run());
  }
  return keys_change ? impl_->forget_old_pages() : base::Result<void>();
}

base::Result<void> PlatformDatabase::remove(const base::TenantId& tenant) {
  std::scoped_lock lock(impl_->mutex);
  BULKHEAD_CHECK_OK(impl_->database->prepare("DELETE FROM tenants WHERE id = ?1").bind(tenant.str()).run());
  return impl_->forget_old_pages();
}

base::Result<void> PlatformDatabase::replace_keys(
    const std::vector<std::pair<base::TenantId, crypto::WrappedKey>>& keys) {
  std::scoped_lock lock(impl_->mutex);
  {
    BULKHEAD_TRY(transaction, Transaction::begin(*impl_->database));
    for (const auto& [id, wrapped] : keys) {
      Statement update = impl_->database->prepare(
          "UPDATE tenants SET key_version = ?2, key_box = ?3 WHERE id = ?1 RETURNING id");
      update.bind(id.str(), wrapped.platform_version, wrapped.box);
      BULKHEAD_TRY(found, update.step());
      if (!found) return not_found("tenant");
      BULKHEAD_CHECK_OK(update.run());
    }
    BULKHEAD_CHECK_OK(transaction.commit());
  }
  return impl_->forget_old_pages();
}

base::Result<void> PlatformDatabase::put_operator_key(const identity::ApiKeyRecord& key) {
  std::scoped_lock lock(impl_->mutex);
  return insert_api_key(*impl_->database, key);
}

base::Result<std::vector<identity::ApiKeyRecord>> PlatformDatabase::operator_keys() {
  std::scoped_lock lock(impl_->mutex);
  return all_api_keys(*impl_->database);
}

base::Result<void> PlatformDatabase::revoke_operator_key(const base::ApiKeyId& id) {
  std::scoped_lock lock(impl_->mutex);
  return mark_api_key_revoked(*impl_->database, id);
}

base::Result<base::Secret> PlatformDatabase::secret(std::string_view name) {
  std::scoped_lock lock(impl_->mutex);
  // Two processes at first use must agree, so the insert yields to what is there.
  const base::Secret fresh = crypto::random_secret(kSecretBytes);
  Statement find = impl_->database->prepare("SELECT value FROM secrets WHERE name = ?1");
  find.bind(name);
  BULKHEAD_TRY(known, find.step());
  if (known) return base::Secret::copy_of(find.blob(0));
  BULKHEAD_CHECK_OK(
      impl_->database->prepare("INSERT INTO secrets (name, value) VALUES (?1, ?2) ON CONFLICT DO NOTHING")
          .bind(name, fresh.reveal())
          .run());
  Statement again = impl_->database->prepare("SELECT value FROM secrets WHERE name = ?1");
  again.bind(name);
  BULKHEAD_TRY(row, again.step());
  if (!row) return damaged("a platform secret");
  return base::Secret::copy_of(again.blob(0));
}

base::Result<void> PlatformDatabase::forget_secret(std::string_view name) {
  std::scoped_lock lock(impl_->mutex);
  BULKHEAD_CHECK_OK(impl_->database->prepare("DELETE FROM secrets WHERE name = ?1").bind(name).run());
  return impl_->forget_old_pages();
}

base::Result<std::optional<std::string>> PlatformDatabase::setting(std::string_view name) {
  std::scoped_lock lock(impl_->mutex);
  Statement query = impl_->database->prepare("SELECT value FROM settings WHERE name = ?1");
  query.bind(name);
  BULKHEAD_TRY(row, query.step());
  if (!row) return std::optional<std::string>();
  return std::optional<std::string>(query.text(0));
}

base::Result<void> PlatformDatabase::set_setting(std::string_view name, std::string_view value) {
  std::scoped_lock lock(impl_->mutex);
  return impl_->database
      ->prepare(
          "INSERT INTO settings (name, value) VALUES (?1, ?2) "
          "ON CONFLICT (name) DO UPDATE SET value = excluded.value")
      .bind(name, value)
      .run();
}

base::Result<void> PlatformDatabase::forget_setting(std::string_view name) {
  std::scoped_lock lock(impl_->mutex);
  return impl_->database->prepare("DELETE FROM settings WHERE name = ?1").bind(name).run();
}

base::Result<std::int64_t> PlatformDatabase::begin_erasure(const base::TenantId& tenant,
                                                           std::string_view plan) {
  std::scoped_lock lock(impl_->mutex);
  Statement insert = impl_->database->prepare(
      "INSERT INTO erasures (tenant, plan, certificate) VALUES (?1, ?2, '') RETURNING no");
  insert.bind(tenant.str(), plan);
  BULKHEAD_TRY(row, insert.step());
  const std::int64_t number = row ? insert.integer(0) : 0;
  BULKHEAD_CHECK_OK(insert.run());
  return number;
}

base::Result<void> PlatformDatabase::end_erasure(std::int64_t number, std::string_view certificate) {
  std::scoped_lock lock(impl_->mutex);
  return impl_->database->prepare("UPDATE erasures SET plan = '', certificate = ?2 WHERE no = ?1")
      .bind(number, certificate)
      .run();
}

base::Result<void> PlatformDatabase::forget_erasure(std::int64_t number) {
  std::scoped_lock lock(impl_->mutex);
  return impl_->database->prepare("DELETE FROM erasures WHERE no = ?1").bind(number).run();
}

base::Result<std::vector<PlatformDatabase::PendingWork>> PlatformDatabase::pending_erasures() {
  std::scoped_lock lock(impl_->mutex);
  return read_pending(
      impl_->database->prepare("SELECT no, tenant, plan FROM erasures WHERE certificate = '' ORDER BY no"),
      "an erasure");
}

base::Result<std::vector<std::string>> PlatformDatabase::erasure_certificates(const base::TenantId& tenant) {
  std::scoped_lock lock(impl_->mutex);
  return read_certificates(impl_->database->prepare("SELECT certificate FROM erasures WHERE tenant = ?1 AND "
                                                    "certificate <> '' ORDER BY no"),
                           tenant);
}

base::Result<std::int64_t> PlatformDatabase::begin_move(const base::TenantId& tenant, std::string_view plan) {
  std::scoped_lock lock(impl_->mutex);
  // One at a time for a tenant.
  Statement insert = impl_->database->prepare(
      "INSERT INTO moves (tenant, plan, certificate) SELECT ?1, ?2, '' "
      "WHERE NOT EXISTS (SELECT 1 FROM moves WHERE tenant = ?1 AND certificate = '') RETURNING no");
  insert.bind(tenant.str(), plan);
  BULKHEAD_TRY(row, insert.step());
  if (!row) {
    return base::Error(StorageError::Busy, "This tenant is being moved already. Wait until that has ended.",
                       tenant.str());
  }
  const std::int64_t number = insert.integer(0);
  BULKHEAD_CHECK_OK(insert.run());
  return number;
}

base::Result<void> PlatformDatabase::change_move(std::int64_t number, std::string_view plan) {
  std::scoped_lock lock(impl_->mutex);
  return impl_->database->prepare("UPDATE moves SET plan = ?2 WHERE no = ?1").bind(number, plan).run();
}

base::Result<void> PlatformDatabase::end_move(std::int64_t number, std::string_view certificate) {
  std::scoped_lock lock(impl_->mutex);
  return impl_->database->prepare("UPDATE moves SET plan = '', certificate = ?2 WHERE no = ?1")
      .bind(number, certificate)
      .run();
}

base::Result<void> PlatformDatabase::forget_move(std::int64_t number) {
  std::scoped_lock lock(impl_->mutex);
  return impl_->database->prepare("DELETE FROM moves WHERE no = ?1").bind(number).run();
}

base::Result<std::vector<PlatformDatabase::PendingWork>> PlatformDatabase::pending_moves() {
  std::scoped_lock lock(impl_->mutex);
  return read_pending(
      impl_->database->prepare("SELECT no, tenant, plan FROM moves WHERE certificate = '' ORDER BY no"),
      "a move");
}

base::Result<std::vector<std::string>> PlatformDatabase::move_certificates(const base::TenantId& tenant) {
  std::scoped_lock lock(impl_->mutex);
  return read_certificates(impl_->database->prepare("SELECT certificate FROM moves WHERE tenant = ?1 AND "
                                                    "certificate <> '' ORDER BY no"),
                           tenant);
}

base::Result<void> PlatformDatabase::put_tombstone(const base::TenantId& tenant, const Tombstone& entry) {
  std::scoped_lock lock(impl_->mutex);
  return impl_->database
      ->prepare(
          "INSERT INTO tombstones (tenant, kind, name, stamp) VALUES (?1, ?2, ?3, ?4) "
          "ON CONFLICT (tenant, kind, name) DO UPDATE SET stamp = excluded.stamp")
      .bind(tenant.str(), entry.kind, entry.name, entry.stamp)
      .run();
}

base::Result<void> PlatformDatabase::adopt_tombstones(const base::TenantId& tenant,
                                                      const std::vector<Tombstone>& entries) {
  std::scoped_lock lock(impl_->mutex);
  BULKHEAD_TRY(transaction, Transaction::begin(*impl_->database));
  for (const Tombstone& each : entries) {
    BULKHEAD_CHECK_OK(
        impl_->database
            ->prepare("INSERT INTO tombstones (tenant, kind, name, stamp) VALUES (?1, ?2, ?3, ?4) "
                      "ON CONFLICT DO NOTHING")
            .bind(tenant.str(), each.kind, each.name, each.stamp)
            .run());
  }
  return transaction.commit();
}

base::Result<void> PlatformDatabase::replace_tombstones(const base::TenantId& tenant,
                                                        const Tombstone& entry) {
  std::scoped_lock lock(impl_->mutex);
  BULKHEAD_TRY(transaction, Transaction::begin(*impl_->database));
  BULKHEAD_CHECK_OK(impl_->database->prepare("DELETE FROM tombstones WHERE tenant = ?1 AND kind = ?2")
                        .bind(tenant.str(), entry.kind)
                        .run());
  BULKHEAD_CHECK_OK(
      impl_->database->prepare("INSERT INTO tombstones (tenant, kind, name, stamp) VALUES (?1, ?2, ?3, ?4)")
          .bind(tenant.str(), entry.kind, entry.name, entry.stamp)
          .run());
  return transaction.commit();
}

base::Result<std::vector<PlatformDatabase::Tombstone>> PlatformDatabase::tombstones(
    const base::TenantId& tenant) {
  std::scoped_lock lock(impl_->mutex);
  Statement query = impl_->database->prepare(
      "SELECT kind, name, stamp FROM tombstones WHERE tenant = ?1 ORDER BY kind, name");
  query.bind(tenant.str());
  std::vector<Tombstone> all;
  while (true) {
    BULKHEAD_TRY(row, query.step());
    if (!row) return all;
    all.push_back({query.text(0), query.text(1), query.text(2)});
  }
}

base::Result<std::size_t> PlatformDatabase::count_tombstones(const base::TenantId& tenant,
                                                             std::string_view kind) {
  std::scoped_lock lock(impl_->mutex);
  Statement query =
      impl_->database->prepare("SELECT count(*) FROM tombstones WHERE tenant = ?1 AND kind = ?2");
  query.bind(tenant.str(), kind);
  BULKHEAD_TRY(row, query.step());
  return row ? static_cast<std::size_t>(query.integer(0)) : 0;
}

base::Result<bool> PlatformDatabase::has_tombstone(const base::TenantId& tenant, std::string_view kind,
                                                   std::string_view name) {
  std::scoped_lock lock(impl_->mutex);
  Statement query =
      impl_->database->prepare("SELECT 1 FROM tombstones WHERE tenant = ?1 AND kind = ?2 AND name = ?3");
  query.bind(tenant.str(), kind, name);
  return query.step();
}

base::Result<void> PlatformDatabase::rewrap(const crypto::PlatformKeys& keys) {
  std::scoped_lock lock(impl_->mutex);
  return write_key_box(impl_->data_dir / kKeyBoxName, keys.wrap(impl_->registry_key, kKeyBoxAssociated));
}

}  // namespace bulkhead::storage
