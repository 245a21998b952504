#include "identity/user_names.h"

#include <algorithm>

#include "identity/user_id.h"

namespace bulkhead::identity {

bool UserNames::Speaker::speaks_for(const base::TenantId& tenant) const {
  return tenants.empty() || std::find(tenants.begin(), tenants.end(), tenant.str()) != tenants.end();
}

void UserNames::set_issuers(const std::vector<IssuerConfig>& issuers) {
  std::vector<Speaker> speakers;
  for (const IssuerConfig& each : issuers)
    speakers.push_back({each.issuer, each.spoken_tenants(), each.legacy_users});
  std::lock_guard lock(mutex_);
  speakers_ = std::move(speakers);
}

void UserNames::pin(const base::TenantId& tenant, std::string issuer) {
  std::lock_guard lock(mutex_);
  pinned_.insert_or_assign(tenant, std::move(issuer));
}

std::optional<std::string> UserNames::legacy_issuer(const base::TenantId& tenant) const {
  std::lock_guard lock(mutex_);
  for (const Speaker& each : speakers_) {
    if (each.legacy_users && each.speaks_for(tenant)) return each.issuer;
  }
  const auto found = pinned_.find(tenant);
  return found == pinned_.end() ? std::nullopt : std::optional<std::string>(found->second);
}

std::optional<std::string> UserNames::only_issuer(const base::TenantId& tenant) const {
  std::lock_guard lock(mutex_);
  std::optional<std::string> only;
  for (const Speaker& each : speakers_) {
    if (!each.speaks_for(tenant)) continue;
    if (only) return std::nullopt;
    only = each.issuer;
  }
  return only.value_or("");
}

std::string UserNames::current_id(const base::TenantId& tenant, std::string_view stored) const {
  if (user_parts(stored)) return std::string(stored);
  const auto issuer = legacy_issuer(tenant);
  return issuer ? user_id(*issuer, stored) : std::string(stored);
}

std::vector<std::string> UserNames::stored_forms(const base::TenantId& tenant, const std::string& id) const {
  std::vector<std::string> forms = {id};
  const auto parts = user_parts(id);
  if (parts && legacy_issuer(tenant) == parts->issuer) forms.emplace_back(parts->subject);
  return forms;
}

std::optional<std::string> shared_legacy_users(const std::vector<IssuerConfig>& issuers) {
  for (std::size_t i = 0; i < issuers.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const IssuerConfig& one = issuers[i];
      const IssuerConfig& other = issuers[j];
      if (!one.legacy_users || !other.legacy_users) continue;
      const auto ours = one.spoken_tenants();
      const auto theirs = other.spoken_tenants();
      const bool meet =
          ours.empty() || theirs.empty() ||
          std::find_first_of(ours.begin(), ours.end(), theirs.begin(), theirs.end()) != ours.end();
      if (meet) return one.issuer;
    }
  }
  return std::nullopt;
}

}  // namespace bulkhead::identity
