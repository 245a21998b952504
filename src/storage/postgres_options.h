// What an operator says about a PostgreSQL server in a [[store]] section. Values.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace bulkhead::storage {

enum class PostgresLayout {
  Schema,            // own schema and own login role a tenant, in one database
  Database,          // own database and own login role a tenant
  RowLevelSecurity,  // shared tables, one application role, a policy on every table
};
constexpr std::string_view layout_name(PostgresLayout layout) {
  switch (layout) {
    case PostgresLayout::Schema: return "schema";
    case PostgresLayout::Database: return "database";
    case PostgresLayout::RowLevelSecurity: return "row_level_security";
  }
  return "unknown";
}

// Where a question's nearest passages are found.
enum class PostgresVectors {
  Sealed,    // in the gateway's memory: the database holds sealed vectors only
  Pgvector,  // in the database: rotated vectors stand there beside the sealed ones
};

struct PostgresOptions {
  std::string name;  // of the store, as tenants name it
  PostgresLayout layout = PostgresLayout::Schema;
  PostgresVectors vectors = PostgresVectors::Sealed;
  // Name, address or folder of a Unix socket; or several with commas between, of one cluster: the one that
  // takes writes is used.
  std::string host;
  std::uint16_t port = 5432;
  std::string dbname = "bulkhead";            // database layout: the one to connect to for making others
  std::string admin_user = "bulkhead_admin";  // makes schemas, databases and roles; sees no request
  std::filesystem::path admin_password_file;  // 0600; or else
  std::string admin_password_env;             // the name of an environment variable
  std::string sslmode = "verify-full";
  std::filesystem::path ca_file;     // empty: the system's
  std::string prefix = "bulkhead";   // of the names of roles, schemas and databases
  std::size_t connections_max = 16;  // to this server, all tenants together
  // Chunks that a search compares one by one instead of asking the approximate index.
  std::uint64_t exact_search_max = 20'000;
  // The schema that holds the extension vector and nothing else.
  std::string extension_schema() const { return prefix + "_vector"; }
  // Database layout with pgvector: what tenants' databases are copied from.
  std::string template_database() const { return prefix + "_template"; }
  std::chrono::seconds connect_time_max{5};
  std::chrono::seconds statement_time_max{30};
  std::chrono::seconds lock_time_max{5};
};

}  // namespace bulkhead::storage
