#include "access/decision.h"

#include <algorithm>

namespace bulkhead::access {

namespace {

bool contains(const std::vector<std::string>& list, std::string_view item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

bool names_user(const std::vector<std::string>& users, const identity::Principal& principal) {
  return std::any_of(users.begin(), users.end(),
                     [&](const std::string& user) { return principal.is_user(user); });
}

bool intersects(const std::vector<std::string>& list, const std::vector<std::string>& items) {
  return std::any_of(items.begin(), items.end(),
                     [&list](const std::string& item) { return contains(list, item); });
}

}  // namespace

Decision decide(const RoleTable& roles, const identity::Principal& principal, Permission permission) {
  auto bit = static_cast<std::size_t>(permission);
  if (principal.is_operator()) {
    // Whatever else its token says: an operator runs the platform and reads no content.
    const PermissionSet* set = roles.find("operator");
    bool allowed = set && set->test(bit);
    return {allowed, allowed ? "operator_permits" : "operator_has_no_content_rights"};
  }
  if (!principal.tenant()) return {false, "no_tenant"};
  if (is_platform_permission(permission)) return {false, "platform_permission"};
  bool allowed = roles.permissions_of(principal.roles()).test(bit);
  return {allowed, allowed ? "role_permits" : "no_role_permits"};
}

bool includes(const DocumentAccess& wider, const DocumentAccess& narrower) {
  if (wider.shared_with_tenant) return true;
  const auto within = [](const std::vector<std::string>& inner, const std::vector<std::string>& outer) {
    return std::all_of(inner.begin(), inner.end(),
                       [&](const std::string& item) { return contains(outer, item); });
  };
  return !narrower.shared_with_tenant && within(narrower.users, wider.users) &&
         within(narrower.groups, wider.groups) && within(narrower.roles, wider.roles);
}

Decision decide_document(const RoleTable& roles, const identity::Principal& principal, std::string_view owner,
                         const DocumentAccess& document) {
  if (principal.is_operator() || !principal.tenant()) return {false, "no_tenant"};
  // A nameless key owns nothing, not even what a nameless key uploaded.
  if (principal.is_user(owner)) return {true, "owner"};
  if (decide(roles, principal, Permission::FilesReadAll).allowed) return {true, "reads_all"};
  if (document.shared_with_tenant) return {true, "shared_with_tenant"};
  if (names_user(document.users, principal)) return {true, "listed_user"};
  if (intersects(document.groups, principal.groups())) return {true, "listed_group"};
  if (intersects(document.roles, principal.roles())) return {true, "listed_role"};
  return {false, "not_on_access_list"};
}

}  // namespace bulkhead::access
