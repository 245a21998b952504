// What can be permitted, and the roles that permit it. Pure data and pure functions.
//
// Deny by default: a principal may do what one of its roles lists and nothing else. Roles of a
// tenant never hold platform permissions and the operator's role never holds content permissions
// (invariant I10); `RoleTable::build` refuses a custom role that tries.
#pragma once

#include <bitset>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/result.h"

namespace bulkhead::access {

enum class Permission : std::uint8_t {
  ModelsRead,        // models.read
  ChatCreate,        // chat.create
  ChatRead,          // chat.read          own kept chats
  ChatReadAll,       // chat.read_all      the tenant's kept chats
  ChatDelete,        // chat.delete
  EmbeddingsCreate,  // embeddings.create
  RerankCreate,      // rerank.create
  FilesWrite,        // files.write        upload; delete own
  FilesRead,         // files.read         own and shared
  FilesReadAll,      // files.read_all     the tenant's
  FilesManage,       // files.manage       delete any, change access lists
  StoresRead,        // stores.read        list, get, search
  StoresWrite,       // stores.write       create, update, delete, add files
  KeysManage,        // keys.manage        the tenant's API keys
  DataErase,         // data.erase         shred documents, chats, a user's data, with a certificate
  AuditRead,         // audit.read         the tenant's audit log
  TenantRead,        // tenant.read        own tenant's policy and usage
  ReceiptsRead,      // receipts.read      burn receipts of own requests
  PlatformTenants,   // platform.tenants   create, suspend, resume, destroy
  PlatformKeys,      // platform.keys      rotate the platform key
  PlatformAudit,     // platform.audit     audit of platform actions; other tenants' as counts only
  PlatformMetrics,   // platform.metrics
  PlatformModels,    // platform.models    load, replace, unload models
  Count_,
};
std::string_view permission_name(Permission permission);
std::optional<Permission> parse_permission(std::string_view name);
bool is_platform_permission(Permission permission);

using PermissionSet = std::bitset<static_cast<std::size_t>(Permission::Count_)>;

enum class AccessError { UnknownPermission, RoleMixesPlatformAndTenant, RoleNameTaken, BadRoleName };
base::ErrorName error_name(AccessError code);

// Built-in: tenant-admin, member, auditor, service, operator. Custom ones from the configuration.
class RoleTable {
 public:
  struct Custom {
    std::string name;
    std::vector<std::string> permissions;
  };
  static base::Result<RoleTable> build(const std::vector<Custom>& custom);
  const PermissionSet* find(std::string_view role) const;
  // All roles' permissions together; unknown roles add nothing.
  PermissionSet permissions_of(const std::vector<std::string>& roles) const;
  std::vector<std::string> names() const;

 private:
  std::map<std::string, PermissionSet, std::less<>> roles_;
};

}  // namespace bulkhead::access
