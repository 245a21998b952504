#include "identity/dev_idp.h"

#include "http/client.h"
#include "support.h"

namespace bulkhead::identity {
namespace {

class DevIdpTest : public IdentityTest {
 protected:
  void start_idp(const std::string& algorithm = "ES256") {
    DevIdpOptions options;
    options.algorithm = algorithm;
    options.token_lifetime = std::chrono::seconds(600);
    options.rotation_secret = "turn-the-keys";
    options.clients.push_back(
        {"ward-7", base::Secret::copy_of("s3cret:+ %"), "nurse", "acme", {"member"}, {"ward"}});
    options.clients.push_back({"ops", base::Secret::copy_of("0ps"), "olga", "", {"platform-ops"}, {}});
    auto started = DevIdp::start(reactors, std::move(options), clock);
    ASSERT_TRUE(started.ok()) << started.error().describe();
    idp = std::move(*started);
    IssuerConfig config;
    config.issuer = idp->issuer();
    config.audiences = {"bulkhead"};
    config.algorithms = {*crypto::parse_jws_algorithm(algorithm)};
    config.operator_roles = {"platform-ops"};
    config.allow_http = true;
    start({config});
  }

  http::Response call(http::Method method, const std::string& path, std::string body = "",
                      const std::string& authorization = "") {
    auto url = http::Url::parse(idp->issuer());
    http::Request request;
    request.method = method;
    request.path = request.target = path;
    request.headers.set("host", url->host + ":" + std::to_string(url->port));
    if (!body.empty()) request.headers.set("content-type", "application/x-www-form-urlencoded");
    if (!authorization.empty()) request.headers.set("authorization", authorization);
    request.body = std::move(body);
    auto answer = http::request_blocking(*url, {}, std::move(request), 1 << 20);
    EXPECT_TRUE(answer.ok()) << answer.error().describe();
    return std::move(*answer);
  }
  static std::string basic(const std::string& pair) {
    return "Basic " + base::base64_encode(base::as_bytes(pair));
  }
  static std::string member(const http::Response& response, std::string_view name) {
    auto document = base::json::Document::parse(response.body);
    return document ? std::string(document->root()[name].as_string().value_or("")) : "";
  }
  std::string get_token(const std::string& client = "ops", const std::string& secret = "0ps") {
    return member(call(http::Method::Post, "/token",
                       "grant_type=client_credentials&client_id=" + client + "&client_secret=" + secret),
                  "access_token");
  }
  std::size_t keys_listed() {
    auto document = base::json::Document::parse(call(http::Method::Get, "/jwks").body);
    return document ? document->root()["keys"].size() : 0;
  }

