// StoreManager: who gets a store, how many stay open, and the narrow reader of API keys.
#include <sys/stat.h>

#include <thread>

#include "identity/error.h"
#include "raw_database.h"
#include "store_fixture.h"

namespace bulkhead::storage {
namespace {

using identity::IdentityError;

class Manager : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"a", "b", "c", "d", "e"}) platform.add_tenant(name);
  }
  TemporaryFolder folder;
  TestPlatform platform{folder.path() / "data", 3};
};

TEST_F(Manager, KeepsAtMostSoManyOpenAndNeverClosesOneInUse) {
  auto held = platform.store("a");
  for (const char* name : {"b", "c", "d", "e"}) (void)platform.store(name);
  EXPECT_EQ(platform.manager->open_count(), 3u);
  EXPECT_OK(held->usage(platform.scope("a")));
  EXPECT_EQ(platform.store("a"), held) << "the same store, still open";
  std::vector<std::shared_ptr<TenantStore>> all;
  for (const char* name : {"a", "b", "c", "d", "e"}) all.push_back(platform.store(name));
  EXPECT_EQ(platform.manager->open_count(), 5u) << "all are in use";
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_OK(all[i]->usage(platform.scope(std::string(1, static_cast<char>('a' + i)))));
  }
  all.clear();
  held.reset();
  (void)platform.store("e");
  EXPECT_EQ(platform.manager->open_count(), 3u);
}

TEST_F(Manager, ManyThreadsOpenOneStoreOnce) {
  const auto scope = platform.scope("a");
  std::vector<std::shared_ptr<TenantStore>> opened(8);
  std::vector<std::thread> threads;
  for (auto& slot : opened) {
    threads.emplace_back([&slot, &scope, this] { slot = must(platform.manager->open(scope)); });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& each : opened) EXPECT_EQ(each, opened[0]);
}

TEST_F(Manager, ReadersAndWritersSideBySideSeeWholeStates) {
  const auto scope = platform.scope("a");
  const auto store = platform.store("a");
  ASSERT_OK(store->put_file(scope, sample_file("f"), "x"));
  ASSERT_OK(store->replace_chunks(scope, file_id("f"), sample_chunks("f", 10), sample_vectors(10)));
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (int i = 0; i < 20; ++i) {
      EXPECT_OK(store->replace_chunks(scope, file_id("f"), sample_chunks("f", i % 2 ? 10 : 30),
                                      sample_vectors(i % 2 ? 10 : 30)));
    }
    done = true;
  });
  std::vector<std::thread> readers;
  for (int t = 0; t < 3; ++t) {
    readers.emplace_back([&] {
      while (!done) {
        const std::size_t found = store->search_text(scope, {"parental"}, {file_id("f")}, 99)->size();
        EXPECT_TRUE(found == 10 || found == 30 || found == 0) << found;
        const std::size_t vectors = keys_of(*store, scope, file_id("f")).size();
        EXPECT_TRUE(vectors == 10 || vectors == 30) << vectors;
      }
    });
  }
  writer.join();
  for (auto& reader : readers) reader.join();
}

TEST_F(Manager, FilesAndFoldersArePrivate) {
  (void)platform.store("a");
  for (const auto& entry : std::filesystem::recursive_directory_iterator(platform.data_dir())) {
    struct stat about{};
    ASSERT_EQ(::stat(entry.path().c_str(), &about), 0);
    EXPECT_EQ(about.st_mode & 077, 0u) << entry.path();
  }
}

TEST_F(Manager, CloseCutsHandlesAndEraseLeavesNothing) {
  const auto scope = platform.scope("a");
  const auto store = platform.store("a");
  ASSERT_OK(store->put_file(scope, sample_file("f1"), "content"));
  platform.manager->close(tenant_id("a"));
  EXPECT_FAILS(StorageError::TenantGone, store->get_file(scope, file_id("f1")));
  EXPECT_OK(platform.store("a")->get_file(scope, file_id("f1"))) << "an active tenant opens again";

  (void)must(platform.directory->suspend(tenant_id("a"), "test"));
  platform.manager->close(tenant_id("a"));
  EXPECT_FAILS(StorageError::TenantGone, platform.manager->open(scope));
  const auto report = platform.manager->erase(tenant_id("a"));
  ASSERT_OK(report);
  EXPECT_EQ(report->removed.at(0), "tenants/a/store.db");
  EXPECT_GT(report->bytes, 4096u);
  EXPECT_FALSE(std::filesystem::exists(platform.data_dir() / "tenants/a"));
  EXPECT_FAILS(StorageError::TenantGone, platform.manager->open(scope));
  EXPECT_FALSE(std::filesystem::exists(platform.data_dir() / "tenants/a")) << "not made anew";
  const auto again = platform.manager->erase(tenant_id("a"));
  ASSERT_OK(again);
  EXPECT_TRUE(again->removed.empty());
}

