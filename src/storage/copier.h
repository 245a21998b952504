// Copier: one pass after the other over a tenant's store while it is in use, until an instant is reached at
// which what was read is the whole store as it stands. Backups and moves differ in what they do with each
// subject, and in what they do at the instant.
//
// First every subject is read, then those that were written meanwhile, again and again, until few are left;
// then the store is frozen (StoreManager::Watch) for as long as reading those few takes. Requests wait for
// that long and do not fail. When somebody holds a handle for too long, or too much is written, the freeze
// is given up and tried again. A tenant that writes faster than it is copied is slowed down: its requests
// wait for a growing part of the time while the copy catches up.
//
// Thread safety: one thread. All members block.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "storage/store_manager.h"
#include "storage/transfer.h"
#include "storage/upkeep.h"

namespace bulkhead::storage {

class Copier {
 public:
  // Called with each subject, again when it changed; nothing when it is gone. Gives its digest.
  using Take = std::function<base::Result<crypto::Digest>(const std::string& name,
                                                          const std::optional<Subject>& subject)>;
  // Called at the instant, with the digests of all subjects in their order. The store stays frozen
  // meanwhile.
  using AtInstant = std::function<base::Result<void>(std::vector<SubjectEntry> all)>;

  // Keys are not rotated while it lives. Busy: the tenant's store or keys are in other work.
  static base::Result<Copier> begin(Upkeep& upkeep, StoreManager& stores, const base::TenantId& tenant);

  // Busy: stopped, or the tenant writes too much for an instant to be had.
  base::Result<void> run(const Take& take, const std::function<bool()>& stopping,
                         const AtInstant& at_instant);
  const tenancy::TenantScope& scope() const { return scope_; }
  std::chrono::milliseconds frozen_for() const { return frozen_for_; }
  StoreManager::Watch& watch() { return *watch_; }

 private:
  Copier(Upkeep::Hold hold, tenancy::TenantScope scope, std::unique_ptr<StoreManager::Watch> watch)
      : hold_(std::move(hold)), scope_(std::move(scope)), watch_(std::move(watch)) {}
  base::Result<void> take_one(const Take& take, const std::string& name);
  base::Result<void> take_written(const Take& take, const std::function<bool()>& stopping, int brake = 0);
  std::vector<SubjectEntry> in_order() const;

  Upkeep::Hold hold_;
  tenancy::TenantScope scope_;
  std::unique_ptr<StoreManager::Watch> watch_;
  struct Taken {
    crypto::Digest digest;
    std::uint64_t number;  // in the order in which they were met
  };
  std::unordered_map<std::string, Taken> taken_;
  std::uint64_t met_ = 0;
  std::unordered_map<std::string, std::set<std::string>>
      holders_;  // of a file: the vector stores seen with it
  std::chrono::milliseconds frozen_for_{0};
};

}  // namespace bulkhead::storage
