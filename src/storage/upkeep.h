// Upkeep: what the platform does to a tenant's store by itself, without a credential of the tenant's:
// moving data to new keys, and embedding it anew (rag/reembedder.h). It reads content only for that and gives
// none of it out.
//
// Rotation of a tenant's keys (docs/keys.md): `rotate` makes the new keys durable and puts them in
// use; `run_once` moves the data, a subject at a time, and destroys the older keys at the end. What is
// still to do stands in the registry, so a crash at any point loses nothing and the next `run_once`
// goes on.
//
// Thread safety: all members from every thread; all block. One tenant is moved by one caller at a
// time.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "base/result.h"
#include "storage/store_manager.h"
#include "storage/work_recorder.h"
#include "tenancy/directory.h"

namespace bulkhead::storage {

class Upkeep {
 public:
  Upkeep(StoreManager& stores, tenancy::TenantDirectory& tenants);
  ~Upkeep();

  base::Result<tenancy::KeyStatus> rotate(const base::TenantId& tenant, const tenancy::RotationOrder& order);
  // Takes up whatever is to be done, for all tenants, until nothing is left, a step fails or
  // `stopping` says so. Gives the rotations that ended.
  std::vector<tenancy::KeyStatus> run_once(const std::function<bool()>& stopping);
  // The same for one tenant, now: waits for whoever is at it, and ends with nothing left to do.
  base::Result<void> complete(const base::TenantId& tenant);
  // Called with each rotation that ended.
  void on_rotated(std::function<void(const base::TenantId&, const tenancy::KeyStatus&)> listener);

  // Asked before a rotation goes on. Call before use; `recorder` outlives this.
  void record_with(WorkRecorder* recorder);

  // The tenant's store and a scope of the platform's for it.
  struct Opened {
    tenancy::TenantScope scope;
    std::shared_ptr<TenantStore> store;
  };
  base::Result<Opened> open(const base::TenantId& tenant);
  // Only the scope.
  base::Result<tenancy::TenantScope> scope(const base::TenantId& tenant);

  // Keeps a tenant's keys as they are while its store is copied: a rotation is refused (TenancyError::Busy)
  // as long as the hold lives. Busy itself while a rotation is under way, or another hold lives.
  class Hold {
   public:
    Hold(Hold&& other) noexcept : upkeep_(std::exchange(other.upkeep_, nullptr)), tenant_(other.tenant_) {}
    Hold& operator=(Hold&&) = delete;
    ~Hold();

   private:
    friend class Upkeep;
    Hold(Upkeep* upkeep, base::TenantId tenant) : upkeep_(upkeep), tenant_(std::move(tenant)) {}
    Upkeep* upkeep_;
    base::TenantId tenant_;
  };
  base::Result<Hold> hold(const base::TenantId& tenant);
  // The same for longer than one piece of work: from the beginning of a move to its switch, whatever comes in
  // between. Holds may be had meanwhile.
  base::Result<void> pin(const base::TenantId& tenant);
  void unpin(const base::TenantId& tenant);

 private:
  base::Result<std::optional<tenancy::KeyStatus>> settle(const base::TenantId& tenant,
                                                         const std::function<bool()>& stopping);
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bulkhead::storage
