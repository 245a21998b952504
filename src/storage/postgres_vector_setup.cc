// PostgresBackend: what search in the database needs there, by the admin role.
#include "storage/postgres_backend.h"
#include "storage/postgres_extension.h"
#include "storage/postgres_schema.h"

namespace bulkhead::storage {
namespace {

// In the names of indexes, which have 63 bytes.
constexpr std::size_t kPlaceDigits = 24;
constexpr std::size_t kSpaceDigits = 20;

}  // namespace

base::Result<void> PostgresBackend::arrange_vectors(PostgresTransaction& transaction,
                                                    const PostgresLogin& login) {
  const PostgresOptions& options = pool_.options();
  PostgresConnection& connection = transaction.connection();
  BULKHEAD_CHECK_OK(search_with_extension(transaction, login));
  BULKHEAD_TRY(there, transaction.run("SELECT to_regclass('search_vectors') IS NOT NULL"));
  if (options.vectors == PostgresVectors::Sealed) {
    if (!there.flag(0, 0)) return {};
    return connection.execute("DROP TABLE search_vectors; DROP TABLE IF EXISTS search_state");
  }
  BULKHEAD_CHECK_OK(check_extension_here(transaction, options, login.dbname));
  BULKHEAD_TRY(may, transaction.run("SELECT has_schema_privilege($1::text::name, $2::text, 'USAGE')",
                                    login.user, options.extension_schema()));
  if (!may.flag(0, 0)) {
    BULKHEAD_CHECK_OK(connection.execute(
        Ddl().sql("GRANT USAGE ON SCHEMA ").name(options.extension_schema()).sql(" TO ").name(login.user)));
  }
  if (there.flag(0, 0)) return {};
  BULKHEAD_CHECK_OK(connection.execute("DROP TABLE IF EXISTS search_state"));
  return connection.execute(postgres_search_schema(shared(), login.user));
}

base::Result<void> PostgresBackend::check_template() {
  const std::string name = pool_.options().template_database();
  {
    BULKHEAD_TRY(transaction, administer(name));
    BULKHEAD_CHECK_OK(check_extension_here(transaction, pool_.options(), name));
    BULKHEAD_CHECK_OK(transaction.connection().execute(
        Ddl().sql("REVOKE ALL ON DATABASE ").name(name).sql(" FROM PUBLIC")));
    BULKHEAD_CHECK_OK(transaction.commit());
  }
  // A database that somebody is connected to can't be copied.
  pool_.close_idle(*admin_of(name).login);
  return {};
}

base::Result<void> PostgresBackend::index_vectors(const PostgresPlace& place,
                                                  const base::EmbeddingSpace& space, std::size_t dimensions) {
  BULKHEAD_TRY(transaction, administer(place.login->dbname));
  BULKHEAD_CHECK_OK(search_with_extension(transaction, *place.login));
  const std::string name = "near_" + place.name.substr(place.name.size() - kPlaceDigits) + "_" +
                           space.hex().substr(0, kSpaceDigits) + "_" + std::to_string(dimensions);
  // Asked first, because making an index waits for all who write.
  BULKHEAD_TRY(there, transaction.run("SELECT to_regclass(quote_ident($1)) IS NOT NULL", name));
  if (there.flag(0, 0)) return {};
  Ddl index;
  index.sql("CREATE INDEX ").name(name).sql(" ON ");
  index.name(shared() ? search_partition(place) : "search_vectors");
  index.sql(" USING hnsw ((point::vector(").number(dimensions).sql(")) vector_ip_ops) WHERE space = ");
  index.bytes(space.bytes).sql(" AND dimensions = ").number(dimensions);
  BULKHEAD_CHECK_OK(transaction.connection().execute(index));
  return transaction.commit();
}

}  // namespace bulkhead::storage
