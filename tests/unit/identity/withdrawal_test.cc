// How long a key that its issuer has withdrawn still opens anything, with tokens in the cache: for what the
// operator's guide states, and no longer. The clock stands still but where a test moves it.
#include "identity/key_set.h"
#include "support.h"
#include "support/eventually.h"

namespace bulkhead::identity {
namespace {

using std::chrono::seconds;

class WithdrawalTest : public IdentityTest {
 protected:
  WithdrawalTest() : config(config_of(server)) {
    start({config});
    Token t = token();
    t.claims.set("exp", std::to_string(kNow + 7'200));
    header = "Bearer " + t.sign(signer);
    if (!ask(header)) std::abort();
  }
  void withdraw() { server.set_jwks(jwks_of({other.jwk()})); }
  void wait_for_failures(std::uint64_t count) {
    ASSERT_TRUE(test::eventually([&] { return authenticator->stats().jwks_failures >= count; }));
  }

  IssuerConfig config;
  SigningPair other{"key-2"};
  std::string header;
};

// LiteLLM CVE-2026-12796: what was opened before a revocation lived on after it.
TEST_F(WithdrawalTest, Cve_2026_12796_ACachedTokenFallsWithItsKeyAtTheNextRenewal) {
  withdraw();
  clock.advance(config.jwks_refresh - seconds(1));
  EXPECT_TRUE(ask(header).ok()) << "control: nothing was renewed yet";
  EXPECT_EQ(server.jwks_requests, 1);
  clock.advance(seconds(1));
  EXPECT_TRUE(ask(header).ok()) << "nobody waits: this one begins the renewal";
  ASSERT_TRUE(test::eventually([&] { return !authenticator->cached(header); }));
  EXPECT_TRUE(refused_as(IdentityError::KeyUnknown, ask(header)));
  EXPECT_EQ(server.jwks_requests, 2);
}

TEST_F(WithdrawalTest, WithoutTrafficNotOneMoreTokenIsTakenAfterTheStatedTime) {
  withdraw();
  clock.advance(config.jwks_refresh + kRenewalGrace);
  EXPECT_EQ(authenticator->cached(header), nullptr);
  EXPECT_TRUE(refused_as(IdentityError::KeyUnknown, ask(header)));
  Token fresh = token();
  fresh.claims.set("jti", "\"t-2\"").set("exp", std::to_string(kNow + 7'200));
  EXPECT_TRUE(refused_as(IdentityError::KeyUnknown, present(fresh.sign(signer))))
      << "nor one that was never seen";
}

TEST_F(WithdrawalTest, AKeyThatStaysIsAnsweredAgainAfterThatTime) {
  server.set_jwks(jwks_of({signer.jwk(), other.jwk()}));
  clock.advance(config.jwks_refresh + kRenewalGrace);
  EXPECT_EQ(authenticator->cached(header), nullptr);
  EXPECT_TRUE(ask(header).ok());
  EXPECT_NE(authenticator->cached(header), nullptr);
  EXPECT_EQ(server.jwks_requests, 2);
}

TEST_F(WithdrawalTest, ARenewalKeepsTheCachedTokensOfKeysThatStay) {
  const auto principal = authenticator->cached(header);
  for (int round = 2; round < 6; ++round) {
    const SigningPair added("round-" + std::to_string(round));
    server.set_jwks(jwks_of({added.jwk(), signer.jwk()}));
    clock.advance(config.jwks_refresh);
    EXPECT_EQ(*ask(header), principal) << "from the cache";
    // The renewal behind that answer has ended when the key that only it can know is found.
    Token later(server.issuer, added);
    later.claims.set("exp", std::to_string(kNow + 7'200));
    EXPECT_TRUE(present(later.sign(added)).ok());
    EXPECT_EQ(authenticator->cached(header), principal);
    EXPECT_EQ(server.jwks_requests, round);
  }
}

TEST_F(WithdrawalTest, AnotherKeyUnderTheSameIdTakesTheOldOnesTokensAlong) {
  SigningPair replaced(signer.id);
  server.set_jwks(jwks_of({replaced.jwk()}));
  clock.advance(config.jwks_refresh + kRenewalGrace);
  EXPECT_TRUE(refused_as(IdentityError::SignatureInvalid, ask(header)));
  EXPECT_TRUE(present(Token(server.issuer, replaced).sign(replaced)).ok()) << "control";
}

TEST_F(WithdrawalTest, AnEmptiedSetEndsEverything) {
  server.set_jwks("{\"keys\":[]}");
  clock.advance(config.jwks_refresh + kRenewalGrace);
  EXPECT_TRUE(refused_as(IdentityError::KeyUnknown, ask(header)));
}

TEST_F(WithdrawalTest, AnUnreachableIssuersCachedTokensEndWithTheStaleBound) {
  server.set_jwks(http::Response::json(500, ""));
  const seconds step = kFailureHolds / 2;
  seconds age{0};
  std::uint64_t failures = 0;
  for (; age + step < config.jwks_stale_max; age += step) {
    clock.advance(step);
    EXPECT_TRUE(ask(header).ok()) << "control: after " << (age + step).count() << " s";
    if (age + step >= config.jwks_refresh) wait_for_failures(++failures);
  }
  clock.advance(config.jwks_stale_max - age);
  EXPECT_EQ(authenticator->cached(header), nullptr);
  EXPECT_TRUE(refused_as(IdentityError::IssuerUnavailable, ask(header)));
  server.set_jwks(jwks_of({signer.jwk()}));
  clock.advance(seconds(1));
  EXPECT_TRUE(ask(header).ok()) << "and it recovers";
}

// The issuer could not be reached for a moment; when it can be again nobody asks, and the key is withdrawn.
TEST_F(WithdrawalTest, AFailureOfLongAgoIsNoReasonToBelieveAnOldSet) {
  server.set_jwks(http::Response::json(500, ""));
  clock.advance(config.jwks_refresh);
  ASSERT_TRUE(ask(header).ok());
  wait_for_failures(1);
  withdraw();
  clock.advance(kRenewalGrace);
  EXPECT_TRUE(authenticator->cached(header)) << "control: within a minute of the failure the old set holds";
  clock.advance(kFailureHolds - kRenewalGrace);
  EXPECT_EQ(authenticator->cached(header), nullptr);
  EXPECT_TRUE(refused_as(IdentityError::KeyUnknown, ask(header)));
}

TEST_F(WithdrawalTest, AnApiKeyDependsOnNoIssuer) {
  const std::string key = "Bearer " + std::string(add_key(base::TenantId::parse("acme")).text.reveal_text());
  ASSERT_TRUE(ask(key).ok());
  server.set_jwks(http::Response::json(500, ""));
  clock.advance(config.jwks_stale_max * 2);
  EXPECT_NE(authenticator->cached(key), nullptr);
}

}  // namespace
}  // namespace bulkhead::identity
