#include "storage/legacy_users.h"

#include "base/log.h"

namespace bulkhead::storage {
namespace {

using base::Result;

constexpr std::string_view kIssuerSetting = "legacy-issuer/";
// Stands once the tenants of before have been looked at: those that come later have no earlier names.
constexpr std::string_view kDecidedSetting = "users-have-issuers";

}  // namespace

Result<void> LegacyUsers::adopt(const base::TenantId& tenant, const std::string& issuer) {
  BULKHEAD_CHECK_OK(platform_.set_setting(std::string(kIssuerSetting) + tenant.str(), issuer));
  names_->pin(tenant, issuer);
  return {};
}

Result<void> LegacyUsers::adopt(const base::TenantId& tenant) {
  const auto only = names_->only_issuer(tenant);
  if (only) return adopt(tenant, *only);
  if (!names_->legacy_issuer(tenant)) {
    base::log::warning("earlier_users_are_nobodys",
                       {{"tenant", std::string_view(tenant.str())},
                        {"detail", "several issuers may speak for it; set legacy_users at one of them"}});
  }
  return {};
}

Result<void> LegacyUsers::load(const std::vector<tenancy::Tenant>& tenants) {
  BULKHEAD_TRY(decided, platform_.setting(kDecidedSetting));
  for (const tenancy::Tenant& each : tenants) {
    BULKHEAD_TRY(issuer, platform_.setting(std::string(kIssuerSetting) + each.id.str()));
    if (issuer) {
      names_->pin(each.id, *issuer);
    } else if (!decided) {
      BULKHEAD_CHECK_OK(adopt(each.id));
    }
  }
  return decided ? Result<void>() : platform_.set_setting(kDecidedSetting, "1");
}

}  // namespace bulkhead::storage
