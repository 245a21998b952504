#include "storage/sqlite_backend.h"

#include <algorithm>

#include "base/file.h"
#include "crypto/random.h"
#include "storage/sqlite_error.h"
#include "storage/sqlite_store.h"
#include "storage/tenant_schema.h"

namespace bulkhead::storage {
namespace {

base::Result<void> sync(const std::filesystem::path& folder) {
  if (auto synced = base::sync_directory(folder); !synced) return folder_error(synced.error());
  return {};
}

}  // namespace

base::Result<std::filesystem::path> SqliteBackend::make_folder(const base::TenantId& tenant) const {
  const auto folder = tenant_folder(data_dir_, tenant);
  std::error_code ignored;
  if (std::filesystem::is_directory(folder, ignored)) return folder;
  for (const auto& each : {folder.parent_path(), folder}) {
    if (auto made = base::make_private_directory(each); !made) return folder_error(made.error());
  }
  BULKHEAD_CHECK_OK(sync(folder.parent_path()));
  BULKHEAD_CHECK_OK(sync(data_dir_));
  return folder;
}

base::Result<std::shared_ptr<OpenStore>> SqliteBackend::open(const tenancy::TenantScope& scope) {
  BULKHEAD_TRY(folder, make_folder(scope.tenant()));
  BULKHEAD_TRY(opened, SqliteStore::open(scope, folder / "store.db", clock_));
  return std::shared_ptr<OpenStore>(std::move(opened));
}

base::Result<FoundApiKey> SqliteBackend::find_api_key(const base::TenantId& tenant,
                                                      const DatabaseKeysOf& keys_of,
                                                      const base::ApiKeyId& id) {
  const auto path = tenant_database_path(data_dir_, tenant);
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return FoundApiKey();
  BULKHEAD_TRY(keys, keys_of(tenant));
  std::optional<base::Error> failure;
  for (const base::Secret& key : keys) {
    auto database = open_tenant_database(path, key, SqliteDatabase::Mode::ReadOnly);
    if (database) return read_api_key(**database, id);
    if (!database.error().is(StorageError::WrongKey)) return database.take_error();
    if (!failure) failure = database.take_error();
  }
  return std::move(*failure);
}

base::Result<tenancy::TenantEraser::Report> SqliteBackend::erase(const base::TenantId& tenant) {
  tenancy::TenantEraser::Report report;
  const auto folder = tenant_folder(data_dir_, tenant);
  std::error_code failed;
  if (!std::filesystem::exists(std::filesystem::symlink_status(folder, failed))) return report;
  for (std::filesystem::recursive_directory_iterator each(folder, failed), end; !failed && each != end;
       each.increment(failed)) {
    if (!each->is_symlink(failed) && each->is_directory(failed)) continue;
    report.removed.push_back(each->path().lexically_relative(data_dir_).string());
    if (each->is_regular_file(failed)) report.bytes += each->file_size(failed);
  }
  if (!failed) std::filesystem::remove_all(folder, failed);
  if (failed) return system_error("can't erase " + folder.string(), failed.value());
  BULKHEAD_CHECK_OK(sync(folder.parent_path()));
  std::sort(report.removed.begin(), report.removed.end());
  return report;
}

base::Result<StoreProbe> SqliteBackend::probe(const base::TenantId& tenant, const base::TenantId& other,
                                              const DatabaseKeysOf& keys_of) {
  BULKHEAD_TRY(keys, keys_of(tenant));
  auto foreign = keys_of(other);
  const auto file = tenant_database_path(data_dir_, tenant);
  // While keys are rotated, the file may be under the older one.
  std::size_t used = 0;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (open_tenant_database(file, keys[i], SqliteDatabase::Mode::ReadOnly)) used = i;
  }
  const base::Secret& own = keys[used];
  const base::Secret foreign_key = foreign ? foreign->front().clone() : crypto::random_secret(own.size());
  StoreProbe seen = probe_embedded(file, own, foreign_key,
                                   foreign ? "the key of tenant " + other.str() : "a key of nobody's",
                                   clock_.unix_seconds());
  seen.place = "embedded, " + file.lexically_relative(data_dir_).string();
  return seen;
}

}  // namespace bulkhead::storage
