#include "storage/postgres_store.h"

#include "crypto/hash.h"
#include "crypto/random.h"
#include "storage/postgres_data_keys.h"
#include "storage/postgres_schema.h"
#include "storage/postgres_usage.h"
#include "storage/store_common.h"

namespace bulkhead::storage {
namespace {

constexpr std::size_t kTagBytes = 16;
constexpr int kVersionBits = 47;  // more than any store counts to from its first version

base::Error damaged_meta() {
  return base::Error(StorageError::Corrupt,
                     "The store is damaged and was not used. Ask your operator to restore it from a backup.",
                     "rows of the table meta are missing");
}

std::int64_t first_version() {
  const base::Bytes bytes = crypto::random_bytes(6);
  std::int64_t number = 0;
  for (std::uint8_t byte : bytes) number = (number << 8) | byte;
  return number / 4 + 1;
}

}  // namespace

base::Result<void> check_serving_role(PostgresTransaction& transaction, const PostgresLogin& login,
                                      const PostgresOptions& options) {
  BULKHEAD_TRY(role, transaction.run(R"sql(
SELECT r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication,
  (SELECT count(*) FROM pg_class c WHERE c.relowner = r.oid),
  (SELECT count(*) FROM pg_auth_members m WHERE m.member = r.oid),
  (SELECT count(*) FROM pg_namespace n WHERE has_schema_privilege(n.oid, 'CREATE')),
  (SELECT count(*) FROM pg_namespace n WHERE has_schema_privilege(n.oid, 'USAGE')
     AND n.nspname NOT IN ('pg_catalog', 'information_schema', current_schema(), $1)),
  has_database_privilege(current_database(), 'TEMP')
FROM pg_roles r WHERE r.rolname = current_user)sql",
                                     options.extension_schema()));
  const std::string who = "role " + login.user + " in database " + login.dbname;
  if (role.empty()) return misconfigured(who + " is not in the catalogue");
  if (role.flag(0, 0)) {
    return misconfigured(who +
                         " may pass every wall. Take that away: ALTER ROLE ... NOSUPERUSER NOBYPASSRLS "
                         "NOCREATEROLE NOCREATEDB NOREPLICATION");
  }
  if (role.integer(0, 1) != 0)
    return misconfigured(who + " owns tables. Give them to the admin role: REASSIGN OWNED");
  if (role.integer(0, 2) != 0)
    return misconfigured(who + " is a member of other roles. REVOKE those roles from it");
  if (role.integer(0, 3) != 0) return misconfigured(who + " may CREATE in a schema. REVOKE CREATE from it");
  if (role.integer(0, 4) != 0) {
    return misconfigured(who + " can reach other schemas. REVOKE USAGE on them from it and from PUBLIC");
  }
  if (role.flag(0, 5))
    return misconfigured(who + " may make temporary tables. REVOKE TEMP on the database from PUBLIC");
  return {};
}

