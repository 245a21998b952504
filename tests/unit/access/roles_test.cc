#include <gtest/gtest.h>

#include <array>
#include <map>

#include "access/decision.h"
#include "support/test_principal.h"

namespace bulkhead::access {
namespace {

using enum Permission;

RoleTable built_in() { return *RoleTable::build({}); }

struct Row {
  Permission permission;
  std::string_view name;
  // Y: permitted.        tenant-admin  member  auditor  service  operator
  std::array<char, 5> who;
};
constexpr std::array<std::string_view, 5> kRoles = {"tenant-admin", "member", "auditor", "service",
                                                    "operator"};

// The whole matrix, as it is meant; written apart from the code that it checks.
constexpr Row kMatrix[] = {
    //                                            admin memb audit serv  oper
    {ModelsRead, "models.read", {'Y', 'Y', '-', 'Y', '-'}},
    {ChatCreate, "chat.create", {'Y', 'Y', '-', 'Y', '-'}},
    {ChatRead, "chat.read", {'Y', 'Y', '-', '-', '-'}},
    {ChatReadAll, "chat.read_all", {'Y', '-', '-', '-', '-'}},
    {ChatDelete, "chat.delete", {'Y', 'Y', '-', '-', '-'}},
    {EmbeddingsCreate, "embeddings.create", {'Y', 'Y', '-', 'Y', '-'}},
    {RerankCreate, "rerank.create", {'Y', 'Y', '-', 'Y', '-'}},
    {FilesWrite, "files.write", {'Y', 'Y', '-', '-', '-'}},
    {FilesRead, "files.read", {'Y', 'Y', '-', 'Y', '-'}},
    {FilesReadAll, "files.read_all", {'Y', '-', '-', '-', '-'}},
    {FilesManage, "files.manage", {'Y', '-', '-', '-', '-'}},
    {StoresRead, "stores.read", {'Y', 'Y', '-', 'Y', '-'}},
    {StoresWrite, "stores.write", {'Y', 'Y', '-', '-', '-'}},
    {KeysManage, "keys.manage", {'Y', '-', '-', '-', '-'}},
    {DataErase, "data.erase", {'Y', '-', '-', '-', '-'}},
    {AuditRead, "audit.read", {'Y', '-', 'Y', '-', '-'}},
    {TenantRead, "tenant.read", {'Y', '-', 'Y', '-', '-'}},
    {ReceiptsRead, "receipts.read", {'Y', 'Y', '-', '-', '-'}},
    {PlatformTenants, "platform.tenants", {'-', '-', '-', '-', 'Y'}},
    {PlatformKeys, "platform.keys", {'-', '-', '-', '-', 'Y'}},
    {PlatformAudit, "platform.audit", {'-', '-', '-', '-', 'Y'}},
    {PlatformMetrics, "platform.metrics", {'-', '-', '-', '-', 'Y'}},
    {PlatformModels, "platform.models", {'-', '-', '-', '-', 'Y'}},
};
static_assert(std::size(kMatrix) == static_cast<std::size_t>(Count_), "every permission has a row");

TEST(Roles, MatrixOfEveryRoleAndPermission) {
  RoleTable roles = built_in();
  EXPECT_EQ(roles.names().size(), kRoles.size());
  for (std::size_t role = 0; role < kRoles.size(); ++role) {
    bool is_operator = kRoles[role] == "operator";
    auto principal = is_operator ? test::platform_operator()
                                 : test::principal("acme", "alice", {std::string(kRoles[role])});
    for (const Row& row : kMatrix) {
      Decision decision = decide(roles, *principal, row.permission);
      EXPECT_EQ(decision.allowed, row.who[role] == 'Y') << kRoles[role] << " " << row.name;
      EXPECT_FALSE(decision.reason.empty());
      EXPECT_EQ(permission_name(row.permission), row.name);
      EXPECT_EQ(parse_permission(row.name), row.permission);
    }
  }
}

TEST(Roles, Aisvs_5_2_1_NothingIsPermittedWithoutARole) {
  RoleTable roles = built_in();
  for (const std::vector<std::string>& held :
       {std::vector<std::string>{}, {"no-such-role"}, {"Member"}, {"member "}, {"models.read"}, {"*"}}) {
    auto principal = test::principal("acme", "alice", held);
    for (const Row& row : kMatrix)
      EXPECT_FALSE(decide(roles, *principal, row.permission).allowed) << row.name;
  }
  EXPECT_TRUE(decide(roles, *test::principal("acme", "alice", {"member"}), ModelsRead).allowed) << "control";
}

// A tenant's token that names the operator's role stays a tenant's (invariant I10).
TEST(Roles, ATenantsPrincipalNeverGetsPlatformPermissions) {
  RoleTable roles = built_in();
  auto climber = test::principal("acme", "mallory", {"operator", "tenant-admin"});
  for (Permission permission :
       {PlatformTenants, PlatformKeys, PlatformAudit, PlatformMetrics, PlatformModels}) {
    Decision decision = decide(roles, *climber, permission);
    EXPECT_FALSE(decision.allowed);
    EXPECT_EQ(decision.reason, "platform_permission");
    EXPECT_TRUE(decide(roles, *test::platform_operator(), permission).allowed) << "control";
  }
}

TEST(Roles, SeveralRolesAddUp) {
  RoleTable roles = built_in();
  auto both = test::principal("acme", "alice", {"auditor", "service"});
  EXPECT_TRUE(decide(roles, *both, AuditRead).allowed);
  EXPECT_TRUE(decide(roles, *both, ChatCreate).allowed);
  EXPECT_FALSE(decide(roles, *both, FilesWrite).allowed);
}

TEST(Roles, CustomRolesAreBoundedByTheTenant) {
  auto table = RoleTable::build({{"reader", {"models.read", "files.read"}}});
  ASSERT_TRUE(table.ok());
  auto reader = test::principal("acme", "alice", {"reader"});
  EXPECT_TRUE(decide(*table, *reader, FilesRead).allowed);
  EXPECT_FALSE(decide(*table, *reader, ChatCreate).allowed);

  const std::pair<RoleTable::Custom, AccessError> refused[] = {
      {{"root", {"platform.tenants"}}, AccessError::RoleMixesPlatformAndTenant},
      {{"mixed", {"models.read", "platform.keys"}}, AccessError::RoleMixesPlatformAndTenant},
      {{"operator", {"models.read"}}, AccessError::RoleNameTaken},
      {{"member", {"keys.manage"}}, AccessError::RoleNameTaken},
      {{"typo", {"models.reed"}}, AccessError::UnknownPermission},
      {{"star", {"*"}}, AccessError::UnknownPermission},
      {{"", {"models.read"}}, AccessError::BadRoleName},
      {{"a b", {"models.read"}}, AccessError::BadRoleName},
  };
  for (const auto& [role, error] : refused) {
    auto built = RoleTable::build({role});
    ASSERT_FALSE(built.ok()) << role.name;
    EXPECT_TRUE(built.error().is(error)) << built.error().describe();
  }
  EXPECT_FALSE(RoleTable::build({{"twice", {}}, {"twice", {}}}).ok());
}

struct DocumentCase {
  std::string_view what;
  std::shared_ptr<const identity::Principal> who;
  DocumentAccess document;
  std::string_view reason;
  bool allowed;
};

TEST(Documents, WhoMayReadWhat) {
  RoleTable roles = built_in();
  const std::string owner = "alice";
  auto bob = test::principal("acme", "bob", {"member"}, {"hr", "legal"});
  const DocumentCase cases[] = {
      {"the owner", test::principal("acme", "alice"), {}, "owner", true},
      {"a colleague, private document", bob, {}, "not_on_access_list", false},
      {"shared", bob, {.shared_with_tenant = true}, "shared_with_tenant", true},
      {"by name", bob, {.users = {"carol", "bob"}}, "listed_user", true},
      {"another's name", bob, {.users = {"carol"}}, "not_on_access_list", false},
      {"name in other case", bob, {.users = {"Bob"}}, "not_on_access_list", false},
      {"by group", bob, {.groups = {"legal"}}, "listed_group", true},
      {"another group", bob, {.groups = {"board"}}, "not_on_access_list", false},
      {"a group is not a role", bob, {.roles = {"hr"}}, "not_on_access_list", false},
      {"a role is not a group", bob, {.groups = {"member"}}, "not_on_access_list", false},
      {"by role", bob, {.roles = {"member"}}, "listed_role", true},
      {"the administrator", test::principal("acme", "root", {"tenant-admin"}), {}, "reads_all", true},
      {"the operator", test::platform_operator(), {.shared_with_tenant = true}, "no_tenant", false},
      {"an operator called like the owner", test::platform_operator("alice"), {}, "no_tenant", false},
  };
  for (const DocumentCase& c : cases) {
    Decision decision = decide_document(roles, *c.who, owner, c.document);
    EXPECT_EQ(decision.allowed, c.allowed) << c.what;
    EXPECT_EQ(decision.reason, c.reason) << c.what;
  }
}

// A subject is unique within its issuer only.
TEST(Documents, OneSubjectOfTwoIssuersIsTwoPeople) {
  RoleTable roles = built_in();
  const std::string one = identity::user_id("https://a.example", "alice");
  const std::string other = identity::user_id("https://b.example", "alice");
  auto alice = test::principal("acme", one);
  EXPECT_EQ(decide_document(roles, *alice, one, {}).reason, "owner");
  EXPECT_FALSE(decide_document(roles, *alice, other, {}).allowed);
  EXPECT_EQ(decide_document(roles, *alice, "x", {.users = {one}}).reason, "listed_user");
  EXPECT_FALSE(decide_document(roles, *alice, "x", {.users = {other}}).allowed);
  EXPECT_FALSE(decide_document(roles, *alice, "alice", {.users = {"alice"}}).allowed)
      << "a record of before: nobody's";
}

TEST(Documents, NobodyOwnsADocumentWithoutOwner) {
  RoleTable roles = built_in();
  auto nameless = test::principal("acme", "");
  EXPECT_FALSE(decide_document(roles, *nameless, "", {}).allowed);
  EXPECT_TRUE(decide_document(roles, *test::principal("acme", "x"), "x", {}).allowed) << "control";
}

}  // namespace
}  // namespace bulkhead::access
