// Configurations of issuers that can't work, and what is asked of an issuer's address.
#include "identity/issuer_config.h"

#include <gtest/gtest.h>

#include <functional>

#include "identity/issuer_documents.h"

namespace bulkhead::identity {
namespace {

TEST(IssuerAddress, ADefaultPortIsNotSaid) {
  const std::pair<std::string, std::string> hosts[] = {
      {"https://login.example", "login.example"},
      {"https://login.example:443/x", "login.example"},
      {"https://login.example:8443", "login.example:8443"},
      {"http://127.0.0.1:80", "127.0.0.1"},
      {"http://127.0.0.1:443", "127.0.0.1:443"},
      {"https://[::1]:9", "[::1]:9"},
      {"https://[::1]", "[::1]"},
  };
  for (const auto& [address, host] : hosts)
    EXPECT_EQ(host_header(*http::Url::parse(address)), host) << address;
}

IssuerConfig usable() {
  IssuerConfig config;
  config.issuer = "https://login.example/realms/staff";
  config.audiences = {"bulkhead"};
  return config;
}

TEST(IssuerProblems, EachIsNamedByItsKey) {
  const std::tuple<std::string_view, std::string, std::function<void(IssuerConfig&)>> problems[] = {
      {"no issuer", "issuer", [](auto& c) { c.issuer.clear(); }},
      {"no URL", "issuer", [](auto& c) { c.issuer = "login.example"; }},
      {"a fragment", "issuer", [](auto& c) { c.issuer += "#x"; }},
      {"a query", "issuer", [](auto& c) { c.issuer += "?x=1"; }},
      {"plain http", "issuer", [](auto& c) { c.issuer = "http://login.example"; }},
      {"plain http, allowed", "issuer",
       [](auto& c) { c.issuer = "http://login.example", c.allow_http = true; }},
      {"loopback, not allowed", "issuer", [](auto& c) { c.issuer = "http://127.0.0.1:8080"; }},
      {"a file", "jwks_uri", [](auto& c) { c.jwks_uri = "file:///etc/keys"; }},
      {"a socket", "jwks_uri", [](auto& c) { c.jwks_uri = "unix:/run/keys"; }},
      {"keys over plain http", "jwks_uri", [](auto& c) { c.jwks_uri = "http://login.example/jwks"; }},
      {"no audience", "audiences", [](auto& c) { c.audiences.clear(); }},
      {"no type", "token_types", [](auto& c) { c.token_types.clear(); }},
      {"stale before it is renewed", "jwks_stale_max",
       [](auto& c) { c.jwks_stale_max = std::chrono::seconds(60); }},
      {"leeway beyond life", "clock_leeway",
       [](auto& c) {
         c.clock_leeway = std::chrono::seconds(60), c.token_age_max = std::chrono::seconds(60);
       }},
      {"interval beyond renewal", "unknown_kid_interval_min",
       [](auto& c) { c.unknown_kid_interval_min = std::chrono::seconds(3'600); }},
      {"no tenant's name", "tenant", [](auto& c) { c.tenant = "Acme GmbH"; }},
      {"tenant and tenants", "tenant", [](auto& c) { c.tenant = "acme", c.tenants = {"acme"}; }},
      {"tenant and claim", "tenant", [](auto& c) { c.tenant = "acme", c.tenant_claim = "org_id"; }},
      {"tenant and operators", "tenant", [](auto& c) { c.tenant = "acme", c.operator_roles = {"ops"}; }},
      {"map to no tenant", "tenant_map", [](auto& c) { c.tenant_map = {{"x", "Acme GmbH"}}; }},
      {"map beyond tenants", "tenant_map",
       [](auto& c) { c.tenant_map = {{"x", "bolt"}}, c.tenants = {"acme"}; }},
      {"records of before by another claim", "legacy_users",
       [](auto& c) { c.legacy_users = true, c.user_claim = "oid"; }},
  };
  ASSERT_FALSE(problem_of(usable())) << "control";
  for (const auto& [what, key, spoil] : problems) {
    IssuerConfig config = usable();
    spoil(config);
    const auto problem = problem_of(config);
    ASSERT_TRUE(problem) << what;
    EXPECT_EQ(problem->key, key) << what << ": " << problem->what;
  }
  IssuerConfig private_authority = usable();
  ASSERT_FALSE(file_problem_of(private_authority)) << "control: the system's authorities";
  private_authority.ca_file = "/nowhere/ca.pem";
  const auto missing = file_problem_of(private_authority);
  ASSERT_TRUE(missing);
  EXPECT_EQ(missing->key, "ca_file");
  EXPECT_NE(missing->what.find("/nowhere/ca.pem"), std::string::npos) << missing->what;
  IssuerConfig local = usable();
  local.issuer = "http://localhost:8080/realms/staff";
  local.allow_http = true;
  EXPECT_FALSE(problem_of(local)) << "loopback needs no TLS";
  local = usable();
  local.issuer = "accounts.example";
  local.jwks_uri = "https://accounts.example/keys";
  EXPECT_FALSE(problem_of(local)) << "with jwks_uri the issuer is only compared";
}

}  // namespace
}  // namespace bulkhead::identity
