// Authenticator: an Authorization header in, a Principal or a reason out.
//
// Verified credentials are kept in a cache that is bounded by entries, by the credential's own expiry and by
// the standing of the key that a token was verified with (key_set.h says how long a withdrawn key may be
// believed), and keyed by the SHA-256 of the whole token (LiteLLM's CVE-2026-35030 keyed on a prefix).
// `forget_tenant` and `forget_credential` take effect before they return: a later call never gives
// the old principal (revocation, suspension).
//
// Thread safety: all members may be called from every thread; `authenticate` must be awaited on a
// reactor (it may fetch keys over HTTP) and uses `pool` for what blocks.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/fair_pool.h"
#include "base/result.h"
#include "base/task.h"
#include "identity/api_key.h"
#include "identity/error.h"
#include "identity/issuer_config.h"
#include "identity/principal.h"
#include "identity/user_names.h"

namespace bulkhead::identity {

// Says whether a tenant exists and may act; asked at every authentication, cached or not, so that
// a suspension cuts at once. Must be fast and must not block. Implemented by tenancy.
class TenantStatus {
 public:
  virtual ~TenantStatus() = default;
  enum class State { Unknown, Active, Suspended };
  virtual State state_of(std::string_view tenant) const = 0;
};

struct AuthenticatorOptions {
  std::vector<IssuerConfig> issuers;
  std::shared_ptr<UserNames> user_names;  // null: of `issuers`, nothing pinned
  std::size_t token_bytes_max = 32 << 10;
  std::size_t cache_entries_max = 10'000;
};

class Authenticator {
 public:
  // Where an API key of this tenant (none: an operator's) is looked up, which blocks.
  using PoolOf = std::function<base::FairPool&(const std::optional<base::TenantId>&)>;
  Authenticator(AuthenticatorOptions options, ApiKeyFormat key_format, ApiKeyDirectory& directory,
                const TenantStatus& tenants, PoolOf pool_of, const base::Clock& clock);
  ~Authenticator();
  // Ends background work on the reactors and waits for it: once no request runs any more, before the reactors
  // stop. Blocks.
  void stop();

  // The value of the Authorization header; empty when there was none.
  base::Task<base::Result<std::shared_ptr<const Principal>>> authenticate(std::string authorization);

  // The cached principal without suspending, when the cache has it: the gateway's hot path.
  std::shared_ptr<const Principal> cached(std::string_view authorization);

  void forget_tenant(const base::TenantId& tenant);
  void forget_credential(std::string_view credential_id);
  void replace_issuers(std::vector<IssuerConfig> issuers);  // SIGHUP

  struct Stats {
    std::uint64_t cache_hits, cache_misses, cache_entries, jwks_fetches, jwks_failures;
    std::uint64_t jwks_unusable_keys;  // in the sets in use
  };
  Stats stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bulkhead::identity
