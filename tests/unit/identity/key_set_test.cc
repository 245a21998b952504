#include "identity/key_set.h"

#include <thread>

#include "base/file.h"
#include "support.h"

namespace bulkhead::identity {
namespace {

using crypto::JwsAlgorithm;
using std::chrono::seconds;

class KeySetTest : public ::testing::Test {
 protected:
  KeySetTest() {
    server.set_jwks(jwks_of({first.jwk()}));
    config = config_of(server);
  }
  ~KeySetTest() override {
    server.open_gate();
    work->stop();
  }
  KeySet& start() { return *(set = std::make_unique<KeySet>(config, clock, work)); }
  base::Result<crypto::PublicKey> key(const std::string& id, JwsAlgorithm algorithm = JwsAlgorithm::Es256) {
    auto found = run_on(reactors.at(0), set->key(id, algorithm));
    if (!found) return found.take_error();
    return std::move(found->key);
  }
  bool is_key_of(const base::Result<crypto::PublicKey>& found, const SigningPair& pair) {
    if (!found) return false;
    auto message = base::as_bytes("message");
    return found->verify(pair.key.algorithm(), message, pair.key.sign(message));
  }
  // A copy of the pair's JWK with members put before its closing brace.
  static std::string with(const SigningPair& pair, const std::string& members) {
    std::string jwk = pair.jwk();
    jwk.pop_back();
    return jwk + "," + members + "}";
  }
  static std::string replaced(std::string text, const std::string& from, const std::string& to) {
    std::size_t at = text.find(from);
    if (at == std::string::npos) std::abort();
    return text.replace(at, from.size(), to);
  }

