#include "gateway/session.h"

#include <initializer_list>

#include "base/bytes.h"
#include "crypto/hash.h"

namespace bulkhead::gateway {

namespace {

constexpr std::string_view kSharedSession = "tenant";

std::string keyed_name(const tenancy::TenantScope& scope, std::initializer_list<std::string_view> parts) {
  std::string joined;
  for (std::string_view part : parts) {
    joined += std::to_string(part.size());
    joined += ':';
    joined += part;
  }
  crypto::Digest digest =
      crypto::hmac_sha256(scope.key(crypto::Purpose::SessionId).reveal(), base::as_bytes(joined));
  return "ses-" + base::hex_encode(digest);
}

}  // namespace

std::string session_of(const tenancy::TenantScope& scope, const base::RequestId& request) {
  const identity::Principal& who = scope.principal();
  switch (scope.record().policy.engine.prefix_cache) {
    case tenancy::PrefixCacheMode::Off: return request.str();
    case tenancy::PrefixCacheMode::Tenant: return std::string(kSharedSession);
    case tenancy::PrefixCacheMode::Session: break;
  }
  if (who.credential() == identity::CredentialKind::ApiKey) {
    return keyed_name(scope, {"api_key", who.user(), who.credential_id()});
  }
  return keyed_name(scope, {"jwt", who.issuer(), who.user(), who.client(), who.login()});
}

std::string api_key_session(const tenancy::TenantScope& scope, const std::string& user,
                            const base::ApiKeyId& key) {
  return keyed_name(scope, {"api_key", user, key.str()});
}

}  // namespace bulkhead::gateway
