#include "identity/upkeep_principal.h"

#include "identity/principal_factory.h"

namespace bulkhead::identity {

std::shared_ptr<const Principal> UpkeepPrincipal::make(const base::TenantId& tenant) {
  PrincipalFacts facts;
  facts.tenant = tenant;
  facts.subject = "bulkhead/upkeep";
  facts.is_upkeep = true;
  facts.credential = CredentialKind::ApiKey;
  return PrincipalFactory::make(std::move(facts));
}

}  // namespace bulkhead::identity
