#include "identity/dev_idp.h"

#include <deque>
#include <mutex>

#include "base/json.h"
#include "base/log.h"
#include "crypto/jose.h"
#include "crypto/random.h"
#include "identity/error.h"

namespace bulkhead::identity {

namespace json = base::json;
using base::Error;
using base::Result;
using base::Task;

namespace {

constexpr std::size_t kKeysMax = 16;
constexpr std::size_t kFormBytesMax = 16 << 10;

http::Response oauth_error(int status, std::string_view code) {
  json::Writer w;
  w.begin_object().member("error", code).end_object();
  http::Response response = http::Response::json(status, w.take());
  response.headers.set("cache-control", "no-store");
  return response;
}

// One name or value of application/x-www-form-urlencoded; "" when it is malformed.
std::string form_decoded(std::string_view text) {
  std::string value;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      value += ' ';
    } else if (text[i] == '%') {
      auto byte = base::hex_decode(text.substr(i + 1, 2));
      if (!byte || byte->size() != 1) return "";
      value += static_cast<char>((*byte)[0]);
      i += 2;
    } else {
      value += text[i];
    }
  }
  return value;
}

std::string form_value(std::string_view body, std::string_view name) {
  while (!body.empty()) {
    std::size_t amp = body.find('&');
    std::string_view pair = body.substr(0, amp);
    body = amp == std::string_view::npos ? std::string_view() : body.substr(amp + 1);
    std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos || pair.substr(0, equals) != name) continue;
    return form_decoded(pair.substr(equals + 1));
  }
  return "";
}

// A client authenticates by HTTP Basic, both parts form-encoded first, or in the body (RFC 6749
// section 2.3.1).
struct ClientCredentials {
  std::string id, secret;
};

ClientCredentials read_credentials(const http::Request& request) {
  constexpr std::string_view kBasic = "Basic ";
  auto header = request.headers.single("authorization");
  if (header && header->starts_with(kBasic)) {
    auto bytes = base::base64_decode(header->substr(kBasic.size()));
    std::string_view text = bytes ? base::as_text(*bytes) : std::string_view();
    std::size_t colon = text.find(':');
    if (colon == std::string_view::npos) return {};
    return {form_decoded(text.substr(0, colon)), form_decoded(text.substr(colon + 1))};
  }
  return {form_value(request.body, "client_id"), form_value(request.body, "client_secret")};
}

void write_list(json::Writer& w, std::string_view name, const std::vector<std::string>& items) {
  w.key(name).begin_array();
  for (const std::string& item : items) w.value(item);
  w.end_array();
}

}  // namespace

struct DevIdp::Impl {
  DevIdpOptions options;
  const base::Clock& clock;
  crypto::JwsAlgorithm algorithm;
  std::string issuer;
  base::Event named;  // `issuer` is known: after the server has its port, when requests may come already
  std::unique_ptr<http::Server> server;

  struct Key {
    std::string id;
    crypto::TokenSigningKey key;
    std::int64_t listed_until = INT64_MAX;  // for a replaced key: when its last token has expired
  };
  std::mutex mutex;
  std::deque<Key> keys;  // newest first

  Impl(DevIdpOptions o, const base::Clock& c, crypto::JwsAlgorithm a)
      : options(std::move(o)), clock(c), algorithm(a) {}

  Result<void> add_key() {
    BULKHEAD_TRY(key, crypto::TokenSigningKey::generate(algorithm));
    std::lock_guard lock(mutex);
    drop_expired();
    if (keys.size() >= kKeysMax) {
      return Error(IdentityError::IssuerUnavailable,
                   "Too many keys with unexpired tokens. Wait until the oldest tokens have expired.");
    }
    if (!keys.empty()) keys.front().listed_until = clock.unix_seconds() + options.token_lifetime.count();
    keys.push_front({"dev-" + crypto::random_id(40), std::move(key)});
    return Result<void>();
  }

  void drop_expired() {
    while (!keys.empty() && clock.unix_seconds() >= keys.back().listed_until) keys.pop_back();
  }

  http::Response discovery() const {
    json::Writer w;
    w.begin_object()
        .member("issuer", issuer)
        .member("token_endpoint", issuer + "/token")
        .member("jwks_uri", issuer + "/jwks");
    write_list(w, "grant_types_supported", {"client_credentials"});
    write_list(w, "response_types_supported", {"token"});
    write_list(w, "subject_types_supported", {"public"});
    write_list(w, "id_token_signing_alg_values_supported", {options.algorithm});
    write_list(w, "token_endpoint_auth_methods_supported", {"client_secret_basic", "client_secret_post"});
    w.end_object();
    return http::Response::json(200, w.take());
  }

  http::Response jwks() {
    std::lock_guard lock(mutex);
    drop_expired();
    json::Writer w;
    w.begin_object().key("keys").begin_array();
    for (const Key& key : keys) w.raw(key.key.public_jwk(key.id));
    w.end_array().end_object();
    return http::Response::json(200, w.take());
  }

  const DevClient* authenticate(const ClientCredentials& credentials) const {
    for (const DevClient& client : options.clients) {
      if (client.client_id == credentials.id &&
          base::equal_constant_time(client.client_secret.reveal(), base::as_bytes(credentials.secret))) {
        return &client;
      }
    }
    return nullptr;
  }