  std::unique_ptr<DevIdp> idp;
};

TEST_F(DevIdpTest, ItsTokensAreAcceptedByTheAuthenticator) {
  start_idp();
  // Both ways of RFC 6749 section 2.3.1; Basic carries the form-encoded secret.
  http::Response by_header =
      call(http::Method::Post, "/token", "grant_type=client_credentials", basic("ward-7:s3cret%3A%2B+%25"));
  http::Response by_body =
      call(http::Method::Post, "/token",
           "grant_type=client_credentials&client_id=ward%2D7&client_secret=s3cret%3A%2B%20%25");
  for (const http::Response* response : {&by_header, &by_body}) {
    ASSERT_EQ(response->status, 200) << response->body;
    EXPECT_EQ(response->headers.single("cache-control"), "no-store");
    EXPECT_EQ(member(*response, "token_type"), "Bearer");
    auto principal = present(member(*response, "access_token"));
    ASSERT_TRUE(principal.ok()) << principal.error().describe();
    EXPECT_EQ((*principal)->tenant()->str(), "acme");
    EXPECT_EQ((*principal)->user(), user_id((*principal)->issuer(), "nurse"));
    EXPECT_EQ((*principal)->roles(), std::vector<std::string>{"member"});
    EXPECT_EQ((*principal)->groups(), std::vector<std::string>{"ward"});
    EXPECT_EQ((*principal)->expires_unix_seconds(), kNow + 600);
  }
  EXPECT_NE(member(by_header, "access_token"), member(by_body, "access_token")) << "a jti each";
  auto principal = present(get_token());
  ASSERT_TRUE(principal.ok()) << principal.error().describe();
  EXPECT_TRUE((*principal)->is_operator());
}

TEST_F(DevIdpTest, TokensHaveTheFormOfRfc9068) {
  start_idp();
  std::string token = get_token();
  auto part = [&token](std::size_t begin, std::size_t end) {
    return base::json::Document::parse(
        base::as_text(*base::base64url_decode(token.substr(begin, end - begin))));
  };
  std::size_t first = token.find('.'), second = token.rfind('.');
  auto header = part(0, first);
  auto claims = part(first + 1, second);
  ASSERT_TRUE(header.ok() && claims.ok());
  EXPECT_EQ(header->root()["typ"].as_string(), "at+jwt");
  EXPECT_EQ(header->root()["alg"].as_string(), "ES256");
  for (std::string_view name : {"iss", "sub", "aud", "client_id", "jti"}) {
    EXPECT_TRUE(claims->root()[name].is_string()) << name;
  }
  EXPECT_EQ(claims->root()["iat"].as_int(), kNow);
  EXPECT_EQ(claims->root()["exp"].as_int(), kNow + 600);
  EXPECT_FALSE(claims->root()["tenant"].exists()) << "the operator's client has none";
  EXPECT_TRUE(claims->root()["roles"].is_array());
}

TEST_F(DevIdpTest, WrongClientsAndGrantsAreRefused) {
  start_idp();
  ASSERT_FALSE(get_token().empty()) << "control";
  const std::string grant = "grant_type=client_credentials";
  for (const std::string& authorization :
       {basic("ops:wrong"), basic("ops:"), basic("nobody:0ps"), basic(":"), basic("ops"), basic("ops:0ps "),
        std::string("Basic !!!"), std::string("Basic "), std::string("Bearer 0ps")}) {
    http::Response response = call(http::Method::Post, "/token", grant, authorization);
    EXPECT_EQ(response.status, 401) << authorization;
    EXPECT_EQ(member(response, "error"), "invalid_client");
    EXPECT_TRUE(response.headers.single("www-authenticate"));
  }
  EXPECT_EQ(call(http::Method::Post, "/token", grant).status, 401);
  EXPECT_EQ(call(http::Method::Post, "/token", grant + "&client_id=ops&client_secret=0p%7").status, 401);
  http::Response response =
      call(http::Method::Post, "/token", "grant_type=password&client_id=ops&client_secret=0ps");
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(member(response, "error"), "unsupported_grant_type");
  EXPECT_EQ(call(http::Method::Get, "/token").status, 404);
  EXPECT_EQ(call(http::Method::Get, "/").status, 404);
}

TEST_F(DevIdpTest, OldAndNewKeyStandTogetherUntilTheOldOnesTokensHaveExpired) {
  start_idp();
  std::string old_token = get_token();
  ASSERT_TRUE(present(old_token).ok());
  ASSERT_EQ(keys_listed(), 1u);
  idp->rotate_keys();
  EXPECT_EQ(call(http::Method::Post, "/dev/rotate", "x=1", "Bearer turn-the-keys").status, 200);
  EXPECT_EQ(keys_listed(), 3u);
  clock.advance(std::chrono::seconds(60));
  EXPECT_TRUE(present(get_token()).ok()) << "the gateway finds the new key";
  authenticator->forget_credential("");
  authenticator->replace_issuers({});
  EXPECT_FALSE(present(old_token).ok());
  IssuerConfig config;
  config.issuer = idp->issuer();
  config.audiences = {"bulkhead"};
  config.operator_roles = {"platform-ops"};
  config.allow_http = true;
  authenticator->replace_issuers({config});
  EXPECT_TRUE(present(old_token).ok()) << "the old key is still listed";
  clock.advance(std::chrono::seconds(540));
  EXPECT_EQ(keys_listed(), 1u);
}

TEST_F(DevIdpTest, RotationNeedsItsSecretAndIsBounded) {
  start_idp();
  for (const std::string& authorization :
       {std::string(), std::string("Bearer "), std::string("Bearer turn-the-key"),
        std::string("Bearer turn-the-keys2"), std::string("turn-the-keys")}) {
    EXPECT_EQ(call(http::Method::Post, "/dev/rotate", "x=1", authorization).status, 401) << authorization;
  }
  EXPECT_EQ(keys_listed(), 1u);
  for (int i = 0; i < 15; ++i) {
    EXPECT_EQ(call(http::Method::Post, "/dev/rotate", "x=1", "Bearer turn-the-keys").status, 200);
  }
  EXPECT_EQ(call(http::Method::Post, "/dev/rotate", "x=1", "Bearer turn-the-keys").status, 503);
  EXPECT_EQ(keys_listed(), 16u);
}

TEST_F(DevIdpTest, OtherAlgorithmsAndBadOptions) {
  for (std::string algorithm : {"RS256", "EdDSA"}) {
    start_idp(algorithm);
    EXPECT_TRUE(present(get_token()).ok()) << algorithm;
  }
  for (std::string algorithm : {"HS256", "none", ""}) {
    DevIdpOptions options;
    options.algorithm = algorithm;
    EXPECT_FALSE(DevIdp::start(reactors, std::move(options), clock).ok()) << algorithm;
  }
  DevIdpOptions open;
  open.address.host = "0.0.0.0";
  EXPECT_FALSE(DevIdp::start(reactors, std::move(open), clock).ok()) << "plain HTTP to the network";
}

}  // namespace
}  // namespace bulkhead::identity
