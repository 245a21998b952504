// Real tokens with real signatures from a real HTTP server on any free port, with one defect each.
#pragma once

#include <gtest/gtest.h>

#include <future>
#include <mutex>
#include <vector>

#include "base/json.h"
#include "crypto/jose.h"
#include "http/reactor.h"
#include "http/server.h"
#include "identity/authenticator.h"
#include "support/test_principal.h"

namespace bulkhead::identity {

inline constexpr std::int64_t kNow = 1'800'000'000;

// An object whose members are raw JSON, in order, so that a test can put anything there, twice too.
class RawObject {
 public:
  RawObject() = default;
  RawObject(std::initializer_list<std::pair<std::string, std::string>> members) : members_(members) {}
  RawObject& set(std::string_view name, std::string raw) {
    for (auto& [key, value] : members_) {
      if (key == name) return value = std::move(raw), *this;
    }
    return add(name, std::move(raw));
  }
  RawObject& add(std::string_view name, std::string raw) {
    members_.emplace_back(name, std::move(raw));
    return *this;
  }
  RawObject& remove(std::string_view name) {
    std::erase_if(members_, [name](const auto& member) { return member.first == name; });
    return *this;
  }
  std::string text() const {
    std::string out = "{";
    for (const auto& [key, value] : members_) {
      out += (out.size() > 1 ? "," : "") + base::json::quote(key) + ":" + value;
    }
    return out + "}";
  }

 private:
  std::vector<std::pair<std::string, std::string>> members_;
};

struct SigningPair {
  std::string id;
  crypto::TokenSigningKey key;
  explicit SigningPair(std::string name, crypto::JwsAlgorithm algorithm = crypto::JwsAlgorithm::Es256)
      : id(std::move(name)), key(std::move(*crypto::TokenSigningKey::generate(algorithm))) {}
  std::string jwk() const { return key.public_jwk(id); }
};

inline std::string compact(std::string_view header, std::string_view claims,
                           const crypto::TokenSigningKey& key) {
  std::string input =
      base::base64url_encode(base::as_bytes(header)) + "." + base::base64url_encode(base::as_bytes(claims));
  return input + "." + base::base64url_encode(key.sign(base::as_bytes(input)));
}

// A token as an honest issuer makes it; tests spoil one thing.
struct Token {
  RawObject header, claims;
  Token(const std::string& issuer, const SigningPair& pair)
      : header{{"alg", base::json::quote(crypto::jws_algorithm_name(pair.key.algorithm()))},
               {"typ", "\"at+jwt\""},
               {"kid", base::json::quote(pair.id)}},
        claims{{"iss", base::json::quote(issuer)},
               {"sub", "\"alice\""},
               {"aud", "\"bulkhead\""},
               {"client_id", "\"app\""},
               {"iat", std::to_string(kNow)},
               {"exp", std::to_string(kNow + 3600)},
               {"jti", "\"t-1\""},
               {"tenant", "\"acme\""},
               {"roles", "[\"member\"]"},
               {"groups", "[\"hr\"]"}} {}
  std::string sign(const SigningPair& pair) const { return compact(header.text(), claims.text(), pair.key); }
};

inline std::string jwks_of(std::initializer_list<std::string> jwks) {
  std::string out = "{\"keys\":[";
  for (const std::string& jwk : jwks) out += (out.ends_with('[') ? "" : ",") + jwk;
  return out + "]}";
}

template <typename T>
base::Task<void> deliver(base::Task<T> task, std::promise<T>* out) {
  out->set_value(co_await std::move(task));
}

// Runs a coroutine on a reactor from the test's thread.
template <typename T>
T run_on(http::Reactor& reactor, base::Task<T> task) {
  std::promise<T> promise;
  auto future = promise.get_future();
  base::spawn(reactor, deliver(std::move(task), &promise));
  return future.get();
}

// An issuer whose answers the test decides.
class IssuerServer {
 public:
  explicit IssuerServer(http::ReactorPool& reactors) {
    http::Server::Options options;
    options.handler = [this](http::Exchange& exchange) { return handle(this, exchange); };
    auto started = http::Server::start(reactors, std::move(options));
    if (!started) std::abort();
    server_ = std::move(*started);
    issuer = "http://127.0.0.1:" + std::to_string(server_->port());
    set_discovery(issuer, issuer + "/jwks");
  }
  void set_discovery(const std::string& named, const std::string& jwks_uri) {
    std::lock_guard lock(mutex_);
    discovery_ = http::Response::json(200, "{\"issuer\":" + base::json::quote(named) +
                                               ",\"jwks_uri\":" + base::json::quote(jwks_uri) + "}");
  }
  void set_jwks(std::string body) { set_jwks(http::Response::json(200, std::move(body))); }
  void set_jwks(http::Response response) {
    std::lock_guard lock(mutex_);
    jwks_ = std::move(response);
  }
  // Answers to /jwks wait for `open_gate` from now on.
  void close_gate() {
    std::lock_guard lock(mutex_);
    gate_ = std::make_shared<base::Event>();
  }
  void open_gate() {
    std::shared_ptr<base::Event> gate;
    {
      std::lock_guard lock(mutex_);
      gate.swap(gate_);
    }
    if (gate) gate->set();
  }
  std::uint16_t port() const { return server_->port(); }

