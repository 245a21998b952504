// TenantDirectory: the tenants of this deployment, their life and their scopes.
//
// Tenants and their wrapped keys are kept by a Registry (storage implements it); records are held in
// memory (1,000 tenants cost well under a MiB), tenant keys are unwrapped when a tenant is first
// used and dropped again when idle (least recently used, `open_keys_max`).
//
// Keys: a tenant key is wrapped by the platform or by a key provider of the tenant's own
// (crypto/key_provider.h). What such a provider unwrapped may be used for `key_lifetime` without
// being asked for again; `refresh_keys` asks in time. When the provider refuses, or stays silent for
// that long, the tenant's scopes are cut and its stores closed: revoking a key ends all access within
// `key_lifetime` (invariant I9). Rotation: docs/keys.md.
//
// Thread safety: all members from every thread. `open_at_once`, `state_of` and `find` never block on
// I/O. `open` does when it has to ask a provider, and life-cycle members do: run them on a
// FairPool.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "crypto/envelope.h"
#include "crypto/key_provider.h"
#include "crypto/signature.h"
#include "identity/authenticator.h"
#include "tenancy/scope.h"
#include "tenancy/tenant.h"

namespace bulkhead::tenancy {

struct StoredTenant {
  Tenant tenant;
  crypto::WrappedKey wrapped_key;  // box empty once destroyed
  std::uint32_t key_number = 1;    // of the tenant key; grows with each rotation
  std::string provider;            // who wrapped it; "": the platform
  base::Bytes ring;                // sealed purpose keys (crypto/tenant_keys.h); empty: all derived
  std::string rotation;            // purposes whose data is being moved, with commas; "": none
};

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

// Durable list of tenants. Implemented by storage over one SQLCipher file.
class Registry {
 public:
  virtual ~Registry() = default;
  virtual base::Result<std::vector<StoredTenant>> load_all() = 0;
  virtual base::Result<void> insert(const StoredTenant& tenant) = 0;
  virtual base::Result<void> update(const StoredTenant& tenant) = 0;  // whole record, by id
  virtual base::Result<void> remove(const base::TenantId& tenant) = 0;
  // Replaces all wrapped keys in one transaction (rotation).
  virtual base::Result<void> replace_keys(
      const std::vector<std::pair<base::TenantId, crypto::WrappedKey>>& keys) = 0;
};

// Removes what a tenant has on disk. Implemented by storage; called after the key is destroyed.
class TenantEraser {
 public:
  virtual ~TenantEraser() = default;
  struct Report {
    std::vector<std::string> removed;  // relative names
    std::uint64_t bytes = 0;
  };
  virtual void close(const base::TenantId& tenant) = 0;  // closes open handles, waits for users
  virtual base::Result<Report> erase(const base::TenantId& tenant) = 0;
};

// A signed statement that a tenant was destroyed; checkable offline with the platform's verify key.
struct DestructionCertificate {
  std::string json;  // canonical text with "signature" and "key" members
};
// Verifies what TenantDirectory::destroy wrote.
base::Result<void> verify_certificate(std::string_view json, const crypto::VerifyKey& key);

// What was seen of a tenant's key, in words.
struct KeyProof {
  std::string wrapped, sealed;
  bool closed = false;  // its provider does not unwrap it: nobody can open anything; `wrapped` says why
};

class TenantDirectory final : public identity::TenantStatus {
 public:
  TenantDirectory(std::shared_ptr<crypto::PlatformKeys> platform, Registry& registry,
                  const base::Clock& clock, std::size_t open_keys_max = 256);
  ~TenantDirectory() override;
  base::Result<void> load();

  // The one way to a scope: the principal's own tenant, when it is active.
  base::Result<TenantScope> open(std::shared_ptr<const identity::Principal> principal);
  // The same for a reactor: nothing when a key provider would have to be asked, which may take long.
  base::Result<std::optional<TenantScope>> open_at_once(std::shared_ptr<const identity::Principal> principal);

  State state_of(std::string_view tenant) const override;
  std::optional<Tenant> find(const base::TenantId& id) const;
  std::vector<Tenant> list() const;

