// What `bulkhead issuer explain` says, against a real issuer over HTTP.
#include "identity/explain.h"

#include "support.h"

namespace bulkhead::identity {
namespace {

class ExplainTest : public IdentityTest {
 protected:
  ~ExplainTest() override { work->stop(); }
  std::string text_of(const Findings& findings) {
    std::string text;
    for (const Finding& each : findings) {
      const bool wrong = each.outcome == Finding::Outcome::Wrong;
      text += std::string(wrong ? "WRONG " : "") + each.subject + ": " + each.text + "\n";
    }
    return text;
  }
  std::string issuer(bool fine) {
    const Findings findings = run_on(reactors.at(0), explain_issuer(config, work));
    EXPECT_EQ(all_fine(findings), fine) << text_of(findings);
    return text_of(findings);
  }
  std::string explain(const std::string& text, bool fine) {
    const Findings findings = run_on(reactors.at(0), explain_token(text, {config}, clock, work));
    EXPECT_EQ(all_fine(findings), fine) << text_of(findings);
    return text_of(findings);
  }
  static bool has(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
  }

  IssuerConfig config = config_of(server);
  std::shared_ptr<KeyWork> work = std::make_shared<KeyWork>();
};

TEST_F(ExplainTest, AnIssuerThatWorks) {
  const SigningPair edwards("ed", crypto::JwsAlgorithm::EdDsa);
  server.set_jwks(jwks_of({signer.jwk(), edwards.jwk(), R"({"kty":"oct","k":"AAAA"})"}));
  const std::string text = issuer(true);
  EXPECT_TRUE(has(text, "kid key-1: tokens signed with ES256")) << text;
  EXPECT_TRUE(has(text, "signs with EdDSA, which `algorithms` does not list")) << text;
  EXPECT_TRUE(has(text, "not for signatures")) << text;
  EXPECT_TRUE(has(text, "1 of 3 keys")) << text;
}

TEST_F(ExplainTest, AnIssuerThatDoesNot) {
  config.algorithms = {crypto::JwsAlgorithm::Rs256};
  EXPECT_TRUE(has(issuer(false), "every token will be refused"));
  config = config_of(server);
  server.set_discovery("https://other.example", server.issuer + "/jwks");
  EXPECT_TRUE(has(issuer(false), "discovery names another issuer: \"https://other.example\""));
  server.set_discovery(server.issuer, "http://keys.example/jwks");
  EXPECT_TRUE(has(issuer(false), "plain http to keys.example"));
  server.set_discovery(server.issuer, server.issuer + "/jwks");
  server.set_jwks(http::Response::json(503, ""));
  EXPECT_TRUE(has(issuer(false), "answered 503"));
  config.ca_file = "/nowhere/ca.pem";
  EXPECT_TRUE(has(issuer(false), "/nowhere/ca.pem"));
}

TEST_F(ExplainTest, ATokenStepByStep) {
  const std::string good = explain(token().sign(signer), true);
  EXPECT_TRUE(has(good, "tenant acme, user " + server.issuer + "#alice")) << good;
  EXPECT_TRUE(has(good, "roles: member") && has(good, "groups: hr")) << good;
  Token t = token();
  t.claims.set("aud", "\"account\"");
  const std::string audience = explain(t.sign(signer), false);
  EXPECT_TRUE(has(audience, "WRONG claim aud: audience_wrong")) << audience;
  EXPECT_TRUE(has(audience, "one of: bulkhead") && has(audience, "claim aud: \"account\"")) << audience;
  EXPECT_TRUE(has(explain(Token(server.issuer + "/", signer).sign(signer), false), "differs in slashes"));
  EXPECT_TRUE(
      has(explain(Token(server.issuer, signer).sign(SigningPair("key-1")), false), "WRONG signature"));
  EXPECT_TRUE(has(explain("no token", false), "token_malformed"));
  config.algorithms = {crypto::JwsAlgorithm::Rs256};
  const std::string algorithm = explain(token().sign(signer), false);
  EXPECT_TRUE(has(algorithm, "one of: RS256; the token has ES256")) << algorithm;
}

// Of a token that is not proven nobody is made, whatever its claims say.
TEST_F(ExplainTest, AnUnprovenTokenIsNobody) {
  const std::string text = explain(token().sign(SigningPair("key-1")), false);
  EXPECT_FALSE(has(text, "accepted")) << text;
  EXPECT_TRUE(has(text, "claim tenant: \"acme\"")) << "what it says is shown: " << text;
  EXPECT_TRUE(has(explain(token().sign(signer), true), "accepted")) << "control";
}

}  // namespace
}  // namespace bulkhead::identity
