#include "identity/api_key.h"

#include "support.h"

namespace bulkhead::identity {
namespace {

const base::TenantId kAcme = *base::TenantId::parse("acme");

TEST(ApiKeyFormat, AKeySaysItsTenantAndItsId) {
  ApiKeyFormat format(crypto::random_secret(32));
  for (std::string_view name : {"acme", "a", "x-1-y"}) {
    auto tenant = base::TenantId::parse(name);
    auto key = format.make(tenant);
    auto parsed = format.parse(key.text.reveal_text());
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->tenant, tenant);
    EXPECT_EQ(parsed->id, key.id);
    EXPECT_TRUE(key.text.reveal_text().starts_with("bhk_" + std::string(name) + "_"));
  }
  auto key = format.make(std::nullopt);
  auto parsed = format.parse(key.text.reveal_text());
  ASSERT_TRUE(parsed);
  EXPECT_FALSE(parsed->tenant);
  EXPECT_FALSE(format.make(kAcme).text == format.make(kAcme).text);
  auto longest = base::TenantId::parse(std::string(63, 'a'));
  EXPECT_TRUE(format.parse(format.make(longest).text.reveal_text())) << "the longest name fits";
}

TEST(ApiKeyFormat, AnyAlteredByteIsNoticed) {
  ApiKeyFormat format(crypto::random_secret(32));
  auto key = format.make(kAcme);
  const std::string good(key.text.reveal_text());
  ASSERT_TRUE(format.parse(good)) << "control";
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (char other : {'a', '_', '\0', 'Z', '-'}) {
      std::string bad = good;
      bad[i] = other;
      if (bad != good) EXPECT_FALSE(format.parse(bad)) << i;
    }
    EXPECT_FALSE(format.parse(good.substr(0, i)));
  }
  EXPECT_FALSE(format.parse(good + "a"));
  EXPECT_FALSE(format.parse(" " + good));
  EXPECT_FALSE(ApiKeyFormat(crypto::random_secret(32)).parse(good)) << "another deployment's";
}

TEST(ApiKeyFormat, ATenantsKeyIsNoOperatorsKey) {
  ApiKeyFormat format(crypto::random_secret(32));
  std::string text(format.make(kAcme).text.reveal_text());
  EXPECT_FALSE(format.parse("bhk_-operator-" + text.substr(text.find('_', 4))));
}

// A restored tenant's keys end in another deployment's tag: accepted for its very ids, of that very tenant.
TEST(ApiKeyFormat, AnAdoptedKeyNeedsNoTagOfOursAndNoOtherKeyGetsBy) {
  auto adopted = std::make_shared<AdoptedApiKeys>();
  ApiKeyFormat here(crypto::random_secret(32), adopted), there(crypto::random_secret(32));
  const auto theirs = there.make(kAcme), another = there.make(kAcme), operators = there.make(std::nullopt);
  const std::string text(theirs.text.reveal_text());
  EXPECT_FALSE(here.parse(text)) << "control";
  adopted->set(kAcme, {theirs.id, operators.id});
  auto parsed = here.parse(text);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->id, theirs.id);
  EXPECT_EQ(parsed->tenant, kAcme);
  EXPECT_FALSE(here.parse(another.text.reveal_text()));
  EXPECT_FALSE(here.parse(operators.text.reveal_text())) << "never an operator's";
  EXPECT_FALSE(here.parse("bhk_acme2" + text.substr(text.find('_', 4)))) << "never another tenant's";
  EXPECT_TRUE(here.parse(here.make(kAcme).text.reveal_text())) << "its own as ever";
  adopted->set(kAcme, {});
  EXPECT_FALSE(here.parse(text));
}

using ApiKeyTest = IdentityTest;