  std::string issuer;
  std::atomic<int> jwks_requests{0};
  std::atomic<int> other_requests{0};

 private:
  static base::Task<void> handle(IssuerServer* self, http::Exchange& exchange) {
    std::shared_ptr<base::Event> gate;
    http::Response response;
    {
      std::lock_guard lock(self->mutex_);
      const std::string& path = exchange.request().path;
      if (path == "/.well-known/openid-configuration") {
        response = self->discovery_;
      } else if (path == "/jwks") {
        ++self->jwks_requests;
        response = self->jwks_;
        gate = self->gate_;
      } else {
        ++self->other_requests;
        response = self->jwks_;
        response.status = 200;
      }
    }
    if (gate) co_await *gate;
    static_cast<void>((co_await exchange.send(std::move(response))).ok());
  }

  std::mutex mutex_;
  http::Response discovery_, jwks_;
  std::shared_ptr<base::Event> gate_;
  std::unique_ptr<http::Server> server_;
};

inline IssuerConfig config_of(const IssuerServer& server) {
  IssuerConfig config;
  config.issuer = server.issuer;
  config.audiences = {"bulkhead"};
  config.allow_http = true;
  return config;
}

// An Authenticator over one issuer, one directory of API keys and one view of the tenants.
class IdentityTest : public ::testing::Test {
 protected:
  using Outcome = base::Result<std::shared_ptr<const Principal>>;

  IdentityTest() { server.set_jwks(jwks_of({signer.jwk()})); }
  ~IdentityTest() override { server.open_gate(); }

  void start(std::vector<IssuerConfig> issuers, std::size_t cache_entries_max = 1000) {
    AuthenticatorOptions options;
    options.issuers = std::move(issuers);
    options.cache_entries_max = cache_entries_max;
    authenticator = std::make_unique<Authenticator>(std::move(options), ApiKeyFormat(tag_key.clone()), keys,
                                                    tenants, pool_of, clock);
  }
  void start() { start({config_of(server)}); }

  Outcome ask(std::string authorization) {
    return run_on(reactors.at(0), authenticator->authenticate(std::move(authorization)));
  }
  Outcome present(const std::string& token) { return ask("Bearer " + token); }
  Token token() const { return Token(server.issuer, signer); }

  ApiKeyFormat::NewKey add_key(const std::optional<base::TenantId>& tenant, std::int64_t expires = 0) {
    auto key = ApiKeyFormat(tag_key.clone()).make(tenant);
    ApiKeyRecord record{.id = key.id};
    record.user = "robot";
    record.roles = {"service"};
    record.expires = expires;
    keys.add(std::move(record), key.text.reveal_text());
    return key;
  }

  base::ManualClock clock{kNow};
  http::ReactorPool reactors{1};
  IssuerServer server{reactors};
  SigningPair signer{"key-1"};
  base::FairPool pool{{.threads = 1}};
  const Authenticator::PoolOf pool_of = [this](const auto&) -> base::FairPool& { return pool; };
  test::InMemoryKeys keys;
  test::OpenTenants tenants;
  base::Secret tag_key = crypto::random_secret(32);
  std::unique_ptr<Authenticator> authenticator;
};

template <typename T>
::testing::AssertionResult refused_as(IdentityError code, const base::Result<T>& result) {
  if (result) return ::testing::AssertionFailure() << "it was accepted";
  if (result.error().is(code)) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << result.error().describe();
}

}  // namespace bulkhead::identity
