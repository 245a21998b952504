// Keyring: the keys of the deployment's tenants, who wraps them, and their rotation (docs/keys.md).
//
// A tenant key is wrapped by the platform or by a key provider of the tenant's own (crypto/key_provider.h).
// What such a provider unwrapped may be used for the keys' lifetime without being asked for again; `refresh`
// asks in time. When the provider refuses, or stays silent for that long, the tenant's scopes are cut and its
// stores closed: revoking a key ends all access within the lifetime (invariant I9).
//
// No key leaves a keyring: scopes hold them (tenancy/scope.h), and PlatformAccess (tenancy/scope_makers.h).
//
// Ownership: a part of its TenantDirectory, and lives as long.
// Thread safety: all members from every thread, but for `add_provider` and `on_*`, which belong to the start.
// `status`, `rotating` and `lost` never block; the others do where a provider or the registry is asked: run
// them on a FairPool.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "crypto/envelope.h"
#include "crypto/key_provider.h"

namespace bulkhead::tenancy {

class TenantTable;

// What a rotation is to renew.
struct RotationOrder {
  bool tenant_key = false;
  std::vector<crypto::Purpose> purposes;
  std::optional<std::string> provider;  // wrap the tenant key by another provider from now on
};

struct KeyStatus {
  std::string provider;  // "platform" or the provider's name
  std::string custody;   // where that provider has its key, in words; "" for the platform
  std::uint32_t key_number = 1;
  std::string key_id;    // hash of the wrapped key
  std::string rotation;  // purposes under way; "": none
  bool held = false;     // its keys are in memory now
  bool lost = false;     // when its key was last asked for it could not be had
};

// What was seen of a tenant's key, in words.
struct KeyProof {
  std::string wrapped, sealed;
  bool closed = false;  // its provider does not unwrap it: nobody can open anything; `wrapped` says why
};

class Keyring {
 public:
  explicit Keyring(TenantTable& tenants) : tenants_(tenants) {}
  Keyring(const Keyring&) = delete;
  Keyring& operator=(const Keyring&) = delete;

  base::Result<KeyStatus> status(const base::TenantId& id) const;
  // Tries the tenant's key now: the wrapped copy opens under its own name and not under `other`, and what
  // is sealed with it opens neither under another's name nor with another key. KeyUnavailable says which of
  // this does not hold. Opens nothing of the tenant's.
  base::Result<KeyProof> prove(const base::TenantId& id, const base::TenantId& other) const;

  // First half of a rotation: new keys are durable and in use when it returns; the older tenant key
  // is destroyed; older purpose keys stay in the ring for what they sealed. Busy while one is under
  // way.
  base::Result<KeyStatus> begin_rotation(const base::TenantId& id, const RotationOrder& order);
  // Second half, once nothing is sealed with the older purpose keys any more: destroys them.
  base::Result<KeyStatus> finish_rotation(const base::TenantId& id);
  std::vector<base::TenantId> rotating() const;
  // Wraps all tenant keys of the platform's with its newest key version. Gives how many; running requests go
  // on.
  base::Result<std::size_t> rewrap_all();

  // Providers beside the platform, by name; before TenantDirectory::load.
  void add_provider(std::string name, std::shared_ptr<crypto::KeyProvider> provider);
  void set_lifetime(std::chrono::milliseconds lifetime);
  // Asks the provider anew for every key of its that is held and past a quarter of its lifetime, and
  // for every key that was lost. Tenants whose key is gone are cut before this returns. To be called
  // by a thread of its own for each provider: a token that hangs then holds up nobody else's.
  void refresh(const std::string& provider);
  // Cuts the tenants whose keys' lifetime has passed; asks nobody, so no provider can hold it up.
  // How long until the next key's lifetime ends, as it stands now; nothing: no provider's key is held.
  std::optional<std::chrono::milliseconds> lose_expired();
  // Called (on the thread that found out) when a tenant's key can't be had any more, with the reason;
  // and when it can be had again.
  void on_lost(std::function<void(const base::TenantId&, const base::Error&)> listener);
  void on_returned(std::function<void(const base::TenantId&)> listener);
  // Tenants whose key could not be had when it was last asked for.
  std::size_t lost() const;

 private:
  TenantTable& tenants_;
};

}  // namespace bulkhead::tenancy
