// Wraps tenants' keys and unwraps them, by the platform or by key providers of the tenants' own. Tenancy's
// own; not for other modules.
//
// Thread safety: all members from every thread once the providers are added. `wrap`, `unwrap`,
// `begin_rotation` and `finish_rotation` block where a provider is asked. Nothing is kept of what they give.
#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "crypto/envelope.h"
#include "crypto/key_provider.h"
#include "tenancy/keyring.h"
#include "tenancy/registry.h"

namespace bulkhead::tenancy {

// How the platform is named where a provider's name stands.
inline constexpr std::string_view kPlatformProvider = "platform";

// Associated data of a wrapped tenant key.
std::string key_context(const base::TenantId& id, std::uint32_t key_number);
// The name a wrapped key bears in certificates and reports: a part of its hash.
std::string key_id_of(const crypto::WrappedKey& key);

class KeyWrapping {
 public:
  KeyWrapping(std::shared_ptr<crypto::PlatformKeys> platform, const base::Clock& clock)
      : platform_(std::move(platform)), clock_(clock) {}

  // At start only.
  void add_provider(std::string name, std::shared_ptr<crypto::KeyProvider> provider);
  void set_lifetime(std::chrono::milliseconds lifetime) { lifetime_.store(lifetime); }
  // What a provider unwraps now may be used until then, in ticks of the monotonic clock.
  std::int64_t good_until() const;
  base::MonotonicTime::duration lifetime() const { return lifetime_.load(); }
  std::string custody_of(const std::string& provider) const;  // in words; "" for the platform

  struct Unwrapped {
    base::Secret tenant_key;
    crypto::TenantKeys keys;
  };
  base::Result<Unwrapped> unwrap(const StoredTenant& stored) const;
  // Gives a record a fresh tenant key, wrapped by the record's provider; all purpose keys follow from it.
  base::Result<void> give_fresh_key(StoredTenant& stored) const;
  // The same with some purpose keys given, wrapped by the platform.
  void give_keys(StoredTenant& stored, const std::map<crypto::Purpose, base::Secret>& keys) const;
  // The platform's wrapping renewed with its newest key.
  base::Result<crypto::WrappedKey> rewrap(const StoredTenant& stored) const;

  // The record and the keys that a rotation leads to.
  struct Renewed {
    StoredTenant record;
    crypto::TenantKeys keys;
  };
  base::Result<Renewed> begin_rotation(const StoredTenant& before, const RotationOrder& order) const;
  base::Result<Renewed> finish_rotation(const StoredTenant& before) const;

 private:
  base::Result<crypto::WrappedKey> wrap(const base::Secret& key, const std::string& provider,
                                        const std::string& context) const;
  base::Result<std::shared_ptr<crypto::KeyProvider>> provider_of(const std::string& name) const;

  std::shared_ptr<crypto::PlatformKeys> platform_;
  const base::Clock& clock_;
  std::map<std::string, std::shared_ptr<crypto::KeyProvider>> providers_;
  std::atomic<std::chrono::milliseconds> lifetime_{std::chrono::milliseconds(60'000)};
};

}  // namespace bulkhead::tenancy