// LiteLLM CVE-2026-42208: what a stranger sends as a key never reaches the lookup.
TEST_F(ApiKeyTest, Cve_2026_42208_HostileKeysNeverReachTheDirectory) {
  start();
  const std::string hostile[] = {
      "bhk_acme' OR '1'='1_a_b_c",
      "bhk_acme_x'; DROP TABLE api_keys; --_y_z",
      "bhk_acme_\"_\"_\"",
      "bhk_acme_%27_%3B_x",
      "bhk_acme_a_b_c\n",
      "bhk_acme_a\r\nX: y_b_c",
      std::string("bhk_acme_a\0_b_c", 15),
      "bhk_../../etc/passwd_a_b_c",
      "bhk_acme_${jndi:x}_b_c",
      "bhk____",
      "bhk_",
      "bhk_acme",
      "bhk_acme_a_b",
      "bhk_acme_a_b_c_d",
      "bhk_-operator-_a_b_c",
      "bhk_\xff\xfe_a_b_c",
      "bhk_" + std::string(100'000, 'a'),
      "bhk_acme_key_secret_0123456789abcdef0123",
  };
  for (const std::string& text : hostile) {
    EXPECT_TRUE(refused_as(IdentityError::ApiKeyUnknown, present(text))) << text.substr(0, 60);
  }
  EXPECT_EQ(keys.calls, 0) << "the directory was asked";
  auto unknown = ApiKeyFormat(tag_key.clone()).make(kAcme);
  EXPECT_TRUE(refused_as(IdentityError::ApiKeyUnknown, present(std::string(unknown.text.reveal_text()))));
  EXPECT_EQ(keys.calls, 1) << "control: a well-formed key is looked up";
}

TEST_F(ApiKeyTest, AKeyGivesItsRecordsPrincipal) {
  start();
  auto key = add_key(kAcme, kNow + 60);
  keys.record(key.id).groups = {"hr"};
  auto principal = present(std::string(key.text.reveal_text()));
  ASSERT_TRUE(principal.ok()) << principal.error().describe();
  EXPECT_EQ((*principal)->tenant(), kAcme);
  EXPECT_EQ((*principal)->user(), user_id("", "robot"));
  EXPECT_EQ((*principal)->roles(), std::vector<std::string>{"service"});
  EXPECT_EQ((*principal)->groups(), std::vector<std::string>{"hr"});
  EXPECT_EQ((*principal)->credential(), CredentialKind::ApiKey);
  EXPECT_EQ((*principal)->credential_id(), key.id.str());
  EXPECT_EQ((*principal)->expires_unix_seconds(), kNow + 60);
  EXPECT_FALSE((*principal)->is_operator());
}

// A record whose roles were tampered with still makes no operator out of a tenant's key, and an
// operator's key gets the operator's role alone.
TEST_F(ApiKeyTest, WhoIsAnOperatorIsSaidByTheKeyItself) {
  start();
  auto key = add_key(kAcme);
  keys.record(key.id).roles = {"operator"};
  auto principal = present(std::string(key.text.reveal_text()));
  ASSERT_TRUE(principal.ok());
  EXPECT_FALSE((*principal)->is_operator());
  auto operators = add_key(std::nullopt);
  keys.record(operators.id).roles = {"tenant-admin"};
  principal = present(std::string(operators.text.reveal_text()));
  ASSERT_TRUE(principal.ok());
  EXPECT_TRUE((*principal)->is_operator());
  EXPECT_FALSE((*principal)->tenant());
  EXPECT_EQ((*principal)->roles(), std::vector<std::string>{"operator"});
}

TEST_F(ApiKeyTest, RevokedExpiredAndForeignRecordsAreRefused) {
  start();
  auto key = add_key(kAcme, kNow + 10);
  const std::string text(key.text.reveal_text());
  keys.record(key.id).revoked = true;
  EXPECT_TRUE(refused_as(IdentityError::ApiKeyUnknown, present(text)));
  keys.record(key.id).revoked = false;
  const crypto::Digest right = keys.record(key.id).keyed_hash;
  keys.record(key.id).keyed_hash[31] ^= 1;
  EXPECT_TRUE(refused_as(IdentityError::ApiKeyUnknown, present(text)));
  keys.record(key.id).keyed_hash = right;
  clock.advance(std::chrono::seconds(9));
  EXPECT_TRUE(present(text).ok()) << "control";
  clock.advance(std::chrono::seconds(1));
  EXPECT_TRUE(refused_as(IdentityError::ApiKeyUnknown, present(text)));
}

TEST(ApiKeyFormat, AKeyIsKnownByItsVisiblePrefix) {
  const ApiKeyFormat format(crypto::random_secret(32));
  for (const auto& tenant : {base::TenantId::parse("acme"), std::optional<base::TenantId>()}) {
    const auto key = format.make(tenant);
    const std::string text(key.text.reveal_text());
    const std::string prefix = ApiKeyFormat::visible_prefix(tenant, key.id);
    EXPECT_TRUE(text.starts_with(prefix)) << prefix;
    EXPECT_EQ(text.substr(prefix.size()).find('_'), text.rfind('_') - prefix.size())
        << "up to the secret, no more";
    EXPECT_FALSE(format.parse(prefix)) << "and opens nothing";
  }
}

}  // namespace
}  // namespace bulkhead::identity
