// What becomes of work on a store whose client leaves, and of a database server that does not answer.
#include <algorithm>
#include <csignal>
#include <latch>
#include <thread>

#include "postgres_server.h"
#include "raw_database.h"
#include "storage/postgres_pool.h"
#include "storage/store_pools.h"
#include "store_fixture.h"
#include "support/eventually.h"

namespace bulkhead::storage {
namespace {

using base::CancelToken;
using base::FairPool;
using test::eventually;

// On a thread of a pool, as a request's work is.
template <typename Work>
auto as_work(FairPool& pool, CancelToken cancel, Work work) {
  return base::run_blocking(pool.run({.party = "a", .cancel = std::move(cancel)}, std::move(work)));
}

base::Result<std::size_t> count_vectors(TenantStore& store, const tenancy::TenantScope& scope,
                                        const std::function<void()>& at_first = {}) {
  std::size_t count = 0;
  BULKHEAD_CHECK_OK(store.for_each_vector(scope, [&](ChunkKey, const base::FileId&, const ChunkVectors&) {
    if (count++ == 0 && at_first) at_first();
  }));
  return count;
}

class Interruption : public ::testing::Test {
 protected:
  void SetUp() override {
    platform.add_tenant("a");
    const auto scope = platform.scope("a");
    store = platform.store("a");
    ASSERT_OK(store->put_file(scope, sample_file("f1"), "text"));
    ASSERT_OK(
        store->replace_chunks(scope, file_id("f1"), sample_chunks("f1", kChunks), sample_vectors(kChunks)));
  }
  // Many more steps of SQLite's machine than there are between two looks.
  static constexpr std::size_t kChunks = 2'000;
  TemporaryFolder folder;
  TestPlatform platform{folder.path() / "data"};
  std::shared_ptr<TenantStore> store;
  FairPool pool;
};

TEST_F(Interruption, AReadEndsWhenItsClientLeaves) {
  const auto scope = platform.scope("a");
  EXPECT_EQ(must(as_work(pool, {}, [&] { return count_vectors(*store, scope); })), kChunks) << "control";
  CancelToken cancel;
  EXPECT_FAILS(StorageError::Cancelled, as_work(pool, cancel, [&] {
                 return count_vectors(*store, scope, [&] { cancel.cancel(base::CancelReason::ClientGone); });
               }));
  // The connection goes on for others, and for whoever has no token at all.
  EXPECT_EQ(must(as_work(pool, {}, [&] { return count_vectors(*store, scope); })), kChunks);
  EXPECT_EQ(must(count_vectors(*store, scope)), kChunks);
}

TEST_F(Interruption, AReadOnTheSecondConnectionEndsToo) {
  const auto scope = platform.scope("a");
  std::latch inside(1), go_on(1);
  // Holds the first connection.
  std::thread reader([&] {
    EXPECT_OK(count_vectors(*store, scope, [&] {
      inside.count_down();
      go_on.wait();
    }));
  });
  inside.wait();
  CancelToken cancel;
  EXPECT_FAILS(StorageError::Cancelled, as_work(pool, cancel, [&] {
                 return count_vectors(*store, scope, [&] { cancel.cancel(base::CancelReason::ClientGone); });
               }));
  // Its snapshot is over, so that another one can begin.
  EXPECT_EQ(must(as_work(pool, {}, [&] { return count_vectors(*store, scope); })), kChunks);
  go_on.count_down();
  reader.join();
}

TEST_F(Interruption, AWriteAndWhatFollowsItComeToTheirEnd) {
  const auto scope = platform.scope("a");
  CancelToken cancel;
  const auto done = as_work(pool, cancel, [&]() -> base::Result<std::size_t> {
    cancel.cancel(base::CancelReason::ClientGone);
    BULKHEAD_CHECK_OK(store->replace_chunks(scope, file_id("f1"), sample_chunks("f1", kChunks, "other"),
                                            sample_vectors(kChunks)));
    return count_vectors(*store, scope);
  });
  ASSERT_OK(done);
  EXPECT_EQ(*done, kChunks);
}

// What a whole run through a table, or a sort of one, looks like in SQLite's words.
bool is_slow(const std::string& step) {
  const bool whole_table = step.starts_with("SCAN ") && step.find("USING ") == std::string::npos &&
                           step.find("CONSTANT ROW") == std::string::npos;
  return whole_table || step.find("USE TEMP B-TREE") != std::string::npos;
}

// Each listing, and what is asked for with every request, goes along an index.
TEST_F(Interruption, NoListingGoesThroughAWholeTable) {
  const auto scope = platform.scope("a");
  ASSERT_OK(store->put_vector_store(scope, {.id = store_id("v1"), .owner = "alice"}));
  ASSERT_OK(store->put_attachment(scope, {.store = store_id("v1"), .file = file_id("f1")}));
  ASSERT_OK(store->put_chat(scope, {.id = chat_id("c1"), .owner = "alice"}));
  for (const bool ascending : {true, false}) {
    for (const bool goes_on : {true, false}) {
      const auto page = [&](const char* after) {
        return Page{.limit = 20,
                    .after = goes_on ? std::optional<std::string>(after) : std::nullopt,
                    .ascending = ascending};
      };
      EXPECT_OK(store->list_files(scope, page("f1")));
      EXPECT_OK(store->list_vector_stores(scope, page("v1")));
      EXPECT_OK(store->list_attachments(scope, store_id("v1"), page("f1")));
      EXPECT_OK(store->list_chats(scope, {}, page("c1")));
      EXPECT_OK(store->list_chats(scope, {"alice"}, page("c1")));
    }
  }
  EXPECT_OK(store->default_vector_stores(scope));
  EXPECT_OK(store->candidates(scope, {store_id("v1")}));
  EXPECT_OK(store->list_api_keys(scope));
  EXPECT_OK(store->get_attachment(scope, store_id("v1"), file_id("f1")));
  EXPECT_OK(store->delete_expired_chats(scope, 1));
  const auto steps = std::static_pointer_cast<SqliteStore>(store)->query_plans();
  EXPECT_GT(steps.size(), 20u);
  for (const std::string& step : steps) EXPECT_FALSE(is_slow(step)) << step;

  // Control: without its index the same listing shows.
  store.reset();
  platform.manager->close(tenant_id("a"));
  {
    RawDatabase raw(platform.database_path("a"), &scope.key(crypto::Purpose::Database));
    raw.run("DROP INDEX chats_by_owner");
  }
  store = platform.store("a");
  EXPECT_OK(store->list_chats(scope, {"alice"}, Page()));
  const auto again = std::static_pointer_cast<SqliteStore>(store)->query_plans();
  EXPECT_TRUE(std::any_of(again.begin(), again.end(), [](const std::string& step) {
    return step.find("chats_by_owner") != std::string::npos ||
           step.find("chats_by_time") != std::string::npos || is_slow(step);
  }));
  EXPECT_FALSE(std::any_of(again.begin(), again.end(), [](const std::string& step) {
    return step.find("INDEX chats_by_owner (owner=?") != std::string::npos;
  }));
}

// --- A database server of its own, shared with nobody else's tenants

class Silence : public ::testing::Test {
 protected:
  void SetUp() override {
    pg.add_tenant("a");
    const auto scope = pg.scope("a");
    store = pg.store("a");
    ASSERT_OK(store->put_file(scope, sample_file("f1"), "text"));
  }
  base::Result<FileRecord> get_file(CancelToken cancel = {}) {
    const auto scope = pg.scope("a");
    return as_work(pool, std::move(cancel), [&] { return store->get_file(scope, file_id("f1")); });
  }
  // The server's processes that serve Bulkhead in this database.
  std::vector<int> serving() {
    std::vector<int> pids;
    for (const std::string& pid : PostgresServer::shared().superuser()->must_run(
             "SELECT pid FROM pg_stat_activity WHERE application_name = 'bulkhead' AND datname = '" +
             pg.database() + "'")) {
      pids.push_back(std::stoi(pid));
    }
    return pids;
  }
  std::size_t waiting_for_locks() {
    return PostgresServer::shared()
        .superuser()
        ->must_run("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = '" +
                   pg.database() + "'")
        .size();
  }

