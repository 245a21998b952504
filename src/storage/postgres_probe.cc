// PostgresBackend::probe: the walls around one tenant's place in a server, tried just now by the role that
// serves it, and by the role that owns the tables.
#include "storage/postgres_backend.h"
#include "storage/postgres_schema.h"

namespace bulkhead::storage {
namespace {

using Mode = PostgresTransaction::Mode;

constexpr std::string_view kNoPrivilege = "SQLSTATE 42501";

// Rows of all tables together, without any filter. The tables are those of the transaction's search path.
base::Result<std::uint64_t> unfiltered_rows(PostgresTransaction& transaction, PostgresVectors vectors) {
  std::uint64_t searched = 0;
  if (vectors == PostgresVectors::Pgvector) {
    BULKHEAD_TRY(more, transaction.run("SELECT (SELECT count(*) FROM search_vectors) + "
                                       "(SELECT count(*) FROM search_state)"));
    searched = more.count(0, 0);
  }
  BULKHEAD_TRY(rows, transaction.run("SELECT (SELECT count(*) FROM meta) + (SELECT count(*) FROM files) + "
                                     "(SELECT count(*) FROM file_pieces) + (SELECT count(*) FROM batches) + "
                                     "(SELECT count(*) FROM chunks) + (SELECT count(*) FROM chunk_vectors) + "
                                     "(SELECT count(*) FROM words) + (SELECT count(*) FROM vector_stores) + "
                                     "(SELECT count(*) FROM attachments) + (SELECT count(*) FROM api_keys) + "
                                     "(SELECT count(*) FROM chats)"));
  return searched + rows.count(0, 0);
}

WallSeen unseen(std::string wall, const base::Error& error) {
  WallSeen seen{.layer = "store", .wall = std::move(wall)};
  seen.check = error.detail().empty() ? error.message() : error.detail();
  seen.remedy = "Do what the check says, then look again.";
  return seen;
}

WallSeen serving_role(PostgresTransaction& transaction, const PostgresLogin& login,
                      const PostgresOptions& options) {
  const std::string wall = "a serving role without any right beyond its own rows";
  if (auto checked = check_serving_role(transaction, login, options); !checked)
    return unseen(wall, checked.error());
  WallSeen seen{.layer = "store", .stands = true, .wall = wall};
  seen.check = "pg_roles, pg_class, pg_auth_members: " + login.user +
               " is no superuser, has no BYPASSRLS, owns nothing, is a member of nothing, creates nothing";
  return seen;
}

WallSeen row_policies(PostgresTransaction& transaction, PostgresVectors vectors) {
  const std::string wall = "row-level security, forced, on every shared table";
  if (auto checked = check_row_policies(transaction, vectors); !checked) return unseen(wall, checked.error());
  WallSeen seen{.layer = "store", .stands = true, .wall = wall};
  seen.check = "pg_class, pg_policy: FORCE on all " + std::to_string(postgres_tables().size()) +
               (vectors == PostgresVectors::Pgvector ? " tables and on those of the search" : " tables") +
               ", the one policy on each is Bulkhead's";
  return seen;
}

WallSeen expired_chats(PostgresTransaction& transaction, std::int64_t now) {
  WallSeen seen{.layer = "retention", .wall = "expired chats are deleted"};
  seen.remedy = "Look for expired_chats_not_removed in the gateway's log.";
  auto rows = transaction.run("SELECT count(*) FROM chats WHERE expires > 0 AND expires < $1",
                              now - kSweepGraceSeconds);
  seen.stands = rows && rows->integer(0, 0) == 0;
  seen.check = rows ? std::to_string(rows->integer(0, 0)) + " expired chats are left"
                    : "the chats could not be counted: " + rows.error().detail();
  return seen;
}

// Whose rows the policies let through with these settings; the tables' own answer.
base::Result<bool> recognised(PostgresPool& pool, const PostgresPlace& place) {
  BULKHEAD_TRY(transaction, PostgresTransaction::begin(pool, place, Mode::Read));
  BULKHEAD_TRY(rows, transaction.run("SELECT coalesce(current_tenant(), '')"));
  return rows.text(0, 0) == place.name;
}

// What the role sees with these settings, with the search path of its login.
base::Result<std::uint64_t> rows_seen_as(PostgresPool& pool, const PostgresPlace& place) {
  BULKHEAD_TRY(transaction, PostgresTransaction::begin(pool, place, Mode::Read));
  return unfiltered_rows(transaction, pool.options().vectors);
}

}  // namespace

WallSeen PostgresBackend::try_foreign_rows(const PostgresPlace& place, const std::string& other) {
  WallSeen seen{.layer = "store", .wall = "without the tenant's own proof there are no rows"};
  seen.remedy =
      "Suspend the tenants of this store now. Restore the policies: ALTER TABLE ... FORCE ROW LEVEL "
      "SECURITY, "
      "and no policy but own_rows.";
  PostgresPlace foreign{.name = other, .login = place.login, .proof = place.proof.clone()};
  PostgresPlace nobody{.name = "", .login = place.login, .proof = {}};
  auto owner = [&]() -> base::Result<std::uint64_t> {
    BULKHEAD_TRY(transaction, administer(place.login->dbname));
    BULKHEAD_CHECK_OK(transaction.connection().execute(
        Ddl().sql("SET LOCAL search_path = ").name(place.login->search_path).sql(", pg_temp")));
    return unfiltered_rows(transaction, pool_.options().vectors);
  }();
  auto known = recognised(pool_, place);
  auto own = rows_seen_as(pool_, place);
  auto as_other = rows_seen_as(pool_, foreign);
  auto unset = rows_seen_as(pool_, nobody);
  for (const auto* each : {&own, &as_other, &unset, &owner}) {
    if (each->ok()) continue;
    seen.check = "could not be tried: " + each->error().detail();
    return seen;
  }
  // That the own proof is recognised is the control: a query that always gives nothing shows nothing.
  seen.stands = *as_other == 0 && *unset == 0 && *owner == 0 && known && *known;
  seen.check = "a query over all tables without a filter gave " + std::to_string(*as_other) +
               " rows under another tenant's setting, " + std::to_string(*unset) + " without one, " +
               std::to_string(*owner) + " to the tables' owner, and " + std::to_string(*own) +
               " to this tenant itself, whose proof was " + (known && *known ? "" : "NOT ") +
               "recognised (the control)";
  return seen;
}

WallSeen PostgresBackend::try_other_place(PostgresTransaction& transaction, const PostgresPlace& place,
                                          const std::string& other) {
  const bool own_database = pool_.options().layout == PostgresLayout::Database;
  WallSeen seen{.layer = "store"};
  seen.wall = own_database ? "own database, which its role alone can enter, and no other"
                           : "own schema, and no way into another";
  seen.remedy = "Suspend the tenant now. REVOKE what its role has elsewhere, and what PUBLIC has.";
  if (own_database) {
    auto elsewhere = std::make_shared<PostgresLogin>();
    elsewhere->user = place.login->user;
    elsewhere->password = place.login->password.clone();
    elsewhere->dbname = pool_.options().dbname;
    auto entered = PostgresConnection::open(pool_.options(), *elsewhere);
    // Misconfigured is how a server that asked for the password and then refused is told.
    seen.stands = !entered && entered.error().is(StorageError::Misconfigured);
    seen.check = entered       ? "ITS ROLE ENTERS THE DATABASE " + elsewhere->dbname
                 : seen.stands ? "its role was refused by the database " + elsewhere->dbname
                               : "could not be tried: " + entered.error().detail();
    return seen;
  }
  auto tried = transaction.connection().execute(
      Ddl().sql("SAVEPOINT posture; SELECT count(*) FROM ").name(other).sql(".files"));
  const std::string detail = tried ? "" : tried.error().detail();
  static_cast<void>(transaction.connection().execute("ROLLBACK TO SAVEPOINT posture"));
  // Without a second tenant there is no other schema: then the catalogue must have said that none is open.
  const bool nowhere = detail.find("SQLSTATE 3F000") != std::string::npos ||
                       detail.find("SQLSTATE 42P01") != std::string::npos;
  seen.stands = !tried && (nowhere || detail.find(kNoPrivilege) != std::string::npos);
  seen.check = tried     ? "ITS ROLE READ ANOTHER TENANT'S TABLE"
               : nowhere ? "no other tenant has a schema here; the catalogue gives its role none"
                         : "SELECT on another tenant's table: permission denied";
  if (!seen.stands && !tried) seen.check = "could not be tried: " + detail;
  return seen;
}

// That every sealed vector has its rotated one and no other has one is how it is seen that they are derived.
WallSeen PostgresBackend::rotated_vectors(PostgresTransaction& transaction, const PostgresPlace& place) {
  WallSeen seen{.layer = "vectors"};
  seen.wall =
      shared()
          ? "own partition and own index in the database; vectors rotated under the tenant's key, not sealed"
          : "own table and own index in the database; vectors rotated under the tenant's key, not sealed";
  seen.remedy = "Restart the gateway: it makes them anew from the sealed vectors.";
  auto rows = transaction.run(
      "SELECT (SELECT count(*) FROM search_vectors), (SELECT count(*) FROM search_vectors s WHERE NOT EXISTS "
      "(SELECT 1 FROM chunk_vectors v WHERE v.key = s.key)), (SELECT count(*) FROM pg_indexes "
      "WHERE schemaname = current_schema() AND tablename = $1 AND indexdef LIKE '%USING hnsw%')",
      shared() ? "search_" + place.name : std::string("search_vectors"));
  if (!rows) {
    seen.check = "could not be tried: " + rows.error().detail();
    return seen;
  }
  const std::int64_t held = rows->integer(0, 0), foreign = rows->integer(0, 1), indexes = rows->integer(0, 2);
  seen.stands = foreign == 0 && (held == 0 || indexes > 0);
  seen.check = "its role sees " + std::to_string(held) + " vectors, " + std::to_string(foreign) +
               " of them of no passage of its own, and " + std::to_string(indexes) + " indexes on them";
  return seen;
}

base::Result<std::uint64_t> PostgresBackend::place_bytes(PostgresTransaction& transaction) {
  switch (pool_.options().layout) {
    case PostgresLayout::Database: {
      BULKHEAD_TRY(size, transaction.run("SELECT pg_database_size(current_database())"));
      return size.count(0, 0);
    }
    case PostgresLayout::Schema: {
      BULKHEAD_TRY(
          size, transaction.run("SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class "
                                "WHERE relnamespace = to_regnamespace(current_schema()) AND relkind = 'r'"));
      return size.count(0, 0);
    }
    case PostgresLayout::RowLevelSecurity: {
      BULKHEAD_TRY(
          size,
          transaction.run("SELECT coalesce((SELECT value FROM meta WHERE name = 'bytes_used'), 0)::bigint"));
      return size.count(0, 0);
    }
  }
  return std::uint64_t{0};
}

base::Result<StoreProbe> PostgresBackend::probe(const base::TenantId& tenant, const base::TenantId& other,
                                                const DatabaseKeysOf&) {
  BULKHEAD_TRY(place, place_of(tenant));
  StoreProbe out;
  const PostgresLogin& login = *place->login;
  out.place = std::string(layout_name(pool_.options().layout)) + " in PostgreSQL, store " +
              pool_.options().name + ", " + (shared() ? "rows of " + place->name : place->name);
  // A place that was never made can't be looked at, and looking doesn't make it.
  {
    BULKHEAD_TRY(transaction, administer(pool_.options().dbname));
    BULKHEAD_TRY(found, transaction.run("SELECT 1 FROM pg_roles WHERE rolname = $1", login.user));
    out.made = !found.empty();
    if (out.made && shared()) {
      BULKHEAD_CHECK_OK(transaction.connection().execute(
          Ddl().sql("SET LOCAL search_path = ").name(login.search_path).sql(", pg_temp")));
      BULKHEAD_TRY(access, transaction.run("SELECT 1 FROM tenant_access WHERE tenant = $1", place->name));
      out.made = !access.empty();
    }
  }
  if (!out.made) return out;
  if (auto server = check(); !server) {
    out.walls.push_back(unseen("a server as Bulkhead needs it", server.error()));
  }
  BULKHEAD_TRY(transaction, PostgresTransaction::begin(pool_, *place, Mode::Read));
  out.walls.push_back(serving_role(transaction, login, pool_.options()));
  if (shared()) {
    out.walls.push_back(row_policies(transaction, pool_.options().vectors));
  } else {
    out.walls.push_back(try_other_place(transaction, *place, server_name(other)));
  }
  if (pool_.options().vectors == PostgresVectors::Pgvector)
    out.walls.push_back(rotated_vectors(transaction, *place));
  out.walls.push_back(expired_chats(transaction, clock_.unix_seconds()));
  BULKHEAD_TRY(bytes, place_bytes(transaction));
  out.bytes = bytes;
  if (shared()) out.walls.push_back(try_foreign_rows(*place, server_name(other)));
  return out;
}

}  // namespace bulkhead::storage
