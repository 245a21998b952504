#include "storage/postgres_backend.h"

#include <cstdlib>

#include "base/file.h"
#include "base/log.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "storage/postgres_extension.h"
#include "storage/postgres_schema.h"

namespace bulkhead::storage {
namespace {

constexpr int kServerVersionMin = 150000;
constexpr std::size_t kPasswordBytesMax = 1024;
constexpr char kOwnDatabaseSchema[] = "bulkhead";
// Of transactions that make or remove roles and schemas: one at a time in a database.
constexpr Sql kLockProvisioning = "SELECT pg_advisory_xact_lock(7812345001)";

base::Secret as_text_secret(const base::Secret& bytes) {
  std::string text = base::base64url_encode(bytes.reveal());
  base::Secret secret = base::Secret::copy_of(text);
  base::wipe(text);
  return secret;
}

base::Result<base::Secret> read_admin_password(const PostgresOptions& options) {
  if (!options.admin_password_file.empty()) {
    auto password = base::read_secret_file(options.admin_password_file, kPasswordBytesMax);
    if (password) return password;
    return misconfigured("store \"" + options.name +
                         "\": admin_password_file: " + password.error().describe());
  }
  char* text = std::getenv(options.admin_password_env.c_str());
  if (!text) {
    return misconfigured("store \"" + options.name + "\": the environment variable " +
                         options.admin_password_env + " (admin_password_env) holds no password");
  }
  base::Secret password = base::Secret::copy_of(std::string_view(text));
  // Not for children, and not for /proc/self/environ any longer.
  base::wipe(text, password.size());
  ::unsetenv(options.admin_password_env.c_str());
  return password;
}

base::Result<bool> exists(PostgresTransaction& transaction, Sql query, std::string_view name) {
  BULKHEAD_TRY(rows, transaction.run(query, name));
  return !rows.empty();
}
constexpr Sql kFindRole = "SELECT 1 FROM pg_roles WHERE rolname = $1";
constexpr Sql kFindSchema = "SELECT 1 FROM pg_namespace WHERE nspname = $1";
constexpr Sql kFindDatabase = "SELECT 1 FROM pg_database WHERE datname = $1";

base::Error half_made(const std::string& what) {
  return misconfigured(
      what +
      ". Something was removed or made by hand: restore it from a backup of the database, or drop "
      "what is left of it");
}

// Version and tables go together, in the caller's transaction.
base::Result<void> bring_up_to_date(PostgresTransaction& transaction, const std::string& schema,
                                    bool shared) {
  BULKHEAD_CHECK_OK(
      transaction.connection().execute(Ddl().sql("SET LOCAL search_path = ").name(schema).sql(", pg_temp")));
  BULKHEAD_TRY(table, transaction.run("SELECT to_regclass('schema_version') IS NOT NULL"));
  if (!table.flag(0, 0)) return half_made("schema " + schema + " has no table schema_version");
  BULKHEAD_TRY(rows, transaction.run("SELECT version FROM schema_version"));
  if (rows.size() != 1) return half_made("schema " + schema + ": schema_version must hold one row");
  const std::int64_t version = rows.integer(0, 0);
  if (version == kPostgresSchemaVersion) return {};
  if (version == 1 || version == 2) {
    return transaction.connection().execute(postgres_upgrade(shared, version));
  }
  if (version > kPostgresSchemaVersion) {
    return misconfigured("schema " + schema + " has version " + std::to_string(version) +
                         ", made by a newer Bulkhead. Run that version");
  }
  return half_made("schema " + schema + " has the unknown version " + std::to_string(version));
}

base::Result<void> set_search_path(PostgresTransaction& transaction, const std::string& schema) {
  return transaction.connection().execute(
      Ddl().sql("SET LOCAL search_path = ").name(schema).sql(", pg_temp"));
}

}  // namespace

base::Result<std::unique_ptr<PostgresBackend>> PostgresBackend::create(PostgresOptions options,
                                                                       PlatformDatabase& platform,
                                                                       const base::Clock& clock) {
  BULKHEAD_TRY(password, read_admin_password(options));
  BULKHEAD_TRY(words, WordTokenizer::create());
  BULKHEAD_TRY(name_key, platform.secret("postgres-names"));
  return std::unique_ptr<PostgresBackend>(new PostgresBackend(
      std::move(options), std::move(password), std::move(words), std::move(name_key), platform, clock));
}

PostgresBackend::PostgresBackend(PostgresOptions options, base::Secret admin_password,
                                 std::unique_ptr<WordTokenizer> words, base::Secret name_key,
                                 PlatformDatabase& platform, const base::Clock& clock)
    : pool_(std::move(options)),
      admin_password_(std::move(admin_password)),
      words_(std::move(words)),
      name_key_(std::move(name_key)),
      platform_(platform),
      clock_(clock) {
  pool_.on_refused_login([this](const PostgresLogin& login) { return mend_login(login); });
}

std::string PostgresBackend::server_name(const base::TenantId& tenant) const {
  const crypto::Digest digest = crypto::hmac_sha256_parts(
      name_key_.reveal(), {base::as_bytes(pool_.options().name), base::as_bytes(tenant.str())});
  return pool_.options().prefix + "_" + base::hex_encode(base::ByteView(digest).first(12));
}

std::string PostgresBackend::shared_role() const { return pool_.options().prefix + "_app"; }

std::string PostgresBackend::secret_name(std::string_view kind, std::string_view name) const {
  return "postgres/" + pool_.options().name + "/" + std::string(kind) + "/" + std::string(name);
}

base::Result<std::shared_ptr<const PostgresPlace>> PostgresBackend::place_of(const base::TenantId& tenant) {
  const PostgresOptions& options = pool_.options();
  auto place = std::make_shared<PostgresPlace>();
  place->name = server_name(tenant);
  auto login = std::make_shared<PostgresLogin>();
  login->user = shared() ? shared_role() : place->name;
  login->dbname = options.layout == PostgresLayout::Database ? place->name : options.dbname;
  login->search_path = shared()                                     ? options.prefix
                       : options.layout == PostgresLayout::Database ? kOwnDatabaseSchema
                                                                    : place->name;
  if (options.vectors == PostgresVectors::Pgvector) login->extension_schema = options.extension_schema();
  BULKHEAD_TRY(password, platform_.secret(secret_name("role", login->user)));
  login->password = as_text_secret(password);
  place->login = std::move(login);
  if (shared()) {
    BULKHEAD_TRY(proof, platform_.secret(secret_name("proof", place->name)));
    place->proof = as_text_secret(proof);
  }
  return std::shared_ptr<const PostgresPlace>(std::move(place));
}

PostgresPlace PostgresBackend::admin_of(const std::string& dbname) const {
  PostgresPlace place;
  auto login = std::make_shared<PostgresLogin>();
  login->user = pool_.options().admin_user;
  login->password = admin_password_.clone();
  login->dbname = dbname;
  place.login = std::move(login);
  return place;
}

base::Result<PostgresTransaction> PostgresBackend::administer(const std::string& dbname) {
  BULKHEAD_TRY(transaction,
               PostgresTransaction::begin(pool_, admin_of(dbname), PostgresTransaction::Mode::Write));
  BULKHEAD_TRY(locked, transaction.run(kLockProvisioning));
  return transaction;
}

bool PostgresBackend::offers(tenancy::IsolationMode mode) const {
  switch (pool_.options().layout) {
    case PostgresLayout::Schema: return mode == tenancy::IsolationMode::Hybrid;
    case PostgresLayout::Database: return mode != tenancy::IsolationMode::Pooled;
    case PostgresLayout::RowLevelSecurity: return mode == tenancy::IsolationMode::Pooled;
  }
  return false;
}

base::Result<void> PostgresBackend::make_role(PostgresTransaction& transaction, const PostgresLogin& login) {
  BULKHEAD_TRY(verifier, transaction.connection().password_verifier(login.user, login.password));
  return transaction.connection().execute(
      Ddl()
          .sql("CREATE ROLE ")
          .name(login.user)
          .sql(" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION NOBYPASSRLS PASSWORD ")
          .literal(verifier));
}

base::Result<void> PostgresBackend::reset_settings(PostgresTransaction& transaction,
                                                   const PostgresLogin& login) {
  BULKHEAD_TRY(settings,
               transaction.run("SELECT 1 FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole "
                               "WHERE r.rolname = $1",
                               login.user));
  if (settings.empty()) return {};
  return transaction.connection().execute(Ddl()
                                              .sql("ALTER ROLE ")
                                              .name(login.user)
                                              .sql(" RESET ALL; ALTER ROLE ")
                                              .name(login.user)
                                              .sql(" IN DATABASE ")
                                              .name(login.dbname)
                                              .sql(" RESET ALL"));
}

base::Result<void> PostgresBackend::restore_login(PostgresTransaction& transaction,
                                                  const PostgresLogin& login) {
  BULKHEAD_CHECK_OK(reset_settings(transaction, login));
  BULKHEAD_TRY(verifier, transaction.connection().password_verifier(login.user, login.password));
  return transaction.connection().execute(
      Ddl().sql("ALTER ROLE ").name(login.user).sql(" PASSWORD ").literal(verifier));
}

bool PostgresBackend::mend_login(const PostgresLogin& login) {
  // The admin's own password is the configuration's.
  if (login.user == pool_.options().admin_user) return false;
  const auto mended = [&]() -> base::Result<void> {
    BULKHEAD_TRY(transaction, administer(pool_.options().dbname));
    BULKHEAD_TRY(has_role, exists(transaction, kFindRole, login.user));
    if (!has_role) return half_made("role " + login.user + " is not there");
    BULKHEAD_CHECK_OK(restore_login(transaction, login));
    return transaction.commit();
  }();
  const std::string_view role = login.user;
  if (mended) {
    base::log::error("serving_role_restored",
                     {{"role", role}, {"store", std::string_view(pool_.options().name)}});
  } else {
    base::log::error("serving_role_not_restored",
                     {{"role", role}, {"detail", std::string_view(mended.error().detail())}});
  }
  return mended.ok();
}

base::Result<void> PostgresBackend::make_schema(PostgresTransaction& transaction,
                                                const PostgresLogin& login) {
  PostgresConnection& connection = transaction.connection();
  BULKHEAD_CHECK_OK(
      connection.execute(Ddl()
                             .sql("REVOKE ALL ON DATABASE ")
                             .name(login.dbname)
                             .sql(" FROM PUBLIC; REVOKE ALL ON SCHEMA public FROM PUBLIC; GRANT CONNECT "
                                  "ON DATABASE ")
                             .name(login.dbname)
                             .sql(" TO ")
                             .name(login.user)
                             .sql("; CREATE SCHEMA ")
                             .name(login.search_path)));
  BULKHEAD_CHECK_OK(set_search_path(transaction, login.search_path));
  BULKHEAD_CHECK_OK(connection.execute(postgres_schema(shared(), login.search_path)));
  return connection.execute(postgres_grants(shared(), login.search_path, login.user));
}

// Role and schema are made in one transaction, so that either both are there or neither.
base::Result<void> PostgresBackend::ensure_schema(const PostgresPlace& place) {
  const PostgresLogin& login = *place.login;
  BULKHEAD_TRY(transaction, administer(login.dbname));
  BULKHEAD_TRY(has_role, exists(transaction, kFindRole, login.user));
  BULKHEAD_TRY(has_schema, exists(transaction, kFindSchema, login.search_path));
  if (has_role != has_schema) {
    return half_made(has_role ? "role " + login.user + " has lost its schema " + login.search_path
                              : "schema " + login.search_path + " has lost its role " + login.user);
  }
  if (has_schema) {
    BULKHEAD_CHECK_OK(reset_settings(transaction, login));
    BULKHEAD_CHECK_OK(bring_up_to_date(transaction, login.search_path, shared()));
  } else {
    BULKHEAD_CHECK_OK(make_role(transaction, login));
    BULKHEAD_CHECK_OK(make_schema(transaction, login));
  }
  BULKHEAD_CHECK_OK(arrange_vectors(transaction, login));
  return transaction.commit();
}

base::Result<void> PostgresBackend::ensure_shared(const PostgresPlace& place) {
  BULKHEAD_CHECK_OK(ensure_schema(place));
  BULKHEAD_TRY(transaction, administer(place.login->dbname));
  BULKHEAD_CHECK_OK(set_search_path(transaction, place.login->search_path));
  const crypto::Digest hash = crypto::sha256(place.proof.reveal());
  BULKHEAD_TRY(made, transaction.run("INSERT INTO tenant_access (tenant, proof_hash) VALUES ($1, $2) "
                                     "ON CONFLICT (tenant) DO NOTHING",
                                     place.name, base::ByteView(hash)));
  BULKHEAD_TRY(fits, transaction.run("SELECT 1 FROM tenant_access WHERE tenant = $1 AND proof_hash = $2",
                                     place.name, base::ByteView(hash)));
  if (fits.empty()) {
    return half_made("tenant_access has another proof for " + place.name + " than platform.db");
  }
  if (pool_.options().vectors == PostgresVectors::Pgvector) {
    BULKHEAD_CHECK_OK(search_with_extension(transaction, *place.login));
    const std::string partition = search_partition(place);
    BULKHEAD_TRY(there, transaction.run("SELECT to_regclass(quote_ident($1)) IS NOT NULL", partition));
    if (!there.flag(0, 0)) {
      BULKHEAD_CHECK_OK(transaction.connection().execute(postgres_search_partition(partition, place.name)));
    }
  }
  return transaction.commit();
}

// A database can't be made inside a transaction, so each step looks for what an interrupted run left.
base::Result<void> PostgresBackend::ensure_database(const PostgresPlace& place) {
  const PostgresLogin& login = *place.login;
  bool has_database = false;
  {
    BULKHEAD_TRY(transaction, administer(pool_.options().dbname));
    BULKHEAD_TRY(has_role, exists(transaction, kFindRole, login.user));
    BULKHEAD_TRY(found, exists(transaction, kFindDatabase, login.dbname));
    has_database = found;
    if (has_database && !has_role) return half_made("database " + login.dbname + " has lost its role");
    BULKHEAD_CHECK_OK(has_role ? reset_settings(transaction, login) : make_role(transaction, login));
    // Tenants' roles have nothing to seek here.
    BULKHEAD_CHECK_OK(transaction.connection().execute(
        Ddl().sql("REVOKE ALL ON DATABASE ").name(pool_.options().dbname).sql(" FROM PUBLIC")));
    BULKHEAD_CHECK_OK(transaction.commit());
  }
  if (!has_database) {
    BULKHEAD_TRY(lease, pool_.acquire(admin_of(pool_.options().dbname).login));
    auto made = lease->execute(Ddl()
                                   .sql("CREATE DATABASE ")
                                   .name(login.dbname)
                                   .sql(" TEMPLATE ")
                                   .name(pool_.options().vectors == PostgresVectors::Pgvector
                                             ? pool_.options().template_database()
                                             : "template0")
                                   .sql(" ENCODING 'UTF8' LOCALE 'C'"));
    if (!made) return made;
  }
  BULKHEAD_TRY(transaction, administer(login.dbname));
  BULKHEAD_TRY(has_schema, exists(transaction, kFindSchema, login.search_path));
  if (has_schema) {
    BULKHEAD_CHECK_OK(bring_up_to_date(transaction, login.search_path, shared()));
  } else {
    BULKHEAD_CHECK_OK(make_schema(transaction, login));
  }
  BULKHEAD_CHECK_OK(arrange_vectors(transaction, login));
  return transaction.commit();
}

base::Result<std::shared_ptr<const PostgresPlace>> PostgresBackend::ensure(const base::TenantId& tenant) {
  {
    std::scoped_lock lock(mutex_);
    if (const auto found = ready_.find(tenant); found != ready_.end()) return found->second;
  }
  BULKHEAD_TRY(place, place_of(tenant));
  switch (pool_.options().layout) {
    case PostgresLayout::Schema: BULKHEAD_CHECK_OK(ensure_schema(*place)); break;
    case PostgresLayout::Database: BULKHEAD_CHECK_OK(ensure_database(*place)); break;
    case PostgresLayout::RowLevelSecurity: BULKHEAD_CHECK_OK(ensure_shared(*place)); break;
  }
  std::scoped_lock lock(mutex_);
  return ready_.insert_or_assign(tenant, std::move(place)).first->second;
}

base::Result<std::shared_ptr<OpenStore>> PostgresBackend::open(const tenancy::TenantScope& scope) {
  BULKHEAD_TRY(place, ensure(scope.tenant()));
  const auto index = [this, place](const base::EmbeddingSpace& space, std::size_t dimensions) {
    return index_vectors(*place, space, dimensions);
  };
  BULKHEAD_TRY(store, PostgresStore::open(scope, pool_, place, *words_, clock_, index));
  return std::shared_ptr<OpenStore>(std::move(store));
}

base::Result<FoundApiKey> PostgresBackend::find_api_key(const base::TenantId& tenant,
                                                        const DatabaseKeysOf& keys_of,
                                                        const base::ApiKeyId& id) {
  BULKHEAD_TRY(keys, keys_of(tenant));
  BULKHEAD_TRY(place, ensure(tenant));
  return PostgresStore::find_api_key(pool_, *place, tenant, keys, id);
}

base::Result<void> PostgresBackend::check() {
  const PostgresOptions& options = pool_.options();
  {
    BULKHEAD_TRY(transaction, PostgresTransaction::begin(pool_, admin_of(options.dbname),
                                                         PostgresTransaction::Mode::Write));
    if (transaction.connection().server_version() < kServerVersionMin) {
      return misconfigured("store \"" + options.name + "\": PostgreSQL 15 or newer is needed; this is " +
                           std::to_string(transaction.connection().server_version() / 10000));
    }
    BULKHEAD_TRY(
        role, transaction.run("SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, "
                              "(SELECT datdba = r.oid FROM pg_database WHERE datname = current_database()) "
                              "FROM pg_roles r WHERE rolname = current_user"));
    const std::string who = "store \"" + options.name + "\": admin role " + options.admin_user;
    if (role.flag(0, 0) || role.flag(0, 1)) {
      return misconfigured(who + " passes every wall. Use a role of its own: CREATE ROLE " +
                           options.admin_user +
                           " LOGIN NOSUPERUSER NOBYPASSRLS CREATEROLE CREATEDB PASSWORD ...");
    }
    if (!role.flag(0, 2)) return misconfigured(who + " can't make roles. ALTER ROLE ... CREATEROLE");
    if (options.layout == PostgresLayout::Database && !role.flag(0, 3)) {
      return misconfigured(
          who + " can't make databases, which layout = \"database\" needs. ALTER ROLE ... CREATEDB");
    }
    if (!role.flag(0, 4)) {
      return misconfigured(who + " does not own the database " + options.dbname +
                           ". ALTER DATABASE ... OWNER TO");
    }
    if (options.vectors == PostgresVectors::Pgvector)
      BULKHEAD_CHECK_OK(check_extension(transaction, options));
    if (shared()) BULKHEAD_CHECK_OK(check_other_databases(transaction));
  }
  if (options.vectors == PostgresVectors::Pgvector && options.layout == PostgresLayout::Database)
    BULKHEAD_CHECK_OK(check_template());
  if (!shared()) return {};
  PostgresPlace app;
  auto login = std::make_shared<PostgresLogin>();
  login->user = shared_role();
  login->dbname = options.dbname;
  login->search_path = options.prefix;
  BULKHEAD_TRY(password, platform_.secret(secret_name("role", login->user)));
  login->password = as_text_secret(password);
  if (options.vectors == PostgresVectors::Pgvector) login->extension_schema = options.extension_schema();
  app.login = std::move(login);
  {
    BULKHEAD_TRY(transaction, administer(options.dbname));
    BULKHEAD_TRY(has_schema, exists(transaction, kFindSchema, options.prefix));
    if (!has_schema) return {};
    BULKHEAD_CHECK_OK(reset_settings(transaction, *app.login));
    BULKHEAD_CHECK_OK(bring_up_to_date(transaction, options.prefix, true));
    BULKHEAD_CHECK_OK(arrange_vectors(transaction, *app.login));
    BULKHEAD_CHECK_OK(transaction.commit());
  }
  BULKHEAD_TRY(transaction, PostgresTransaction::begin(pool_, app, PostgresTransaction::Mode::Read));
  BULKHEAD_CHECK_OK(check_serving_role(transaction, *app.login, options));
  BULKHEAD_CHECK_OK(check_shared_role(transaction, *app.login));
  return check_row_policies(transaction, options.vectors);
}

base::Result<tenancy::TenantEraser::Report> PostgresBackend::erase(const base::TenantId& tenant) {
  BULKHEAD_TRY(place, place_of(tenant));
  {
    std::scoped_lock lock(mutex_);
    ready_.erase(tenant);
  }
  tenancy::TenantEraser::Report report;
  if (shared()) {
    BULKHEAD_CHECK_OK(erase_shared(*place, report));
    BULKHEAD_CHECK_OK(platform_.forget_secret(secret_name("proof", place->name)));
  } else {
    pool_.close_idle(*place->login);
    BULKHEAD_CHECK_OK(erase_own(*place, report));
    BULKHEAD_CHECK_OK(platform_.forget_secret(secret_name("role", place->login->user)));
  }
  return report;
}

base::Result<void> PostgresBackend::erase_shared(const PostgresPlace& place,
                                                 tenancy::TenantEraser::Report& report) {
  {
    BULKHEAD_TRY(transaction, administer(place.login->dbname));
    BULKHEAD_TRY(has_schema, exists(transaction, kFindSchema, place.login->search_path));
    if (!has_schema) return {};
  }
  {
    // By the serving role and under the policy: the admin role sees no rows either.
    BULKHEAD_TRY(transaction, PostgresTransaction::begin(pool_, place, PostgresTransaction::Mode::Write));
    if (pool_.options().vectors == PostgresVectors::Pgvector) {
      // Named, so that no other tenant's partition is locked.
      for (std::string_view table : postgres_search_tables()) {
        BULKHEAD_CHECK_OK(transaction.connection().execute(
            Ddl().sql("DELETE FROM ").name(table).sql(" WHERE tenant = ").literal(place.name)));
      }
    }
    const auto tables = postgres_tables();
    for (auto table = tables.rbegin(); table != tables.rend(); ++table) {
      BULKHEAD_CHECK_OK(transaction.connection().execute(Ddl().sql("DELETE FROM ").name(*table)));
    }
    BULKHEAD_CHECK_OK(transaction.commit());
  }
  BULKHEAD_TRY(transaction, administer(place.login->dbname));
  BULKHEAD_CHECK_OK(set_search_path(transaction, place.login->search_path));
  BULKHEAD_CHECK_OK(
      transaction.connection().execute(Ddl().sql("DROP TABLE IF EXISTS ").name(search_partition(place))));
  BULKHEAD_TRY(gone, transaction.run("DELETE FROM tenant_access WHERE tenant = $1", place.name));
  BULKHEAD_CHECK_OK(transaction.commit());
  if (gone.affected() != 0)
    report.removed.push_back("postgres/" + pool_.options().name + "/rows of " + place.name);
  return {};
}

base::Result<void> PostgresBackend::erase_own(const PostgresPlace& place,
                                              tenancy::TenantEraser::Report& report) {
  const PostgresLogin& login = *place.login;
  const bool own_database = pool_.options().layout == PostgresLayout::Database;
  const std::string label = "postgres/" + pool_.options().name + "/";
  if (own_database) {
    bool found = false;
    {
      BULKHEAD_TRY(transaction, administer(pool_.options().dbname));
      BULKHEAD_TRY(size, transaction.run("SELECT pg_database_size(oid) FROM pg_database WHERE datname = $1",
                                         login.dbname));
      found = !size.empty();
      if (found) report.bytes += size.count(0, 0);
    }
    if (found) {
      pool_.close_idle(*admin_of(login.dbname).login);
      BULKHEAD_TRY(lease, pool_.acquire(admin_of(pool_.options().dbname).login));
      BULKHEAD_CHECK_OK(lease->execute(Ddl().sql("DROP DATABASE IF EXISTS ").name(login.dbname)));
      report.removed.push_back(label + "database " + login.dbname);
    }
  }
  BULKHEAD_TRY(transaction, administer(pool_.options().dbname));
  BULKHEAD_TRY(has_schema, exists(transaction, kFindSchema, login.search_path));
  if (!own_database && has_schema) {
    BULKHEAD_TRY(size, transaction.run(
                           "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c "
                           "JOIN pg_namespace n ON n.oid = c.relnamespace "
                           "WHERE n.nspname = $1 AND c.relkind = 'r'",
                           login.search_path));
    report.bytes += size.count(0, 0);
    BULKHEAD_CHECK_OK(
        transaction.connection().execute(Ddl().sql("DROP SCHEMA ").name(login.search_path).sql(" CASCADE")));
    report.removed.push_back(label + "schema " + login.search_path);
  }
  BULKHEAD_TRY(has_role, exists(transaction, kFindRole, login.user));
  if (has_role) {
    if (!own_database) {
      BULKHEAD_CHECK_OK(transaction.connection().execute(
          Ddl().sql("REVOKE ALL ON DATABASE ").name(login.dbname).sql(" FROM ").name(login.user)));
      BULKHEAD_TRY(has_extension, exists(transaction, kFindSchema, pool_.options().extension_schema()));
      if (has_extension) {
        BULKHEAD_CHECK_OK(transaction.connection().execute(Ddl()
                                                               .sql("REVOKE ALL ON SCHEMA ")
                                                               .name(pool_.options().extension_schema())
                                                               .sql(" FROM ")
                                                               .name(login.user)));
      }
    }
    BULKHEAD_CHECK_OK(transaction.connection().execute(Ddl().sql("DROP ROLE ").name(login.user)));
    report.removed.push_back(label + "role " + login.user);
  }
  return transaction.commit();
}

}  // namespace bulkhead::storage
