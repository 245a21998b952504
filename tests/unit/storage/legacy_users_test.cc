#include "storage/legacy_users.h"

#include "identity/user_id.h"
#include "store_fixture.h"

namespace bulkhead::storage {
namespace {

identity::IssuerConfig issuer(std::string name, std::vector<std::string> tenants = {}) {
  identity::IssuerConfig config;
  config.issuer = std::move(name);
  config.tenants = std::move(tenants);
  return config;
}

std::optional<std::string> loaded(TestPlatform& platform, const std::vector<identity::IssuerConfig>& issuers,
                                  const std::string& tenant) {
  auto names = std::make_shared<identity::UserNames>(issuers);
  LegacyUsers users(*platform.platform, names);
  EXPECT_OK(users.load(platform.directory->list()));
  return users.issuer_of(tenant_id(tenant));
}

TEST(LegacyUsersTest, TheFirstStartDecidesAndNoLaterOneChangesIt) {
  TemporaryFolder folder;
  const auto data = folder.path() / "data";
  {
    TestPlatform platform(data);
    platform.add_tenant("one");
    platform.add_tenant("two");
    EXPECT_EQ(loaded(platform, {issuer("https://a"), issuer("https://b", {"two"})}, "one"), "https://a");
  }
  TestPlatform platform(data);
  platform.add_tenant("later");
  const std::vector<identity::IssuerConfig> replaced = {issuer("https://b")};
  EXPECT_EQ(loaded(platform, replaced, "one"), "https://a") << "another issuer's users don't inherit";
  EXPECT_EQ(loaded(platform, replaced, "two"), std::nullopt) << "there were two: nobody's, for good";
  EXPECT_EQ(loaded(platform, replaced, "later"), std::nullopt) << "it never had such records";
}

TEST(LegacyUsersTest, WithoutIssuersTheyAreLocal) {
  TemporaryFolder folder;
  TestPlatform platform(folder.path() / "data");
  platform.add_tenant("one");
  EXPECT_EQ(loaded(platform, {}, "one"), "");
  EXPECT_EQ(loaded(platform, {issuer("https://a")}, "one"), "");
}

TEST(LegacyUsersTest, AnArchiveSaysOrTheOneIssuerHas) {
  TemporaryFolder folder;
  TestPlatform platform(folder.path() / "data");
  const std::vector<identity::IssuerConfig> issuers = {issuer("https://a"), issuer("https://b", {"two"})};
  auto names = std::make_shared<identity::UserNames>(issuers);
  LegacyUsers users(*platform.platform, names);
  ASSERT_OK(users.load({}));
  ASSERT_OK(users.adopt(tenant_id("one")));
  ASSERT_OK(users.adopt(tenant_id("two")));
  ASSERT_OK(users.adopt(tenant_id("three"), "https://elsewhere"));
  EXPECT_EQ(users.issuer_of(tenant_id("one")), "https://a");
  EXPECT_EQ(users.issuer_of(tenant_id("two")), std::nullopt);
  EXPECT_EQ(users.issuer_of(tenant_id("three")), "https://elsewhere");
}

}  // namespace
}  // namespace bulkhead::storage
