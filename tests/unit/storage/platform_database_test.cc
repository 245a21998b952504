#include "raw_database.h"
#include "store_fixture.h"

namespace bulkhead::storage {
namespace {

TEST(Platform, NeedsSetUpFirstAndTheRightKey) {
  TemporaryFolder folder;
  const auto data = folder.path() / "data";
  const auto keys = must(crypto::PlatformKeys::parse(crypto::PlatformKeys::generate_file_content()));
  EXPECT_FAILS(StorageError::NotFound, PlatformDatabase::open(data, *keys, false));
  EXPECT_OK(PlatformDatabase::open(data, *keys, true));
  EXPECT_OK(PlatformDatabase::open(data, *keys, true)) << "again, on what is there";
  EXPECT_OK(PlatformDatabase::open(data, *keys, false));
  const auto other = must(crypto::PlatformKeys::parse(crypto::PlatformKeys::generate_file_content()));
  const auto refused = PlatformDatabase::open(data, *other, false);
  EXPECT_FAILS(StorageError::WrongKey, refused);
  EXPECT_NE(refused.error().message().find("platform key"), std::string::npos);
  EXPECT_FAILS(StorageError::WrongKey, PlatformDatabase::open(data, *other, true));
  std::filesystem::rename(data / "platform.key.box", data / "moved");
  EXPECT_FAILS(StorageError::Corrupt, PlatformDatabase::open(data, *keys, true));
}

TEST(Platform, TenantsSecretsAndSettingsSurvive) {
  TemporaryFolder folder;
  const auto data = folder.path() / "data";
  base::Secret tag_key;
  crypto::WrappedKey wrapped;
  {
    TestPlatform platform(data);
    platform.add_tenant("zqtenantname", 77);
    tag_key = must(platform.platform->secret("api-key-tag"));
    EXPECT_EQ(tag_key.size(), 32u);
    EXPECT_EQ(tag_key, must(platform.platform->secret("api-key-tag")));
    EXPECT_FALSE(tag_key == must(platform.platform->secret("audit-signing")));
    EXPECT_FALSE(must(platform.platform->setting("audit-head")).has_value());
    ASSERT_OK(platform.platform->set_setting("audit-head", "zqsetting"));
    ASSERT_OK(platform.platform->set_setting("audit-head", "zqsetting2"));
    wrapped = must(platform.platform->load_all()).at(0).wrapped_key;
    EXPECT_EQ(files_holding(data, {"zqtenantname", "zqsetting"}), std::vector<std::string>());
  }
  TestPlatform platform(data);
  const auto tenants = must(platform.platform->load_all());
  ASSERT_EQ(tenants.size(), 1u);
  EXPECT_EQ(tenants[0].tenant.id.str(), "zqtenantname");
  EXPECT_EQ(tenants[0].tenant.policy.limits.storage_bytes_max, 77u);
  EXPECT_EQ(tenants[0].wrapped_key.box, wrapped.box);
  EXPECT_EQ(tag_key, must(platform.platform->secret("api-key-tag")));
  EXPECT_EQ(must(platform.platform->setting("audit-head")), "zqsetting2");
  EXPECT_FAILS(StorageError::AlreadyExists, platform.platform->insert(tenants[0]));

  tenancy::StoredTenant destroyed = tenants[0];
  destroyed.tenant.state = tenancy::TenantState::Destroyed;
  destroyed.wrapped_key.box.clear();
  ASSERT_OK(platform.platform->update(destroyed));
  EXPECT_TRUE(must(platform.platform->load_all())[0].wrapped_key.box.empty());
  EXPECT_EQ(std::filesystem::file_size(data / "platform.db-wal"), 0u) << "the old key left the log";
  ASSERT_OK(platform.platform->replace_keys({{tenant_id("zqtenantname"), wrapped}}));
  EXPECT_EQ(must(platform.platform->load_all())[0].wrapped_key.box, wrapped.box);
  EXPECT_FAILS(StorageError::NotFound, platform.platform->replace_keys({{tenant_id("nobody"), wrapped}}));
}

TEST(Platform, SecretsStayTheSameThroughARotation) {
  TemporaryFolder folder;
  const auto data = folder.path() / "data";
  base::Secret before;
  {
    TestPlatform platform(data);
    platform.add_tenant("a");
    before = must(platform.platform->secret("audit-signing"));
    (void)must(platform.keys->add_version());
    ASSERT_OK(platform.platform->rewrap(*platform.keys));
    EXPECT_EQ(must(platform.directory->keyring().rewrap_all()), 1u);
    ASSERT_OK(platform.keys->retire_older());
  }
  TestPlatform platform(data);
  EXPECT_EQ(before, must(platform.platform->secret("audit-signing")));
  EXPECT_OK(platform.manager->open(platform.scope("a")));
}

TEST(Platform, OperatorKeysAreKeptAndRevoked) {
  TemporaryFolder folder;
  TestPlatform platform(folder.path() / "data");
  ASSERT_OK(platform.platform->put_operator_key({.id = key_id("k1"), .name = "n'; --"}));
  EXPECT_FAILS(StorageError::AlreadyExists, platform.platform->put_operator_key({.id = key_id("k1")}));
  ASSERT_OK(platform.platform->revoke_operator_key(key_id("k1")));
  EXPECT_TRUE(must(platform.platform->operator_keys()).at(0).revoked);
  EXPECT_FAILS(StorageError::NotFound, platform.platform->revoke_operator_key(key_id("k2")));
}

}  // namespace
}  // namespace bulkhead::storage
