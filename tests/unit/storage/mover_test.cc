// Moves between the embedded store and each PostgreSQL layout: nothing is lost, the tenant answers from one
// place at any time, a stop at any point is taken up again, and the old place opens under no key that is
// left.
#include "storage/mover.h"

#include <thread>

#include "copies.h"
#include "raw_database.h"

namespace bulkhead::storage {
namespace {

using crypto::Purpose;
using tenancy::EngineMode;
using tenancy::IsolationMode;

bool never() { return false; }
// Stops after `steps` questions.
std::function<bool()> after(int steps) {
  return [steps]() mutable { return steps-- <= 0; };
}

template <PostgresLayout layout>
class MoverTest : public ::testing::Test {
 protected:
  void SetUp() override {
    platform.add_tenant("a");
    pg.add_tenant("b");  // a neighbour, in the new place already
    fill_with_everything(*platform.store("a"), platform.scope("a"));
    fill_with_everything(*platform.store("b"), platform.scope("b"));
    start();
  }
  void start() {
    mover.reset();
    upkeep.emplace(*platform.manager, *platform.directory);
    mover.emplace(*platform.platform, *platform.directory, *platform.manager, *upkeep, signer,
                  platform.clock);
    ASSERT_OK(mover->load());
  }
  MovePlace there() const {
    return {pg.mode(), "pg", pg.mode() == IsolationMode::Silo ? EngineMode::Dedicated : EngineMode::Shared};
  }
  static MovePlace home() { return {}; }
  tenancy::Tenant record() { return *platform.directory->find(tenant_id("a")); }
  std::vector<std::string> contents() { return contents_of(platform, "a"); }
  // As after a crash: all that was in memory is new.
  void crash() {
    mover.reset();
    platform.manager->close(tenant_id("a"));
    start();
  }
  bool rows_in_postgres() {
    auto raw = pg.superuser("b");
    if (layout == PostgresLayout::RowLevelSecurity)
      return raw->must_run("SELECT count(DISTINCT tenant) FROM files").at(0) == "2";
    if (layout == PostgresLayout::Schema) {
      return raw->must_run("SELECT count(*) FROM pg_namespace WHERE nspname LIKE '" + pg_prefix() + "%'")
                 .at(0) == "2";
    }
    return raw->must_run("SELECT count(*) FROM pg_database WHERE datname LIKE '" + pg_prefix() + "%'")
               .at(0) == "2";
  }
  std::string pg_prefix() { return pg.place("b")->name.substr(0, pg.place("b")->name.rfind('_') + 1); }

