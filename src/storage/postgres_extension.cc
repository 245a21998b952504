#include "storage/postgres_extension.h"

#include <array>
#include <charconv>
#include <compare>

namespace bulkhead::storage {
namespace {

constexpr std::array<int, 3> kVersionMin = {0, 8, 2};
constexpr std::string_view kVersionMinText = "0.8.2";

base::Error how_to_make(const PostgresOptions& options, const std::string& dbname, const std::string& wrong) {
  const std::string schema = options.extension_schema();
  return misconfigured("store \"" + options.name + "\": " + wrong +
                       ". As the server's superuser, in the database " + dbname + ": CREATE SCHEMA " +
                       schema + " AUTHORIZATION " + options.admin_user + "; CREATE EXTENSION vector SCHEMA " +
                       schema + "; or use vectors = \"sealed\"");
}

base::Error too_old(const PostgresOptions& options, const std::string& dbname, const std::string& version) {
  return misconfigured("store \"" + options.name + "\": pgvector " + std::string(kVersionMinText) +
                       " or newer is needed in the database " + dbname + "; this is " + version +
                       ". Install it on the server, then as superuser in that database: ALTER EXTENSION "
                       "vector UPDATE; or use vectors = \"sealed\"");
}

}  // namespace

bool extension_is_new_enough(const std::string& version) {
  std::array<int, 3> parts{};
  const char* at = version.data();
  const char* const end = at + version.size();
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto read = std::from_chars(at, end, parts[i]);
    if (read.ec != std::errc()) return false;
    at = read.ptr;
    if (i + 1 < parts.size() && (at == end || *at++ != '.')) return false;
  }
  return at == end && parts >= kVersionMin;
}

base::Result<void> check_extension_here(PostgresTransaction& transaction, const PostgresOptions& options,
                                        const std::string& dbname) {
  BULKHEAD_TRY(found, transaction.run(R"sql(
SELECT e.extversion, n.nspname::text, n.nspowner = (SELECT r.oid FROM pg_roles r WHERE r.rolname = current_user),
  (SELECT count(*) FROM pg_class c WHERE c.relnamespace = n.oid)
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector')sql"));
  if (found.empty()) return how_to_make(options, dbname, "the extension vector (pgvector) is missing");
  if (!extension_is_new_enough(found.text(0, 0))) return too_old(options, dbname, found.text(0, 0));
  const std::string schema = options.extension_schema();
  if (found.text(0, 1) != schema) {
    return misconfigured("store \"" + options.name + "\": the extension vector is in the schema " +
                         found.text(0, 1) + " of the database " + dbname + ", where tenants' roles have no " +
                         "right. As superuser there: CREATE SCHEMA " + schema + " AUTHORIZATION " +
                         options.admin_user + "; ALTER EXTENSION vector SET SCHEMA " + schema);
  }
  if (!found.flag(0, 2)) {
    return misconfigured("store \"" + options.name + "\": the schema " + schema + " of the database " +
                         dbname + " is not the admin role's. As superuser there: ALTER SCHEMA " + schema +
                         " OWNER TO " + options.admin_user);
  }
  // Every tenant's role may look into it.
  if (found.integer(0, 3) != 0) {
    return misconfigured("store \"" + options.name + "\": the schema " + schema + " of the database " +
                         dbname + " holds tables. Take out of it what is not the extension's");
  }
  return {};
}

base::Result<void> check_extension(PostgresTransaction& transaction, const PostgresOptions& options) {
  if (options.layout != PostgresLayout::Database)
    return check_extension_here(transaction, options, options.dbname);
  const std::string name = options.template_database();
  BULKHEAD_TRY(
      found,
      transaction.run(
          "SELECT datdba = (SELECT r.oid FROM pg_roles r WHERE r.rolname = current_user) FROM pg_database "
          "WHERE datname = $1",
          name));
  if (!found.empty() && found.flag(0, 0)) return {};
  return how_to_make(options, name,
                     "tenants' databases are copied from the database " + name + ", which is " +
                         (found.empty() ? "missing" : "not the admin role's") + ". First CREATE DATABASE " +
                         name + " OWNER " + options.admin_user +
                         " TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'");
}

base::Result<void> search_with_extension(PostgresTransaction& transaction, const PostgresLogin& login) {
  Ddl path;
  path.sql("SET LOCAL search_path = ").name(login.search_path);
  if (!login.extension_schema.empty()) path.sql(", ").name(login.extension_schema);
  return transaction.connection().execute(path.sql(", pg_temp"));
}

}  // namespace bulkhead::storage
