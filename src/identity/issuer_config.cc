#include "identity/issuer_config.h"

#include <set>
#include <string_view>

namespace bulkhead::identity {

std::optional<std::string> duplicate_issuer(const std::vector<IssuerConfig>& issuers) {
  std::set<std::string_view> seen;
  for (const IssuerConfig& issuer : issuers) {
    if (!seen.insert(issuer.issuer).second) return issuer.issuer;
  }
  return std::nullopt;
}

}  // namespace bulkhead::identity
