// UserNames: which issuer a user's name belongs to where the name itself does not say.
//
// Records that were written before users had issuers hold the subject alone. They belong to the users of one
// issuer, the tenant's legacy issuer: the one that the configuration names (`legacy_users`), else the one
// that was the tenant's only issuer when this deployment first ran with users of issuers, which is pinned
// durably so that no later configuration gives the records to somebody else. Without either they are
// nobody's: only who reads everything of the tenant reads them.
//
// Thread safe.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "identity/issuer_config.h"

namespace bulkhead::identity {

class UserNames {
 public:
  explicit UserNames(const std::vector<IssuerConfig>& issuers = {}) { set_issuers(issuers); }
  void set_issuers(const std::vector<IssuerConfig>& issuers);
  void pin(const base::TenantId& tenant, std::string issuer);

  // "": local users. Nothing: nobody's.
  std::optional<std::string> legacy_issuer(const base::TenantId& tenant) const;
  // The one issuer that may speak for the tenant; "" when there is none at all, nothing when there are
  // several.
  std::optional<std::string> only_issuer(const base::TenantId& tenant) const;
  // A stored user with the issuer that it belongs to: an id as it is, an earlier name as the legacy issuer's,
  // if there is one.
  std::string current_id(const base::TenantId& tenant, std::string_view stored) const;
  // What records may hold for a user: the id, and the earlier name where that is the same user.
  std::vector<std::string> stored_forms(const base::TenantId& tenant, const std::string& id) const;

 private:
  struct Speaker {
    std::string issuer;
    std::vector<std::string> tenants;  // none: all
    bool legacy_users;
    bool speaks_for(const base::TenantId& tenant) const;
  };
  mutable std::mutex mutex_;
  std::vector<Speaker> speakers_;
  std::map<base::TenantId, std::string> pinned_;
};

// Two issuers with `legacy_users` that may speak for one tenant, which makes a configuration invalid.
std::optional<std::string> shared_legacy_users(const std::vector<IssuerConfig>& issuers);

}  // namespace bulkhead::identity
