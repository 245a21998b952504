// Mover: takes a tenant to another isolation mode, and its data to another store, while the tenant works
// (docs/storage.md).
//
//   copying   every subject is written into the new place and read back there, its digest compared; what is
//             written meanwhile follows. Then, at an instant at which nobody uses the store
//             (storage/copier.h), the last differences follow and the registry is switched, in one durable
//             step. Requests wait for that instant and do not fail.
//   erasing   the tenant key, the record-seal key and the database key, which open what lies in the old
//             place, are replaced and destroyed; the old place is removed; the certificate is signed.
//
// A tenant answers from exactly one place, the one that the registry names. What is under way stands in the
// platform database: after a crash at any point `run_once` goes on, from the copy that is there before the
// switch, with the erasing after it. A mode that the tenant's present store gives as well is switched
// without a copy.
//
// Errors: TenancyError::Busy (another move, a rotation or an erasure is under way), BadPolicy (it is there
// already), those of stores. Thread safety: all members from every thread; all block except `status`. One
// move is carried out at a time.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "crypto/signature.h"
#include "storage/copier.h"

namespace bulkhead::storage {

struct MovePlace {
  tenancy::IsolationMode mode = tenancy::IsolationMode::Hybrid;
  std::string store;  // "": the embedded one
  tenancy::EngineMode engine = tenancy::EngineMode::Shared;
};

struct MoveStatus {
  std::string phase;  // "copying" or "erasing"
  MovePlace from, to;
  std::uint64_t records = 0;  // that were looked at in the old place
  std::uint64_t copied = 0;   // of them written into the new one
  std::string delayed;        // why it stands still just now: an error's code; "" when it does not
};

class Mover {
 public:
  Mover(PlatformDatabase& platform, tenancy::TenantDirectory& tenants, StoreManager& stores, Upkeep& upkeep,
        const crypto::SigningKey& signer, const base::Clock& clock);
  ~Mover();

  // At start, before any rotation or erasure can begin: takes up what is pending.
  base::Result<void> load();
  // Makes the move durable; `run_once` carries it out. The caller has seen that the deployment can give the
  // mode there.
  base::Result<MoveStatus> begin(const base::TenantId& tenant, const MovePlace& to);
  // Before the switch: gives the move up and removes what was copied. Busy after it.
  base::Result<void> cancel(const base::TenantId& tenant);
  // Carries on with all that is pending. Logs what it can't finish now; the next call tries again.
  void run_once(const std::function<bool()>& stopping);

  std::optional<MoveStatus> status(const base::TenantId& tenant) const;  // nothing: not being moved
  std::size_t running() const;
  base::Result<std::vector<std::string>> certificates(const base::TenantId& tenant);
  // Asked before a move goes on. Call before use; `recorder` outlives this.
  void record_with(WorkRecorder* recorder);
  // At the switch, before anybody reaches the new place; and when all is done.
  void on_switched(std::function<void(const base::TenantId&)> listener);
  void on_moved(std::function<void(const base::TenantId&, const MoveStatus&)> listener);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bulkhead::storage
