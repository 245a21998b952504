#include "engine/salt_book.h"

#include <algorithm>

#include "crypto/hash.h"
#include "crypto/random.h"

namespace bulkhead::engine {

namespace {

constexpr std::size_t kNonceBytes = 16;

}  // namespace

base::Bytes SaltBook::nonce_of(const Name& name, std::chrono::seconds kept) {
  std::lock_guard lock(mutex_);
  const base::MonotonicTime now = clock_.monotonic();
  auto found = sessions_.find(name);
  if (found != sessions_.end() && now - found->second.used < kept) {
    found->second.used = now;
    return found->second.nonce;
  }
  if (found == sessions_.end() && sessions_.size() >= sessions_max_) {
    sessions_.erase(std::min_element(sessions_.begin(), sessions_.end(), [](const auto& a, const auto& b) {
      return a.second.used < b.second.used;
    }));
  }
  Entry& entry = sessions_[name];
  entry = {crypto::random_bytes(kNonceBytes), now};
  return entry.nonce;
}

std::string SaltBook::salt(const CallContext& context, std::string_view model) {
  const tenancy::EnginePolicy& policy = context.scope.record().policy.engine;
  const std::string& tenant = context.scope.tenant().str();
  const bool keeps = policy.prefix_cache != tenancy::PrefixCacheMode::Off;
  const base::Bytes nonce =
      keeps ? nonce_of({tenant, context.session}, std::chrono::seconds(policy.prefix_cache_seconds))
            : crypto::random_bytes(kNonceBytes);
  return base::base64url_encode(crypto::hmac_sha256_parts(
      key_.reveal(), {base::as_bytes("salt"), base::as_bytes(tenant), base::as_bytes(context.session),
                      base::as_bytes(model), nonce}));
}

void SaltBook::forget(const base::TenantId& tenant, const std::string& session) {
  std::lock_guard lock(mutex_);
  std::erase_if(sessions_, [&](const auto& item) {
    return item.first.first == tenant.str() && (session.empty() || item.first.second == session);
  });
}

std::string SaltBook::placement(const CallContext& context) const {
  return base::base64url_encode(crypto::hmac_sha256_parts(
      key_.reveal(), {base::as_bytes("place"), base::as_bytes(context.scope.tenant().str()),
                      base::as_bytes(context.session)}));
}

}  // namespace bulkhead::engine
