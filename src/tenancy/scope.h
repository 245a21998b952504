// TenantScope: the only key that opens anything of a tenant (invariant I2).
//
// Every store, index, session, key and cache takes a `const TenantScope&`. There is no public constructor,
// and there are three makers, all in scope_makers.cc: TenantDirectory's `open` and `open_at_once` make one
// from a verified Principal, for that principal's own tenant and no other; PlatformAccess's
// `open_for_maintenance` makes one without a credential, for the platform's maintenance of a tenant's store,
// whose principal holds no role, and which storage's upkeep alone can call. tests/compile_fail proves that
// other ways do not compile, Walls.OnlyTenancyMakesScopes counts the makers.
//
// A scope is a cheap handle on shared state (copy freely). It is cut when its tenant is suspended or
// destroyed, or its key was withdrawn: `cancel_token` fires, and `alive()` turns false; stores refuse
// a dead scope. A rotation of keys reaches running scopes at once.
// Thread safety: immutable; may be used from every thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/task.h"
#include "crypto/envelope.h"
#include "identity/principal.h"
#include "tenancy/tenant.h"

namespace bulkhead::tenancy {

class TenantScope {
 public:
  const base::TenantId& tenant() const;
  const Tenant& record() const;  // as it was when the scope was opened
  const identity::Principal& principal() const;
  // The newest key of a purpose, and an older one while data is being moved from it (null: gone).
  // The references live as long as the scope.
  const base::Secret& key(crypto::Purpose purpose) const;
  const base::Secret* key(crypto::Purpose purpose, std::uint32_t version) const;
  std::uint32_t key_version(crypto::Purpose purpose) const;
  std::vector<std::uint32_t> key_versions(crypto::Purpose purpose) const;  // newest first
  bool alive() const;
  const base::CancelToken& cancel_token() const;

  // HMAC under the tenant's AuditHash key, as "hmac-sha256:<base64url>": the only form in which
  // text may enter an audit record (invariant I7).
  std::string audit_hash(std::string_view text) const;

 private:
  friend class TenantDirectory;
  friend class PlatformAccess;
  friend class TenantTable;
  struct Shared;  // per tenant and generation: record, keys, cancel token
  TenantScope(std::shared_ptr<const Shared> shared, std::shared_ptr<const identity::Principal> who);
  std::shared_ptr<const Shared> shared_;
  std::shared_ptr<const identity::Principal> principal_;
};

}  // namespace bulkhead::tenancy
