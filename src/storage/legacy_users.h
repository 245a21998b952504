// LegacyUsers: keeps durably whose the records are that were written before users had issuers
// (identity/user_names.h).
//
// The migration is one of meaning, not of bytes: names are sealed, hashed and in archives, so they stay as
// they are and the platform database says, once for each tenant, which issuer's they are. That is decided
// when this version first starts over an older deployment (`load`), and when an older archive is restored
// (`adopt`): the tenant's one issuer, local users where there is none at all, nobody where there are several.
// Later changes of the configuration's issuers change it no more; `legacy_users` of an issuer does.
//
// Thread safety: all members from every thread; all block. Errors: those of the platform database.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "identity/user_names.h"
#include "storage/store_manager.h"

namespace bulkhead::storage {

class LegacyUsers {
 public:
  LegacyUsers(PlatformDatabase& platform, std::shared_ptr<identity::UserNames> names)
      : platform_(platform), names_(std::move(names)) {}

  // At start, before any credential is looked at.
  base::Result<void> load(const std::vector<tenancy::Tenant>& tenants);
  // A tenant came from an archive that doesn't say whose its earlier names are.
  base::Result<void> adopt(const base::TenantId& tenant);
  // A tenant came from an archive that says so.
  base::Result<void> adopt(const base::TenantId& tenant, const std::string& issuer);
  // Nothing: nobody's.
  std::optional<std::string> issuer_of(const base::TenantId& tenant) const {
    return names_->legacy_issuer(tenant);
  }

 private:
  PlatformDatabase& platform_;
  std::shared_ptr<identity::UserNames> names_;
};

}  // namespace bulkhead::storage
