// What identity providers send by default: kinds of tokens, organisations, claim paths, names, keys and
// clients.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "identity/refusal_log.h"
#include "support.h"

namespace bulkhead::identity {
namespace {

using enum IdentityError;

class ProviderTest : public IdentityTest {
 protected:
  ProviderTest() : config(config_of(server)) { restart(); }
  void restart() { start({config}); }
  Outcome with(const std::function<void(Token&)>& change) {
    Token t = token();
    change(t);
    return present(t.sign(signer));
  }
  Outcome claiming(const std::string& name, const std::string& raw) {
    return with([&](Token& t) { t.claims.set(name, raw); });
  }
  std::string tenant_of(const Outcome& outcome) {
    return outcome ? (*outcome)->tenant()->str() : "refused: " + outcome.error().describe();
  }

  IssuerConfig config;
};

// --- kinds of tokens ---

TEST_F(ProviderTest, TokensForOtherPurposesAreRefusedWithTheClaimThatSaysSo) {
  ASSERT_TRUE(present(token().sign(signer)).ok()) << "control";
  const std::pair<std::string, std::string> foreign[] = {
      {"typ", "\"ID\""}, {"typ", "\"Refresh\""},  {"typ", "\"Offline\""}, {"typ", "\"Logout\""},
      {"typ", "1"},      {"at_hash", "\"AAAA\""}, {"c_hash", "\"AAAA\""}, {"nonce", "\"n-0S6\""},
      {"nonce", "null"}, {"token_use", "\"id\""}, {"token_use", "1"},     {"events", "{}"},
  };
  for (const auto& [claim, value] : foreign) {
    const auto outcome = claiming(claim, value);
    EXPECT_TRUE(refused_as(NotAccessToken, outcome)) << claim << " " << value;
    if (!outcome) EXPECT_EQ(outcome.error().parameter(), claim);
  }
  for (const auto& [claim, value] : {std::pair{"typ", "\"Bearer\""}, std::pair{"token_use", "\"access\""}}) {
    EXPECT_TRUE(claiming(claim, value).ok()) << "control: " << claim;
  }
}

TEST_F(ProviderTest, SenderConstrainedTokensAreNoBearerTokens) {
  for (const std::string value :
       {R"({"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"})",
        R"({"x5t#S256":"bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"})", "{}", "null"}) {
    const auto outcome = claiming("cnf", value);
    EXPECT_TRUE(refused_as(SenderConstrained, outcome)) << value;
    if (!outcome) EXPECT_EQ(outcome.error().parameter(), "cnf");
  }
  EXPECT_TRUE(present(token().sign(signer)).ok()) << "control";
}

// --- tenants ---

TEST_F(ProviderTest, OneOrganisationInAListOrAnObject) {
  config.tenant_claim = "organization";
  restart();
  EXPECT_EQ(tenant_of(claiming("organization", R"("bolt")")), "bolt");
  EXPECT_EQ(tenant_of(claiming("organization", R"(["bolt"])")), "bolt");
  EXPECT_EQ(tenant_of(claiming("organization", R"(["bolt","bolt"])")), "bolt");
  EXPECT_EQ(tenant_of(claiming("organization", R"({"bolt":{}})")), "bolt");
  EXPECT_EQ(tenant_of(claiming("organization", R"({"bolt":{"id":"8c6","tier":["gold"]}})")), "bolt");
  EXPECT_TRUE(refused_as(TenantAmbiguous, claiming("organization", R"(["bolt","crane"])")));
  EXPECT_TRUE(refused_as(TenantAmbiguous, claiming("organization", R"({"bolt":{},"crane":{}})")));
  EXPECT_TRUE(refused_as(ClaimMissing, claiming("organization", "{}")));
  EXPECT_TRUE(refused_as(ClaimInvalid, claiming("organization", R"({"id":"bolt"})")))
      << "a member's name is no tenant";
  EXPECT_TRUE(refused_as(ClaimInvalid, claiming("organization", R"([["bolt"]])")));
}

TEST_F(ProviderTest, AnEmptyOrganisationListMakesNoOperator) {
  config.operator_roles = {"ops"};
  restart();
  const auto ops = [this](const std::string& tenant) {
    return with([&](Token& t) { t.claims.set("tenant", tenant).set("roles", "[\"ops\"]"); });
  };
  EXPECT_TRUE(refused_as(ClaimMissing, ops("[]")));
  EXPECT_TRUE(refused_as(ClaimMissing, ops("{}")));
  const auto without = with([](Token& t) { t.claims.remove("tenant").set("roles", "[\"ops\"]"); });
  EXPECT_TRUE(without.ok() && (*without)->is_operator()) << "control";
}

TEST_F(ProviderTest, OfSeveralOrganisationsAScopeChooses) {
  config.tenant_scope_prefix = "organization:";
  restart();
  const auto ask_for = [this](const std::string& claim, const std::string& scope) {
    return with([&](Token& t) { t.claims.set("tenant", R"(["bolt","crane"])").set(claim, scope); });
  };
  EXPECT_EQ(tenant_of(ask_for("scope", "\"openid organization:crane chat\"")), "crane");
  EXPECT_EQ(tenant_of(ask_for("scp", R"(["chat","organization:bolt"])")), "bolt");
  EXPECT_TRUE(refused_as(TenantAmbiguous, ask_for("scope", "\"openid\"")));
  EXPECT_TRUE(refused_as(TenantAmbiguous, ask_for("scope", "\"organization:*\"")));
  EXPECT_TRUE(refused_as(TenantAmbiguous, ask_for("scope", "\"organization:bolt organization:crane\"")));
  EXPECT_TRUE(refused_as(ClaimInvalid, ask_for("scope", "\"organization:acme\"")))
      << "not one that the token holds";
  config.tenant_scope_prefix.clear();
  restart();
  EXPECT_TRUE(refused_as(TenantAmbiguous, ask_for("scope", "\"organization:crane\"")))
      << "control: not configured";
}

TEST_F(ProviderTest, AMapTranslatesAndBinds) {
  config.tenant_claim = "org_id";
  config.tenant_map = {{"org_9X2", "bolt"}, {"Acme GmbH", "acme"}};
  restart();
  EXPECT_EQ(tenant_of(claiming("org_id", "\"org_9X2\"")), "bolt");
  EXPECT_EQ(tenant_of(claiming("org_id", "[\"Acme GmbH\"]")), "acme");
  EXPECT_TRUE(refused_as(TenantNotOfIssuer, claiming("org_id", "\"bolt\"")))
      << "a tenant's own name is not mapped";
  EXPECT_TRUE(refused_as(TenantNotOfIssuer, claiming("org_id", "\"org_other\"")));
  config.tenant_map.clear();
  restart();
  EXPECT_EQ(tenant_of(claiming("org_id", "\"bolt\"")), "bolt") << "control";
}

TEST_F(ProviderTest, AnIssuerStandsForOneTenant) {
  config.tenant = "bolt";
  restart();
  EXPECT_EQ(tenant_of(with([](Token& t) { t.claims.remove("tenant"); })), "bolt");
  EXPECT_EQ(tenant_of(claiming("tenant", "\"acme\"")), "bolt") << "no claim of the token changes that";
  // B8: it is the one issuer of that tenant, and of no other.
  const UserNames names({config});
  EXPECT_EQ(names.only_issuer(*base::TenantId::parse("bolt")), server.issuer);
  EXPECT_EQ(names.only_issuer(*base::TenantId::parse("acme")), "");
}

TEST_F(ProviderTest, PathsWithDotsAndUrls) {
  config.tenant_claim = ClaimPath::of_steps({"https://acme.example/org", "tenant.id"});
  config.roles_claims = {"realm_access.roles", ClaimPath::of_steps({"resource_access", "my.app", "roles"})};
  config.groups_claims = {"https://acme.example/groups", "groups"};
  restart();
  const auto outcome = with([](Token& t) {
    t.claims.set("https://acme.example/org", R"({"tenant.id":"bolt"})");
    t.claims.set("realm_access", R"({"roles":["member","auditor"]})").set("roles", "[\"tenant-admin\"]");
    t.claims.set("resource_access",
                 R"({"my.app":{"roles":["auditor","writer"]},"my":{"app":{"roles":["tenant-admin"]}}})");
    t.claims.set("https://acme.example/groups", R"(["legal"])");
  });
  ASSERT_TRUE(outcome.ok()) << outcome.error().describe();
  EXPECT_EQ((*outcome)->tenant()->str(), "bolt");
  EXPECT_EQ((*outcome)->roles(), (std::vector<std::string>{"member", "auditor", "writer"}));
  EXPECT_EQ((*outcome)->groups(), (std::vector<std::string>{"legal", "hr"}));
  EXPECT_TRUE(refused_as(ClaimMissing, present(token().sign(signer))))
      << "control: not the unconfigured claim";
}

TEST_F(ProviderTest, NamesArePrefixedAndMapped) {
  config.role_names = {"bulkhead:", {{"/staff/Chief Doctors", "tenant-admin"}, {"bulkhead:old", "auditor"}}};
  config.group_names = {"", {{"/acme/hr", "hr"}}};
  restart();
  const auto outcome = with([](Token& t) {
    t.claims.set(
        "roles",
        R"(["bulkhead:member","/staff/Chief Doctors","bulkhead:old","service","bulkhead:","offline_access"])");
    t.claims.set("groups", R"(["/acme/hr","/acme/legal"])");
  });
  ASSERT_TRUE(outcome.ok()) << outcome.error().describe();
  EXPECT_EQ((*outcome)->roles(), (std::vector<std::string>{"member", "tenant-admin", "auditor"}));
  EXPECT_EQ((*outcome)->groups(), (std::vector<std::string>{"hr", "/acme/legal"}));
  config.role_names = {};
  restart();
  EXPECT_EQ((*claiming("roles", R"(["bulkhead:member"])"))->roles(),
            std::vector<std::string>{"bulkhead:member"})
      << "control";
}

// --- users: issuer and subject (issue B8) ---

TEST_F(ProviderTest, AUserMayBeAnotherClaim) {
  config.user_claim = "oid";
  auto names = std::make_shared<UserNames>(std::vector<IssuerConfig>{config});
  names->pin(*base::TenantId::parse("acme"), server.issuer);
  AuthenticatorOptions options{.issuers = {config}, .user_names = names};
  authenticator = std::make_unique<Authenticator>(std::move(options), ApiKeyFormat(tag_key.clone()), keys,
                                                  tenants, pool_of, clock);
  const auto outcome = with([](Token& t) { t.claims.set("oid", "\"8f1\"").remove("sub"); });
  ASSERT_TRUE(outcome.ok()) << outcome.error().describe();
  EXPECT_EQ((*outcome)->user(), user_id(server.issuer, "8f1"));
  EXPECT_FALSE((*outcome)->is_user("8f1")) << "records of before hold `sub`: this is another claim's value";
  EXPECT_TRUE(refused_as(ClaimMissing, present(token().sign(signer)))) << "sub is not taken in its place";
  for (const std::string& value : {std::string("\"\""), std::string("7"), std::string("\"a\\u001fb\""),
                                   base::json::quote(std::string(256, 'a'))}) {
    EXPECT_TRUE(refused_as(ClaimInvalid, claiming("oid", value))) << value;
  }
  config.user_claim = "sub";
  AuthenticatorOptions by_subject{.issuers = {config}, .user_names = names};
  authenticator = std::make_unique<Authenticator>(std::move(by_subject), ApiKeyFormat(tag_key.clone()), keys,
                                                  tenants, pool_of, clock);
  EXPECT_TRUE((*present(token().sign(signer)))->is_user("alice")) << "control";
}

// --- bounds ---

TEST_F(ProviderTest, FiveHundredLongGroupsOfATokenOf32KiB) {
  std::string groups = "[";
  for (int i = 0; i < 512; ++i) {
    groups += std::string(i ? "," : "") + "\"/staff/department/" + std::to_string(i) + "\"";
  }
  const auto many = claiming("groups", groups + "]");
  ASSERT_TRUE(many.ok()) << many.error().describe();
  EXPECT_EQ((*many)->groups().size(), 512u);
  const auto sized = [this](std::size_t bytes) {
    Token t = token();
    t.claims.set("pad", "\"\"");
    const std::size_t bare = t.sign(signer).size();
    // Base64 makes 4 bytes of 3; the header's part does not change.
    t.claims.set("pad", base::json::quote(std::string((bytes - bare) * 3 / 4 - 3, 'x')));
    return t.sign(signer);
  };
  const std::string largest = sized(32 << 10);
  ASSERT_LE(largest.size(), std::size_t{32} << 10);
  ASSERT_GE(largest.size(), (std::size_t{32} << 10) - 16);
  EXPECT_TRUE(present(largest).ok());
  EXPECT_TRUE(refused_as(Malformed, present(sized((32 << 10) + 64))));
}

TEST_F(ProviderTest, ClaimsThatStandElsewhereAreSaid) {
  const auto overage = [this](const std::string& name) {
    return with([&](Token& t) {
      t.claims.remove("groups").set("_claim_names", "{\"" + name + "\":\"src1\"}");
      t.claims.set("_claim_sources", R"({"src1":{"endpoint":"https://graph.example/me/getMemberObjects"}})");
    });
  };
  const auto refused = overage("groups");
  EXPECT_TRUE(refused_as(ClaimElsewhere, refused));
  if (!refused) EXPECT_EQ(refused.error().parameter(), "groups");
  EXPECT_TRUE(
      refused_as(ClaimElsewhere, with([](Token& t) { t.claims.remove("groups").set("hasgroups", "true"); })));
  EXPECT_TRUE(overage("address").ok()) << "control: a claim that nobody here asks for";
  EXPECT_EQ(server.other_requests, 0) << "no address from a token is ever asked";
  config.ignore_claims_elsewhere = true;
  restart();
  const auto ignored = overage("groups");
  ASSERT_TRUE(ignored.ok());
  EXPECT_TRUE((*ignored)->groups().empty());
}

// --- clients: Amazon Cognito's access tokens have neither `aud` nor `typ` (docs.aws.amazon.com/cognito,
// "Understanding the access token", December 2026) ---

TEST_F(ProviderTest, CognitosAccessTokensAreTakenByTheirClient) {
  const auto cognito = [](Token& t) {
    t.header.remove("typ");
    t.claims.remove("aud").set("token_use", "\"access\"").set("cognito:groups", "[\"member\"]");
  };
  EXPECT_TRUE(refused_as(ClaimMissing, with(cognito))) << "an issuer without client_ids";
  config.client_ids = {"app"};
  config.audiences.clear();
  config.roles_claims = {"cognito:groups"};
  restart();
  const auto outcome = with(cognito);
  ASSERT_TRUE(outcome.ok()) << outcome.error().describe();
  EXPECT_EQ((*outcome)->roles(), std::vector<std::string>{"member"});
  const auto changed = [&](const std::string& name, const std::string& raw) {
    return with([&](Token& t) { cognito(t), t.claims.set(name, raw); });
  };
  EXPECT_TRUE(refused_as(ClientWrong, changed("client_id", "\"other\"")));
  EXPECT_TRUE(refused_as(ClaimInvalid, changed("client_id", "[\"app\"]")));
  EXPECT_TRUE(refused_as(ClientWrong, with([&](Token& t) { cognito(t), t.claims.remove("client_id"); })));
  EXPECT_TRUE(refused_as(NotAccessToken, changed("token_use", "\"id\"")));
  EXPECT_TRUE(refused_as(AudienceWrong, changed("aud", "\"bulkhead\"")))
      << "an audience that is not configured";
  EXPECT_TRUE(refused_as(HeaderRefused, with([&](Token& t) { cognito(t), t.claims.remove("token_use"); })));
}

TEST_F(ProviderTest, ClientIdsBindTokensWithAnAudienceToo) {
  config.client_ids = {"portal"};
  restart();
  EXPECT_TRUE(refused_as(ClientWrong, present(token().sign(signer))));
  for (const char* claim : {"azp", "cid", "appid"}) {
    EXPECT_TRUE(with([&](Token& t) { t.claims.remove("client_id").set(claim, "\"portal\""); }).ok()) << claim;
  }
}

// --- recorded shapes: what each provider's documentation shows, December 2026, with the values of this test
// ---

// auth0.com/docs/secure/tokens/access-tokens/access-token-profiles, the default (Auth0) profile, with an
// organization.
TEST_F(ProviderTest, Auth0sShape) {
  config.tenant_claim = "org_id";
  config.tenant_map = {{"org_9ybsU1dN2dKfDkBi", "acme"}};
  config.roles_claims = {"https://bulkhead.example/roles"};
  config.groups_claims = {"https://bulkhead.example/groups"};
  restart();
  const auto shape = [](Token& t) {
    t.header.set("typ", "\"JWT\"");
    for (const char* claim : {"client_id", "jti", "tenant", "roles", "groups"}) t.claims.remove(claim);
    t.claims.set("sub", "\"auth0|123456\"")
        .set("aud", R"(["bulkhead","https://acme.auth0.example/userinfo"])");
    t.claims.set("azp", "\"portal\"")
        .set("org_id", "\"org_9ybsU1dN2dKfDkBi\"")
        .set("scope", "\"openid profile\"");
    t.claims.set("https://bulkhead.example/roles", R"(["member"])");
  };
  const auto outcome = with(shape);
  ASSERT_TRUE(outcome.ok()) << outcome.error().describe();
  EXPECT_EQ((*outcome)->tenant()->str(), "acme");
  EXPECT_EQ((*outcome)->user(), user_id(server.issuer, "auth0|123456"));
  EXPECT_EQ((*outcome)->client(), "portal");
  EXPECT_EQ((*outcome)->roles(), std::vector<std::string>{"member"});
  EXPECT_TRUE(refused_as(ClaimMissing, with([&](Token& t) { shape(t), t.claims.remove("org_id"); })))
      << "no organization";
}

// learn.microsoft.com/entra/identity-platform/access-token-claims-reference, version 2.0, an application with
// roles.
TEST_F(ProviderTest, EntrasShape) {
  config.tenant = "acme";
  config.user_claim = "oid";
  config.audiences = {"6e74172b-be56-4843-9ff4-e66a39bb12e3"};
  restart();
  const auto shape = [](Token& t) {
    t.header.set("typ", "\"JWT\"");
    for (const char* claim : {"client_id", "jti", "tenant", "groups"}) t.claims.remove(claim);
    t.claims.set("aud", "\"6e74172b-be56-4843-9ff4-e66a39bb12e3\"")
        .set("nbf", std::to_string(kNow))
        .set("ver", "\"2.0\"");
    t.claims.set("azp", "\"6e74172b-0000-4843-9ff4-e66a39bb12e3\"")
        .set("azpacr", "\"0\"")
        .set("scp", "\"access_as_user\"");
    t.claims.set("oid", "\"690222be-ff1a-4d56-abd1-7e4f7d38e474\"")
        .set("tid", "\"72f988bf-86f1-41af-91ab-2d7cd011db47\"");
    t.claims.set("sub", "\"HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ\"")
        .set("uti", "\"zrg\"")
        .set("rh", "\"0.A\"");
    t.claims.set("groups", R"(["0760b6cf-170e-4a14-91b3-4b78e0739963"])");
  };
  const auto outcome = with(shape);
  ASSERT_TRUE(outcome.ok()) << outcome.error().describe();
  EXPECT_EQ((*outcome)->user(), user_id(server.issuer, "690222be-ff1a-4d56-abd1-7e4f7d38e474"));
  EXPECT_EQ((*outcome)->tenant()->str(), "acme");
  EXPECT_TRUE(refused_as(ClaimElsewhere, with([&](Token& t) {
                           shape(t);
                           t.claims.remove("groups").set("_claim_names", R"({"groups":"src1"})");
                         })));
}

// developer.okta.com/docs/api/openapi/okta-oauth, tokens of a custom authorization server: no `typ`, `scp` a
// list.
TEST_F(ProviderTest, OktasShape) {
  config.tenant = "acme";
  config.user_claim = "uid";
  config.roles_claims = {"bulkhead_roles"};
  restart();
  const auto shape = [](Token& t) {
    t.header.remove("typ");
    for (const char* claim : {"client_id", "tenant", "roles"}) t.claims.remove(claim);
    t.claims.set("ver", "1").set("jti", "\"AT.MNAoEQ_jbKqoinrQo1D0\"").set("sub", "\"lena@acme.example\"");
    t.claims.set("cid", "\"0oa1portal\"").set("uid", "\"00u1lena\"").set("scp", R"(["openid","profile"])");
    t.claims.set("auth_time", std::to_string(kNow)).set("bulkhead_roles", R"(["member"])");
  };
  const auto outcome = with(shape);
  ASSERT_TRUE(outcome.ok()) << outcome.error().describe();
  EXPECT_EQ((*outcome)->user(), user_id(server.issuer, "00u1lena"));
  EXPECT_EQ((*outcome)->client(), "0oa1portal");
  EXPECT_TRUE(
      refused_as(HeaderRefused, with([&](Token& t) { shape(t), t.claims.remove("scp").remove("cid"); })))
      << "an ID token of Okta has neither, and no typ";
  EXPECT_TRUE(
      refused_as(NotAccessToken, with([&](Token& t) { shape(t), t.claims.set("at_hash", "\"fPls\""); })));
}

// --- keys ---

std::string edited(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  if (at == std::string::npos) std::abort();
  return text.replace(at, from.size(), to);
}

TEST_F(ProviderTest, KeysListedTwiceAndKeysThatSayLittle) {
  const std::string jwk = signer.jwk();
  const std::string no_alg = edited(jwk, "\"alg\":\"ES256\",", "");
  const std::string bare = edited(no_alg, "\"use\":\"sig\",", "");
  const std::string no_id = edited(jwk, ",\"kid\":\"key-1\"", "");
  const SigningPair foreign("key-9"), rsa("rsa", crypto::JwsAlgorithm::Rs256);
  const std::string foreign_no_id = edited(foreign.jwk(), ",\"kid\":\"key-9\"", "");
  const std::string oct = R"({"kty":"oct","k":"AAAA","kid":"key-1","alg":"HS256"})";
  std::string hundred;
  for (int i = 0; i < 99; ++i) hundred += SigningPair("n-" + std::to_string(i)).jwk() + ",";
  const std::pair<std::string_view, std::string> sets[] = {
      {"twice", jwk + "," + jwk},
      {"twice, once without alg", no_alg + "," + jwk},
      {"without alg", no_alg},
      {"without alg and use", bare},
      {"beside a foreign one without an id", foreign_no_id + "," + jwk},
      {"beside a symmetric one of the same id", oct + "," + jwk},
      {"beside an RSA key of the same id",
       edited(rsa.jwk(), "\"kid\":\"rsa\"", "\"kid\":\"key-1\"") + "," + jwk},
      {"one of a hundred", hundred + jwk},
  };
  for (const auto& [what, keys] : sets) {
    server.set_jwks("{\"keys\":[" + keys + "]}");
    restart();
    EXPECT_TRUE(present(token().sign(signer)).ok()) << what;
    Token t(server.issuer, foreign);
    t.header.set("kid", "\"key-1\"");
    EXPECT_FALSE(present(t.sign(foreign)).ok()) << "control: " << what;
  }
  Token without_id = token();
  without_id.header.remove("kid");
  for (const std::string& keys : {no_id, no_id + "," + no_id, jwk + "," + no_id, jwk + "," + rsa.jwk()}) {
    server.set_jwks("{\"keys\":[" + keys + "]}");
    restart();
    EXPECT_TRUE(present(without_id.sign(signer)).ok()) << keys;
  }
  server.set_jwks(jwks_of({jwk, foreign.jwk()}));
  restart();
  EXPECT_TRUE(refused_as(KeyUnknown, present(without_id.sign(signer))))
      << "two different keys are not guessed between";
}

TEST_F(ProviderTest, Ed25519HasTwoNames) {
  SigningPair pair("ed", crypto::JwsAlgorithm::EdDsa);
  config.algorithms = {*crypto::parse_jws_algorithm("Ed25519")};
  for (const char* listed : {"\"EdDSA\"", "\"Ed25519\""}) {
    server.set_jwks(jwks_of({edited(pair.jwk(), "\"EdDSA\"", listed)}));
    restart();
    for (const char* said : {"\"EdDSA\"", "\"Ed25519\""}) {
      Token t(server.issuer, pair);
      t.header.set("alg", said);
      EXPECT_TRUE(present(t.sign(pair)).ok()) << listed << " " << said;
    }
  }
  Token t(server.issuer, pair);
  t.header.set("alg", "\"Ed448\"");
  EXPECT_TRUE(refused_as(AlgorithmRefused, present(t.sign(pair))));
}

// --- what operators are told ---

class LogCapture {
 public:
  LogCapture() {
    if (::pipe2(ends_, O_CLOEXEC | O_NONBLOCK) != 0) std::abort();
    base::log::set_descriptor(ends_[1]);
  }
  ~LogCapture() {
    base::log::set_descriptor(STDERR_FILENO);
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  std::string read() {
    std::string text(64 << 10, '\0');
    const auto got = ::read(ends_[0], text.data(), text.size());
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return text;
  }

 private:
  int ends_[2];
};

std::size_t count(const std::string& text, std::string_view what) {
  std::size_t found = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
  return found;
}

TEST_F(ProviderTest, OperatorsAreToldOnceAMinuteWhyTokensAreRefused) {
  LogCapture log;
  for (int i = 0; i < 50; ++i) EXPECT_FALSE(claiming("aud", "\"secret-audience\"").ok());
  std::string said = log.read();
  EXPECT_EQ(count(said, "token_refused"), 1u) << said;
  for (const std::string& part : {server.issuer, std::string("audience_wrong"), std::string("\"aud\""),
                                  std::string("one of: bulkhead")}) {
    EXPECT_NE(said.find(part), std::string::npos) << part << " in " << said;
  }
  EXPECT_EQ(said.find("secret-audience"), std::string::npos) << "nothing of the token";
  EXPECT_FALSE(claiming("sub", "7").ok());
  EXPECT_EQ(count(log.read(), "token_refused"), 1u) << "another kind has a line of its own";
  EXPECT_TRUE(refused_as(Malformed,
                         with([](Token& t) { t.claims.add("secret-name", "1").add("secret-name", "2"); })));
  said = log.read();
  EXPECT_EQ(count(said, "token_refused"), 1u);
  EXPECT_EQ(said.find("secret-name"), std::string::npos) << "nor of one that is no JSON: " << said;
  clock.advance(std::chrono::seconds(60));
  EXPECT_FALSE(claiming("aud", "\"secret-audience\"").ok());
  said = log.read();
  EXPECT_EQ(count(said, "token_refused"), 1u);
  EXPECT_NE(said.find("49"), std::string::npos) << "how many there were between: " << said;
}

TEST_F(ProviderTest, AnIssuerThatIsAlmostRightIsHintedAt) {
  LogCapture log;
  EXPECT_TRUE(refused_as(IssuerUnknown, present(Token(server.issuer + "/", signer).sign(signer))));
  const std::string said = log.read();
  EXPECT_NE(said.find("differs in slashes"), std::string::npos) << said;
  EXPECT_EQ(near_miss("https://a.example", {"http://a.example"}).substr(0, 16), "http://a.example");
  EXPECT_NE(near_miss("https://A.example/x", {"https://a.example/x"}).find("capital"), std::string::npos);
  EXPECT_EQ(near_miss("https://evil.example", {"https://a.example"}), "");
}

}  // namespace
}  // namespace bulkhead::identity
