// The route table as data: what every route must have, whoever adds the next one.
#include "gateway/routes.h"

#include <gtest/gtest.h>

#include <set>

namespace bulkhead::gateway {
namespace {

TEST(Routes, OnlyTheNamedFewNeedNoCredential) {
  std::set<std::string> open;
  for (const Route& route : routes()) {
    if (route.audience == Audience::Public) open.insert(std::string(route.pattern));
  }
  EXPECT_EQ(open, (std::set<std::string>{"/healthz", "/readyz"}));
}

TEST(Routes, PathsAndAudiencesAgree) {
  for (const Route& route : routes()) {
    bool admin = route.pattern.starts_with("/admin/") || route.pattern == "/metrics";
    if (route.audience == Audience::Public) continue;
    EXPECT_EQ(route.audience == Audience::Operator, admin) << route.pattern;
  }
}

// An operator's permission on a tenant's route would let a tenant's role reach the platform, and the
// other way round (I10).
TEST(Routes, PlatformPermissionsStandOnOperatorRoutesOnly) {
  for (const Route& route : routes()) {
    if (route.audience == Audience::Public) continue;
    std::string name(access::permission_name(route.permission));
    EXPECT_EQ(route.audience == Audience::Operator, name.starts_with("platform."))
        << route.pattern << " " << name;
  }
}

TEST(Routes, EachHasAHandlerABoundAndItsOwnPlace) {
  std::set<std::pair<http::Method, std::string>> seen;
  for (const Route& route : routes()) {
    EXPECT_NE(route.handler, nullptr) << route.pattern;
    EXPECT_GT(route.body_bytes_max, 0u) << route.pattern;
    EXPECT_LE(route.body_bytes_max, 64u << 20) << route.pattern;
    EXPECT_TRUE(route.pattern.starts_with('/')) << route.pattern;
    EXPECT_TRUE(seen.emplace(route.method, std::string(route.pattern)).second) << "twice: " << route.pattern;
    if (route.generates) {
      EXPECT_EQ(route.audience, Audience::Tenant) << route.pattern;
    }
  }
}

TEST(Routes, EachIsFoundByItsOwnPathAndMethodOnly) {
  for (const Route& route : routes()) {
    std::string path;
    std::size_t ids = 0;
    for (std::string_view rest = route.pattern; !rest.empty();) {
      if (rest.starts_with("{id}")) {
        path += "x-" + std::to_string(ids++);
        rest.remove_prefix(4);
      } else {
        path += rest.front();
        rest.remove_prefix(1);
      }
    }
    RouteMatch found = match_route(route.method, path);
    ASSERT_EQ(found.route, &route) << path << ": shadowed by an earlier route";
    EXPECT_EQ(found.captures.size(), ids);
    EXPECT_NE(match_route(route.method, path + "/more").route, &route) << path;
    EXPECT_EQ(match_route(route.method, path + "/").route, nullptr) << path;
    EXPECT_EQ(match_route(http::Method::Options, path).route, nullptr);
    EXPECT_TRUE(match_route(http::Method::Options, path).path_known) << path;
  }
  for (std::string_view path :
       {"/", "/v1", "/v1/", "/V1/models", "/v1/models/", "/v1//models", "/admin", "*", "v1/models"}) {
    EXPECT_EQ(match_route(http::Method::Get, path).route, nullptr) << path;
  }
}

}  // namespace
}  // namespace bulkhead::gateway
