// The cache of verified credentials: what may be answered from it, and what ends that at once.
#include "identity/authenticator.h"

#include <chrono>
#include <thread>

#include "identity/principal_cache.h"
#include "support.h"

namespace bulkhead::identity {
namespace {

const base::TenantId kAcme = *base::TenantId::parse("acme");
const base::TenantId kBolt = *base::TenantId::parse("bolt");

using AuthenticatorTest = IdentityTest;

TEST_F(AuthenticatorTest, AVerifiedTokenIsAnsweredFromTheCache) {
  start();
  const std::string header = "Bearer " + token().sign(signer);
  EXPECT_EQ(authenticator->cached(header), nullptr);
  auto principal = ask(header);
  ASSERT_TRUE(principal.ok());
  EXPECT_EQ(authenticator->cached(header), *principal);
  EXPECT_EQ(*ask(header), *principal);
  EXPECT_EQ(authenticator->stats().cache_hits, 1u);
  EXPECT_EQ(authenticator->stats().cache_misses, 1u);
  EXPECT_EQ(authenticator->stats().cache_entries, 1u);
}

// LiteLLM CVE-2026-35030 keyed the cache on the token's first 20 characters: two tokens of one issuer
// and algorithm share far more than that.
TEST_F(AuthenticatorTest, Cve_2026_35030_TheCacheKeyIsTheWholeToken) {
  start();
  Token other = token();
  other.claims.set("tenant", "\"bolt\"").set("sub", "\"bob\"");
  const std::string alice = "Bearer " + token().sign(signer), bob = "Bearer " + other.sign(signer);
  ASSERT_EQ(alice.substr(0, 60), bob.substr(0, 60)) << "control: the same beginning";
  ASSERT_TRUE(ask(alice).ok());
  EXPECT_EQ(authenticator->cached(bob), nullptr);
  EXPECT_EQ((*ask(bob))->tenant(), kBolt);
  EXPECT_EQ(authenticator->cached(alice)->tenant(), kAcme);
  for (std::size_t i = 0; i < alice.size(); ++i) {
    std::string one_byte_off = alice;
    one_byte_off[i] = static_cast<char>(one_byte_off[i] ^ 1);
    EXPECT_EQ(authenticator->cached(one_byte_off), nullptr) << "byte " << i;
  }
  EXPECT_EQ(authenticator->cached(alice + " "), nullptr);
  EXPECT_NE(authenticator->cached(alice), nullptr) << "control";
}

TEST_F(AuthenticatorTest, ACachedTokenEndsWithItsExpiry) {
  start();
  Token t = token();
  t.claims.set("exp", std::to_string(kNow + 100));
  const std::string header = "Bearer " + t.sign(signer);
  ASSERT_TRUE(ask(header).ok());
  clock.advance(std::chrono::seconds(99));
  EXPECT_NE(authenticator->cached(header), nullptr) << "control";
  clock.advance(std::chrono::seconds(1));
  EXPECT_EQ(authenticator->cached(header), nullptr);
  clock.advance(std::chrono::seconds(30));
  EXPECT_TRUE(refused_as(IdentityError::Expired, ask(header)));
}

// AnythingLLM CVE-2026-32717: a suspended tenant's cached credential is refused at once.
TEST_F(AuthenticatorTest, Cve_2026_32717_ASuspensionCutsCachedCredentials) {
  start();
  const std::string header = "Bearer " + token().sign(signer);
  const std::string key_header = "Bearer " + std::string(add_key(kAcme).text.reveal_text());
  for (const std::string& credential : {header, key_header}) {
    tenants.state = TenantStatus::State::Active;
    ASSERT_TRUE(ask(credential).ok());
    ASSERT_NE(authenticator->cached(credential), nullptr) << "control";
    tenants.state = TenantStatus::State::Suspended;
    EXPECT_EQ(authenticator->cached(credential), nullptr);
    EXPECT_TRUE(refused_as(IdentityError::TenantSuspended, ask(credential)));
    tenants.state = TenantStatus::State::Unknown;  // destroyed
    EXPECT_EQ(authenticator->cached(credential), nullptr);
    EXPECT_TRUE(refused_as(IdentityError::TenantUnknown, ask(credential)));
  }
}

TEST_F(AuthenticatorTest, AnOperatorDependsOnNoTenant) {
  start();
  const std::string header = "Bearer " + std::string(add_key(std::nullopt).text.reveal_text());
  tenants.state = TenantStatus::State::Unknown;
  ASSERT_TRUE(ask(header).ok());
  EXPECT_TRUE(authenticator->cached(header)->is_operator());
}

TEST_F(AuthenticatorTest, RevocationTakesEffectBeforeForgetReturns) {
  start();
  auto key = add_key(kAcme);
  auto other_key = add_key(kAcme);
  const std::string header = "Bearer " + std::string(key.text.reveal_text());
  const std::string other = "Bearer " + std::string(other_key.text.reveal_text());
  ASSERT_TRUE(ask(header).ok());
  ASSERT_TRUE(ask(other).ok());
  keys.record(key.id).revoked = true;
  EXPECT_TRUE(ask(header).ok()) << "control: without forgetting, the cache still answers";
  authenticator->forget_credential(key.id.str());
  EXPECT_EQ(authenticator->cached(header), nullptr);
  EXPECT_TRUE(refused_as(IdentityError::ApiKeyUnknown, ask(header)));
  EXPECT_NE(authenticator->cached(other), nullptr);
}

TEST_F(AuthenticatorTest, ForgettingATenantLeavesTheOthers) {
  start();
  Token bolt_token = token();
  bolt_token.claims.set("tenant", "\"bolt\"");
  const std::string acme = "Bearer " + token().sign(signer), bolt = "Bearer " + bolt_token.sign(signer);
  ASSERT_TRUE(ask(acme).ok());
  ASSERT_TRUE(ask(bolt).ok());
  authenticator->forget_tenant(kAcme);
  EXPECT_EQ(authenticator->cached(acme), nullptr);
  EXPECT_NE(authenticator->cached(bolt), nullptr);
}

// A credential that was being verified while it was revoked must not enter the cache afterwards.
TEST_F(AuthenticatorTest, AVerificationUnderWayDoesNotOutliveARevocation) {
  start();
  const std::string header = "Bearer " + token().sign(signer);
  server.close_gate();
  std::promise<Outcome> promise;
  auto future = promise.get_future();
  base::spawn(reactors.at(0), deliver(authenticator->authenticate(header), &promise));
  while (server.jwks_requests == 0) std::this_thread::yield();
  authenticator->forget_tenant(kAcme);
  server.open_gate();
  EXPECT_TRUE(future.get().ok());
  EXPECT_EQ(authenticator->cached(header), nullptr);
  ASSERT_TRUE(ask(header).ok());
  EXPECT_NE(authenticator->cached(header), nullptr) << "control";
}

TEST_F(AuthenticatorTest, ReplacedIssuersTakeTheirTokensAlong) {
  start();
  const std::string header = "Bearer " + token().sign(signer);
  ASSERT_TRUE(ask(header).ok());
  IssuerConfig other = config_of(server);
  other.audiences = {"elsewhere"};
  authenticator->replace_issuers({other});
  EXPECT_EQ(authenticator->cached(header), nullptr);
  EXPECT_TRUE(refused_as(IdentityError::AudienceWrong, ask(header)));
  authenticator->replace_issuers({});
  EXPECT_TRUE(refused_as(IdentityError::IssuerUnknown, ask(header)));
  authenticator->replace_issuers({config_of(server)});
  EXPECT_TRUE(ask(header).ok()) << "control";
}

TEST_F(AuthenticatorTest, RefusalsAreNeverCached) {
  start();
  Token t = token();
  t.claims.set("nbf", std::to_string(kNow + 60));
  const std::string header = "Bearer " + t.sign(signer);
  EXPECT_TRUE(refused_as(IdentityError::NotYetValid, ask(header)));
  clock.advance(std::chrono::seconds(60));
  EXPECT_TRUE(ask(header).ok());
}

TEST_F(AuthenticatorTest, TheCacheIsBounded) {
  start({config_of(server)}, 32);
  for (int i = 0; i < 200; ++i) {
    Token t = token();
    t.claims.set("jti", "\"" + std::to_string(i) + "\"");
    ASSERT_TRUE(present(t.sign(signer)).ok());
  }
  EXPECT_LE(authenticator->stats().cache_entries, 48u);
  EXPECT_GE(authenticator->stats().cache_entries, 16u) << "control";
}

TEST(PrincipalCache, TheLeastRecentlyUsedGoesFirst) {
  const base::ManualClock clock{kNow};
  PrincipalCache cache(16);  // two entries a shard
  auto principal = test::principal("acme");
  crypto::Digest a{}, b{}, c{};  // one shard: the same first byte
  a[31] = 1, b[31] = 2, c[31] = 3;
  cache.put(a, principal, {}, cache.generation());
  cache.put(b, principal, {}, cache.generation());
  EXPECT_NE(cache.find(a, clock).principal, nullptr);
  cache.put(c, principal, {}, cache.generation());
  EXPECT_NE(cache.find(a, clock).principal, nullptr);
  EXPECT_EQ(cache.find(b, clock).principal, nullptr);
  EXPECT_NE(cache.find(c, clock).principal, nullptr);
}

TEST(PrincipalCache, ForgettingRacesWithEverything) {
  const base::ManualClock clock{kNow};
  PrincipalCache cache(256);
  auto principal = test::principal("acme");
  std::atomic<bool> stop{false};
  std::vector<std::thread> workers;
  for (int t = 0; t < 3; ++t) {
    workers.emplace_back([&, t] {
      for (std::uint32_t i = 0; !stop; ++i) {
        crypto::Digest key = crypto::sha256(std::to_string(i % 500) + "/" + std::to_string(t));
        std::uint64_t generation = cache.generation();
        if (!cache.find(key, clock).principal) cache.put(key, principal, {}, generation);
      }
    });
  }
  for (int i = 0; i < 500; ++i) cache.forget_tenant(kAcme);
  std::uint64_t before = cache.generation();
  cache.forget_tenant(kAcme);
  stop = true;
  for (std::thread& worker : workers) worker.join();
  cache.forget_tenant(kAcme);
  EXPECT_EQ(cache.size(), 0u);
  crypto::Digest late{};
  cache.put(late, principal, {}, before);
  EXPECT_EQ(cache.size(), 0u) << "verified before the revocation";
  cache.put(late, principal, {}, cache.generation());
  EXPECT_EQ(cache.size(), 1u) << "control";
}

}  // namespace
}  // namespace bulkhead::identity