  PostgresPlatform pg{layout};
  TestPlatform& platform = pg.platform;
  crypto::SigningKey signer = crypto::SigningKey::generate();
  std::optional<Upkeep> upkeep;
  std::optional<Mover> mover;
};

template <typename Layout>
class Moves : public MoverTest<Layout::value> {};
using Layouts = ::testing::Types<std::integral_constant<PostgresLayout, PostgresLayout::Schema>,
                                 std::integral_constant<PostgresLayout, PostgresLayout::Database>,
                                 std::integral_constant<PostgresLayout, PostgresLayout::RowLevelSecurity>>;
TYPED_TEST_SUITE(Moves, Layouts);

TYPED_TEST(Moves, ThereAndBackNothingIsLostAndTheOldPlaceIsErased) {
  const auto before = this->contents();
  const auto neighbour = contents_of(this->platform, "b");
  const auto old_scope = this->platform.scope("a");
  const base::Secret old_database = old_scope.key(Purpose::Database).clone();
  const std::uint32_t old_seal = old_scope.key_version(Purpose::RecordSeal);
  const WrappedDataKey wrapped = wrap_data_key(old_scope, "file/f1", make_data_key());
  const auto stolen = this->pg.folder.path() / "stolen.db";
  this->platform.manager->close(tenant_id("a"));
  std::filesystem::copy_file(this->platform.database_path("a"), stolen);

  ASSERT_OK(this->mover->begin(tenant_id("a"), this->there()));
  EXPECT_EQ(this->mover->running(), 1u);
  this->mover->run_once(never);
  EXPECT_EQ(this->mover->running(), 0u);
  EXPECT_EQ(this->record().policy.store, "pg");
  EXPECT_EQ(this->record().mode, this->there().mode);
  EXPECT_EQ(this->contents(), before);
  EXPECT_TRUE(this->rows_in_postgres());
  EXPECT_FALSE(std::filesystem::exists(this->platform.database_path("a"))) << "the old place is gone";
  EXPECT_EQ(old_scope.key(Purpose::RecordSeal, old_seal), nullptr) << "and what opened it";
  EXPECT_FAILS(StorageError::SealBroken,
               unwrap_data_key(this->platform.scope("a"), "file/f1", old_seal, wrapped.box));
  EXPECT_OK(SqliteDatabase::open({.path = stolen}, old_database))
      << "control: the key of then opens a copy of then";
  for (const std::uint32_t version : this->platform.scope("a").key_versions(Purpose::Database)) {
    EXPECT_FALSE(*this->platform.scope("a").key(Purpose::Database, version) == old_database);
  }
  const auto certificates = must(this->mover->certificates(tenant_id("a")));
  ASSERT_EQ(certificates.size(), 1u);
  EXPECT_OK(tenancy::verify_certificate(certificates[0], this->signer.verify_key()));
  EXPECT_NE(certificates[0].find("tenants/a/store.db"), std::string::npos);

  ASSERT_OK(this->mover->begin(tenant_id("a"), this->home()));
  this->mover->run_once(never);
  EXPECT_EQ(this->record().policy.store, "");
  EXPECT_EQ(this->contents(), before);
  EXPECT_FALSE(this->rows_in_postgres());
  EXPECT_TRUE(std::filesystem::exists(this->platform.database_path("a")));
  EXPECT_EQ(must(this->mover->certificates(tenant_id("a"))).size(), 2u);
  EXPECT_EQ(contents_of(this->platform, "b"), neighbour);
  EXPECT_TRUE(this->platform.directory->keyring().rotating().empty());
}

TYPED_TEST(Moves, AStopAtAnyPointIsTakenUpAgain) {
  const auto before = this->contents();
  ASSERT_OK(this->mover->begin(tenant_id("a"), this->there()));
  int rounds = 0;
  for (; this->record().policy.store != "pg" && rounds < 200; ++rounds) {
    this->mover->run_once(after(2 + rounds));
    this->crash();
    EXPECT_EQ(this->contents(), before) << "round " << rounds;
  }
  EXPECT_GE(rounds, 4);
  EXPECT_LT(rounds, 200);
  this->crash();
  this->mover->run_once(never);
  EXPECT_EQ(this->contents(), before);
  EXPECT_EQ(must(this->mover->certificates(tenant_id("a"))).size(), 1u);
  EXPECT_FALSE(std::filesystem::exists(this->platform.database_path("a")));
}

// What changed in the old place while nothing was watching is found by its digest.
TYPED_TEST(Moves, WhatChangedBetweenTwoRunsFollows) {
  ASSERT_OK(this->mover->begin(tenant_id("a"), this->there()));
  this->mover->run_once(after(9));
  this->crash();
  ASSERT_EQ(this->record().policy.store, "");
  {
    const auto scope = this->platform.scope("a");
    const auto store = this->platform.store("a");
    ASSERT_OK(store->delete_file(scope, file_id("f0")));
    ASSERT_OK(store->set_file_access(scope, file_id("f2"), {.users = {"carol"}}));
    ASSERT_OK(store->put_file(scope, sample_file("late", 1'900'000'000), "late"));
    ASSERT_OK(store->revoke_api_key(scope, key_id("k0")));
  }
  const auto before = this->contents();
  this->mover->run_once(never);
  EXPECT_EQ(this->record().policy.store, "pg");
  EXPECT_EQ(this->contents(), before);
}

TYPED_TEST(Moves, WritesAndReadsGoOnAndNoneFailsOrIsLost) {
  std::atomic<bool> done{false};
  std::vector<std::string> acknowledged[3];
  std::vector<std::thread> writers;
  for (int w = 0; w < 3; ++w) {
    writers.emplace_back([&, w] {
      for (int n = 0; (!done && n < 100) || n < 5; ++n) {
        const auto scope = this->platform.scope("a");
        const std::string id = "w" + std::to_string(w) + "-" + std::to_string(n);
        const auto store = this->platform.manager->open(scope);
        ASSERT_OK(store);
        FileRecord file = sample_file(id, 1'900'000'000 + n);
        ASSERT_OK((*store)->put_file(scope, file, "content of " + id));
        ASSERT_OK((*store)->replace_chunks(scope, file.id, sample_chunks(id, 2), sample_vectors(2)));
        ASSERT_OK((*store)->put_attachment(scope, {.store = store_id("v2"), .file = file.id, .created = n}));
        if (n % 3 == 2) {
          const std::string gone = "w" + std::to_string(w) + "-" + std::to_string(n - 1);
          ASSERT_OK((*store)->delete_file(scope, file_id(gone)));
          std::erase(acknowledged[w], gone);
        }
        ASSERT_EQ(must((*store)->file_content(scope, file.id)), "content of " + id);
        acknowledged[w].push_back(id);
      }
    });
  }
  for (const MovePlace& to : {this->there(), this->home()}) {
    ASSERT_OK(this->mover->begin(tenant_id("a"), to));
    for (int i = 0; i < 20 && this->mover->running() > 0; ++i) this->mover->run_once(never);
    EXPECT_EQ(this->mover->running(), 0u);
    EXPECT_EQ(this->record().policy.store, to.store);
  }
  done = true;
  for (std::thread& writer : writers) writer.join();
  const auto scope = this->platform.scope("a");
  const auto store = this->platform.store("a");
  std::size_t expected = 0;
  for (const auto& ids : acknowledged) {
    for (const std::string& id : ids) {
      EXPECT_EQ(must(store->file_content(scope, file_id(id))), "content of " + id);
      EXPECT_EQ(must(store->file_chunks(scope, file_id(id))).chunks.size(), 2u) << id;
      EXPECT_OK(store->get_attachment(scope, store_id("v2"), file_id(id)));
    }
    expected += ids.size();
  }
  EXPECT_EQ(must(list_subjects(*store, scope, SubjectKind::File)).size(), expected + 4)
      << "what was deleted stays so";
}

TYPED_TEST(Moves, ASuspendedTenantIsMovedToo) {
  const auto before = this->contents();
  (void)must(this->platform.directory->suspend(tenant_id("a"), "test"));
  ASSERT_OK(this->mover->begin(tenant_id("a"), this->there()));
  this->mover->run_once(never);
  EXPECT_EQ(this->record().policy.store, "pg");
  EXPECT_EQ(this->record().state, tenancy::TenantState::Suspended);
  (void)must(this->platform.directory->resume(tenant_id("a")));
  EXPECT_EQ(this->contents(), before);
}

TYPED_TEST(Moves, ADestroyedTenantLeavesNothingInEitherPlace) {
  ASSERT_OK(this->mover->begin(tenant_id("a"), this->there()));
  this->mover->run_once(after(9));
  EXPECT_TRUE(this->rows_in_postgres()) << "control: half of it was there";
  (void)must(this->platform.directory->destroy(tenant_id("a"), *this->platform.manager, this->signer));
  this->mover->run_once(never);
  EXPECT_EQ(this->mover->running(), 0u);
  EXPECT_FALSE(this->rows_in_postgres());
  EXPECT_FALSE(std::filesystem::exists(this->platform.data_dir() / "tenants" / "a"));
  EXPECT_TRUE(must(this->platform.platform->pending_moves()).empty());
}

TYPED_TEST(Moves, GivenUpBeforeTheSwitchLeavesTheTenantWhereItWas) {
  const auto before = this->contents();
  ASSERT_OK(this->mover->begin(tenant_id("a"), this->there()));
  this->mover->run_once(after(9));
  EXPECT_TRUE(this->rows_in_postgres());
  ASSERT_OK(this->mover->cancel(tenant_id("a")));
  EXPECT_FALSE(this->rows_in_postgres());
  this->mover->run_once(never);
  EXPECT_EQ(this->record().policy.store, "");
  EXPECT_EQ(this->contents(), before);
  EXPECT_FAILS(StorageError::NotFound, this->mover->cancel(tenant_id("a")));
  ASSERT_OK(this->mover->begin(tenant_id("a"), this->there()));
  this->mover->run_once(never);
  EXPECT_EQ(this->record().policy.store, "pg") << "control";
}

class MoveRefusals : public MoverTest<PostgresLayout::Schema> {};

TEST_F(MoveRefusals, WhatStandsInTheWayIsSaid) {
  const auto a = tenant_id("a");
  EXPECT_FAILS(tenancy::TenancyError::BadPolicy, mover->begin(a, home()));
  EXPECT_FAILS(tenancy::TenancyError::UnknownTenant, mover->begin(tenant_id("nobody"), there()));
  const tenancy::RotationOrder order{.tenant_key = true, .purposes = {Purpose::RecordSeal}};
  ASSERT_OK(upkeep->rotate(a, order));
  EXPECT_FAILS(tenancy::TenancyError::Busy, mover->begin(a, there()));
  ASSERT_OK(upkeep->complete(a));
  ASSERT_OK(platform.platform->begin_erasure(a, "{}"));
  EXPECT_FAILS(tenancy::TenancyError::Busy, mover->begin(a, there()));
  ASSERT_OK(platform.platform->forget_erasure(must(platform.platform->pending_erasures()).at(0).number));
  ASSERT_OK(mover->begin(a, there()));
  EXPECT_FAILS(tenancy::TenancyError::Busy, mover->begin(a, there()));
  EXPECT_FAILS(tenancy::TenancyError::Busy, upkeep->rotate(a, order))
      << "also between two runs, and after a crash";
  crash();
  EXPECT_FAILS(tenancy::TenancyError::Busy, upkeep->rotate(a, order));
  EXPECT_FAILS(tenancy::TenancyError::Busy, mover->begin(a, there()));
  mover->run_once(never);
  EXPECT_EQ(record().policy.store, "pg");
}

// The data stays; what changes is the mode and the engine that goes with it.
TEST_F(MoveRefusals, AModeThatTheStoreGivesTooNeedsNoCopy) {
  const auto before = contents();
  const auto file = platform.database_path("a");
  ASSERT_OK(mover->begin(tenant_id("a"), {IsolationMode::Silo, "", EngineMode::Dedicated}));
  mover->run_once(never);
  EXPECT_EQ(record().mode, IsolationMode::Silo);
  EXPECT_EQ(record().policy.engine.engine, EngineMode::Dedicated);
  EXPECT_TRUE(std::filesystem::exists(file));
  EXPECT_EQ(contents(), before);
  EXPECT_EQ(must(mover->certificates(tenant_id("a"))).size(), 1u);
}

// Control of the digests: a new place that loses something is not switched to.
TEST_F(MoveRefusals, APlaceThatDoesNotHoldTheSameIsNotSwitchedTo) {
  ASSERT_OK(mover->begin(tenant_id("a"), there()));
  mover->run_once(after(2));
  const std::string schema = pg.place("a")->login->search_path;
  auto raw = PostgresServer::shared().superuser(pg.database());
  raw->must_run("CREATE FUNCTION \"" + schema +
                "\".lose() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'");
  raw->must_run("CREATE TRIGGER lose BEFORE INSERT ON \"" + schema +
                "\".chunks FOR EACH ROW EXECUTE FUNCTION \"" + schema + "\".lose()");
  mover->run_once(never);
  EXPECT_EQ(record().policy.store, "");
  EXPECT_FALSE(mover->status(tenant_id("a"))->delayed.empty());
  raw->must_run("DROP TRIGGER lose ON \"" + schema + "\".chunks");
  mover->run_once(never);
  EXPECT_EQ(record().policy.store, "pg") << "control";
}

}  // namespace
}  // namespace bulkhead::storage