TEST_F(Manager, DestroyingATenantLeavesNoFileAndNoKey) {
  const auto scope = platform.scope("a");
  const auto store = platform.store("a");
  ASSERT_OK(store->put_file(scope, sample_file("f1"), "content"));
  const auto copy = folder.path() / "stolen.db";
  std::filesystem::copy_file(platform.database_path("a"), copy);
  const auto signer = crypto::SigningKey::generate();
  const auto certificate = must(platform.directory->destroy(tenant_id("a"), *platform.manager, signer));
  EXPECT_NE(certificate.json.find("tenants/a/store.db"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(platform.data_dir() / "tenants/a"));
  EXPECT_FAILS(StorageError::TenantGone, store->get_file(scope, file_id("f1")));
  EXPECT_FAILS(StorageError::TenantGone, platform.manager->open(scope));
  for (const auto& stored : must(platform.platform->load_all())) {
    EXPECT_EQ(stored.wrapped_key.box.empty(), stored.tenant.id == tenant_id("a"));
  }
  EXPECT_FAILS(IdentityError::ApiKeyUnknown,
               platform.api_keys->find({.tenant = tenant_id("a"), .id = key_id("k")}, "text"));
  EXPECT_FAILS(StorageError::WrongKey,
               open_tenant_database(copy, base::Secret(32), SqliteDatabase::Mode::ReadWrite));
}

TEST_F(Manager, EraseDoesNotFollowLinksOutOfTheTenantsFolder) {
  (void)platform.store("a");
  const auto outside = folder.path() / "outside";
  std::filesystem::create_directory(outside);
  std::ofstream(outside / "keep") << "x";
  std::filesystem::create_directory_symlink(outside, platform.data_dir() / "tenants/a/link");
  ASSERT_OK(platform.manager->erase(tenant_id("a")));
  EXPECT_TRUE(std::filesystem::exists(outside / "keep"));
}

TEST_F(Manager, ALinkInPlaceOfAStoreIsRefused) {
  (void)platform.store("a");
  platform.manager->close(tenant_id("a"));
  const auto path = platform.database_path("a");
  std::filesystem::rename(path, folder.path() / "elsewhere.db");
  std::filesystem::create_symlink(folder.path() / "elsewhere.db", path);
  EXPECT_FALSE(platform.manager->open(platform.scope("a")).ok());
}

TEST_F(Manager, FindsApiKeysOpenOrClosedAndNothingElse) {
  const std::string text = "bhk_a_key";
  const auto scope = platform.scope("a");
  identity::ApiKeyRecord record{.id = key_id("key_1"), .name = "CI", .user = "robot"};
  record.keyed_hash = identity::api_key_hash(scope.key(crypto::Purpose::ApiKeyHash), text);
  ASSERT_OK(platform.store("a")->put_api_key(scope, record));
  const identity::ParsedApiKey parsed{.tenant = tenant_id("a"), .id = key_id("key_1")};
  for (bool open : {true, false}) {
    if (!open) platform.manager->close(tenant_id("a"));
    const auto entry = platform.api_keys->find(parsed, text);
    ASSERT_OK(entry);
    EXPECT_EQ(entry->record.user, "robot");
    EXPECT_EQ(entry->expected, record.keyed_hash);
    EXPECT_NE(platform.api_keys->find(parsed, "another text")->expected, record.keyed_hash);
    EXPECT_FAILS(IdentityError::ApiKeyUnknown,
                 platform.api_keys->find({.tenant = tenant_id("a"), .id = key_id("key_2")}, text));
    EXPECT_EQ(platform.manager->open_count(), open ? 1u : 0u) << "finding opens no store";
  }
  // No store yet, no such tenant, another tenant's key id: all the same answer.
  for (const char* tenant : {"b", "nobody", "x"}) {
    EXPECT_FAILS(IdentityError::ApiKeyUnknown,
                 platform.api_keys->find({.tenant = tenant_id(tenant), .id = key_id("key_1")}, text));
  }
  EXPECT_FALSE(std::filesystem::exists(platform.data_dir() / "tenants/nobody"));
  (void)must(platform.directory->suspend(tenant_id("a"), "test"));
  EXPECT_FAILS(IdentityError::TenantSuspended, platform.api_keys->find(parsed, text));
}

TEST_F(Manager, FindsOperatorKeys) {
  identity::ApiKeyRecord record{.id = key_id("key_op"), .name = "ops", .user = "op"};
  record.roles = {"operator"};
  ASSERT_OK(platform.platform->put_operator_key(record));
  const auto entry = platform.api_keys->find({.tenant = std::nullopt, .id = record.id}, "text");
  ASSERT_OK(entry);
  const base::Secret key = must(platform.platform->secret("operator-key-hash"));
  EXPECT_EQ(entry->expected, identity::api_key_hash(key, "text"));
  EXPECT_FAILS(IdentityError::ApiKeyUnknown,
               platform.api_keys->find({.tenant = std::nullopt, .id = key_id("other")}, "text"));
}

}  // namespace
}  // namespace bulkhead::storage
