#include "access/delegation.h"

#include <gtest/gtest.h>

#include "support/test_principal.h"

namespace bulkhead::access {
namespace {

using enum DelegationRefusal;

constexpr std::int64_t kNow = 1'800'000'000;  // the manual clock's
constexpr std::int64_t kEnd = kNow + 3'600;

RoleTable roles_with_custom() {
  auto built = RoleTable::build({{"keymaker", {"keys.manage", "files.read", "chat.create"}},
                                 {"reviewer", {"files.read"}},
                                 {"empty", {}}});
  if (!built) std::abort();
  return std::move(*built);
}

struct Row {
  std::string_view what;
  std::shared_ptr<const identity::Principal> maker;
  Delegation wanted;  // its user is filled in as the maker's where none is named
  std::optional<DelegationRefusal> refusal;
  std::int64_t expires = 0;
};

TEST(Delegations, AKeyNeverExceedsItsMaker) {
  const RoleTable roles = roles_with_custom();
  const auto key = [](std::string user, std::vector<std::string> own, std::vector<std::string> groups = {},
                      std::int64_t expires = 0) {
    return test::authenticated_by_key(base::TenantId::parse("acme"), std::move(user), std::move(own),
                                      std::move(groups), expires);
  };
  const auto kim = key("kim", {"keymaker"}, {"red"});
  const auto admin = key("ada", {"tenant-admin"});
  const auto both = key("kim", {"keymaker", "reviewer"});
  const Row rows[] = {
      {"one's own role", kim, {.roles = {"keymaker"}}, std::nullopt},
      {"one's own group", kim, {.roles = {"keymaker"}, .groups = {"red"}}, std::nullopt},
      {"fewer roles", both, {.roles = {"reviewer"}}, std::nullopt},
      {"a role within one's permissions that one lacks", kim, {.roles = {"reviewer"}}, ForeignRole},
      {"it beside one's own", kim, {.roles = {"keymaker", "reviewer"}}, ForeignRole},
      {"a role that permits nothing", kim, {.roles = {"empty"}}, ForeignRole},
      {"a role with other permissions", kim, {.roles = {"auditor"}}, WiderRights},
      {"the administrator's role", kim, {.roles = {"tenant-admin"}}, WiderRights},
      {"the operator's role", kim, {.roles = {"operator"}}, UnknownRole},
      {"a role that is not there", kim, {.roles = {"reviewers"}}, UnknownRole},
      {"a group that one is not in", kim, {.roles = {"keymaker"}, .groups = {"red", "blue"}}, ForeignGroup},
      {"another user", kim, {.user = admin->user(), .roles = {"keymaker"}}, ForeignUser},
      {"no user", kim, {.user = "-", .roles = {"keymaker"}}, ForeignUser},
      {"an administrator: any role within theirs", admin, {.roles = {"reviewer", "member"}}, std::nullopt},
      {"an administrator: any user and group",
       admin,
       {.user = kim->user(), .roles = {"member"}, .groups = {"blue"}},
       std::nullopt},
      {"an administrator: not the operator's role", admin, {.roles = {"operator"}}, UnknownRole},
      {"a lasting key: a shorter one", kim, {.roles = {"keymaker"}, .expires = kEnd}, std::nullopt, kEnd},
      {"a key that ends: none said",
       key("kim", {"keymaker"}, {}, kEnd),
       {.roles = {"keymaker"}},
       std::nullopt,
       kEnd},
      {"a key that ends: at most as late",
       key("kim", {"keymaker"}, {}, kEnd),
       {.roles = {"keymaker"}, .expires = kEnd},
       std::nullopt,
       kEnd},
      {"a key that ends: a second later",
       key("kim", {"keymaker"}, {}, kEnd),
       {.roles = {"keymaker"}, .expires = kEnd + 1},
       LongerLife},
      {"an administrator's key that ends",
       key("ada", {"tenant-admin"}, {}, kEnd),
       {.roles = {"member"}, .expires = kEnd + 1},
       LongerLife},
  };
  for (const Row& row : rows) {
    Delegation wanted = row.wanted;
    if (wanted.user.empty()) wanted.user = row.maker->user();
    const DelegationDecision decision = decide_delegation(roles, *row.maker, wanted, kNow);
    EXPECT_EQ(decision.refusal, row.refusal) << row.what;
    if (!row.refusal) EXPECT_EQ(decision.expires, row.expires) << row.what;
  }
}

}  // namespace
}  // namespace bulkhead::access
