// The second wall: what PostgreSQL itself refuses when the code in front of it is wrong, or somebody else
// holds a password. Each test has a control in which the wall is taken down and the attempt works.
#include "postgres_server.h"
#include "raw_database.h"
#include "storage/postgres_schema.h"

namespace bulkhead::storage {
namespace {

class PostgresWalls : public ::testing::TestWithParam<PostgresLayout> {
 protected:
  void SetUp() override {
    for (const char* name : {"hospital", "lawfirm"}) {
      pg.add_tenant(name);
      fill(name);
    }
  }
  void fill(const std::string& name) {
    const auto scope = pg.scope(name);
    const auto store = pg.store(name);
    ASSERT_OK(store->put_file(scope, sample_file("f1"), "content of " + name));
    ASSERT_OK(store->replace_chunks(scope, file_id("f1"), sample_chunks("f1", 3), sample_vectors(3)));
  }
  bool shared() const { return GetParam() == PostgresLayout::RowLevelSecurity; }
  // What a thief of the serving role's password must say to see this tenant's rows, given its proof.
  std::string as_tenant(std::string_view tenant, std::string_view proof) {
    return "SELECT set_config('bulkhead.tenant', '" + pg.place(tenant)->name + "', false), " +
           "set_config('bulkhead.proof', '" + std::string(proof) + "', false)";
  }
  std::string proof(std::string_view tenant) { return std::string(pg.place(tenant)->proof.reveal_text()); }
  std::string table(std::string_view tenant, std::string_view name) {
    return "\"" + pg.place(tenant)->login->search_path + "\"." + std::string(name);
  }
  PostgresPlatform pg{GetParam()};
};

TEST_P(PostgresWalls, QueriesWithoutATenantFilterGiveOnlyOwnRows) {
  for (const char* name : {"hospital", "lawfirm"}) {
    auto thief = pg.thief(name);
    if (shared()) thief->must_run(as_tenant(name, proof(name)));
    for (std::string_view each : postgres_tables()) {
      const auto seen = thief->must_run("SELECT count(*) FROM " + table(name, each));
      const auto all = pg.superuser(name)->must_run("SELECT count(*) FROM " + std::string(each));
      const int tenants_in_table = shared() ? 2 : 1;
      EXPECT_EQ(std::stoi(seen.at(0)) * tenants_in_table, std::stoi(all.at(0))) << each;
    }
    EXPECT_EQ(thief->must_run("SELECT count(*) FROM " + table(name, "files")).at(0), "1");
  }
  if (!shared()) return;
  // Control: without the policies the same query gives everybody's rows.
  pg.superuser("hospital")->must_run("ALTER TABLE files DISABLE ROW LEVEL SECURITY");
  EXPECT_EQ(pg.thief("hospital")->must_run("SELECT count(*) FROM " + table("hospital", "files")).at(0), "2");
}

TEST_P(PostgresWalls, AStolenPasswordOpensNothingElse) {
  auto thief = pg.thief("hospital");
  const std::string other = pg.place("lawfirm")->login->user;
  const std::string foreign = shared() ? table("lawfirm", "tenant_access") : table("lawfirm", "files");
  const bool own_database = GetParam() == PostgresLayout::Database;
  const std::string mine = table("hospital", "files");
  std::vector<std::string> attempts = {
      "SET ROLE \"" + pg.admin() + "\"",
      "SET ROLE postgres",
      "SET SESSION AUTHORIZATION postgres",
      "CREATE TABLE loot (t text)",
      "CREATE TABLE " + table("hospital", "loot") + " (t text)",
      "CREATE TEMP TABLE tenant_access (tenant text, proof_hash bytea)",
      "CREATE SCHEMA loot",
      "CREATE FUNCTION " + table("hospital", "f") + "() RETURNS int LANGUAGE sql AS 'SELECT 1'",
      "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
      "CREATE EXTENSION vector",
      "CREATE EXTENSION dblink",
      "CREATE ROLE loot",
      "CREATE DATABASE loot",
      "ALTER ROLE current_user BYPASSRLS",
      "ALTER ROLE current_user SUPERUSER",
      "GRANT \"" + pg.admin() + "\" TO current_user",
      "ALTER TABLE " + mine + " OWNER TO current_user",
      "ALTER TABLE " + mine + " DISABLE ROW LEVEL SECURITY",
      "ALTER TABLE " + mine + " NO FORCE ROW LEVEL SECURITY",
      "DROP TABLE " + mine,
      "TRUNCATE " + mine + " CASCADE",
      "CREATE POLICY mine ON " + mine + " USING (true)",
      "CREATE TRIGGER t BEFORE INSERT ON " + mine + " EXECUTE FUNCTION suppress_redundant_updates_trigger()",
      "CREATE PUBLICATION loot FOR ALL TABLES",
      "COPY " + mine + " TO PROGRAM 'cat'",
      "COPY " + mine + " TO '/tmp/bulkhead-loot'",
      "COPY " + mine + " FROM '/etc/passwd'",
      "SELECT pg_read_file('postgresql.conf')",
      "SELECT pg_ls_dir('.')",
      "SELECT lo_import('/etc/passwd')",
      "SELECT * FROM pg_authid",
      "SELECT * FROM pg_shadow",
      "SELECT * FROM pg_largeobject",
      "UPDATE pg_class SET relrowsecurity = false",
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres'",
      "ALTER SYSTEM SET log_statement = 'all'",
      "SET session_replication_role = replica",
      "INSERT INTO " + table("hospital", "schema_version") + " VALUES (2)",
  };
  if (!own_database) attempts.push_back("SELECT * FROM " + foreign);
  if (!shared()) attempts.push_back("SET ROLE \"" + other + "\"");
  for (const std::string& attempt : attempts) {
    thief->run(attempt);
    EXPECT_NE(thief->last_state, "") << attempt << " worked";
  }
  // Controls: the list is of things that can be done. Its connection works, and for a superuser so does
  // a sample of them.
  thief->must_run("SELECT 1");
  auto root = pg.superuser("hospital");
  for (const char* sample : {"CREATE SCHEMA loot", "SET ROLE postgres", "SELECT pg_ls_dir('.')",
                             "SELECT * FROM pg_authid", "CREATE POLICY mine ON files USING (true)"}) {
    root->must_run(sample);
  }
}

// A role can change its own password and settings, and PostgreSQL has no way to forbid it.
TEST_P(PostgresWalls, APasswordThatAThiefChangedIsSetBack) {
  const auto login = pg.place("hospital")->login;
  const auto store = pg.store("hospital");
  const auto enters = [&](std::string_view password) {
    return RawPostgres(PostgresServer::shared().socket_folder(), login->user, password, login->dbname)
        .connected();
  };
  auto thief = pg.thief("hospital");
  thief->must_run("ALTER ROLE CURRENT_USER PASSWORD 'the-thiefs-own'");
  thief->must_run("ALTER ROLE CURRENT_USER SET work_mem = '64kB'");
  EXPECT_TRUE(enters("the-thiefs-own")) << "control: it worked";
  EXPECT_FALSE(enters(login->password.reveal_text())) << "control: the gateway is locked out";
  pg.backend->pool().close_idle(*login);
  EXPECT_OK(store->list_files(pg.scope("hospital"), {}));
  EXPECT_FALSE(enters("the-thiefs-own"));
  EXPECT_TRUE(enters(login->password.reveal_text()));
  EXPECT_TRUE(
      PostgresServer::shared()
          .superuser()
          ->must_run("SELECT s.setconfig FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole "
                     "WHERE r.rolname = '" +
                     login->user + "'")
          .empty());
}

TEST_P(PostgresWalls, AStolenPasswordReachesNoOtherDatabase) {
  const auto place = pg.place("hospital");
  const auto connects = [&](const std::string& dbname) {
    return RawPostgres(PostgresServer::shared().socket_folder(), place->login->user,
                       place->login->password.reveal_text(), dbname)
        .connected();
  };
  EXPECT_TRUE(connects(place->login->dbname)) << "control";
  PostgresPlatform elsewhere{GetParam()};
  elsewhere.add_tenant("agency");
  EXPECT_FALSE(connects(elsewhere.place("agency")->login->dbname));
  if (GetParam() == PostgresLayout::Database) {
    EXPECT_FALSE(connects(pg.place("lawfirm")->login->dbname));
    EXPECT_FALSE(connects(pg.database()));
  }
}

TEST_P(PostgresWalls, TheCatalogueNamesNoTenant) {
  auto thief = pg.thief("hospital");
  const auto named = [&](const std::string& word) {
    return thief->must_run("SELECT rolname FROM pg_roles WHERE rolname LIKE '%" + word +
                           "%' UNION ALL SELECT nspname FROM pg_namespace WHERE nspname LIKE '%" + word +
                           "%' UNION ALL SELECT datname FROM pg_database WHERE datname LIKE '%" + word +
                           "%' UNION ALL SELECT query FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                           "AND query LIKE '%" +
                           word + "%'");
  };
  EXPECT_TRUE(named("lawfirm").empty());
  EXPECT_FALSE(named(pg.options().prefix).empty()) << "control: the names that are there are seen";
}

class PostgresRowPolicies : public PostgresWalls {};

TEST_P(PostgresRowPolicies, AThiefEndsAndHoldsUpNobodysSession) {
  const auto place = pg.place("hospital");
  auto victim = pg.thief("lawfirm");
  auto thief = pg.thief("hospital");
  const std::string pid = std::to_string(victim->backend_pid());
  const std::vector<std::string> attempts = {
      "SELECT pg_cancel_backend(" + pid + ")", "SELECT pg_terminate_backend(" + pid + ")",
      "SELECT pg_advisory_lock(7812345001)", "SELECT pg_advisory_xact_lock(7812345001)",
      "SELECT pg_try_advisory_lock_shared(7812345001)"};
  for (const std::string& attempt : attempts) {
    thief->run(attempt);
    EXPECT_EQ(thief->last_state, "42501") << attempt;
  }
  victim->must_run("SELECT 1");
  // Nor from another database, where the function is everybody's: there it is not let in.
  const auto& login = *place->login;
  const auto from_elsewhere = [&] {
    return std::make_unique<RawPostgres>(PostgresServer::shared().socket_folder(), login.user,
                                         login.password.reveal_text(), "postgres");
  };
  EXPECT_FALSE(from_elsewhere()->connected());
  auto root = PostgresServer::shared().superuser();
  root->must_run("GRANT CONNECT ON DATABASE postgres TO PUBLIC");
  const auto open_elsewhere = pg.backend->check();
  EXPECT_FAILS(StorageError::Misconfigured, open_elsewhere);
  EXPECT_NE(open_elsewhere.error().detail().find("REVOKE CONNECT ON DATABASE postgres"), std::string::npos);
  EXPECT_EQ(from_elsewhere()->must_run("SELECT pg_cancel_backend(" + pid + ")"),
            std::vector<std::string>{"t"})
      << "control: from there it works";
  root->must_run("REVOKE CONNECT ON DATABASE postgres FROM PUBLIC");
  // Control: with PostgreSQL's own defaults it works, and the gateway does not start upon them.
  pg.superuser("hospital")
      ->must_run("GRANT EXECUTE ON FUNCTION pg_terminate_backend(integer, bigint) TO PUBLIC");
  const auto refused = pg.backend->check();
  EXPECT_FAILS(StorageError::Misconfigured, refused);
  EXPECT_NE(refused.error().detail().find("REVOKE EXECUTE ON FUNCTION pg_terminate_backend"),
            std::string::npos);
  EXPECT_EQ(thief->must_run("SELECT pg_terminate_backend(" + pid + ")"), std::vector<std::string>{"t"});
  victim->run("SELECT 1");
  EXPECT_FALSE(victim->connected());
  pg.superuser("hospital")
      ->must_run("REVOKE EXECUTE ON FUNCTION pg_terminate_backend(integer, bigint) FROM PUBLIC");
  EXPECT_OK(pg.backend->check());
}

TEST_P(PostgresRowPolicies, WithoutATenantThereAreNoRows) {
  auto thief = pg.thief("hospital");
  const std::string files = table("hospital", "files");
  const auto rows = [&] { return thief->must_run("SELECT count(*) FROM " + files).at(0); };
  EXPECT_EQ(rows(), "0") << "no tenant set";
  thief->must_run(as_tenant("lawfirm", ""));
  EXPECT_EQ(rows(), "0") << "a tenant, no proof";
  thief->must_run(as_tenant("lawfirm", proof("hospital")));
  EXPECT_EQ(rows(), "0") << "another tenant's proof";
  thief->run("INSERT INTO " + files +
             " (tenant, id, name_box, details_box, status_detail_box, access_box, bytes, "
             "created, status, pieces) VALUES ('" +
             pg.place("lawfirm")->name + "', 'x', '', '', '', '', 0, 0, 0, 0)");
  EXPECT_EQ(thief->last_state, "42501");
  // Control: the right proof opens its own tenant's row, so that the zeros above mean the wall.
  thief->must_run(as_tenant("hospital", proof("hospital")));
  EXPECT_EQ(rows(), "1");
  // And a row can't be given to another tenant, nor be pointed at another's file.
  thief->run("UPDATE " + files + " SET tenant = '" + pg.place("lawfirm")->name + "'");
  EXPECT_EQ(thief->last_state, "42501");
  const auto foreign_no = pg.superuser("lawfirm")->must_run("SELECT no FROM files WHERE tenant = '" +
                                                            pg.place("lawfirm")->name + "'");
  thief->run("INSERT INTO " + table("hospital", "file_pieces") + " (file_no, ordinal, box) VALUES (" +
             foreign_no.at(0) + ", 9, '')");
  EXPECT_EQ(thief->last_state, "23503") << "foreign keys hold the tenant";
}

TEST_P(PostgresWalls, NothingOfARequestStaysOnItsConnection) {
  const auto place = pg.place("hospital");
  ASSERT_OK(pg.store("hospital")->get_file(pg.scope("hospital"), file_id("f1")));
  auto lease = must(pg.backend->pool().acquire(place->login));
  ASSERT_TRUE(lease.reused()) << "the very connection of the request";
  const auto setting = [&] {
    return must(lease->run("SELECT coalesce(current_setting('bulkhead.proof', true), '')")).text(0, 0);
  };
  EXPECT_EQ(setting(), "");
  const auto seen = [&] { return must(lease->run("SELECT count(*) FROM files")).integer(0, 0); };
  if (!shared()) return;
  EXPECT_EQ(seen(), 0);
  // Control: a setting of the session, not of the transaction, would have stayed, and been seen here.
  ASSERT_OK(
      lease->run("SELECT set_config('bulkhead.tenant', $1, false), set_config('bulkhead.proof', $2, false)",
                 place->name, place->proof.reveal_text()));
  EXPECT_EQ(seen(), 1);
  lease.discard();
}

TEST_P(PostgresWalls, AConnectionThatDiedInATransactionIsNeverLentAgain) {
  const auto place = pg.place("hospital");
  PostgresPool& pool = pg.backend->pool();
  int pid = 0;
  {
    auto transaction = must(PostgresTransaction::begin(pool, *place, PostgresTransaction::Mode::Write));
    pid = transaction.connection().backend_pid();
    ASSERT_OK(transaction.run("DELETE FROM files"));
    PostgresServer::shared().superuser()->must_run("SELECT pg_terminate_backend(" + std::to_string(pid) +
                                                   ", 5000)");
    EXPECT_FAILS(StorageError::Unavailable, transaction.run("SELECT 1"));
    EXPECT_FALSE(transaction.commit().ok());
  }
  EXPECT_OK(pg.store("hospital")->get_file(pg.scope("hospital"), file_id("f1")))
      << "rolled back, and served on";
  // One given back inside a transaction, whole or aborted, is closed as well.
  for (const bool aborted : {false, true}) {
    {
      auto lease = must(pool.acquire(place->login));
      pid = lease->backend_pid();
      ASSERT_OK(lease->execute("BEGIN"));
      if (aborted) EXPECT_FALSE(lease->execute("SELECT no_such_column").ok());
    }
    auto next = must(pool.acquire(place->login));
    EXPECT_NE(next->backend_pid(), pid);
  }
  // Control: one given back idle is the one lent next.
  {
    auto lease = must(pool.acquire(place->login));
    pid = lease->backend_pid();
  }
  EXPECT_EQ(must(pool.acquire(place->login))->backend_pid(), pid);
}

TEST_P(PostgresWalls, ACommitThatTheServerTurnedIntoARollbackIsAnError) {
  auto transaction = must(PostgresTransaction::begin(pg.backend->pool(), *pg.place("hospital"),
                                                     PostgresTransaction::Mode::Write));
  EXPECT_FALSE(transaction.run("SELECT no_such_column").ok());
  EXPECT_FALSE(transaction.commit().ok());
}

TEST_P(PostgresWalls, ARecordMovedToAnotherTenantDoesNotOpen) {
  const auto scope = pg.scope("lawfirm");
  const auto store = pg.store("lawfirm");
  const auto keys = keys_of(*store, scope, file_id("f1"));
  ASSERT_OK(store->get_chunks(scope, keys)) << "control";
  const std::string key = std::to_string(keys[0]);
  // Its own id, ordinal and batch stay: only the tenant of the sealed bytes is another's.
  const auto box =
      pg.superuser("hospital")
          ->must_run("SELECT encode(box, 'hex') FROM chunks" +
                     (shared() ? " WHERE tenant = '" + pg.place("hospital")->name + "'" : std::string()) +
                     " ORDER BY key");
  pg.superuser("lawfirm")->must_run("UPDATE chunks SET box = decode('" + box.at(0) +
                                    "', 'hex') WHERE key = " + key);
  EXPECT_FAILS(StorageError::SealBroken, store->get_chunks(scope, {keys[0]}));
  EXPECT_OK(store->get_chunks(scope, {keys[1]})) << "control: the others still do";
  if (!shared()) return;
  // The whole row moved by its tenant column.
  pg.superuser("lawfirm")->must_run(
      "UPDATE chunk_vectors SET box = (SELECT box FROM chunk_vectors WHERE tenant = '" +
      pg.place("hospital")->name + "' LIMIT 1) WHERE key = " + key);
  EXPECT_FAILS(StorageError::SealBroken,
               store->for_each_vector(scope, [](ChunkKey, const base::FileId&, const ChunkVectors&) {}));
}

TEST_P(PostgresWalls, NothingTypedStandsInTheFilesOrTheLog) {
  const auto scope = pg.scope("hospital");
  const auto store = pg.store("hospital");
  auto plant = [n = 0](const char* what) mutable {
    return "zqplantedword" + std::string(what) + std::to_string(n++);
  };
  FileRecord file = sample_file("f9");
  file.name = plant("name");
  file.owner = plant("owner");
  file.purpose = plant("purpose");
  file.content_type = plant("type");
  file.status_detail = plant("detail");
  file.access.groups = {plant("group")};
  ASSERT_OK(store->put_file(scope, file, plant("content")));
  const std::string word = plant("chunk");
  auto chunks = sample_chunks("f9", 2, word);
  chunks[0].heading = plant("heading");
  ASSERT_OK(store->replace_chunks(scope, file.id, chunks, sample_vectors(2)));
  EXPECT_EQ(store->search_text(scope, {word}, {file.id}, 5)->size(), 2u) << "found all the same";
  VectorStoreRecord shelf{.id = store_id("v9"), .name = plant("shelf"), .owner = plant("owner")};
  shelf.metadata_json = plant("metadata");
  ASSERT_OK(store->put_vector_store(scope, shelf));
  AttachmentRecord attachment{.store = shelf.id, .file = file.id};
  attachment.error_message = plant("error");
  ASSERT_OK(store->put_attachment(scope, attachment));
  ChatRecord chat{.id = chat_id("c9")};
  chat.owner = plant("owner");
  chat.model = plant("model");
  chat.messages_json = plant("message");
  chat.completion_json = plant("answer");
  ASSERT_OK(store->put_chat(scope, chat));
  ASSERT_OK(store->list_chats(scope, {chat.owner}, {}));
  identity::ApiKeyRecord key{.id = key_id("k9"), .name = plant("key"), .user = plant("user")};
  key.roles = {plant("role")};
  ASSERT_OK(store->put_api_key(scope, key));
  auto root = pg.superuser("hospital");
  // Control: a word in plain is found in the files and in the log, which holds every statement.
  root->must_run("CREATE TABLE control AS SELECT 'zqcontrol' || 'word' AS t");
  root->must_run("CHECKPOINT");
  const auto data = files_holding(PostgresServer::shared().data_folder(), {"zqplantedword", "zqcontrolword"});
  EXPECT_FALSE(data.empty());
  for (const std::string& hit : data) EXPECT_EQ(hit.find("zqplantedword"), std::string::npos) << hit;
  const std::string log = bytes_of(PostgresServer::shared().log_file());
  EXPECT_EQ(log.find("zqplantedword"), std::string::npos);
  EXPECT_NE(log.find("zqcontrol"), std::string::npos);
}

TEST_P(PostgresWalls, DestroyingATenantLeavesTheOthers) {
  const auto scope = pg.scope("hospital");
  const auto place = pg.place("hospital");
  const auto rows = [&](const std::string& query) {
    return PostgresServer::shared().superuser(pg.database())->must_run(query).at(0);
  };
  const std::string left = "SELECT (SELECT count(*) FROM pg_roles WHERE rolname = '" + place->name +
                           "') + (SELECT count(*) FROM pg_namespace WHERE nspname = '" + place->name +
                           "') + (SELECT count(*) FROM pg_database WHERE datname = '" + place->name + "')";
  EXPECT_EQ(rows(left), shared() ? "0" : "2");
  const auto signer = crypto::SigningKey::generate();
  const auto certificate =
      must(pg.platform.directory->destroy(tenant_id("hospital"), *pg.platform.manager, signer));
  EXPECT_NE(certificate.json.find("postgres/pg/"), std::string::npos) << certificate.json;
  EXPECT_EQ(rows(left), "0");
  if (shared()) {
    EXPECT_EQ(pg.superuser("lawfirm")->must_run("SELECT count(*) FROM files").at(0), "1");
    EXPECT_EQ(pg.superuser("lawfirm")->must_run("SELECT count(*) FROM tenant_access").at(0), "1");
  }
  EXPECT_FAILS(StorageError::TenantGone, pg.platform.manager->open(scope));
  EXPECT_EQ(*pg.store("lawfirm")->file_content(pg.scope("lawfirm"), file_id("f1")), "content of lawfirm");
  const auto again = pg.platform.manager->erase(tenant_id("hospital"));
  ASSERT_OK(again);
  EXPECT_TRUE(again->removed.empty());
}

TEST_P(PostgresWalls, FindsApiKeysOpenOrClosedAndNothingElse) {
  const std::string text = "bhk_key";
  identity::ApiKeyRecord record{.id = key_id("key_1"), .name = "CI", .user = "robot"};
  record.keyed_hash = identity::api_key_hash(pg.scope("hospital").key(crypto::Purpose::ApiKeyHash), text);
  ASSERT_OK(pg.store("hospital")->put_api_key(pg.scope("hospital"), record));
  StoreManager& manager = *pg.platform.manager;
  for (const bool open : {true, false}) {
    if (!open) manager.close(tenant_id("hospital"));
    const auto entry = pg.platform.api_keys->find({.tenant = tenant_id("hospital"), .id = record.id}, text);
    ASSERT_OK(entry);
    EXPECT_EQ(entry->record.user, "robot");
    EXPECT_EQ(entry->expected, record.keyed_hash);
    EXPECT_FALSE(pg.platform.api_keys->find({.tenant = tenant_id("lawfirm"), .id = record.id}, text).ok());
    EXPECT_FALSE(
        pg.platform.api_keys->find({.tenant = tenant_id("hospital"), .id = key_id("key_2")}, text).ok());
  }
}

INSTANTIATE_TEST_SUITE_P(Layouts, PostgresWalls, every_layout(), layout_label);
INSTANTIATE_TEST_SUITE_P(Layouts, PostgresRowPolicies, ::testing::Values(PostgresLayout::RowLevelSecurity),
                         layout_label);

}  // namespace
}  // namespace bulkhead::storage