  base::ManualClock clock{kNow};
  http::ReactorPool reactors{1};
  IssuerServer server{reactors};
  SigningPair first{"first"}, second{"second"};
  IssuerConfig config;
  std::shared_ptr<KeyWork> work = std::make_shared<KeyWork>();
  std::unique_ptr<KeySet> set;
};

TEST_F(KeySetTest, DiscoversFetchesAndKeeps) {
  start();
  EXPECT_TRUE(is_key_of(key("first"), first));
  EXPECT_TRUE(is_key_of(key("first"), first));
  EXPECT_EQ(server.jwks_requests, 1);
  config.jwks_uri = server.issuer + "/jwks";
  server.set_discovery("https://nobody.example", "https://nobody.example/jwks");
  start();
  EXPECT_TRUE(is_key_of(key("first"), first)) << "a configured address needs no discovery";
}

TEST_F(KeySetTest, DiscoveryMustNameTheConfiguredIssuer) {
  for (const std::string& named : {server.issuer + "/", std::string("https://evil.example"), std::string()}) {
    server.set_discovery(named, server.issuer + "/jwks");
    start();
    EXPECT_TRUE(refused_as(IdentityError::IssuerUnavailable, key("first"))) << named;
  }
  EXPECT_EQ(server.jwks_requests, 0);
  server.set_discovery(server.issuer, server.issuer + "/jwks");
  start();
  EXPECT_TRUE(key("first").ok()) << "control";
}

TEST_F(KeySetTest, PlainHttpIsRefusedUnlessLoopbackIsAllowed) {
  config.allow_http = false;
  start();
  EXPECT_TRUE(refused_as(IdentityError::IssuerUnavailable, key("first")));
  EXPECT_EQ(server.jwks_requests, 0);
  config.allow_http = true;
  // 0.0.0.0 would reach the server: what keeps it away is the rule, not the network.
  for (std::string uri : {"http://0.0.0.0:" + std::to_string(server.port()) + "/jwks",
                          std::string("http://issuer.example/jwks"), std::string("http://192.0.2.1/jwks"),
                          std::string("http://127.0.0.1.evil.example/jwks"),
                          std::string("ftp://127.0.0.1/jwks"), std::string("unix:/tmp/socket"),
                          std::string("file:///etc/passwd"), std::string(), std::string("/jwks")}) {
    server.set_discovery(server.issuer, uri);
    start();
    EXPECT_TRUE(refused_as(IdentityError::IssuerUnavailable, key("first"))) << uri;
  }
  EXPECT_EQ(server.jwks_requests, 0);
  server.set_discovery(server.issuer, server.issuer + "/jwks");
  start();
  EXPECT_TRUE(key("first").ok()) << "control";
}

TEST_F(KeySetTest, RedirectsAreNotFollowed) {
  http::Response moved = http::Response::json(302, jwks_of({first.jwk()}));
  moved.headers.set("location", server.issuer + "/elsewhere");
  server.set_jwks(std::move(moved));
  start();
  EXPECT_TRUE(refused_as(IdentityError::IssuerUnavailable, key("first")));
  EXPECT_EQ(server.other_requests, 0);
}

TEST_F(KeySetTest, AnswersThatAreNoKeySet) {
  const std::string good = jwks_of({first.jwk()});
  std::string many = "{\"keys\":[";
  for (int i = 0; i < 129; ++i) many += (i ? "," : "") + first.jwk();
  many += "]}";
  for (const std::string& body :
       {std::string(), std::string("null"), std::string("[]"), std::string("{}"),
        std::string("{\"keys\":{}}"), good + "x", "{\"keys\":[],\"keys\":[" + first.jwk() + "]}", many,
        "{\"pad\":" + base::json::quote(std::string(1 << 20, 'x')) + "," + good.substr(1)}) {
    server.set_jwks(body);
    start();
    EXPECT_TRUE(refused_as(IdentityError::IssuerUnavailable, key("first"))) << body.substr(0, 60);
  }
  for (int status : {204, 401, 404, 500, 503}) {
    server.set_jwks(http::Response::json(status, status == 204 ? "" : good));
    start();
    EXPECT_TRUE(refused_as(IdentityError::IssuerUnavailable, key("first"))) << status;
  }
  server.set_jwks("{\"pad\":" + base::json::quote(std::string(1000 << 10, 'x')) + "," + good.substr(1));
  start();
  EXPECT_TRUE(key("first").ok()) << "control";
}

TEST_F(KeySetTest, KeysForOtherPurposesArePassedOver) {
  const std::string jwk = first.jwk();
  const std::string no_use = replaced(jwk, "\"use\":\"sig\"", "\"x\":\"\"");
  const std::pair<std::string_view, std::string> unfit[] = {
      {"for encryption", replaced(jwk, "\"use\":\"sig\"", "\"use\":\"enc\"")},
      {"use a number", replaced(jwk, "\"use\":\"sig\"", "\"use\":1")},
      {"only signs", with(first, "\"key_ops\":[\"sign\"]")},
      {"no operation", with(first, "\"key_ops\":[]")},
      {"operations a string", with(first, "\"key_ops\":\"verify\"")},
      {"another algorithm", replaced(jwk, "\"alg\":\"ES256\"", "\"alg\":\"ES384\"")},
      {"RSA-OAEP", replaced(jwk, "\"alg\":\"ES256\"", "\"alg\":\"RSA-OAEP\"")},
      {"alg a number", replaced(jwk, "\"alg\":\"ES256\"", "\"alg\":256")},
      {"a symmetric key", R"({"kty":"oct","kid":"first","k":"AAAA","alg":"HS256"})"},
      {"another curve's name", replaced(jwk, "\"P-256\"", "\"P-384\"")},
      {"an unknown type", replaced(jwk, "\"EC\"", "\"XX\"")},
      {"another id", SigningPair("other").jwk()},
      {"not an object", "7"},
  };
  for (const auto& [what, text] : unfit) {
    server.set_jwks(jwks_of({text}));
    start();
    EXPECT_TRUE(refused_as(IdentityError::KeyUnknown, key("first"))) << what;
    server.set_jwks(jwks_of({text, second.jwk()}));
    start();
    EXPECT_TRUE(is_key_of(key("second"), second)) << "control: beside " << what;
  }
  for (const std::string& members :
       {std::string("\"key_ops\":[\"verify\"]"), std::string("\"x5t\":\"AAAA\"")}) {
    server.set_jwks(jwks_of({with(first, members)}));
    start();
    EXPECT_TRUE(is_key_of(key("first"), first)) << members;
  }
}

// An RSA public key of `bytes` bytes that nobody has the private half of.
std::string rsa_jwk(const std::string& id, std::size_t bytes, const std::string& exponent = "AQAB") {
  return R"({"kty":"RSA","use":"sig","alg":"RS256","kid":")" + id + R"(","n":")" +
         base::base64url_encode(base::Bytes(bytes, 0xff)) + R"(","e":")" + exponent + "\"}";
}

TEST_F(KeySetTest, OneUnusableKeyIsNoReasonToDoWithoutTheOthers) {
  const std::pair<std::string_view, std::string> unusable[] = {
      {"16384 bits", rsa_jwk("large", 2'048)},
      {"a megabit", rsa_jwk("large", 100'000)},
      {"1024 bits", rsa_jwk("small", 128)},
      {"an exponent of 64 bits", rsa_jwk("slow", 256, base::base64url_encode(base::Bytes(8, 0xff)))},
      {"e = 3", rsa_jwk("e3", 256, "Aw")},
      {"a point off the curve", R"({"kty":"EC","use":"sig","alg":"ES256","kid":"off","crv":"P-256","x":")" +
                                    std::string(43, 'A') + R"(","y":")" + std::string(43, 'A') + "\"}"},
  };
  for (const auto& [what, jwk] : unusable) {
    server.set_jwks(jwks_of({jwk, first.jwk(), jwk}));
    start();
    EXPECT_TRUE(is_key_of(key("first"), first)) << what;
    EXPECT_EQ(set->stats().unusable_keys, 2u) << what;
    EXPECT_EQ(set->stats().failures, 0u) << what;
  }
  server.set_jwks(jwks_of({first.jwk(), rsa_jwk("rsa", 256), R"({"kty":"oct","k":"AAAA"})"}));
  start();
  EXPECT_TRUE(key("rsa", JwsAlgorithm::Rs256).ok());
  EXPECT_EQ(set->stats().unusable_keys, 0u) << "control: none is, and what is for other ends is not counted";
}

TEST_F(KeySetTest, ASetOfAHundredLargeKeysIsTaken) {
  std::string body = "{\"keys\":[" + first.jwk();
  for (int i = 0; i < 100; ++i) body += "," + rsa_jwk("large-" + std::to_string(i), 1'024);
  server.set_jwks(body + "]}");
  start();
  EXPECT_TRUE(is_key_of(key("first"), first));
  EXPECT_TRUE(key("large-99", JwsAlgorithm::Rs256).ok());
}

// Keeps KeyWork's threads busy until it is destroyed.
class Occupied {
 public:
  explicit Occupied(KeyWork& work) {
    for (int i = 0; i < 2; ++i) {
      work.pool.post({.party = "busy " + std::to_string(i)}, [this, open = open_] {
        ++busy_;
        open.wait();
      });
    }
    while (busy_ < 2) std::this_thread::yield();
  }
  ~Occupied() { release(); }
  void release() {
    if (!std::exchange(released_, true)) gate_.set_value();
  }

 private:
  std::promise<void> gate_;
  std::shared_future<void> open_ = gate_.get_future().share();
  bool released_ = false;
  std::atomic<int> busy_{0};
};

TEST_F(KeySetTest, KeysAreMadeAwayFromTheReactor) {
  start();
  Occupied occupied(*work);
  std::promise<base::Result<KeySet::TrustedKey>> promise;
  auto made = promise.get_future();
  base::spawn(reactors.at(0), deliver(set->key("first", JwsAlgorithm::Es256), &promise));
  while (server.jwks_requests == 0) std::this_thread::yield();
  // The one reactor, on which the issuer answers too, serves others meanwhile, and the set is not read.
  for (int i = 0; i < 20; ++i) {
    const auto turn = run_on(reactors.at(0), reactors.at(0).sleep(std::chrono::milliseconds(1), {}));
    EXPECT_TRUE(turn);
  }
  EXPECT_EQ(made.wait_for(seconds(0)), std::future_status::timeout);
  occupied.release();
  auto trusted = made.get();
  ASSERT_TRUE(trusted.ok());
  EXPECT_TRUE(is_key_of(std::move(trusted->key), first));
}

TEST_F(KeySetTest, SignaturesOfCostlyKeysAreCheckedAwayFromTheReactorWithinABound) {
  server.set_jwks(jwks_of({first.jwk(), rsa_jwk("costly", 1'024)}));
  start();
  const auto costly = key("costly", JwsAlgorithm::Rs256);
  const auto cheap = key("first");
  ASSERT_TRUE(costly.ok() && cheap.ok());
  const base::Bytes signature(1'024, 1);
  const auto check = [&](const crypto::PublicKey& with, JwsAlgorithm algorithm, base::ByteView made) {
    return set->verify(with, algorithm, base::as_bytes("message"), made);
  };
  Occupied occupied(*work);
  constexpr int kWaiting = 16;
  std::vector<std::promise<base::Result<bool>>> promises(kWaiting);
  for (auto& promise : promises) {
    base::spawn(reactors.at(0), deliver(check(*costly, JwsAlgorithm::Rs256, signature), &promise));
  }
  EXPECT_TRUE(refused_as(IdentityError::IssuerBusy,
                         run_on(reactors.at(0), check(*costly, JwsAlgorithm::Rs256, signature))));
  const base::Bytes good = first.key.sign(base::as_bytes("message"));
  const auto other = run_on(reactors.at(0), check(*cheap, JwsAlgorithm::Es256, good));
  EXPECT_TRUE(other.ok() && *other) << "a quick key needs no thread";
  occupied.release();
  for (auto& promise : promises) {
    const auto checked = promise.get_future().get();
    EXPECT_TRUE(checked.ok() && !*checked) << "it is no signature of that key";
  }
  const auto again = run_on(reactors.at(0), check(*costly, JwsAlgorithm::Rs256, signature));
  EXPECT_TRUE(again.ok()) << "control: the places are given back";
}

TEST_F(KeySetTest, AnIssuerThatDripsIsGivenUp) {
  work = std::make_shared<KeyWork>(std::chrono::milliseconds(20));
  start();
  server.close_gate();
  EXPECT_TRUE(refused_as(IdentityError::IssuerUnavailable, key("first")));
  EXPECT_EQ(server.jwks_requests, 1);
  server.open_gate();
  clock.advance(seconds(1));
  work = std::make_shared<KeyWork>();
  start();
  EXPECT_TRUE(key("first").ok()) << "control: in time";
}

TEST_F(KeySetTest, StoppingEndsTheRenewalBehind) {
  start();
  ASSERT_TRUE(key("first").ok());
  server.close_gate();
  clock.advance(config.jwks_refresh);
  ASSERT_TRUE(key("first").ok());
  while (server.jwks_requests < 2) std::this_thread::yield();
  EXPECT_EQ(work->renewals.inside(), 1u);
  work->stop();
  EXPECT_EQ(work->renewals.inside(), 0u);
  EXPECT_EQ(set->stats().failures, 1u) << "it was cut, not waited for";
}

TEST_F(KeySetTest, WithoutAKeyIdOnlyTheOneFittingKeyIsTaken) {
  SigningPair rsa("rsa", JwsAlgorithm::Rs256);
  server.set_jwks(jwks_of({first.jwk(), rsa.jwk()}));
  start();
  EXPECT_TRUE(is_key_of(key(""), first)) << "one of two fits ES256";
  EXPECT_TRUE(is_key_of(key("", JwsAlgorithm::Rs256), rsa));
  server.set_jwks(jwks_of({first.jwk(), second.jwk()}));
  start();
  EXPECT_TRUE(refused_as(IdentityError::KeyUnknown, key("")));
  EXPECT_TRUE(is_key_of(key("second"), second)) << "control";
  server.set_jwks(jwks_of({first.jwk(), SigningPair("first").jwk()}));
  start();
  EXPECT_TRUE(refused_as(IdentityError::KeyUnknown, key("first"))) << "an id that two keys share";
}

TEST_F(KeySetTest, AnUnknownKeyIdRenewsAtMostOncePerInterval) {
  start();
  ASSERT_TRUE(key("first").ok());
  server.set_jwks(jwks_of({first.jwk(), second.jwk()}));
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(key("forged-" + std::to_string(i)).ok());
  EXPECT_EQ(server.jwks_requests, 1) << "within the interval of the first fetch";
  clock.advance(config.unknown_kid_interval_min);
  EXPECT_TRUE(is_key_of(key("second"), second)) << "a rotation is noticed";
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(key("forged-" + std::to_string(i)).ok());
  EXPECT_EQ(server.jwks_requests, 2);
  EXPECT_TRUE(is_key_of(key("first"), first));
}

TEST_F(KeySetTest, AKeyThatIsGoneFromTheSetIsNotTakenAnyMore) {
  start();
  ASSERT_TRUE(key("first").ok());
  server.set_jwks(jwks_of({second.jwk()}));
  clock.advance(config.unknown_kid_interval_min);
  ASSERT_TRUE(key("second").ok());
  EXPECT_TRUE(refused_as(IdentityError::KeyUnknown, key("first")));
}

TEST_F(KeySetTest, ManyWaitersShareOneFetch) {
  start();
  server.close_gate();
  constexpr int kWaiters = 50;
  std::vector<std::promise<base::Result<KeySet::TrustedKey>>> promises(kWaiters);
  for (auto& promise : promises) {
    base::spawn(reactors.at(0), deliver(set->key("first", JwsAlgorithm::Es256), &promise));
  }
  while (server.jwks_requests == 0) std::this_thread::yield();
  server.open_gate();
  for (auto& promise : promises) EXPECT_TRUE(promise.get_future().get().ok());
  EXPECT_EQ(server.jwks_requests, 1);
  EXPECT_EQ(set->stats().fetches, 1u);
}

TEST_F(KeySetTest, AnAgedSetIsRenewedWithoutAnybodyWaiting) {
  start();
  ASSERT_TRUE(key("first").ok());
  server.close_gate();  // a slow issuer
  server.set_jwks(jwks_of({second.jwk()}));
  clock.advance(config.jwks_refresh);
  EXPECT_TRUE(is_key_of(key("first"), first)) << "answered while the renewal runs";
  while (server.jwks_requests < 2) std::this_thread::yield();
  EXPECT_TRUE(is_key_of(key("first"), first));
  server.open_gate();
  EXPECT_TRUE(is_key_of(key("second"), second)) << "waits for the fetch that runs";
  EXPECT_TRUE(refused_as(IdentityError::KeyUnknown, key("first")));
  EXPECT_EQ(server.jwks_requests, 2);
}

TEST_F(KeySetTest, AnUnreachableIssuerFailsClosedWhenTheSetIsStale) {
  start();
  ASSERT_TRUE(key("first").ok());
  server.set_jwks(http::Response::json(500, ""));
  clock.advance(config.jwks_stale_max - seconds(1));
  EXPECT_TRUE(key("first").ok()) << "control: not stale yet";
  while (set->stats().failures == 0) std::this_thread::yield();  // the renewal behind that answer
  clock.advance(seconds(1));
  EXPECT_TRUE(refused_as(IdentityError::IssuerUnavailable, key("first")));
  int requests = server.jwks_requests;
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(refused_as(IdentityError::IssuerUnavailable, key("first")));
  EXPECT_EQ(server.jwks_requests, requests) << "tries are spaced";
  EXPECT_GE(set->stats().failures, 1u);
  server.set_jwks(jwks_of({first.jwk()}));
  clock.advance(seconds(1));
  EXPECT_TRUE(key("first").ok()) << "and it recovers";
}

// A configuration may call a set stale before it would be renewed; it must still be fetched again.
TEST_F(KeySetTest, AStaleBoundBelowTheRefreshAgeStillRenews) {
  config.jwks_refresh = seconds(300);
  config.jwks_stale_max = seconds(60);
  start();
  ASSERT_TRUE(key("first").ok());
  clock.advance(seconds(61));
  EXPECT_TRUE(key("first").ok());
  EXPECT_EQ(server.jwks_requests, 2);
}

TEST_F(KeySetTest, NobodyListens) {
  config.issuer = "http://127.0.0.1:1";
  start();
  EXPECT_TRUE(refused_as(IdentityError::IssuerUnavailable, key("first")));
}

TEST_F(KeySetTest, OverTlsTheCertificateMustBeOfTheConfiguredAuthority) {
  std::string folder = (std::filesystem::temp_directory_path() / "bulkhead-identity-XXXXXX").string();
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  const std::filesystem::path at(folder);
  ASSERT_TRUE(http::ensure_development_certificate(at / "ours").ok());
  ASSERT_TRUE(http::ensure_development_certificate(at / "theirs").ok());
  auto tls = http::TlsContext::server(at / "ours" / "cert.pem", at / "ours" / "key.pem");
  ASSERT_TRUE(tls.ok());
  static std::string body;
  body = jwks_of({first.jwk()});
  struct Answer {
    static base::Task<void> jwks(http::Exchange& exchange) {
      static_cast<void>((co_await exchange.send(http::Response::json(200, body))).ok());
    }
  };
  http::Server::Options options;
  options.tls = *tls;
  options.handler = Answer::jwks;
  auto secure = http::Server::start(reactors, std::move(options));
  ASSERT_TRUE(secure.ok());
  config.issuer = "https://127.0.0.1:" + std::to_string((*secure)->port());
  config.jwks_uri = config.issuer + "/jwks";
  config.allow_http = false;
  config.ca_file = (at / "theirs" / "ca.pem").string();
  start();
  EXPECT_TRUE(refused_as(IdentityError::IssuerUnavailable, key("first")));
  config.ca_file.clear();
  start();
  EXPECT_TRUE(refused_as(IdentityError::IssuerUnavailable, key("first"))) << "not of the system's roots";
  config.ca_file = (at / "ours" / "ca.pem").string();
  start();
  EXPECT_TRUE(is_key_of(key("first"), first)) << "control";
  std::filesystem::remove_all(at);
}

// The shape of Keycloak 26: RS256 beside an RSA-OAEP encryption key, certificates with both, tokens
// of typ JWT with several audiences and roles under realm_access.
TEST_F(IdentityTest, KeycloaksShape) {
  SigningPair rsa("kc-sig", crypto::JwsAlgorithm::Rs256), oaep("kc-enc", crypto::JwsAlgorithm::Rs256);
  auto replace = [](std::string text, const std::string& from, const std::string& to) {
    return text.replace(text.find(from), from.size(), to);
  };
  std::string enc = replace(replace(oaep.jwk(), "\"RS256\"", "\"RSA-OAEP\""), "\"sig\"", "\"enc\"");
  std::string sig = rsa.jwk();
  sig.pop_back();
  server.set_jwks(jwks_of({enc, sig + ",\"x5c\":[\"MIIC\"],\"x5t\":\"AA\",\"x5t#S256\":\"AA\"}"}));
  IssuerConfig config = config_of(server);
  config.roles_claims = {"realm_access.roles"};
  start({config});
  Token t(server.issuer, rsa);
  t.header.set("typ", "\"JWT\"");
  t.claims.set("aud", "[\"bulkhead\",\"account\"]")
      .set("realm_access", R"({"roles":["member","offline_access"]})");
  t.claims.remove("roles")
      .set("typ", "\"Bearer\"")
      .set("jti", "\"trrtcc:6f1c2f9e-0b7e\"")
      .set("azp", "\"app\"");
  auto principal = present(t.sign(rsa));
  ASSERT_TRUE(principal.ok()) << principal.error().describe();
  EXPECT_EQ((*principal)->roles(), (std::vector<std::string>{"member", "offline_access"}));
  Token forged(server.issuer, oaep);
  EXPECT_TRUE(refused_as(IdentityError::KeyUnknown, present(forged.sign(oaep))))
      << "an encryption key signs nothing";
  Token id_token(server.issuer, rsa);
  id_token.header.set("typ", "\"JWT\"");
  id_token.claims.set("aud", "\"some-client\"");
  EXPECT_TRUE(refused_as(IdentityError::AudienceWrong, present(id_token.sign(rsa))));
}

// The shape of oidc-provider 9: ES256 at+jwt from client credentials, no roles.
TEST_F(IdentityTest, OidcProvidersShape) {
  IssuerConfig config = config_of(server);
  config.token_types = {"at+jwt"};
  start({config});
  Token t = token();
  t.claims.remove("roles").remove("groups").set("sub", "\"app\"").set("scope", "\"chat\"");
  auto principal = present(t.sign(signer));
  ASSERT_TRUE(principal.ok()) << principal.error().describe();
  EXPECT_TRUE((*principal)->roles().empty());
  t.header.set("typ", "\"JWT\"");
  EXPECT_TRUE(refused_as(IdentityError::HeaderRefused, present(t.sign(signer))));
}

}  // namespace
}  // namespace bulkhead::identity
