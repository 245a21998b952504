#include "storage/tombstones.h"

#include "store_fixture.h"

namespace bulkhead::storage {
namespace {

class TombstonesTest : public ::testing::Test {
 protected:
  TombstonesTest() { platform.add_tenant("a"); }
  TemporaryFolder folder;
  TestPlatform platform{folder.path() / "data"};
  Tombstones tombstones{*platform.platform, 3};
};

TEST_F(TombstonesTest, ANarrowerListIsNotedAndAWiderOneIsNot) {
  const auto scope = platform.scope("a");
  const auto store = platform.store("a");
  FileRecord file = sample_file("f1");
  file.access = {.groups = {"red"}};
  ASSERT_OK(store->put_file(scope, file, "text"));
  const auto stamp = [&] { return must(tombstones.known(tenant_id("a"))).narrowed["file/f1"]; };
  const auto set = [&](access::DocumentAccess access) {
    EXPECT_OK(tombstones.set_file_access(*store, scope, file_id("f1"), access));
  };
  set({.users = {"bob"}, .groups = {"red"}});
  EXPECT_EQ(stamp(), "") << "it lets in all whom it let in before";
  set({.shared_with_tenant = true});
  EXPECT_EQ(stamp(), "");
  set({.groups = {"red"}});
  const std::string first = stamp();
  EXPECT_NE(first, "");
  set({.groups = {"blue"}});
  EXPECT_NE(stamp(), first) << "others, so some were shut out";
  EXPECT_EQ(must(store->get_file(scope, file_id("f1"))).access.groups, std::vector<std::string>{"blue"});
  EXPECT_FAILS(StorageError::NotFound, tombstones.set_file_access(*store, scope, file_id("none"), {}));
  EXPECT_EQ(must(tombstones.known(tenant_id("a"))).narrowed.size(), 1u);
}

TEST_F(TombstonesTest, ARevokedKeyStaysRevokedInAStoreThatWasBroughtBack) {
  const auto scope = platform.scope("a");
  const auto store = platform.store("a");
  const auto tag_key = must(platform.platform->secret("api-key-tag"));
  const auto made = identity::ApiKeyFormat(tag_key.clone()).make(tenant_id("a"));
  identity::ApiKeyRecord record{.id = made.id, .user = "alice"};
  ASSERT_OK(store->put_api_key(scope, record));
  const identity::ParsedApiKey key{tenant_id("a"), made.id};
  EXPECT_FALSE(must(platform.api_keys->find(key, made.text.reveal_text())).record.revoked) << "control";
  ASSERT_OK(tombstones.revoke_api_key(*store, scope, made.id));
  ASSERT_OK(store->delete_api_key(scope, made.id));
  ASSERT_OK(store->put_api_key(scope, record));  // as a copy of the disk has it
  EXPECT_TRUE(must(platform.api_keys->find(key, made.text.reveal_text())).record.revoked);
  EXPECT_FAILS(StorageError::NotFound, tombstones.revoke_api_key(*store, scope, key_id("never")));
  EXPECT_EQ(must(tombstones.known(tenant_id("a"))).revoked.size(), 1u) << "ids of nothing leave nothing";
}

TEST_F(TombstonesTest, BeyondTheirBoundOneEntryStandsForAll) {
  Tombstones::Known before;
  for (int n = 0; n < 3; ++n) {
    ASSERT_OK(tombstones.note_narrowed(tenant_id("a"), file_id("f" + std::to_string(n))));
  }
  before = must(tombstones.known(tenant_id("a")));
  EXPECT_FALSE(before.narrowed_since(before, "file/f9"));
  ASSERT_OK(tombstones.note_narrowed(tenant_id("a"), file_id("f3")));
  const auto after = must(tombstones.known(tenant_id("a")));
  EXPECT_EQ(after.narrowed.size(), 1u);
  for (const char* name : {"file/f1", "file/f3", "file/f9"})
    EXPECT_TRUE(after.narrowed_since(before, name)) << name;
  EXPECT_FALSE(after.narrowed_since(after, "file/f1"));
  for (int n = 0; n < 4; ++n)
    ASSERT_OK(tombstones.note_revoked(tenant_id("a"), key_id("k" + std::to_string(n))));
  EXPECT_TRUE(must(tombstones.known(tenant_id("a"))).revokes("api_key/any"));
}

TEST_F(TombstonesTest, AListReadsAsItWasWritten) {
  Tombstones::Known known;
  known.erased = {"file/f1", "chat/c1"};
  known.revoked = {"api_key/k1"};
  known.narrowed = {{"file/f2", "stamp"}};
  const auto back = must(Tombstones::from_json(Tombstones::to_json(known)));
  EXPECT_EQ(back.erased, known.erased);
  EXPECT_EQ(back.revoked, known.revoked);
  EXPECT_EQ(back.narrowed, known.narrowed);
  for (const char* bad :
       {"", "{}", "[1]", "[[\"erased\"]]", "[[\"other\",\"a\",\"\"]]", "[[\"erased\",\"a\",1]]"}) {
    EXPECT_FALSE(Tombstones::from_json(bad).ok()) << bad;
  }
  ASSERT_OK(tombstones.adopt(tenant_id("a"), known));
  known.narrowed["file/f2"] = "another";
  ASSERT_OK(tombstones.adopt(tenant_id("a"), known));
  EXPECT_EQ(must(tombstones.known(tenant_id("a"))).narrowed["file/f2"], "stamp") << "what stands here stays";
}

}  // namespace
}  // namespace bulkhead::storage
