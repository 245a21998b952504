// Every way in which a token can be wrong, through the whole way from header value to principal.
// Each test has its control: the same token without the defect is accepted.
#include <functional>

#include "support.h"

namespace bulkhead::identity {
namespace {

using enum IdentityError;

struct Defect {
  std::string_view what;
  IdentityError error;
  std::function<void(Token&)> spoil;
};

class TokenTest : public IdentityTest {
 protected:
  TokenTest() { start(); }

  void refuse(std::initializer_list<Defect> defects) {
    ASSERT_TRUE(present(token().sign(signer)).ok()) << "control";
    for (const Defect& defect : defects) {
      Token bad = token();
      defect.spoil(bad);
      EXPECT_TRUE(refused_as(defect.error, present(bad.sign(signer)))) << defect.what;
    }
  }
  void accept(std::string_view what, const std::function<void(Token&)>& change) {
    Token good = token();
    change(good);
    auto principal = present(good.sign(signer));
    EXPECT_TRUE(principal.ok()) << what << ": " << principal.error().describe();
  }
};

auto header(std::string name, std::string raw) {
  return [name, raw](Token& t) { t.header.set(name, raw); };
}
auto claim(std::string name, std::string raw) {
  return [name, raw](Token& t) { t.claims.set(name, raw); };
}
auto without(std::string name) {
  return [name](Token& t) { t.claims.remove(name); };
}
std::string at(std::int64_t offset) { return std::to_string(kNow + offset); }
std::string long_list(std::size_t count) {
  std::string out = "[";
  for (std::size_t i = 0; i < count; ++i) out += (i ? ",\"g" : "\"g") + std::to_string(i) + "\"";
  return out + "]";
}

TEST_F(TokenTest, AGoodTokenBecomesAPrincipal) {
  auto principal = present(token().sign(signer));
  ASSERT_TRUE(principal.ok()) << principal.error().describe();
  const Principal& who = **principal;
  EXPECT_EQ(who.tenant()->str(), "acme");
  EXPECT_EQ(who.user(), user_id(server.issuer, "alice"));
  EXPECT_EQ(who.roles(), std::vector<std::string>{"member"});
  EXPECT_EQ(who.groups(), std::vector<std::string>{"hr"});
  EXPECT_EQ(who.credential_id(), "t-1");
  EXPECT_EQ(who.issuer(), server.issuer);
  EXPECT_EQ(who.expires_unix_seconds(), kNow + 3600);
  EXPECT_EQ(who.credential(), CredentialKind::Jwt);
  EXPECT_FALSE(who.is_operator());
}

TEST_F(TokenTest, AlgorithmsThatAreNotOnTheIssuersList) {
  refuse({
      {"none", AlgorithmRefused, header("alg", "\"none\"")},
      {"None", AlgorithmRefused, header("alg", "\"None\"")},
      {"HMAC", AlgorithmRefused, header("alg", "\"HS256\"")},
      {"lower case", AlgorithmRefused, header("alg", "\"es256\"")},
      {"accepted elsewhere", AlgorithmRefused, header("alg", "\"ES384\"")},
      {"unheard of", AlgorithmRefused, header("alg", "\"XY1\"")},
      {"missing", Malformed, [](Token& t) { t.header.remove("alg"); }},
      {"a number", Malformed, header("alg", "256")},
      {"a list", Malformed, header("alg", "[\"ES256\"]")},
      // RS256 is on the list, but this key is an EC key.
      {"another kind of key", KeyUnknown, header("alg", "\"RS256\"")},
  });
}

TEST_F(TokenTest, AnUnsignedTokenOfAlgorithmNone) {
  Token t = token();
  t.header.set("alg", "\"none\"");
  std::string signed_token = t.sign(signer);
  EXPECT_TRUE(refused_as(AlgorithmRefused, present(signed_token.substr(0, signed_token.rfind('.') + 1))));
}

// RFC 8725 section 2.1: the public key's text must never serve as an HMAC secret.
TEST_F(TokenTest, ATokenSignedByHmacWithThePublicKey) {
  Token t = token();
  t.header.set("alg", "\"HS256\"");
  std::string input = base::base64url_encode(base::as_bytes(t.header.text())) + "." +
                      base::base64url_encode(base::as_bytes(t.claims.text()));
  auto mac = crypto::hmac_sha256(base::as_bytes(signer.jwk()), base::as_bytes(input));
  EXPECT_TRUE(refused_as(AlgorithmRefused, present(input + "." + base::base64url_encode(mac))));
}

TEST_F(TokenTest, HeadersThatWouldSteerTheVerifier) {
  refuse({
      {"crit", HeaderRefused, header("crit", "[\"exp\"]")},
      {"empty crit", HeaderRefused, header("crit", "[]")},
      {"jku", HeaderRefused, header("jku", base::json::quote(server.issuer + "/evil"))},
      {"x5u", HeaderRefused, header("x5u", "\"https://evil.example\"")},
      {"jwk", HeaderRefused, header("jwk", signer.jwk())},
      {"x5c", HeaderRefused, header("x5c", "[\"AAAA\"]")},
      {"b64", HeaderRefused, header("b64", "false")},
      {"zip", HeaderRefused, header("zip", "\"DEF\"")},
      {"enc", HeaderRefused, header("enc", "\"A256GCM\"")},
      {"wrong type", HeaderRefused, header("typ", "\"logout+jwt\"")},
      {"no type", HeaderRefused, [](Token& t) { t.header.remove("typ"); }},
      {"empty type", HeaderRefused, header("typ", "\"\"")},
      {"type a number", Malformed, header("typ", "1")},
      {"kid a number", Malformed, header("kid", "1")},
      {"kid too long", Malformed, header("kid", base::json::quote(std::string(300, 'k')))},
      {"kid of no key", KeyUnknown, header("kid", "\"other\"")},
      {"alg twice", Malformed, [](Token& t) { t.header.add("alg", "\"none\""); }},
  });
  EXPECT_EQ(server.other_requests, 0) << "no address from a token is ever asked";
  for (const char* type :
       {"\"AT+JWT\"", "\"application/at+jwt\"", "\"Application/AT+jwt\"", "\"JWT\"", "\"jwt\""}) {
    accept(type, header("typ", type));
  }
}

// A key that the token brings along, rightly signed with it.
TEST_F(TokenTest, AnEmbeddedKeyIsNotBelieved) {
  SigningPair mallory("mallory");
  Token t(server.issuer, mallory);
  EXPECT_TRUE(refused_as(KeyUnknown, present(t.sign(mallory))));
  t.header.add("jwk", mallory.jwk());
  EXPECT_TRUE(refused_as(HeaderRefused, present(t.sign(mallory))));
  Token same_id(server.issuer, signer);
  EXPECT_TRUE(refused_as(SignatureInvalid, present(same_id.sign(mallory))));
}

TEST_F(TokenTest, Times) {
  refuse({
      {"no exp", ClaimMissing, without("exp")},
      {"expired", Expired, claim("exp", at(-3600))},
      {"expired by the leeway", Expired, claim("exp", at(-30))},
      {"exp text", ClaimInvalid, claim("exp", "\"" + at(3600) + "\"")},
      {"exp null", ClaimInvalid, claim("exp", "null")},
      {"exp true", ClaimInvalid, claim("exp", "true")},
      {"exp list", ClaimInvalid, claim("exp", "[" + at(3600) + "]")},
      {"exp negative", ClaimInvalid, claim("exp", "-1")},
      {"exp huge", ClaimInvalid, claim("exp", "1e300")},
      {"exp beyond int64", ClaimInvalid, claim("exp", "18446744073709551615")},
      {"exp infinite", Malformed, claim("exp", "1e999")},
      {"exp NaN", Malformed, claim("exp", "NaN")},
      {"not yet", NotYetValid, claim("nbf", at(31))},
      {"nbf text", ClaimInvalid, claim("nbf", "\"0\"")},
      {"nbf negative", ClaimInvalid, claim("nbf", "-5")},
      {"issued in the future", NotYetValid, claim("iat", at(31))},
      {"iat text", ClaimInvalid, claim("iat", "\"now\"")},
      {"iat null", ClaimInvalid, claim("iat", "null")},
      {"lives too long", ClaimInvalid, claim("exp", at(86'401))},
      {"lived too long", ClaimInvalid, claim("iat", at(3600 - 86'401))},
      {"too long without iat", ClaimInvalid, [](Token& t) { t.claims.remove("iat").set("exp", at(86'401)); }},
  });
  accept("within the leeway", claim("exp", at(-29)));
  accept("nbf within the leeway", claim("nbf", at(30)));
  accept("iat within the leeway", claim("iat", at(30)));
  accept("fractions", claim("exp", at(100) + ".5"));
  accept("just not too long", claim("exp", at(86'400)));
  accept("no iat", without("iat"));
}

TEST_F(TokenTest, Audiences) {
  refuse({
      {"missing", ClaimMissing, without("aud")},
      {"another", AudienceWrong, claim("aud", "\"billing\"")},
      {"in other case", AudienceWrong, claim("aud", "\"Bulkhead\"")},
      {"prefix", AudienceWrong, claim("aud", "\"bulkhead2\"")},
      {"others", AudienceWrong, claim("aud", "[\"a\",\"b\"]")},
      {"empty list", AudienceWrong, claim("aud", "[]")},
      {"empty text", AudienceWrong, claim("aud", "\"\"")},
      {"list with a number", ClaimInvalid, claim("aud", "[\"bulkhead\",1]")},
      {"number", ClaimInvalid, claim("aud", "1")},
      {"object", ClaimInvalid, claim("aud", "{\"bulkhead\":true}")},
      {"too many", ClaimInvalid, claim("aud", long_list(65))},
  });
  accept("one of several", claim("aud", "[\"account\",\"bulkhead\"]"));
}

TEST_F(TokenTest, SubjectsAndTokenIds) {
  refuse({
      {"missing", ClaimMissing, without("sub")},
      {"empty", ClaimInvalid, claim("sub", "\"\"")},
      {"number", ClaimInvalid, claim("sub", "17")},
      {"null", ClaimInvalid, claim("sub", "null")},
      {"too long", ClaimInvalid, claim("sub", base::json::quote(std::string(256, 'a')))},
      {"newline", ClaimInvalid, claim("sub", "\"alice\\nroot\"")},
      {"NUL", ClaimInvalid, claim("sub", "\"alice\\u0000\"")},
      {"DEL", ClaimInvalid, claim("sub", "\"alice\\u007f\"")},
      {"jti number", ClaimInvalid, claim("jti", "7")},
      {"jti control", ClaimInvalid, claim("jti", "\"a\\u0001\"")},
      {"jti too long", ClaimInvalid, claim("jti", base::json::quote(std::string(256, 'a')))},
  });
  accept("255 bytes", claim("sub", base::json::quote(std::string(255, 'a'))));
  accept("no jti", without("jti"));
}

// I1: the tenant comes from the signed claim, and only as a well-formed name.
TEST_F(TokenTest, Tenants) {
  refuse({
      {"missing", ClaimMissing, without("tenant")},
      {"null", ClaimInvalid, claim("tenant", "null")},
      {"empty", ClaimInvalid, claim("tenant", "\"\"")},
      {"capitals", ClaimInvalid, claim("tenant", "\"Acme\"")},
      {"path", ClaimInvalid, claim("tenant", "\"../bolt\"")},
      {"SQL", ClaimInvalid, claim("tenant", "\"acme' OR '1'='1\"")},
      {"space", ClaimInvalid, claim("tenant", "\"acme \"")},
      {"look-alike", ClaimInvalid, claim("tenant", "\"\\u0430cme\"")},
      {"list of two", TenantAmbiguous, claim("tenant", "[\"acme\",\"bolt\"]")},
      {"empty list", ClaimMissing, claim("tenant", "[]")},
      {"list with a number", ClaimInvalid, claim("tenant", "[\"acme\",1]")},
      {"object of texts", ClaimInvalid, claim("tenant", R"({"name":"acme"})")},
      {"number", ClaimInvalid, claim("tenant", "1")},
      {"too long", ClaimInvalid, claim("tenant", base::json::quote(std::string(64, 'a')))},
      {"operator part of keys", ClaimInvalid, claim("tenant", "\"-operator-\"")},
      {"twice", Malformed, [](Token& t) { t.claims.add("tenant", "\"bolt\""); }},
  });
}

TEST_F(TokenTest, RolesAndGroups) {
  for (std::string name : {"roles", "groups"}) {
    refuse({
        {"number", ClaimInvalid, claim(name, "1")},
        {"object", ClaimInvalid, claim(name, "{\"member\":true}")},
        {"list with a number", ClaimInvalid, claim(name, "[\"member\",1]")},
        {"nested list", ClaimInvalid, claim(name, "[[\"member\"]]")},
        {"1025 entries", ClaimInvalid, claim(name, long_list(1025))},
        {"513 bytes", ClaimInvalid, claim(name, "[" + base::json::quote(std::string(513, 'g')) + "]")},
        {"control", ClaimInvalid, claim(name, "[\"a\\u0007\"]")},
    });
    accept("1024 entries", claim(name, long_list(1024)));
    accept("512 bytes", claim(name, "[" + base::json::quote(std::string(512, 'g')) + "]"));
    accept("none", without(name));
  }
  Token t = token();
  t.claims.set("roles", "\"member  auditor\"");
  auto principal = present(t.sign(signer));
  ASSERT_TRUE(principal.ok());
  EXPECT_EQ((*principal)->roles(), (std::vector<std::string>{"member", "auditor"}));
}

TEST_F(TokenTest, Shapes) {
  const std::string good = token().sign(signer);
  ASSERT_TRUE(present(good).ok()) << "control";
  std::string head = good.substr(0, good.find('.')), tail = good.substr(good.rfind('.'));
  auto with_claims = [&](std::string_view text) { return compact(token().header.text(), text, signer.key); };
  const std::pair<std::string_view, std::string> shapes[] = {
      {"two parts", good.substr(0, good.rfind('.'))},
      {"four parts", good + ".AA"},
      {"encrypted, five parts", good + ".AA.AA"},
      {"no header", good.substr(good.find('.'))},
      {"no claims", head + "." + tail},
      {"no signature", good.substr(0, good.rfind('.') + 1)},
      {"padding", good + "=="},
      {"plain base64", head + ".e30+" + tail},
      {"space", good.substr(0, 20) + " " + good.substr(20)},
      {"trailing space", good + " "},
      {"nested token", with_claims(good)},
      {"claims a list", with_claims("[]")},
      {"claims not UTF-8", with_claims("{\"sub\":\"\xff\"}")},
      {"a claim twice, once escaped",
       with_claims(token().claims.text().substr(0, token().claims.text().size() - 1) +
                   R"(,"\u0074enant":"bolt"})")},
      {"bytes after the claims", with_claims(token().claims.text() + "{}")},
      {"deeply nested claims", with_claims("{\"a\":" + std::string(40, '[') + std::string(40, ']') + "}")},
      {"too long",
       with_claims(Token(token()).claims.add("x", base::json::quote(std::string(24 << 10, 'x'))).text())},
  };
  for (const auto& [what, text] : shapes) EXPECT_TRUE(refused_as(Malformed, present(text))) << what;
}

TEST_F(TokenTest, AuthorizationHeaders) {
  const std::string good = token().sign(signer);
  EXPECT_TRUE(ask("bEaReR " + good).ok());
  EXPECT_TRUE(refused_as(Missing, ask("")));
  for (std::string text : {"Bearer", "Bearer ", "Basic QTpC", "Token x", "Bearer\tx", "bhk_x"}) {
    EXPECT_TRUE(refused_as(NotBearer, ask(text))) << text;
  }
  EXPECT_TRUE(refused_as(NotBearer, ask(good)));
  EXPECT_FALSE(ask("Bearer  " + good).ok());
  EXPECT_FALSE(ask("Bearer " + good + ", Bearer " + good).ok());
}

// Any flipped bit of header, claims or signature is noticed.
TEST_F(TokenTest, AlteredTokens) {
  const std::string good = token().sign(signer);
  ASSERT_TRUE(present(good).ok()) << "control";
  for (std::size_t i = 0; i < good.size(); i += 3) {
    std::string bad = good;
    bad[i] = bad[i] == 'A' ? 'B' : 'A';
    if (bad != good) EXPECT_FALSE(present(bad).ok()) << "byte " << i;
  }
}

TEST_F(TokenTest, IssuersAreComparedByteByByte) {
  ASSERT_TRUE(present(token().sign(signer)).ok()) << "control";
  for (std::string issuer : {server.issuer + "/", "HTTP" + server.issuer.substr(4),
                             std::string("https://evil.example"), std::string()}) {
    EXPECT_TRUE(refused_as(IssuerUnknown, present(Token(issuer, signer).sign(signer)))) << issuer;
  }
  Token none = token(), number = token();
  none.claims.remove("iss");
  number.claims.set("iss", "1");
  EXPECT_TRUE(refused_as(IssuerUnknown, present(none.sign(signer))));
  EXPECT_TRUE(refused_as(IssuerUnknown, present(number.sign(signer))));
}

// What one issuer's key signs is worth nothing under another issuer's name.
TEST_F(TokenTest, OneIssuersKeyDoesNotSpeakForAnother) {
  IssuerServer other_server(reactors);
  SigningPair other("key-1");
  other_server.set_jwks(jwks_of({other.jwk()}));
  start({config_of(server), config_of(other_server)});
  EXPECT_TRUE(present(Token(other_server.issuer, other).sign(other)).ok()) << "control";
  EXPECT_TRUE(refused_as(SignatureInvalid, present(Token(server.issuer, other).sign(other))));
}

TEST_F(TokenTest, AnIssuerBoundToTenantsSpeaksForThoseAlone) {
  IssuerConfig bound = config_of(server);
  bound.tenants = {"acme", "bolt"};
  start({bound});
  accept("listed", claim("tenant", "\"bolt\""));
  Token t = token();
  t.claims.set("tenant", "\"crane\"");
  EXPECT_TRUE(refused_as(TenantNotOfIssuer, present(t.sign(signer))));
}

TEST_F(TokenTest, AnIssuerThatIsConfiguredTwiceIsRefused) {
  IssuerConfig strict = config_of(server), lax = config_of(server);
  strict.tenants = {"bolt"};
  EXPECT_EQ(duplicate_issuer({strict, lax}), server.issuer);
  EXPECT_EQ(duplicate_issuer({strict}), std::nullopt);
  start({lax, strict});
  EXPECT_TRUE(refused_as(IssuerUnknown, present(token().sign(signer))));
  start({lax});
  EXPECT_TRUE(present(token().sign(signer)).ok()) << "control";
}

TEST_F(TokenTest, ClaimsAtConfiguredPaths) {
  IssuerConfig config = config_of(server);
  config.tenant_claim = "ext.tenant_id";
  config.roles_claims = {"realm_access.roles"};
  config.groups_claims = {"https://acme.example/groups"};
  start({config});
  Token t = token();
  t.claims.set("ext", R"({"tenant_id":"bolt"})").set("realm_access", R"({"roles":["auditor"]})");
  t.claims.set("https://acme.example/groups", R"(["legal"])");
  auto principal = present(t.sign(signer));
  ASSERT_TRUE(principal.ok()) << principal.error().describe();
  EXPECT_EQ((*principal)->tenant()->str(), "bolt") << "not the unconfigured claim \"tenant\"";
  EXPECT_EQ((*principal)->roles(), std::vector<std::string>{"auditor"});
  EXPECT_EQ((*principal)->groups(), std::vector<std::string>{"legal"});
  t.claims.set("ext", "\"bolt\"");
  EXPECT_TRUE(refused_as(ClaimMissing, present(t.sign(signer))));
}

TEST_F(TokenTest, OperatorsHaveNoTenantAndNeedAConfiguredRole) {
  Token t = token();
  t.claims.remove("tenant").set("roles", "[\"platform-ops\"]");
  EXPECT_TRUE(refused_as(ClaimMissing, present(t.sign(signer)))) << "no operator roles are configured";
  IssuerConfig config = config_of(server);
  config.operator_roles = {"platform-ops"};
  start({config});
  auto principal = present(t.sign(signer));
  ASSERT_TRUE(principal.ok()) << principal.error().describe();
  EXPECT_TRUE((*principal)->is_operator());
  EXPECT_FALSE((*principal)->tenant());
  EXPECT_EQ((*principal)->roles(), std::vector<std::string>{"operator"});
  t.claims.set("roles", "[\"member\"]");
  EXPECT_TRUE(refused_as(ClaimMissing, present(t.sign(signer))));
  t.claims.set("roles", "[\"platform-ops\"]").set("tenant", "\"acme\"");
  principal = present(t.sign(signer));
  ASSERT_TRUE(principal.ok());
  EXPECT_FALSE((*principal)->is_operator()) << "with a tenant it is that tenant's";
}

TEST_F(TokenTest, EveryAcceptedAlgorithm) {
  using enum crypto::JwsAlgorithm;
  for (auto algorithm : {Rs256, Rs384, Rs512, Ps256, Ps384, Ps512, Es256, Es384, Es512, EdDsa}) {
    SigningPair pair("k", algorithm);
    server.set_jwks(jwks_of({pair.jwk()}));
    IssuerConfig config = config_of(server);
    config.algorithms = {algorithm};
    start({config});
    EXPECT_TRUE(present(Token(server.issuer, pair).sign(pair)).ok()) << crypto::jws_algorithm_name(algorithm);
    config.algorithms = {algorithm == Es256 ? Es384 : Es256};
    start({config});
    EXPECT_TRUE(refused_as(AlgorithmRefused, present(Token(server.issuer, pair).sign(pair))));
  }
}

}  // namespace
}  // namespace bulkhead::identity
