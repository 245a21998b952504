#include <thread>

#include "base/log.h"
#include "support.h"

namespace bulkhead::tenancy {
namespace {

using State = identity::TenantStatus::State;

TEST_F(DirectoryTest, AScopeIsOfItsPrincipalsTenantAndNoOther) {
  create("acme");
  create("bolt");
  auto principal = test::principal("acme", "alice");
  auto scope = directory->open(principal);
  ASSERT_TRUE(scope.ok());
  EXPECT_EQ(scope->tenant().str(), "acme");
  EXPECT_EQ(scope->principal().user(), identity::user_id("", "alice"));
  EXPECT_TRUE(scope->alive());
  EXPECT_FALSE(scope->cancel_token().cancelled());

  EXPECT_TRUE(fails_with(TenancyError::UnknownTenant, directory->open(test::principal("nobody"))));
  EXPECT_TRUE(fails_with(TenancyError::NotATenantPrincipal, directory->open(test::platform_operator())));
  EXPECT_TRUE(fails_with(TenancyError::NotATenantPrincipal, directory->open(nullptr)));
}

TEST_F(DirectoryTest, EachTenantHasKeysOfItsOwnAndEachPurposeToo) {
  create("acme");
  create("bolt");
  TenantScope acme = open("acme"), bolt = open("bolt");
  const crypto::Purpose purposes[] = {crypto::Purpose::Database, crypto::Purpose::RecordSeal,
                                      crypto::Purpose::AuditHash, crypto::Purpose::ApiKeyHash};
  for (crypto::Purpose one : purposes) {
    EXPECT_FALSE(acme.key(one) == bolt.key(one));
    EXPECT_TRUE(acme.key(one) == open("acme").key(one)) << "control: the same tenant has the same key";
    for (crypto::Purpose other : purposes) {
      if (one != other) EXPECT_FALSE(acme.key(one) == acme.key(other));
    }
  }
  EXPECT_NE(acme.audit_hash("prompt"), bolt.audit_hash("prompt"));
  EXPECT_EQ(acme.audit_hash("prompt"), open("acme").audit_hash("prompt")) << "control";
  EXPECT_TRUE(acme.audit_hash("prompt").starts_with("hmac-sha256:"));
}

// The wrapped key is bound to its tenant: swapped in the registry, it opens nothing.
TEST_F(DirectoryTest, AWrappedKeyOfAnotherTenantDoesNotOpen) {
  create("acme");
  create("bolt");
  auto fresh = open_directory();
  EXPECT_TRUE(fresh->open(test::principal("acme")).ok()) << "control";
  registry.tenants.at("acme").wrapped_key = registry.tenants.at("bolt").wrapped_key;
  fresh = open_directory();
  EXPECT_TRUE(fails_with(TenancyError::KeyUnavailable, fresh->open(test::principal("acme"))));
}

TEST_F(DirectoryTest, KeysSurviveARestart) {
  create("acme");
  base::Secret before = open("acme").key(crypto::Purpose::Database).clone();
  directory = open_directory();
  EXPECT_TRUE(open("acme").key(crypto::Purpose::Database) == before);
}

TEST_F(DirectoryTest, SuspensionCutsEveryRunningScopeBeforeItReturns) {
  create("acme");
  create("bolt");
  TenantScope first = open("acme");
  TenantPolicy policy;
  policy.keep_chats = true;
  ASSERT_TRUE(directory->set_policy(tenant_id("acme"), policy).ok());
  TenantScope second = open("acme");  // of a later generation
  TenantScope other = open("bolt");
  EXPECT_FALSE(first.record().policy.keep_chats);
  EXPECT_TRUE(second.record().policy.keep_chats);
  std::atomic<int> cuts{0};
  auto on_first = first.cancel_token().on_cancel([&] { ++cuts; });
  auto on_second = second.cancel_token().on_cancel([&] { ++cuts; });
  EXPECT_TRUE(first.alive() && second.alive()) << "control: a policy change cuts nobody";

  ASSERT_TRUE(directory->suspend(tenant_id("acme"), "unpaid").ok());
  EXPECT_EQ(cuts, 2);
  EXPECT_FALSE(first.alive());
  EXPECT_FALSE(second.alive());
  EXPECT_EQ(first.cancel_token().reason(), base::CancelReason::TenantSuspended);
  EXPECT_TRUE(other.alive());
  EXPECT_FALSE(other.cancel_token().cancelled());
  EXPECT_EQ(directory->state_of("acme"), State::Suspended);
  EXPECT_TRUE(fails_with(TenancyError::TenantSuspended, directory->open(test::principal("acme"))));
  EXPECT_TRUE(fails_with(TenancyError::TenantSuspended,
                         directory->take_platform_access().api_key_hash(tenant_id("acme"), "k")));

  directory = open_directory();  // it is durable
  EXPECT_EQ(directory->state_of("acme"), State::Suspended);
  ASSERT_TRUE(directory->resume(tenant_id("acme")).ok());
  EXPECT_TRUE(open("acme").alive());
  EXPECT_FALSE(first.alive()) << "a cut scope stays cut";
}

// The key of a tenant with running scopes was dropped for others' sake; its scopes are cut all the same.
TEST_F(DirectoryTest, TheColdestKeyIsDroppedAndItsScopesAreStillCut) {
  directory = open_directory(2);
  for (std::string_view name : {"a", "b", "c"}) create(name);
  TenantScope a = open("a");
  clock.advance(std::chrono::seconds(1));
  TenantScope b = open("b");
  clock.advance(std::chrono::seconds(1));
  open("a");  // b is now the coldest
  clock.advance(std::chrono::seconds(1));
  open("c");
  EXPECT_EQ(&open("a").record(), &a.record()) << "a was kept";
  EXPECT_NE(&open("b").record(), &b.record()) << "b was dropped and opened anew";
  EXPECT_TRUE(b.key(crypto::Purpose::Database) == open("b").key(crypto::Purpose::Database));
  ASSERT_TRUE(directory->suspend(tenant_id("b"), "").ok());
  EXPECT_FALSE(b.alive());
  EXPECT_TRUE(a.alive());
}

TEST_F(DirectoryTest, ATenantThatWasCutLeavesItsPlaceToAnother) {
  directory = open_directory(2);
  for (std::string_view name : {"a", "b", "c"}) create(name);
  TenantScope a = open("a");
  open("b");
  ASSERT_TRUE(directory->suspend(tenant_id("b"), "").ok());
  open("c");
  EXPECT_EQ(&open("a").record(), &a.record());
  ASSERT_TRUE(directory->resume(tenant_id("b")).ok());
  clock.advance(std::chrono::seconds(1));
  open("c");
  open("b");
  EXPECT_NE(&open("a").record(), &a.record()) << "control: with all three open the coldest was dropped";
}

TEST_F(DirectoryTest, NamesAreTakenForGood) {
  create("acme");
  EXPECT_TRUE(fails_with(TenancyError::TenantExists,
                         directory->create(tenant_id("acme"), "", IsolationMode::Hybrid, {})));
  ASSERT_TRUE(directory->destroy(tenant_id("acme"), eraser, signer).ok());
  EXPECT_TRUE(fails_with(TenancyError::TenantExists,
                         directory->create(tenant_id("acme"), "", IsolationMode::Hybrid, {})));
  directory = open_directory();
  EXPECT_TRUE(fails_with(TenancyError::TenantExists,
                         directory->create(tenant_id("acme"), "", IsolationMode::Hybrid, {})));
  EXPECT_TRUE(fails_with(TenancyError::BadName,
                         directory->create(tenant_id("platform"), "", IsolationMode::Hybrid, {})));
  EXPECT_TRUE(directory->create(tenant_id("acme-2"), "", IsolationMode::Hybrid, {}).ok()) << "control";
}

// Whoever calls, and with whatever checks before: the directory holds no silo with a shared engine.
TEST_F(DirectoryTest, ASiloKeepsAnEngineOfItsOwn) {
  TenantPolicy shared, own;
  own.engine.engine = EngineMode::Dedicated;
  EXPECT_TRUE(fails_with(TenancyError::BadPolicy,
                         directory->create(tenant_id("vault"), "", IsolationMode::Silo, shared)));
  ASSERT_TRUE(directory->create(tenant_id("vault"), "", IsolationMode::Silo, own).ok());
  EXPECT_TRUE(fails_with(TenancyError::BadPolicy, directory->set_policy(tenant_id("vault"), shared)));
  EXPECT_EQ(directory->find(tenant_id("vault"))->policy.engine.engine, EngineMode::Dedicated);
  own.engine.batching = BatchingMode::Exclusive;
  EXPECT_TRUE(directory->set_policy(tenant_id("vault"), own).ok()) << "the rest of the policy is free";
  create("acme");
  EXPECT_TRUE(directory->set_policy(tenant_id("acme"), own).ok());
  EXPECT_TRUE(directory->set_policy(tenant_id("acme"), shared).ok()) << "control: a hybrid tenant may";
}

// Nothing is changed in memory that was not made durable first (invariant I9).
TEST_F(DirectoryTest, AnUnwritableRegistryChangesNothing) {
  create("acme");
  TenantScope scope = open("acme");
  registry.fails = true;
  EXPECT_TRUE(fails_with(TenancyError::Registry, directory->suspend(tenant_id("acme"), "")));
  EXPECT_TRUE(fails_with(TenancyError::Registry, directory->destroy(tenant_id("acme"), eraser, signer)));
  EXPECT_TRUE(fails_with(TenancyError::Registry, directory->keyring().rewrap_all()));
  EXPECT_TRUE(fails_with(TenancyError::Registry,
                         directory->create(tenant_id("bolt"), "", IsolationMode::Hybrid, {})));
  EXPECT_TRUE(scope.alive());
  EXPECT_TRUE(eraser.steps.empty());
  EXPECT_EQ(directory->state_of("acme"), State::Active);
  EXPECT_EQ(directory->state_of("bolt"), State::Unknown);
  registry.fails = false;
  EXPECT_TRUE(directory->suspend(tenant_id("acme"), "").ok()) << "control";
}

TEST_F(DirectoryTest, ListenersHearOfEachChangeAfterItHappened) {
  std::vector<std::string> heard;
  directory->on_change([&](const base::TenantId& id) {
    heard.push_back(id.str() + " " + std::string(state_name(directory->find(id)->state)));
  });
  create("acme");
  ASSERT_TRUE(directory->suspend(tenant_id("acme"), "").ok());
  ASSERT_TRUE(directory->resume(tenant_id("acme")).ok());
  ASSERT_TRUE(directory->destroy(tenant_id("acme"), eraser, signer).ok());
  EXPECT_EQ(heard,
            (std::vector<std::string>{"acme active", "acme suspended", "acme active", "acme destroyed"}));
}

TEST_F(DirectoryTest, StatesOfUnknownNames) {
  create("acme");
  EXPECT_EQ(directory->state_of("acme"), State::Active);
  for (std::string_view name : {"", "ACME", "acme ", "bolt", "-operator-", "a'; DROP TABLE tenants; --"}) {
    EXPECT_EQ(directory->state_of(name), State::Unknown) << name;
  }
  EXPECT_EQ(directory->list().size(), 1u);
}

// Rotation while others open scopes all the time: nobody fails, and afterwards only the new version
// is needed.
TEST_F(DirectoryTest, RewrapsWhileScopesAreOpened) {
  std::string folder = (std::filesystem::temp_directory_path() / "bulkhead-tenancy-XXXXXX").string();
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  auto file = std::filesystem::path(folder) / "platform.key";
  {
    std::ofstream(file) << crypto::PlatformKeys::generate_file_content().reveal_text();
  }
  std::filesystem::permissions(file,
                               std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  auto loaded = crypto::PlatformKeys::load(file);
  ASSERT_TRUE(loaded.ok()) << loaded.error().describe();
  keys = std::move(*loaded);
  directory = open_directory(2);  // so that keys are unwrapped over and over
  std::vector<std::shared_ptr<const identity::Principal>> who;
  std::vector<base::Secret> expected;
  for (std::string_view name : {"a", "b", "c", "d"}) {
    create(name);
    who.push_back(test::principal(std::string(name)));
    expected.push_back(open(name).key(crypto::Purpose::RecordSeal).clone());
  }
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0}, opened{0};
  std::vector<std::thread> openers;
  for (int t = 0; t < 3; ++t) {
    openers.emplace_back([&] {
      for (std::size_t i = 0; !stop; i = (i + 1) % who.size()) {
        auto scope = directory->open(who[i]);
        if (!scope || !(scope->key(crypto::Purpose::RecordSeal) == expected[i])) ++wrong;
        ++opened;
      }
    });
  }
  for (int round = 0; round < 20; ++round) {
    ASSERT_TRUE(keys->add_version().ok());
    auto count = directory->keyring().rewrap_all();
    ASSERT_TRUE(count.ok());
    EXPECT_EQ(*count, 4u);
    ASSERT_TRUE(keys->retire_older().ok());
  }
  stop = true;
  for (std::thread& opener : openers) opener.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(opened, 0);
  for (const auto& [name, stored] : registry.tenants) {
    EXPECT_EQ(stored.wrapped_key.platform_version, keys->newest());
  }
  directory = open_directory();
  EXPECT_TRUE(open("c").key(crypto::Purpose::RecordSeal) == expected[2]);
  std::filesystem::remove_all(folder);
}

TEST_F(DirectoryTest, OpensAndSuspensionsRace) {
  base::log::set_level(base::log::Level::Error);  // 200 suspensions
  create("acme");
  auto principal = test::principal("acme");
  std::atomic<bool> stop{false};
  std::atomic<int> escaped{0}, alive_seen{0};
  std::mutex held_mutex;
  std::vector<TenantScope> held;
  std::vector<std::thread> openers;
  for (int t = 0; t < 2; ++t) {
    openers.emplace_back([&] {
      while (!stop) {
        auto scope = directory->open(principal);
        if (!scope) continue;
        ++alive_seen;
        std::lock_guard lock(held_mutex);
        if (held.size() < 100) held.push_back(*scope);
      }
    });
  }
  // On a busy machine the openers may not have run yet after 200 rounds; then it goes on until they have.
  for (int round = 0; round < 200 || (alive_seen < 50 && round < 1'000'000); ++round) {
    ASSERT_TRUE(directory->suspend(tenant_id("acme"), "").ok());
    std::vector<TenantScope> taken;
    {
      std::lock_guard lock(held_mutex);
      taken.swap(held);
    }
    for (const TenantScope& scope : taken) escaped += scope.alive();
    ASSERT_TRUE(directory->resume(tenant_id("acme")).ok());
    std::this_thread::yield();
  }
  stop = true;
  for (std::thread& opener : openers) opener.join();
  EXPECT_GT(alive_seen, 0) << "control";
  EXPECT_EQ(escaped, 0) << "a scope opened before the suspension outlived it";
  EXPECT_TRUE(open("acme").alive()) << "control";
  base::log::set_level(base::log::Level::Info);
}

TEST_F(DirectoryTest, PlatformAccessIsGivenOnceAndActsForSuspendedTenantsToo) {
  create("acme");
  const PlatformAccess access = directory->take_platform_access();
  EXPECT_DEATH((void)directory->take_platform_access(), "platform_access_taken_twice");
  ASSERT_TRUE(directory->suspend(tenant_id("acme"), "unpaid").ok());
  const auto scope = access.open_for_maintenance(tenant_id("acme"));
  ASSERT_TRUE(scope.ok());
  EXPECT_TRUE(scope->principal().roles().empty());
  EXPECT_TRUE(fails_with(TenancyError::TenantSuspended, access.database_keys(tenant_id("acme"))));
  EXPECT_TRUE(fails_with(TenancyError::UnknownTenant, access.open_for_maintenance(tenant_id("bolt"))));
}

}  // namespace
}  // namespace bulkhead::tenancy
