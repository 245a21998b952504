// Access decisions: pure, total, with a reason fit for the audit record.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "access/permission.h"
#include "identity/principal.h"

namespace bulkhead::access {

struct Decision {
  bool allowed = false;
  std::string_view reason;  // "role_permits", "no_role_permits", "not_owner", ...: static storage
};

// May `principal` do `permission` at all? Operators hold the operator role's permissions only,
// whatever roles their token lists; tenants' principals never hold platform permissions.
Decision decide(const RoleTable& roles, const identity::Principal& principal, Permission permission);

// Who may read one document. Empty lists and shared == false: the owner alone (and FilesReadAll).
struct DocumentAccess {
  bool shared_with_tenant = false;
  std::vector<std::string> users;  // as stored: user ids, or names from before there were any
  std::vector<std::string> groups;
  std::vector<std::string> roles;
};

// Whether everybody whom `narrower` lets in is let in by `wider` too, as far as the lists alone tell.
bool includes(const DocumentAccess& wider, const DocumentAccess& narrower);

// Retrieval, content download and citation all ask this one function (Open WebUI CVE-2026-45398:
// search and chat disagreed). `owner` is the uploading user, as stored. A restricted document (not shared) is
// open to its owner, to those listed, and to holders of FilesReadAll.
Decision decide_document(const RoleTable& roles, const identity::Principal& principal, std::string_view owner,
                         const DocumentAccess& document);

}  // namespace bulkhead::access
