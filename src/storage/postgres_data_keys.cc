#include "storage/postgres_data_keys.h"

#include "storage/store_common.h"

namespace bulkhead::storage {
namespace {

constexpr int kSubjectsAtOnce = 64;  // one transaction

base::Secret fresh(const tenancy::TenantScope& scope, const std::string& subject, WrappedDataKey& wrapped) {
  base::Secret key = make_data_key();
  wrapped = wrap_data_key(scope, subject, key);
  return key;
}

}  // namespace

FreshKey::FreshKey(const tenancy::TenantScope& scope, const std::string& subject)
    : sealer(scope, fresh(scope, subject, wrapped)) {}

base::Result<RecordSealer> sealer_of(const PostgresRows& rows, int row, int column,
                                     const tenancy::TenantScope& scope, const std::string& subject) {
  return RecordSealer::open_for(scope, subject, static_cast<std::uint32_t>(rows.integer(row, column)),
                                rows.blob(row, column + 1));
}

base::Result<RecordSealer> lock_file(PostgresTransaction& transaction, const tenancy::TenantScope& scope,
                                     const base::FileId& id) {
  BULKHEAD_TRY(rows, transaction.run("SELECT key_version, key_box FROM files WHERE id = $1 FOR NO KEY UPDATE",
                                     id.str()));
  if (rows.empty()) return not_found("file");
  return sealer_of(rows, 0, 0, scope, subject_of(id));
}

base::Result<std::vector<std::string>> stale_subjects(PostgresTransaction& transaction,
                                                      const tenancy::TenantScope& scope) {
  BULKHEAD_TRY(
      rows,
      transaction.run("(SELECT 'file/' || id FROM files WHERE key_version < $1 LIMIT $2) UNION ALL "
                      "(SELECT 'vector_store/' || id FROM vector_stores WHERE key_version < $1 LIMIT $2) "
                      "UNION ALL (SELECT 'chat/' || id FROM chats WHERE key_version < $1 LIMIT $2) LIMIT $2",
                      scope.key_version(crypto::Purpose::RecordSeal), kSubjectsAtOnce));
  std::vector<std::string> subjects;
  for (int i = 0; i < rows.size(); ++i) subjects.push_back(rows.text(i, 0));
  return subjects;
}

}  // namespace bulkhead::storage