base::Result<void> check_shared_role(PostgresTransaction& transaction, const PostgresLogin& login) {
  BULKHEAD_TRY(functions, transaction.run(R"sql(
SELECT string_agg(p.oid::regprocedure::text, ', ' ORDER BY p.oid::regprocedure::text) FROM pg_proc p
WHERE p.pronamespace = 'pg_catalog'::regnamespace AND has_function_privilege(p.oid, 'EXECUTE')
  AND (p.proname IN ('pg_terminate_backend', 'pg_cancel_backend') OR p.proname LIKE 'pg\_advisory\_%'
       OR p.proname LIKE 'pg\_try\_advisory\_%'))sql"));
  if (functions.empty() || functions.is_null(0, 0)) return {};
  return misconfigured(
      "role " + login.user + " in database " + login.dbname +
      " may end or hold up other tenants' sessions. As the superuser, in that database: REVOKE "
      "EXECUTE ON FUNCTION " +
      functions.text(0, 0) + " FROM PUBLIC");
}

base::Result<void> check_other_databases(PostgresTransaction& transaction) {
  BULKHEAD_TRY(open, transaction.run(R"sql(
SELECT string_agg(quote_ident(d.datname), ', ' ORDER BY d.datname) FROM pg_database d
WHERE d.datallowconn AND d.datname <> current_database() AND has_database_privilege('public', d.oid, 'CONNECT'))sql"));
  if (open.empty() || open.is_null(0, 0)) return {};
  return misconfigured(
      "every role may connect to other databases of this server, and could end other tenants' sessions from "
      "there. As "
      "the superuser: REVOKE CONNECT ON DATABASE " +
      open.text(0, 0) + " FROM PUBLIC");
}

base::Result<void> check_row_policies(PostgresTransaction& transaction, PostgresVectors vectors) {
  std::vector<std::string> tables;
  for (std::string_view table : postgres_tables()) tables.emplace_back(table);
  if (vectors == PostgresVectors::Pgvector) {
    for (std::string_view table : postgres_search_tables()) tables.emplace_back(table);
  }
  BULKHEAD_TRY(
      partitions,
      transaction.run("SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
                      "WHERE i.inhparent = to_regclass('search_vectors') AND c.relkind = 'r'"));
  for (int i = 0; i < partitions.size(); ++i) tables.push_back(partitions.text(i, 0));
  BULKHEAD_TRY(walls, transaction.run(R"sql(
SELECT count(*) FILTER (WHERE c.relrowsecurity AND c.relforcerowsecurity),
  (SELECT count(*) FROM pg_policy p JOIN pg_class t ON t.oid = p.polrelid WHERE t.relnamespace = c.relnamespace),
  (SELECT count(*) FROM pg_policies p WHERE p.schemaname = current_schema() AND p.qual = p.with_check
     AND p.qual LIKE '(tenant = ( SELECT%current_tenant() AS current_tenant))')
FROM pg_class c WHERE c.relnamespace = to_regnamespace(current_schema()) AND c.relname = ANY($1)
GROUP BY c.relnamespace)sql",
                                      tables));
  const auto wanted = static_cast<std::int64_t>(tables.size());
  if (walls.empty() || walls.integer(0, 0) != wanted) {
    return misconfigured(
        "a shared table lacks FORCE ROW LEVEL SECURITY. ALTER TABLE ... ENABLE and FORCE it");
  }
  if (walls.integer(0, 1) != wanted || walls.integer(0, 2) != wanted) {
    return misconfigured(
        "the row policies are not the ones that Bulkhead made. Remove others, restore own_rows");
  }
  return {};
}

base::Result<std::shared_ptr<PostgresStore>> PostgresStore::open(const Scope& scope, PostgresPool& pool,
                                                                 std::shared_ptr<const PostgresPlace> place,
                                                                 const WordTokenizer& words,
                                                                 const base::Clock& clock,
                                                                 VectorIndexer indexer) {
  if (!scope.alive()) return tenant_gone(scope.tenant());
  std::shared_ptr<PostgresStore> store(
      new PostgresStore(scope.tenant(), pool, std::move(place), words, clock, std::move(indexer)));
  BULKHEAD_TRY(use, store->writing(scope));
  BULKHEAD_CHECK_OK(check_serving_role(*use, *store->place_->login, pool.options()));
  if (!store->place_->proof.empty()) {
    BULKHEAD_CHECK_OK(check_shared_role(*use, *store->place_->login));
    BULKHEAD_CHECK_OK(check_row_policies(*use, pool.options().vectors));
  }
  // The versions begin at random, so that a store made anew is never taken for the one an index was
  // built from.
  const std::vector<std::string> names = {"content_version", "vectors_version", "bytes_used",
                                          "chunks",          "words",           "files",
                                          "vector_stores",   "chats",           "api_keys"};
  const std::vector<std::int64_t> values = {first_version(), first_version(), 0, 0, 0, 0, 0, 0, 0};
  BULKHEAD_TRY(counted, use->run("SELECT value FROM meta WHERE name = 'api_keys'"));
  BULKHEAD_TRY(made, use->run("INSERT INTO meta (name, value) SELECT * FROM unnest($1::text[], $2::bigint[]) "
                              "ON CONFLICT ON CONSTRAINT meta_key DO NOTHING",
                              names, values));
  BULKHEAD_TRY(rows, use->run("SELECT (SELECT value FROM meta WHERE name = 'content_version'), "
                              "(SELECT value FROM meta WHERE name = 'vectors_version')"));
  if (rows.is_null(0, 0) || rows.is_null(0, 1)) return damaged_meta();
  // A store from before everything was counted, or a new one.
  if (counted.empty()) BULKHEAD_CHECK_OK(storage::recount_usage(*use));
  BULKHEAD_TRY(used, read_usage(*use));
  store->note_usage(used);
  BULKHEAD_TRY(stale, stale_subjects(*use, scope));
  if (store->searches_vectors()) {
    BULKHEAD_TRY(lacking, store->lacks_vectors(*use));
    store->vectors_lacking_ = lacking;
  }
  BULKHEAD_CHECK_OK(use->commit());
  store->needs_upkeep_ = !stale.empty() || store->vectors_lacking_;
  raise_version(store->content_version_, rows.count(0, 0));
  raise_version(store->vectors_version_, rows.count(0, 1));
  return store;
}

PostgresStore::PostgresStore(base::TenantId tenant, PostgresPool& pool,
                             std::shared_ptr<const PostgresPlace> place, const WordTokenizer& words,
                             const base::Clock& clock, VectorIndexer indexer)
    : tenant_(std::move(tenant)),
      pool_(pool),
      place_(std::move(place)),
      words_(words),
      clock_(clock),
      indexer_(std::move(indexer)) {}

PostgresStore::~PostgresStore() {
  // With row-level security the connections are everybody's.
  if (place_->proof.empty()) pool_.close_idle(*place_->login);
}

void PostgresStore::shut() {
  std::unique_lock lock(shut_mutex_);
  shut_ = true;
}

base::Result<void> PostgresStore::check(const Scope& scope) const {
  if (scope.tenant() != tenant_) return scope_mismatch(scope.tenant(), tenant_);
  if (!scope.alive()) return tenant_gone(tenant_);
  return {};
}

base::Result<PostgresStore::Use> PostgresStore::use(const Scope& scope, PostgresTransaction::Mode mode) {
  BULKHEAD_CHECK_OK(check(scope));
  std::shared_lock lock(shut_mutex_);
  if (shut_) return tenant_gone(tenant_);
  BULKHEAD_TRY(transaction, PostgresTransaction::begin(pool_, *place_, mode));
  return Use{std::move(lock), std::move(transaction)};
}

// The rows of meta are locked by all writers in one order, or two of them would wait for each other: chunks,
// words, those of the usage in its order, content_version, vectors_version; then that of search_state. So one
// statement never takes two.
base::Result<void> PostgresStore::count(const Scope& scope, Use& use, Bounds bounds) {
  BULKHEAD_TRY(change, usage_change(*use));
  if (change.none()) return {};
  BULKHEAD_TRY(step, settle_usage(*use, change));
  if (bounds == Bounds::Hold) BULKHEAD_CHECK_OK(check_usage(scope, step.before, step.after));
  use.usage = step.after;
  return {};
}

base::Result<void> PostgresStore::commit_counted(const Scope& scope, Use& use, Bounds bounds) {
  BULKHEAD_CHECK_OK(count(scope, use, bounds));
  BULKHEAD_CHECK_OK(use->commit());
  if (use.usage) note_usage(*use.usage);
  return {};
}

base::Result<void> PostgresStore::commit_moved(const Scope& scope, Use& use, bool vectors_too,
                                               Bounds bounds) {
  BULKHEAD_CHECK_OK(count(scope, use, bounds));
  const auto moved = [&](std::string_view name) -> base::Result<std::uint64_t> {
    BULKHEAD_TRY(rows, use->run("UPDATE meta SET value = value + 1 WHERE name = $1 RETURNING value", name));
    if (rows.size() != 1) return damaged_meta();
    return rows.count(0, 0);
  };
  BULKHEAD_TRY(content, moved("content_version"));
  std::uint64_t vectors = 0;
  if (vectors_too) {
    BULKHEAD_TRY(version, moved("vectors_version"));
    vectors = version;
    if (searches_vectors()) {
      BULKHEAD_TRY(noted, use->run("UPDATE search_state SET value = $1 WHERE name = 'vectors_version' "
                                   "AND value <> 0",
                                   vectors));
    }
  }
  BULKHEAD_CHECK_OK(use->commit());
  if (use.usage) note_usage(*use.usage);
  // Two writers that publish in the other order look like this as well; an index is read once more then.
  if (content <= content_version_.load()) ++steps_back_;
  raise_version(content_version_, content);
  raise_version(vectors_version_, vectors);
  return {};
}

std::uint64_t PostgresStore::published(const std::atomic<std::uint64_t>& version) const {
  return ((pool_.losses() + steps_back_.load()) << kVersionBits) + version.load();
}

base::Result<void> PostgresStore::count_batch(PostgresTransaction& transaction, std::int64_t chunks,
                                              std::int64_t words) {
  BULKHEAD_TRY(first, transaction.run("UPDATE meta SET value = value + $1 WHERE name = 'chunks'", chunks));
  BULKHEAD_TRY(second, transaction.run("UPDATE meta SET value = value + $1 WHERE name = 'words'", words));
  return {};
}

BlindIndex::BlindIndex(const tenancy::TenantScope& scope)
    : key_(scope.key(crypto::Purpose::BlindIndex).clone()) {}

base::Bytes BlindIndex::tag(std::string_view word) const { return hash("word", word); }
base::Bytes BlindIndex::owner(std::string_view user) const { return hash("owner", user); }

base::Bytes BlindIndex::hash(std::string_view kind, std::string_view text) const {
  const crypto::Digest digest =
      crypto::hmac_sha256_parts(key_.reveal(), {base::as_bytes(kind), base::as_bytes(text)});
  return {digest.begin(), digest.begin() + kTagBytes};
}

base::Result<Usage> PostgresStore::usage(const Scope& scope) {
  BULKHEAD_TRY(use, reading(scope));
  return read_usage(*use);
}

base::Result<Usage> PostgresStore::recount_usage(const Scope& scope) {
  BULKHEAD_TRY(use, writing(scope));
  // Every writer takes this row before it commits, so none commits while rows are counted.
  BULKHEAD_TRY(locked, use->run("SELECT value FROM meta WHERE name = 'bytes_used' FOR UPDATE"));
  BULKHEAD_TRY(counted, storage::recount_usage(*use));
  BULKHEAD_CHECK_OK(use->commit());
  note_usage(counted);
  return counted;
}

}  // namespace bulkhead::storage
