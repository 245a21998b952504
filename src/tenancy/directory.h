// TenantDirectory: the tenants of this deployment, their life and their scopes.
//
// Tenants and their wrapped keys are kept by a Registry (storage implements it); records are held in memory
// (1,000 tenants cost well under a MiB). Keys are the Keyring's (tenancy/keyring.h).
//
// Thread safety: all members from every thread, but for `load`, `on_change` and `take_platform_access`, which
// belong to the start. `open_at_once`, `state_of`, `find` and `list` never block on I/O. `open` does when it
// has to ask a key provider, and life-cycle members do: run them on a FairPool.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "crypto/envelope.h"
#include "crypto/signature.h"
#include "identity/authenticator.h"
#include "tenancy/certificate.h"
#include "tenancy/keyring.h"
#include "tenancy/registry.h"
#include "tenancy/scope.h"
#include "tenancy/scope_makers.h"
#include "tenancy/tenant.h"

namespace bulkhead::tenancy {

class TenantDirectory final : public identity::TenantStatus {
 public:
  TenantDirectory(std::shared_ptr<crypto::PlatformKeys> platform, Registry& registry,
                  const base::Clock& clock, std::size_t open_keys_max = 256);
  ~TenantDirectory() override;
  base::Result<void> load();

  // The one way to a scope for a credential: the principal's own tenant, when it is active.
  base::Result<TenantScope> open(std::shared_ptr<const identity::Principal> principal);
  // The same for a reactor: nothing when a key provider would have to be asked, which may take long.
  base::Result<std::optional<TenantScope>> open_at_once(std::shared_ptr<const identity::Principal> principal);
  // The way without one (tenancy/scope_makers.h): given out once. A second call ends the process, since
  // somebody would hold it who must not.
  PlatformAccess take_platform_access();

  Keyring& keyring();
  const Keyring& keyring() const;

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

  // Called (on the thread that changed it) when a tenant was suspended, destroyed or changed.
  void on_change(std::function<void(const base::TenantId&)> listener);

 private:
  std::unique_ptr<TenantTable> table_;
  Keyring keyring_;
  bool platform_access_taken_ = false;
};

}  // namespace bulkhead::tenancy
