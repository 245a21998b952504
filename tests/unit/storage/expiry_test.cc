// Expired kept chats leave the disk: at the opening of a store and by the sweep over open ones
// (AISVS 8.3.1). The file is read behind the store's back, since the store itself never shows them.
#include <chrono>

#include "raw_database.h"
#include "storage/store_sweeper.h"
#include "store_fixture.h"
#include "support/eventually.h"

namespace bulkhead::storage {
namespace {

class Expiry : public ::testing::Test {
 protected:
  void SetUp() override {
    platform.add_tenant("a");
    const auto store = platform.store("a");
    for (const auto& [name, lifetime] : {std::pair{"short", 10}, std::pair{"long", 1000}}) {
      ChatRecord chat{.id = chat_id(name)};
      chat.owner = "alice";
      chat.model = "m";
      chat.created = platform.clock.unix_seconds();
      chat.expires = chat.created + lifetime;
      chat.messages_json = "[]";
      chat.completion_json = "{}";
      ASSERT_OK(store->put_chat(platform.scope("a"), chat));
    }
  }
  std::vector<std::string> rows() {
    const auto scope = platform.scope("a");
    return RawDatabase(platform.database_path("a"), &scope.key(crypto::Purpose::Database))
        .run("SELECT id FROM chats ORDER BY id");
  }
  static std::vector<std::string> both() { return {chat_id("long").str(), chat_id("short").str()}; }
  static std::vector<std::string> one() { return {chat_id("long").str()}; }

  TemporaryFolder folder;
  TestPlatform platform{folder.path() / "data"};
};

TEST_F(Expiry, Aisvs_8_3_1_TheSweepTakesExpiredChatsOffTheDisk) {
  EXPECT_EQ(platform.manager->delete_expired_chats(), 0u);
  platform.clock.advance(std::chrono::seconds(11));
  EXPECT_EQ(rows(), both()) << "hidden, and still on disk without a sweep (control)";
  EXPECT_EQ(platform.manager->delete_expired_chats(), 1u);
  EXPECT_EQ(rows(), one());
}

TEST_F(Expiry, Aisvs_8_3_1_AStoreIsSweptWhenItIsOpened) {
  platform.manager->close(tenant_id("a"));
  platform.clock.advance(std::chrono::seconds(11));
  EXPECT_EQ(platform.manager->delete_expired_chats(), 0u) << "closed stores are not opened for it";
  EXPECT_EQ(rows(), both());
  (void)platform.store("a");
  EXPECT_EQ(rows(), one());
}

// What could not be recorded is not removed, neither by a sweep nor when a store is opened.
TEST_F(Expiry, NothingGoesWhileItCannotBeRecorded) {
  bool log_works = false;
  std::size_t recorded = 0;
  platform.manager->record_expiry(
      {.may_remove = [&] { return log_works; },
       .removed = [&](const base::TenantId&, std::size_t count) { recorded += count; }});
  platform.clock.advance(std::chrono::seconds(11));
  EXPECT_EQ(platform.manager->delete_expired_chats(), 0u);
  platform.manager->close(tenant_id("a"));
  (void)platform.store("a");
  EXPECT_EQ(rows(), both());
  EXPECT_EQ(recorded, 0u);
  log_works = true;
  EXPECT_EQ(platform.manager->delete_expired_chats(), 1u);
  EXPECT_EQ(rows(), one());
  EXPECT_EQ(recorded, 1u);
}

TEST_F(Expiry, TheSweeperComesByItself) {
  platform.clock.advance(std::chrono::seconds(11));
  std::chrono::milliseconds often(5);
  StoreSweeper sweeper(*platform.manager, {.pages = often, .expired = often});
  EXPECT_TRUE(test::eventually([&] { return rows() == one(); }));
}

TEST_F(Expiry, ASuspendedTenantsStoreIsLeftAlone) {
  platform.clock.advance(std::chrono::seconds(11));
  (void)must(platform.directory->suspend(tenant_id("a"), "test"));
  EXPECT_EQ(platform.manager->delete_expired_chats(), 0u);
}

}  // namespace
}  // namespace bulkhead::storage