  PostgresPlatform pg{PostgresLayout::Schema};
  std::shared_ptr<TenantStore> store;
  FairPool pool;
};

TEST_F(Silence, AReadBehindALockEndsWhenItsClientLeavesAndNobodysIndexIsReadAnew) {
  const auto locker = pg.superuser("a");
  locker->must_run("BEGIN");
  locker->must_run("LOCK TABLE files IN ACCESS EXCLUSIVE MODE");
  const std::uint64_t version = store->content_version();
  CancelToken cancel;
  std::thread leaver([&] {
    EXPECT_TRUE(eventually([&] { return waiting_for_locks() == 1; }));
    cancel.cancel(base::CancelReason::ClientGone);
  });
  EXPECT_FAILS(StorageError::Cancelled, get_file(cancel));
  leaver.join();
  EXPECT_EQ(store->content_version(), version) << "a connection that was given up is no loss";
  // Control: who stays gets the server's own word, at the end of the time for a lock.
  EXPECT_FAILS(StorageError::Busy, get_file());
  locker->must_run("ROLLBACK");
  EXPECT_OK(get_file());
}

TEST_F(Silence, TheServerEndsAStatementThatWasGivenUp) {
  PostgresOptions patient = pg.options();
  patient.lock_time_max = patient.statement_time_max = std::chrono::minutes(10);
  PostgresPool connections(patient);
  const auto place = pg.place("a");
  const auto locker = pg.superuser("a");
  locker->must_run("BEGIN");
  locker->must_run("LOCK TABLE files IN ACCESS EXCLUSIVE MODE");
  CancelToken cancel;
  std::thread leaver([&] {
    EXPECT_TRUE(eventually([&] { return waiting_for_locks() == 1; }));
    cancel.cancel(base::CancelReason::ClientGone);
  });
  EXPECT_FAILS(StorageError::Cancelled, as_work(pool, cancel, [&]() -> base::Result<void> {
                 BULKHEAD_TRY(
                     use, PostgresTransaction::begin(connections, *place, PostgresTransaction::Mode::Read));
                 BULKHEAD_TRY(rows, use.run("SELECT count(*) FROM files"));
                 return {};
               }));
  leaver.join();
  EXPECT_TRUE(eventually([&] { return waiting_for_locks() == 0; }))
      << "it waits for the lock for ten minutes";
}

TEST_F(Silence, AServerThatStopsIsNotWaitedForForEver) {
  PostgresOptions options = pg.options();
  options.statement_time_max = options.connect_time_max = std::chrono::seconds(1);
  PostgresPool short_of_time(options);
  const auto place = pg.place("a");
  const auto ask = [&]() -> base::Result<void> {
    BULKHEAD_TRY(use, PostgresTransaction::begin(short_of_time, *place, PostgresTransaction::Mode::Read));
    BULKHEAD_TRY(rows, use.run("SELECT count(*) FROM files"));
    return {};
  };
  {
    // Two idle connections: the second must not be tried, and waited for, after the first.
    auto one = must(short_of_time.acquire(place->login));
    auto other = must(short_of_time.acquire(place->login));
  }
  EXPECT_EQ(short_of_time.open_count(), 2u);
  ASSERT_OK(ask()) << "control";
  const std::vector<int> processes = serving();
  for (const int each : processes) ::kill(each, SIGSTOP);
  EXPECT_FAILS(StorageError::Unavailable, ask());
  EXPECT_EQ(short_of_time.open_count(), 1u) << "the silent one is closed, the other was not asked";
  for (const int each : processes) ::kill(each, SIGCONT);
  EXPECT_OK(ask());
}

// --- Places

TEST(StorePools, APlaceWhoseServerHangsHoldsUpItsOwnTenantsOnly) {
  TemporaryFolder folder;
  TestPlatform platform(folder.path() / "data");
  tenancy::TenantPolicy policy;
  policy.store = "pg";
  constexpr int kTenants = 40;  // more than the place has threads
  for (int i = 0; i < kTenants; ++i) {
    const std::string name = "t" + std::to_string(i);
    (void)must(platform.directory->create(tenant_id(name), name, tenancy::IsolationMode::Hybrid, policy));
  }
  platform.add_tenant("embedded");
  StorePools pools(*platform.directory, {"pg"});
  std::latch go_on(1);
  for (int i = 0; i < kTenants; ++i) {
    const std::string name = "t" + std::to_string(i);
    for (FairPool* each : {&pools.requests(tenant_id(name)), &pools.opening(tenant_id(name)),
                           &pools.long_work(tenant_id(name))}) {
      EXPECT_TRUE(each->post({.party = name}, [&go_on] { go_on.wait(); }));
    }
  }
  for (FairPool* each : {&pools.requests(tenant_id("embedded")), &pools.opening(tenant_id("embedded")),
                         &pools.long_work(tenant_id("embedded")), &pools.opening()}) {
    EXPECT_OK(
        base::run_blocking(each->run({.party = "embedded"}, []() -> base::Result<void> { return {}; })));
  }
  // Control: in the place itself all threads are held.
  EXPECT_GT(pools.requests(tenant_id("t0")).stats().waiting, 0u);
  go_on.count_down();
}

}  // namespace
}  // namespace bulkhead::storage