  std::string sign_token(const DevClient& client) {
    std::int64_t now = clock.unix_seconds();
    json::Writer claims;
    claims.begin_object()
        .member("iss", issuer)
        .member("sub", client.subject)
        .member("aud", options.audience)
        .member("client_id", client.client_id)
        .member("iat", now)
        .member("exp", now + options.token_lifetime.count())
        .member("jti", crypto::random_id());
    if (!client.tenant.empty()) claims.member("tenant", client.tenant);
    write_list(claims, "roles", client.roles);
    write_list(claims, "groups", client.groups);
    claims.end_object();
    std::lock_guard lock(mutex);
    const Key& key = keys.front();
    json::Writer header;
    header.begin_object().member("alg", options.algorithm).member("typ", "at+jwt").member("kid", key.id);
    header.end_object();
    std::string input = base::base64url_encode(base::as_bytes(header.text())) + "." +
                        base::base64url_encode(base::as_bytes(claims.text()));
    return input + "." + base::base64url_encode(key.key.sign(base::as_bytes(input)));
  }

  http::Response token(const http::Request& request) {
    if (request.body.size() > kFormBytesMax) return oauth_error(400, "invalid_request");
    if (form_value(request.body, "grant_type") != "client_credentials") {
      return oauth_error(400, "unsupported_grant_type");
    }
    const DevClient* client = authenticate(read_credentials(request));
    if (!client) return unauthenticated();
    json::Writer w;
    w.begin_object()
        .member("access_token", sign_token(*client))
        .member("token_type", "Bearer")
        .member("expires_in", static_cast<std::int64_t>(options.token_lifetime.count()))
        .end_object();
    http::Response response = http::Response::json(200, w.take());
    response.headers.set("cache-control", "no-store");
    return response;
  }

  static http::Response unauthenticated() {
    http::Response response = oauth_error(401, "invalid_client");
    response.headers.set("www-authenticate", "Basic realm=\"bulkhead dev-idp\"");
    return response;
  }

  http::Response rotate(const http::Request& request) {
    auto given = request.headers.single("authorization").value_or("");
    std::string expected = "Bearer " + options.rotation_secret;
    if (options.rotation_secret.empty() ||
        !base::equal_constant_time(base::as_bytes(given), base::as_bytes(expected))) {
      return oauth_error(401, "invalid_client");
    }
    if (!add_key()) return oauth_error(503, "temporarily_unavailable");
    return http::Response::json(200, "{\"rotated\":true}");
  }

  http::Response answer(const http::Request& request) {
    using http::Method;
    if (request.method == Method::Get && request.path == "/.well-known/openid-configuration")
      return discovery();
    if (request.method == Method::Get && request.path == "/jwks") return jwks();
    if (request.method == Method::Post && request.path == "/token") return token(request);
    if (request.method == Method::Post && request.path == "/dev/rotate") return rotate(request);
    return oauth_error(404, "not_found");
  }

  static Task<void> handle(Impl* self, http::Exchange& exchange) {
    co_await self->named;
    http::Response response = self->answer(exchange.request());
    auto sent = co_await exchange.send(std::move(response));
    static_cast<void>(sent.ok());
  }
};

DevIdp::DevIdp(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
DevIdp::~DevIdp() { impl_->server.reset(); }

Result<std::unique_ptr<DevIdp>> DevIdp::start(http::ReactorPool& reactors, DevIdpOptions options,
                                              const base::Clock& clock) {
  auto algorithm = crypto::parse_jws_algorithm(options.algorithm);
  if (!algorithm) {
    return Error(IdentityError::AlgorithmRefused,
                 "dev_idp.algorithm must be one of RS256, RS384, RS512, "
                 "PS256, ES256, ES384, EdDSA.");
  }
  bool loopback = options.address.host == "127.0.0.1" || options.address.host == "::1" ||
                  !options.address.unix_path.empty();
  if (!options.tls && !loopback) {
    return Error(http::HttpError::Bind,
                 "The development issuer serves plain HTTP on loopback only. Give it "
                 "a certificate, or the address 127.0.0.1.");
  }
  auto impl = std::make_unique<Impl>(std::move(options), clock, *algorithm);
  BULKHEAD_CHECK_OK(impl->add_key());
  Impl* raw = impl.get();
  http::Server::Options server;
  server.address = impl->options.address;
  server.tls = impl->options.tls;
  server.limits.parser.body_bytes_max = kFormBytesMax;
  server.handler = [raw](http::Exchange& exchange) { return Impl::handle(raw, exchange); };
  BULKHEAD_TRY(started, http::Server::start(reactors, std::move(server)));
  impl->server = std::move(started);
  impl->issuer = impl->options.issuer;
  if (impl->issuer.empty()) {
    impl->issuer = std::string(impl->options.tls ? "https" : "http") +
                   "://127.0.0.1:" + std::to_string(impl->server->port());
  }
  impl->named.set();
  return std::unique_ptr<DevIdp>(new DevIdp(std::move(impl)));
}

std::string DevIdp::issuer() const { return impl_->issuer; }
std::string DevIdp::token_url() const { return impl_->issuer + "/token"; }

void DevIdp::rotate_keys() {
  if (auto added = impl_->add_key(); !added) {
    base::log::warning("dev_idp_keys_not_rotated", {{"detail", std::string_view(added.error().message())}});
  }
}

}  // namespace bulkhead::identity
