#include "gateway/config_store.h"

#include <algorithm>

namespace bulkhead::gateway {

namespace {

constexpr std::size_t kPrefixBytesMax = 20;  // with a tenant's 24 digits well under PostgreSQL's 63

bool made_of(std::string_view text, std::string_view allowed) {
  return text.find_first_not_of(allowed) == std::string_view::npos;
}

bool is_prefix(std::string_view text) {
  return !text.empty() && text.size() <= kPrefixBytesMax && text.front() >= 'a' && text.front() <= 'z' &&
         made_of(text, "abcdefghijklmnopqrstuvwxyz0123456789_");
}

// As libpq splits it: several servers of one cluster.
std::vector<std::string> hosts_of(const std::string& list) {
  std::vector<std::string> hosts;
  std::size_t from = 0;
  for (std::size_t comma = 0; comma != std::string::npos; from = comma + 1) {
    comma = list.find(',', from);
    hosts.push_back(list.substr(from, comma == std::string::npos ? comma : comma - from));
  }
  return hosts;
}

bool is_local(const std::string& host) {
  return host.starts_with('/') || host == "127.0.0.1" || host == "::1" || host == "localhost";
}

bool share_a_host(const std::string& a, const std::string& b) {
  const auto of_a = hosts_of(a), of_b = hosts_of(b);
  return std::ranges::find_first_of(of_a, of_b) != of_a.end();
}

storage::PostgresLayout layout_of(const std::string& name) {
  if (name == "schema") return storage::PostgresLayout::Schema;
  if (name == "database") return storage::PostgresLayout::Database;
  return storage::PostgresLayout::RowLevelSecurity;
}

}  // namespace

void read_store(ConfigReader& r, const std::filesystem::path& base, storage::PostgresOptions& out) {
  r.text("name", out.name);
  const auto kind = r.choice("kind", {"postgres"});
  const auto layout = r.choice("layout", {"schema", "database", "row_level_security"});
  if (auto vectors = r.choice("vectors", {"sealed", "pgvector"}))
    out.vectors =
        *vectors == "pgvector" ? storage::PostgresVectors::Pgvector : storage::PostgresVectors::Sealed;
  r.text("host", out.host);
  r.number("port", out.port, 1, 65'535);
  r.text("dbname", out.dbname);
  r.text("admin_user", out.admin_user);
  r.path("admin_password_file", out.admin_password_file, base);
  r.text("admin_password_env", out.admin_password_env);
  if (auto mode = r.choice("sslmode", {"disable", "require", "verify-ca", "verify-full"}))
    out.sslmode = *mode;
  r.path("ca_file", out.ca_file, base);
  r.text("prefix", out.prefix);
  r.number("connections_max", out.connections_max, 2, 1'000);
  r.seconds("connect_time_max", out.connect_time_max, 1, 60);
  r.seconds("statement_time_max", out.statement_time_max, 1, 600);
  r.seconds("lock_time_max", out.lock_time_max, 1, 60);
  if (layout) out.layout = layout_of(*layout);
  if (!is_section_name(out.name) || out.name == "embedded") {
    r.fail(ConfigError::BadValue, "name",
           "is needed: 1 to 32 lower-case letters, digits and hyphens, and not \"embedded\"");
  }
  if (!kind)
    r.fail(ConfigError::Missing, "kind", "is needed: \"postgres\" (the embedded store needs no section)");
  if (!layout) r.fail(ConfigError::Missing, "layout", "is needed: schema, database or row_level_security");
  if (out.host.empty())
    r.fail(ConfigError::Missing, "host", "is needed: a name, an address or a socket's folder");
  else if (share_a_host(out.host, ""))
    r.fail(ConfigError::BadValue, "host", "has a comma with no name beside it");
  if (out.admin_password_file.empty() == out.admin_password_env.empty()) {
    r.fail(ConfigError::Contradiction, "admin_password_file",
           "or admin_password_env is needed, one of the two: the admin role's password");
  }
  if (!is_prefix(out.prefix)) {
    r.fail(ConfigError::BadValue, "prefix",
           "must be 1 to 20 lower-case letters, digits and underscores, a letter first");
  }
}

void check_stores(ConfigReader& r, const Config& config) {
  for (auto store = config.stores.begin(); store != config.stores.end(); ++store) {
    const bool weak = store->sslmode == "disable" || store->sslmode == "require";
    if (weak && !std::ranges::all_of(hosts_of(store->host), is_local) && !config.development) {
      r.fail(
          ConfigError::Contradiction, "store",
          "\"" + store->name + "\" may use sslmode = \"" + store->sslmode +
              "\" on this machine only: elsewhere it would talk to anybody. Use verify-full (or verify-ca)");
    }
    for (auto other = config.stores.begin(); other != store; ++other) {
      if (other->name == store->name) {
        r.fail(ConfigError::Contradiction, "store", "\"" + store->name + "\" is there twice");
      }
      if (share_a_host(other->host, store->host) && other->port == store->port &&
          other->prefix == store->prefix) {
        r.fail(ConfigError::Contradiction, "store",
               "\"" + store->name + "\" and \"" + other->name +
                   "\" are on one server: give each a prefix of its own, so that their roles differ");
      }
    }
  }
  const std::string& wanted = config.tenant_defaults.store;
  const bool found = std::any_of(config.stores.begin(), config.stores.end(),
                                 [&](const auto& store) { return store.name == wanted; });
  if (!wanted.empty() && !found) {
    r.fail(ConfigError::Contradiction, "tenant_defaults",
           "names the store \"" + wanted + "\", which has no [[store]]");
  }
}

}  // namespace bulkhead::gateway
