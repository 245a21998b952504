#include "storage/sqlite_data_keys.h"

namespace bulkhead::storage {

base::Result<RecordSealer> sealer_of(SqliteDatabase& database, const tenancy::TenantScope& scope,
                                     const std::string& subject) {
  Statement query = database.prepare("SELECT key_version, box FROM data_keys WHERE subject = ?1");
  query.bind(subject);
  BULKHEAD_TRY(row, query.step());
  if (!row) return RecordSealer::before_data_keys(scope);
  return RecordSealer::open_for(scope, subject, static_cast<std::uint32_t>(query.integer(0)), query.blob(1));
}

base::Result<RecordSealer> fresh_sealer(SqliteDatabase& database, const tenancy::TenantScope& scope,
                                        const std::string& subject) {
  base::Secret key = make_data_key();
  const WrappedDataKey wrapped = wrap_data_key(scope, subject, key);
  BULKHEAD_CHECK_OK(database
                        .prepare("INSERT INTO data_keys (subject, key_version, box) "
                                 "VALUES (?1, ?2, ?3) ON CONFLICT (subject) DO UPDATE SET "
                                 "key_version = excluded.key_version, box = excluded.box")
                        .bind(subject, wrapped.key_version, wrapped.box)
                        .run());
  return RecordSealer(scope, std::move(key));
}

base::Result<void> drop_data_key(SqliteDatabase& database, const std::string& subject) {
  return database.prepare("DELETE FROM data_keys WHERE subject = ?1").bind(subject).run();
}

}  // namespace bulkhead::storage
