#include "access/permission.h"

#include <array>

#include "base/ids.h"

namespace bulkhead::access {

using base::Error;
using base::Result;

namespace {

struct Name {
  Permission permission;
  std::string_view name;
};

constexpr std::array kNames = {
    Name{Permission::ModelsRead, "models.read"},
    Name{Permission::ChatCreate, "chat.create"},
    Name{Permission::ChatRead, "chat.read"},
    Name{Permission::ChatReadAll, "chat.read_all"},
    Name{Permission::ChatDelete, "chat.delete"},
    Name{Permission::EmbeddingsCreate, "embeddings.create"},
    Name{Permission::RerankCreate, "rerank.create"},
    Name{Permission::FilesWrite, "files.write"},
    Name{Permission::FilesRead, "files.read"},
    Name{Permission::FilesReadAll, "files.read_all"},
    Name{Permission::FilesManage, "files.manage"},
    Name{Permission::StoresRead, "stores.read"},
    Name{Permission::StoresWrite, "stores.write"},
    Name{Permission::KeysManage, "keys.manage"},
    Name{Permission::DataErase, "data.erase"},
    Name{Permission::AuditRead, "audit.read"},
    Name{Permission::TenantRead, "tenant.read"},
    Name{Permission::ReceiptsRead, "receipts.read"},
    Name{Permission::PlatformTenants, "platform.tenants"},
    Name{Permission::PlatformKeys, "platform.keys"},
    Name{Permission::PlatformAudit, "platform.audit"},
    Name{Permission::PlatformMetrics, "platform.metrics"},
    Name{Permission::PlatformModels, "platform.models"},
};
static_assert(kNames.size() == static_cast<std::size_t>(Permission::Count_));

PermissionSet set_of(std::initializer_list<Permission> permissions) {
  PermissionSet set;
  for (Permission permission : permissions) set.set(static_cast<std::size_t>(permission));
  return set;
}

using enum Permission;

// What a tenant's administrator may do is everything of the tenant.
PermissionSet tenant_admin() {
  PermissionSet set;
  for (const Name& name : kNames) {
    if (!is_platform_permission(name.permission)) set.set(static_cast<std::size_t>(name.permission));
  }
  return set;
}

PermissionSet member() {
  return set_of({ModelsRead, ChatCreate, ChatRead, ChatDelete, EmbeddingsCreate, RerankCreate, FilesWrite,
                 FilesRead, StoresRead, StoresWrite, ReceiptsRead});
}

PermissionSet service() {
  return set_of({ModelsRead, ChatCreate, EmbeddingsCreate, RerankCreate, FilesRead, StoresRead});
}

PermissionSet auditor() { return set_of({AuditRead, TenantRead}); }

PermissionSet platform_operator() {
  return set_of({PlatformTenants, PlatformKeys, PlatformAudit, PlatformMetrics, PlatformModels});
}

std::string known_permissions() {
  std::string list;
  for (const Name& name : kNames) {
    if (!is_platform_permission(name.permission)) list += (list.empty() ? "" : ", ") + std::string(name.name);
  }
  return list;
}

}  // namespace

std::string_view permission_name(Permission permission) {
  for (const Name& name : kNames) {
    if (name.permission == permission) return name.name;
  }
  return "unknown";
}

std::optional<Permission> parse_permission(std::string_view text) {
  for (const Name& name : kNames) {
    if (name.name == text) return name.permission;
  }
  return std::nullopt;
}

bool is_platform_permission(Permission permission) {
  return permission_name(permission).starts_with("platform.");
}

base::ErrorName error_name(AccessError code) {
  switch (code) {
    case AccessError::UnknownPermission: return {"access", "unknown_permission"};
    case AccessError::RoleMixesPlatformAndTenant: return {"access", "role_mixes_platform_and_tenant"};
    case AccessError::RoleNameTaken: return {"access", "role_name_taken"};
    case AccessError::BadRoleName: return {"access", "bad_role_name"};
  }
  return {"access", "unknown"};
}

Result<RoleTable> RoleTable::build(const std::vector<Custom>& custom) {
  RoleTable table;
  table.roles_ = {{"tenant-admin", tenant_admin()},
                  {"member", member()},
                  {"auditor", auditor()},
                  {"service", service()},
                  {"operator", platform_operator()}};
  for (const Custom& role : custom) {
    if (!base::is_identifier(role.name)) {
      return Error(AccessError::BadRoleName,
                   "Role name \"" + role.name + "\" may hold letters, digits, '.', '_' and '-' only.");
    }
    if (table.roles_.contains(role.name)) {
      return Error(AccessError::RoleNameTaken,
                   "There is already a role \"" + role.name + "\" (built-in or named twice).");
    }
    PermissionSet set;
    for (const std::string& name : role.permissions) {
      auto permission = parse_permission(name);
      if (!permission) {
        return Error(AccessError::UnknownPermission, "Role \"" + role.name +
                                                         "\" names an unknown permission \"" + name +
                                                         "\"; allowed: " + known_permissions());
      }
      if (is_platform_permission(*permission)) {
        return Error(AccessError::RoleMixesPlatformAndTenant,
                     "Role \"" + role.name + "\" may not hold " + name +
                         ": platform permissions belong to the operator alone.");
      }
      set.set(static_cast<std::size_t>(*permission));
    }
    table.roles_.emplace(role.name, set);
  }
  return table;
}

const PermissionSet* RoleTable::find(std::string_view role) const {
  auto found = roles_.find(role);
  return found == roles_.end() ? nullptr : &found->second;
}

PermissionSet RoleTable::permissions_of(const std::vector<std::string>& roles) const {
  PermissionSet all;
  for (const std::string& role : roles) {
    if (const PermissionSet* set = find(role)) all |= *set;
  }
  return all;
}

std::vector<std::string> RoleTable::names() const {
  std::vector<std::string> names;
  for (const auto& [name, set] : roles_) names.push_back(name);
  return names;
}

}  // namespace bulkhead::access
