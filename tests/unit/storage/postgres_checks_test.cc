// A database that is not as it must be is refused, saying what to change; and what happens when the server
// goes away. Each refusal's control is that the same thing works before and after.
#include <set>
#include <thread>

#include "postgres_server.h"

namespace bulkhead::storage {
namespace {

class PostgresChecks : public ::testing::TestWithParam<PostgresLayout> {
 protected:
  void SetUp() override {
    pg.add_tenant("hospital");
    (void)pg.store("hospital");
    role = pg.place("hospital")->login->user;
  }
  void refused(const std::string& broken, const std::string& mended, const std::string& said) {
    auto root = pg.superuser("hospital");
    EXPECT_TRUE(opens()) << "before: " << broken;
    root->must_run(broken);
    EXPECT_FALSE(opens(said)) << broken;
    root->must_run(mended);
    EXPECT_TRUE(opens()) << "after: " << mended;
  }
  // Whether a gateway that starts now gives the tenant its store.
  bool opens(const std::string& said = "") {
    auto fresh = PostgresBackend::create(changed, *pg.platform.platform, pg.platform.clock);
    if (!fresh) return explain(fresh.error(), said);
    if (auto checked = (*fresh)->check(); !checked) return explain(checked.error(), said);
    auto store = (*fresh)->open(pg.scope("hospital"));
    if (!store) return explain(store.error(), said);
    return true;
  }
  bool explain(const base::Error& error, const std::string& said) {
    if (said.empty()) {
      ADD_FAILURE() << error.describe();
    } else {
      EXPECT_TRUE(error.is(StorageError::Misconfigured) || error.is(StorageError::Unavailable))
          << error.describe();
      EXPECT_NE(error.detail().find(said), std::string::npos) << error.describe();
    }
    return false;
  }
  PostgresPlatform pg{GetParam()};
  PostgresOptions changed = pg.options();
  std::string role;
};

TEST_P(PostgresChecks, ARoleWithMoreRightsThanItsOwnRowsIsRefused) {
  const std::string quoted = "\"" + role + "\"";
  refused("ALTER ROLE " + quoted + " SUPERUSER", "ALTER ROLE " + quoted + " NOSUPERUSER", "NOSUPERUSER");
  refused("ALTER ROLE " + quoted + " BYPASSRLS", "ALTER ROLE " + quoted + " NOBYPASSRLS", "NOBYPASSRLS");
  refused("ALTER ROLE " + quoted + " CREATEROLE", "ALTER ROLE " + quoted + " NOCREATEROLE", "NOCREATEROLE");
  refused("ALTER TABLE chunks OWNER TO " + quoted, "ALTER TABLE chunks OWNER TO " + pg.admin(),
          "owns tables");
  refused("GRANT pg_read_all_data TO " + quoted, "REVOKE pg_read_all_data FROM " + quoted,
          "member of other roles");
  refused("GRANT CREATE ON SCHEMA \"" + pg.place("hospital")->login->search_path + "\" TO " + quoted,
          "REVOKE CREATE ON SCHEMA \"" + pg.place("hospital")->login->search_path + "\" FROM " + quoted,
          "REVOKE CREATE");
  refused("GRANT USAGE ON SCHEMA public TO PUBLIC", "REVOKE USAGE ON SCHEMA public FROM PUBLIC",
          "other schemas");
  const std::string database = pg.place("hospital")->login->dbname;
  refused("GRANT TEMP ON DATABASE \"" + database + "\" TO PUBLIC",
          "REVOKE TEMP ON DATABASE \"" + database + "\" FROM PUBLIC", "temporary tables");
}

TEST_P(PostgresChecks, AnAdminRoleOfTheWrongRightsIsRefused) {
  refused("ALTER ROLE " + pg.admin() + " SUPERUSER", "ALTER ROLE " + pg.admin() + " NOSUPERUSER",
          "passes every wall");
  refused("ALTER ROLE " + pg.admin() + " BYPASSRLS", "ALTER ROLE " + pg.admin() + " NOBYPASSRLS",
          "passes every wall");
  refused("ALTER ROLE " + pg.admin() + " NOCREATEROLE", "ALTER ROLE " + pg.admin() + " CREATEROLE",
          "CREATEROLE");
  refused("ALTER DATABASE " + pg.database() + " OWNER TO postgres; GRANT CONNECT ON DATABASE " +
              pg.database() + " TO " + pg.admin(),
          "ALTER DATABASE " + pg.database() + " OWNER TO " + pg.admin(), "does not own the database");
  if (GetParam() == PostgresLayout::Database) {
    refused("ALTER ROLE " + pg.admin() + " NOCREATEDB", "ALTER ROLE " + pg.admin() + " CREATEDB", "CREATEDB");
  }
}

TEST_P(PostgresChecks, ASchemaOfAnotherVersionOrHalfOfOneIsRefused) {
  refused("UPDATE schema_version SET version = 4", "UPDATE schema_version SET version = 3", "newer Bulkhead");
  refused("UPDATE schema_version SET version = 0", "UPDATE schema_version SET version = 3",
          "unknown version");
  refused("ALTER TABLE schema_version RENAME TO gone", "ALTER TABLE gone RENAME TO schema_version",
          "schema_version");
  // A role without its schema, a schema without its role.
  refused("ALTER ROLE \"" + role + "\" RENAME TO gone_role",
          "ALTER ROLE gone_role RENAME TO \"" + role + "\"", "role");
}

TEST_P(PostgresChecks, AWrongPasswordOrNoServerIsSaid) {
  std::ofstream(pg.folder.path() / "wrong") << "not-the-password\n";
  std::filesystem::permissions(pg.folder.path() / "wrong", std::filesystem::perms::owner_read);
  EXPECT_TRUE(opens());
  changed.admin_password_file = pg.folder.path() / "wrong";
  EXPECT_FALSE(opens("password"));
  changed = pg.options();
  changed.admin_password_file = pg.folder.path() / "none";
  EXPECT_FALSE(opens("admin_password_file"));
  changed = pg.options();
  std::filesystem::permissions(pg.password_file(), std::filesystem::perms::group_read,
                               std::filesystem::perm_options::add);
  EXPECT_FALSE(opens("admin_password_file")) << "a password that others may read";
  std::filesystem::permissions(pg.password_file(), std::filesystem::perms::group_read,
                               std::filesystem::perm_options::remove);
  changed.dbname = "no_such_database";
  EXPECT_FALSE(opens("no_such_database"));
  changed = pg.options();
  changed.host = (pg.folder.path() / "no-socket").string();
  EXPECT_FALSE(opens("host, port and sslmode"));
  changed = pg.options();
  changed.host = "127.0.0.1";
  changed.port = 1;
  EXPECT_FALSE(opens("host, port and sslmode"));
}

// A standby that has yet to take over: to be asked again, not to be set up anew.
TEST_P(PostgresChecks, AServerThatTakesNoWritesIsUnavailable) {
  const auto scope = pg.scope("hospital");
  const auto store = pg.reopened("hospital");
  auto root = PostgresServer::shared().superuser();
  const auto read_only = [&](const char* value) {
    root->must_run(std::string("ALTER SYSTEM SET default_transaction_read_only = ") + value);
    PostgresServer::shared().stop();
    PostgresServer::shared().start();
    root = PostgresServer::shared().superuser();
    root->must_run("SET default_transaction_read_only = off");
  };
  ASSERT_OK(store->put_file(scope, sample_file("f1"), "before"));
  read_only("on");
  EXPECT_FAILS(StorageError::Unavailable, store->put_file(scope, sample_file("f2"), "meanwhile"));
  EXPECT_FAILS(StorageError::Unavailable, store->get_file(scope, file_id("f1")));
  read_only("off");
  EXPECT_OK(store->put_file(scope, sample_file("f2"), "after")) << "control";
}

TEST_P(PostgresChecks, ARestartOfTheServerIsSurvived) {
  const auto scope = pg.scope("hospital");
  const auto store = pg.store("hospital");
  ASSERT_OK(store->put_file(scope, sample_file("f1"), "before"));
  PostgresServer::shared().stop();
  EXPECT_FAILS(StorageError::Unavailable, store->get_file(scope, file_id("f1")));
  EXPECT_FAILS(StorageError::Unavailable, store->put_file(scope, sample_file("f2"), "while it is down"));
  PostgresServer::shared().start();
  EXPECT_EQ(*store->file_content(scope, file_id("f1")), "before") << "the same store goes on";
  EXPECT_OK(store->put_file(scope, sample_file("f2"), "after"));
}

// A commit's answer may have been lost, or a standby that took over may hold less: an index built before is
// stale.
TEST_P(PostgresChecks, ALostConnectionAndAStepBackMoveTheVersions) {
  const auto scope = pg.scope("hospital");
  const auto store = pg.store("hospital");
  std::set<std::uint64_t> seen;
  const auto is_new = [&] { return seen.insert(store->content_version()).second; };
  const auto write = [&](const char* file) {
    ASSERT_OK(store->put_file(scope, sample_file(file), "words"));
    ASSERT_OK(store->delete_file(scope, file_id(file)));
  };
  EXPECT_TRUE(is_new());
  ASSERT_OK(store->list_files(scope, {}));
  EXPECT_FALSE(is_new()) << "control: reading moves nothing";
  PostgresServer::shared().stop();
  PostgresServer::shared().start();
  ASSERT_OK(store->list_files(scope, {}));
  EXPECT_TRUE(is_new());
  write("f8");
  EXPECT_TRUE(is_new());
  pg.superuser("hospital")->must_run("UPDATE meta SET value = value - 2 WHERE name LIKE '%_version'");
  write("f9");
  EXPECT_TRUE(is_new());
}

TEST_P(PostgresChecks, ConnectionsAreBoundedAndEverybodyIsServed) {
  for (int i = 0; i < 5; ++i) pg.add_tenant("t" + std::to_string(i));
  std::vector<std::thread> threads;
  std::atomic<int> done{0};
  for (int i = 0; i < 12; ++i) {
    threads.emplace_back([&, i] {
      const std::string name = "t" + std::to_string(i % 5);
      for (int n = 0; n < 5; ++n) {
        const auto scope = pg.scope(name);
        const auto store = pg.platform.manager->open(scope);
        const std::string id = "f" + std::to_string(i) + "-" + std::to_string(n);
        if (store && (*store)->put_file(scope, sample_file(id), "x").ok()) ++done;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(done, 60);
  EXPECT_LE(pg.backend->pool().open_count(), pg.options().connections_max);
  const auto open = PostgresServer::shared().superuser()->must_run(
      "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'bulkhead' AND state <> 'idle in "
      "transaction'");
  EXPECT_LE(std::stoul(open.at(0)), pg.options().connections_max);
}

TEST_P(PostgresChecks, ALockedOutRequestGivesUpAndNothingStaysOpen) {
  const auto place = pg.place("hospital");
  changed.lock_time_max = changed.statement_time_max = std::chrono::seconds(1);
  auto backend = must(PostgresBackend::create(changed, *pg.platform.platform, pg.platform.clock));
  const auto store = must(backend->open(pg.scope("hospital")));
  auto root = pg.superuser("hospital");
  root->must_run("BEGIN");
  root->must_run("LOCK TABLE files IN ACCESS EXCLUSIVE MODE");
  EXPECT_FAILS(StorageError::Busy, store->get_file(pg.scope("hospital"), file_id("f1")));
  root->must_run("ROLLBACK");
  EXPECT_FAILS(StorageError::NotFound, store->get_file(pg.scope("hospital"), file_id("f1")));
}

class PostgresPolicyChecks : public PostgresChecks {};

TEST_P(PostgresPolicyChecks, SharedTablesWithoutTheirPoliciesAreRefused) {
  refused("ALTER TABLE words NO FORCE ROW LEVEL SECURITY", "ALTER TABLE words FORCE ROW LEVEL SECURITY",
          "FORCE");
  refused("ALTER TABLE chats DISABLE ROW LEVEL SECURITY", "ALTER TABLE chats ENABLE ROW LEVEL SECURITY",
          "ENABLE");
  refused("CREATE POLICY extra ON files USING (true)", "DROP POLICY extra ON files", "own_rows");
  refused("ALTER POLICY own_rows ON files USING (true)",
          "ALTER POLICY own_rows ON files USING (tenant = (SELECT current_tenant()))", "own_rows");
  refused("UPDATE tenant_access SET proof_hash = sha256(proof_hash) WHERE tenant = '" +
              pg.place("hospital")->name + "'",
          "UPDATE tenant_access SET proof_hash = sha256(convert_to('" +
              std::string(pg.place("hospital")->proof.reveal_text()) + "', 'UTF8')) WHERE tenant = '" +
              pg.place("hospital")->name + "'",
          "another proof");
}

TEST_P(PostgresChecks, AStoreThatCantGiveTheTenantsModeIsRefused) {
  const StoreManager& manager = *pg.platform.manager;
  for (const auto mode :
       {tenancy::IsolationMode::Hybrid, tenancy::IsolationMode::Silo, tenancy::IsolationMode::Pooled}) {
    const bool offered = GetParam() == PostgresLayout::Schema     ? mode == tenancy::IsolationMode::Hybrid
                         : GetParam() == PostgresLayout::Database ? mode != tenancy::IsolationMode::Pooled
                                                                  : mode == tenancy::IsolationMode::Pooled;
    EXPECT_EQ(manager.check_offers("pg", mode).ok(), offered) << tenancy::mode_name(mode);
  }
  EXPECT_FALSE(manager.check_offers("", tenancy::IsolationMode::Pooled).ok());
  EXPECT_FALSE(manager.check_offers("elsewhere", pg.mode()).ok());
  // A tenant whose store is no longer what it was, or no longer there, gets none.
  tenancy::TenantPolicy policy;
  policy.store = "pg";
  policy.engine.engine = tenancy::EngineMode::Dedicated;  // as a silo must have it
  const auto wrong = pg.mode() == tenancy::IsolationMode::Pooled ? tenancy::IsolationMode::Hybrid
                                                                 : tenancy::IsolationMode::Pooled;
  (void)must(pg.platform.directory->create(tenant_id("wrong"), "", wrong, policy));
  EXPECT_FAILS(StorageError::Misconfigured, pg.platform.manager->open(pg.scope("wrong")));
  policy.store = "elsewhere";
  (void)must(pg.platform.directory->create(tenant_id("lost"), "", pg.mode(), policy));
  EXPECT_FAILS(StorageError::Misconfigured, pg.platform.manager->open(pg.scope("lost")));
  EXPECT_FALSE(std::filesystem::exists(pg.platform.data_dir() / "tenants/lost"))
      << "nor an empty one instead";
  // And a policy can't move it there.
  policy.store = "";
  EXPECT_EQ(must(pg.platform.directory->set_policy(tenant_id("hospital"), policy)).policy.store, "pg");
  policy.store = "elsewhere";
  EXPECT_FALSE(pg.platform.directory->set_policy(tenant_id("hospital"), policy).ok());
}

INSTANTIATE_TEST_SUITE_P(Layouts, PostgresChecks, every_layout(), layout_label);
INSTANTIATE_TEST_SUITE_P(Layouts, PostgresPolicyChecks, ::testing::Values(PostgresLayout::RowLevelSecurity),
                         layout_label);

}  // namespace
}  // namespace bulkhead::storage