  // `provider`: who wraps its key; "" or "platform" for the platform.
  base::Result<Tenant> create(const base::TenantId& id, std::string display_name, IsolationMode mode,
                              TenantPolicy policy, std::string_view provider = "");
  base::Result<Tenant> set_policy(const base::TenantId& id, TenantPolicy policy);
  // Cuts running scopes before it returns.
  base::Result<Tenant> suspend(const base::TenantId& id, std::string reason);
  base::Result<Tenant> resume(const base::TenantId& id);
  // Cuts scopes, destroys the wrapped key durably, erases files, signs the certificate.
  base::Result<DestructionCertificate> destroy(const base::TenantId& id, TenantEraser& eraser,
                                               const crypto::SigningKey& signer);
  // A tenant whose data will be read back from a backup: durable from here on, with these purpose keys and
  // fresh ones for the rest, but it answers nobody before `finish_restore` puts it into `state`.
  base::Result<Tenant> begin_restore(const Tenant& tenant,
                                     const std::map<crypto::Purpose, base::Secret>& keys);
  // The same for a tenant that is there, with the keys it has: cuts its scopes.
  base::Result<Tenant> begin_replace(const base::TenantId& id);
  base::Result<Tenant> finish_restore(const base::TenantId& id, TenantState state);
  // Takes back all that `begin_restore` and the restore made; the name is free again.
  base::Result<void> abandon_restore(const base::TenantId& id, TenantEraser& eraser);
  // The tenant's data is at another place from here on (storage/mover.h, which alone sees to it that it is).
  base::Result<Tenant> relocate(const base::TenantId& id, IsolationMode mode, const std::string& store,
                                EngineMode engine);
  // Re-wraps all tenant keys with the newest platform key version. Running requests go on.
  base::Result<std::size_t> rewrap_keys();

  // Tries the tenant's key now: the wrapped copy opens under its own name and not under `other`, and what
  // is sealed with it opens neither under another's name nor with another key. KeyUnavailable says which of
  // this does not hold. Blocks; opens nothing of the tenant's.
  base::Result<KeyProof> prove_key(const base::TenantId& id, const base::TenantId& other) const;

  // Providers beside the platform, by name; at start, before `load`.
  void add_provider(std::string name, std::shared_ptr<crypto::KeyProvider> provider);
  void set_key_lifetime(std::chrono::milliseconds lifetime);
  // Asks the provider anew for every key of its that is held and past a quarter of its lifetime, and
  // for every key that was lost. Tenants whose key is gone are cut before this returns. To be called
  // by a thread of its own for each provider: a token that hangs then holds up nobody else's.
  void refresh_keys(const std::string& provider);
  // Cuts the tenants whose keys' lifetime has passed; asks nobody, so no provider can hold it up.
  // How long until the next key's lifetime ends, as it stands now; nothing: no provider's key is held.
  std::optional<std::chrono::milliseconds> lose_expired_keys();
  // Called (on the thread that found out) when a tenant's key can't be had any more, with the reason;
  // and when it can be had again.
  void on_keys_lost(std::function<void(const base::TenantId&, const base::Error&)> listener);
  void on_keys_returned(std::function<void(const base::TenantId&)> listener);
  // Tenants whose key could not be had when it was last asked for.
  std::size_t keys_lost() const;
  base::Result<KeyStatus> key_status(const base::TenantId& id) const;

  // First half of a rotation: new keys are durable and in use when it returns; the older tenant key
  // is destroyed; older purpose keys stay in the ring for what they sealed. Busy while one is under
  // way.
  base::Result<KeyStatus> begin_rotation(const base::TenantId& id, const RotationOrder& order);
  // Second half, once nothing is sealed with the older purpose keys any more: destroys them.
  base::Result<KeyStatus> finish_rotation(const base::TenantId& id);
  std::vector<base::TenantId> rotating() const;

  // A scope for the platform's own upkeep of a tenant's store (re-sealing, erasure): its
  // principal holds no role, so no access decision ever allows it anything. Storage's upkeep only
  // (passkey idiom). Suspended tenants too.
  class UpkeepAccess;
  base::Result<TenantScope> open_for_upkeep(const base::TenantId& id, const UpkeepAccess&);
  // The hash of an API key text under its tenant's ApiKeyHash key; for storage's ApiKeyDirectory,
  // before there is a principal. An error when the tenant isn't active.
  base::Result<crypto::Digest> api_key_hash_for(const base::TenantId& tenant, std::string_view text);
  // The raw database keys for the same narrow reader, newest first. Storage only (passkey idiom).
  class DatabaseAccess;
  base::Result<std::vector<base::Secret>> database_keys_for(const base::TenantId& tenant,
                                                            const DatabaseAccess&);

  // Called (on the thread that changed it) when a tenant was suspended, destroyed or changed.
  void on_change(std::function<void(const base::TenantId&)> listener);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Only storage's upkeep can make one.
class TenantDirectory::UpkeepAccess {
 private:
  friend class UpkeepAccessForStorage;
  UpkeepAccess() = default;
};

// Only storage's API key reader can make one (it befriends no one else).
class TenantDirectory::DatabaseAccess {
 private:
  friend class DatabaseAccessForApiKeys;
  DatabaseAccess() = default;
};

}  // namespace bulkhead::tenancy
