#include "identity/user_id.h"

#include <gtest/gtest.h>

#include <set>

#include "identity/user_names.h"
#include "support.h"

namespace bulkhead::identity {
namespace {

constexpr std::string_view kA = "https://a.example";
constexpr std::string_view kB = "https://b.example/realms/x";

TEST(UserIds, TwoUsersNeverHaveOneId) {
  std::set<std::string> ids;
  for (const std::string_view issuer : {std::string_view(), kA, kB}) {
    for (const std::string_view subject : {"lena", "#lena", "https://a.example#lena", "?#lena", "a#b", "a"}) {
      const std::string id = user_id(issuer, subject);
      EXPECT_TRUE(ids.insert(id).second) << issuer << " " << subject;
      const auto parts = user_parts(id);
      ASSERT_TRUE(parts.has_value());
      EXPECT_EQ(parts->issuer, issuer);
      EXPECT_EQ(parts->subject, subject);
    }
  }
  EXPECT_EQ(user_id(kA, ""), "") << "nobody";
  EXPECT_FALSE(user_parts("lena").has_value()) << "an earlier name";
}

// Whatever a caller is shown means the same user when that caller sends it back, and no other to anybody.
TEST(UserIds, WhatIsShownComesBackAsTheSameUser) {
  for (const std::string_view issuer : {std::string_view(), kA, kB}) {
    for (const std::string_view subject :
         {"lena", "#lena", "https://a.example#lena", "?#lena", "a#b", "http://x"}) {
      const std::string id = user_id(issuer, subject);
      for (const std::string_view viewer : {std::string_view(), kA, kB}) {
        EXPECT_EQ(user_id_from_name(user_name(id, viewer), viewer), id) << user_name(id, viewer);
        EXPECT_EQ(user_id_from_name(whole_user_name(id), viewer), id) << whole_user_name(id);
      }
    }
  }
  EXPECT_EQ(user_name(user_id(kA, "lena"), kA), "lena");
  EXPECT_EQ(user_name(user_id(kA, "lena"), kB), "https://a.example#lena");
  EXPECT_EQ(user_name(user_id("", "lena"), kB), "#lena");
  EXPECT_EQ(user_name("lena", kA), "?#lena") << "an earlier name is not the viewer's own issuer's";
}

TEST(UserIds, NamesOfNobodyAreRefused) {
  for (const std::string& name :
       {std::string(), std::string("?#lena"), std::string("https://a.example#"), std::string("#"),
        std::string("a\x1Flena"), std::string("a\nb"), std::string(256, 'x'), std::string(1025, 'x')}) {
    EXPECT_FALSE(user_id_from_name(name, kA).has_value()) << name;
  }
  EXPECT_TRUE(user_id_from_name(std::string(255, 'x'), kA).has_value()) << "control";
}

IssuerConfig issuer(std::string_view name, std::vector<std::string> tenants = {}, bool legacy = false) {
  IssuerConfig config;
  config.issuer = name;
  config.tenants = std::move(tenants);
  config.legacy_users = legacy;
  return config;
}

TEST(UserNamesTest, EarlierNamesAreOneIssuersOrNobodys) {
  const auto acme = *base::TenantId::parse("acme");
  const auto bolt = *base::TenantId::parse("bolt");
  UserNames names({issuer(kA, {"acme"}), issuer(kB)});
  EXPECT_EQ(names.only_issuer(acme), std::nullopt) << "two may speak for it";
  EXPECT_EQ(names.only_issuer(bolt), kB);
  EXPECT_EQ(names.legacy_issuer(acme), std::nullopt);
  EXPECT_EQ(names.current_id(acme, "lena"), "lena");
  EXPECT_EQ(names.stored_forms(acme, user_id(kA, "lena")), std::vector<std::string>{user_id(kA, "lena")});
  names.pin(acme, std::string(kA));
  EXPECT_EQ(names.current_id(acme, "lena"), user_id(kA, "lena"));
  EXPECT_EQ(names.current_id(acme, user_id(kB, "lena")), user_id(kB, "lena"));
  EXPECT_EQ(names.stored_forms(acme, user_id(kA, "lena")),
            (std::vector<std::string>{user_id(kA, "lena"), "lena"}));
  EXPECT_EQ(names.stored_forms(acme, user_id(kB, "lena")).size(), 1u) << "another issuer's lena";
  names.set_issuers({issuer(kB)});
  EXPECT_EQ(names.legacy_issuer(acme), kA) << "pinned: another issuer does not inherit them";
  names.set_issuers({issuer(kA), issuer(kB, {"acme"}, true)});
  EXPECT_EQ(names.legacy_issuer(acme), kB) << "the configuration's word";
  EXPECT_EQ(names.legacy_issuer(bolt), std::nullopt);
  names.set_issuers({});
  EXPECT_EQ(names.only_issuer(bolt), "") << "local users";
}

TEST(UserNamesTest, TwoIssuersCannotBothHaveEarlierUsers) {
  EXPECT_TRUE(shared_legacy_users({issuer(kA, {"acme"}, true), issuer(kB, {}, true)}));
  EXPECT_TRUE(shared_legacy_users({issuer(kA, {"acme"}, true), issuer(kB, {"bolt", "acme"}, true)}));
  EXPECT_FALSE(shared_legacy_users({issuer(kA, {"acme"}, true), issuer(kB, {"bolt"}, true)}));
  EXPECT_FALSE(shared_legacy_users({issuer(kA, {"acme"}, true), issuer(kB)}));
}

class TwoIssuers : public IdentityTest {
 protected:
  TwoIssuers() { second.set_jwks(jwks_of({signer.jwk()})); }
  std::shared_ptr<const Principal> who(const std::string& from) {
    auto principal = present(Token(from, signer).sign(signer));
    EXPECT_TRUE(principal.ok());
    return principal ? *principal : nullptr;
  }
  IssuerServer second{reactors};
  base::TenantId acme = *base::TenantId::parse("acme");
};

TEST_F(TwoIssuers, OneSubjectOfTwoIssuersIsTwoPeople) {
  start({config_of(server), config_of(second)});
  const auto one = who(server.issuer), other = who(second.issuer);
  ASSERT_TRUE(one && other);
  EXPECT_NE(one->user(), other->user());
  EXPECT_TRUE(one->is_user(one->user()));
  EXPECT_FALSE(one->is_user(other->user()));
  EXPECT_FALSE(one->is_user("alice")) << "a record of before is nobody's";
  EXPECT_FALSE(other->is_user("alice"));
  EXPECT_EQ(one->stored_users().size(), 1u);
}

TEST_F(TwoIssuers, AnEarlierRecordBelongsToTheLegacyIssuersUserAlone) {
  AuthenticatorOptions options;
  options.issuers = {config_of(server), config_of(second)};
  options.user_names = std::make_shared<UserNames>(options.issuers);
  options.user_names->pin(acme, server.issuer);
  authenticator = std::make_unique<Authenticator>(std::move(options), ApiKeyFormat(tag_key.clone()), keys,
                                                  tenants, pool_of, clock);
  const auto one = who(server.issuer), other = who(second.issuer);
  ASSERT_TRUE(one && other);
  EXPECT_TRUE(one->is_user("alice"));
  EXPECT_FALSE(other->is_user("alice"));
  // A subject can't pass for another's id.
  Token forged = Token(server.issuer, signer);
  forged.claims.set("sub", base::json::quote(other->user()));
  EXPECT_FALSE(present(forged.sign(signer)).ok());
}

TEST_F(TwoIssuers, AKeyActsAsTheUserThatItNames) {
  AuthenticatorOptions options;
  options.issuers = {config_of(server), config_of(second)};
  options.user_names = std::make_shared<UserNames>(options.issuers);
  const auto names = options.user_names;
  authenticator = std::make_unique<Authenticator>(std::move(options), ApiKeyFormat(tag_key.clone()), keys,
                                                  tenants, pool_of, clock);
  const auto key_of = [&](std::string user) {
    auto key = add_key(acme);
    keys.record(key.id).user = std::move(user);
    auto principal = present(std::string(key.text.reveal_text()));
    EXPECT_TRUE(principal.ok());
    return principal ? *principal : nullptr;
  };
  EXPECT_EQ(key_of(user_id(second.issuer, "alice"))->user(), who(second.issuer)->user());
  const auto orphan = key_of("alice");
  EXPECT_EQ(orphan->user(), user_id("", "alice")) << "of before, and nobody's: a local user";
  EXPECT_FALSE(orphan->is_user("alice"));
  names->pin(acme, server.issuer);
  const auto kept = key_of("alice");
  EXPECT_EQ(kept->user(), user_id(server.issuer, "alice"));
  EXPECT_TRUE(kept->is_user("alice"));
}

}  // namespace
}  // namespace bulkhead::identity
