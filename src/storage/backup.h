// Backups: one tenant's data in encrypted archives (storage/archive.h), and back again, into this deployment
// or another (docs/backup.md).
//
// Making one reads the tenant's store while it is in use and ends at one instant (storage/copier.h). A backup
// that builds upon an earlier one holds only what changed since. Restoring verifies every archive from its
// first byte to its last before it writes anything, then makes a new tenant and fills it; that tenant
// answers nobody before all is there and was read back. A restore that a crash cut short is taken back at
// the next start. A tenant that is there can be taken back to a backup's state in place, once it is
// suspended; cut short, it stays `restoring`, and the restore must be repeated.
//
// What travels beside the store's subjects: name for people, mode, policy, state, and the two purpose keys
// under which something is kept that can't be made anew: api-key-hash (stored hashes of API keys) and
// audit-hash (hashes of originals). All other keys are fresh after a restore.
//
// Who may read: whoever has an archive and its backup key has the tenant's content. The key is read from a
// file of the configuration's when a backup is made, never from a request: so the operator's credential
// alone gives nobody any content (invariant I10).
//
// What was revoked, erased and narrowed stays so, whatever the archive holds (storage/tombstones.h): no order
// and no key overrides it.
//
// Errors: StorageError::BackupRefused (the archive, its key, or what was asked for), Misconfigured, those of
// stores and tenancy. Thread safety: all members from every thread, one piece of work at a time (Busy); all
// block.
#pragma once

#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "storage/archive_chain.h"
#include "storage/copier.h"
#include "storage/legacy_users.h"
#include "storage/tombstones.h"

namespace bulkhead::storage {

struct BackupOptions {
  std::filesystem::path dir;       // archives lie in it and nowhere else; empty: no backups here
  std::filesystem::path key_file;  // 64 hex digits, mode 0600
};

// A name in `dir` is a file's, a folder's with '/' behind it, or a file's in such a folder (folder/file).
struct BackupOrder {
  std::string file;  // the new archive; or a folder, where it builds upon the newest one, if there is one
  std::optional<std::string> since;  // the archive to build upon
  bool whole = false;                // in a folder: begin anew
};

struct BackupReport {
  std::string archive, base, file;
  std::string taken;         // the instant
  std::size_t subjects = 0;  // in the store
  std::size_t written = 0;   // of them in this archive
  std::uint64_t bytes = 0;   // of the file
  crypto::Digest manifest{};
  std::chrono::milliseconds frozen_for{0};
};

struct RestoreOrder {
  // A whole backup and its increments, in any order; or a folder, for its newest one.
  std::vector<std::string> files;
  std::optional<base::Secret> key;   // nothing: the configuration's
  std::optional<base::TenantId> as;  // under another name
  bool replace = false;              // a suspended tenant that is there goes back to the backup's state
  // Fits mode and policy to this deployment, or refuses them. Called with what the archive says.
  std::function<base::Result<tenancy::Tenant>(tenancy::Tenant)> fit;
};

struct RestoreReport {
  tenancy::Tenant tenant;
  std::string archive, taken;
  std::string source;  // the tenant's name in the archive
  std::size_t subjects = 0;
  std::size_t erased_since = 0;           // left out: erased after the backup
  std::size_t keys_revoked_since = 0;     // restored as revoked
  std::size_t access_narrowed_since = 0;  // files whose list of then lets more in than was allowed since
  // Until when revocations, erasures and narrowed lists were known: this moment where the tenant lived here,
  // else the time of the newest archive; "" when its list was too long to be carried.
  std::string known_until;
  std::size_t api_keys_left_out = 0;  // a key's text holds the tenant's name: of no use under another one
};

// Ids of API keys that came with a restored tenant, by tenant: their texts end in another deployment's tag
// (identity/api_key.h).
using AdoptedKeys = std::function<void(const base::TenantId&, std::vector<base::ApiKeyId>)>;

// What an archive says of its tenant.
struct TenantFacts {
  tenancy::Tenant tenant;
  bool says_users = false;                   // whether it says whose the users' earlier names are
  std::optional<std::string> legacy_issuer;  // nothing: nobody's
  // Of the time of the archive; `all_tombstones` unless there were too many, or it is of an older version.
  Tombstones::Known tombstones;
  bool all_tombstones = false;
  base::Secret api_key_hash, audit_hash;
};
base::Result<TenantFacts> read_tenant_facts(const base::Secret& record);

class Backups {
 public:
  Backups(BackupOptions options, PlatformDatabase& platform, tenancy::TenantDirectory& tenants,
          StoreManager& stores, Upkeep& upkeep, const base::Clock& clock);

  base::Result<BackupReport> make(const base::TenantId& tenant, const BackupOrder& order,
                                  const std::function<bool()>& stopping);
  base::Result<RestoreReport> restore(const RestoreOrder& order);

  // At start: takes back restores that a crash cut short, and removes archives that were never finished.
  base::Result<void> clean_up();
  // Called with the API keys of each restored tenant that has some: now for those of before, and from now on.
  base::Result<void> on_adopted(AdoptedKeys listener);
  // Before any restore: decides whose the earlier names of users in an older archive are. Without it
  // nobody's.
  void use_legacy_users(LegacyUsers& users) { legacy_users_ = &users; }
  void forget(const base::TenantId& tenant);  // it was destroyed

 private:
  struct Target {
    std::filesystem::path file;
    std::optional<std::filesystem::path> since;
  };
  base::Result<std::filesystem::path> path_of(std::string_view name) const;
  base::Result<Target> target_of(const BackupOrder& order) const;
  base::Result<std::vector<std::filesystem::path>> files_of(const RestoreOrder& order) const;
  base::Result<base::Secret> key() const;
  base::Result<void> fill(const RestoreOrder& order, ArchiveChain& chain, const TenantFacts& facts,
                          RestoreReport& report);
  base::Result<void> withhold(const Upkeep::Opened& opened, const Tombstones::Known& known,
                              const TenantFacts& facts, Subject& subject, RestoreReport& report);
  base::Result<void> withhold_access(const Upkeep::Opened& opened, const Tombstones::Known& known,
                                     const TenantFacts& facts, FileRecord& file, RestoreReport& report);
  base::Result<void> note_present_revocations(const Upkeep::Opened& opened);
  base::Result<void> take_over(const TenantFacts& facts, const RestoreReport& report);
  std::string known_until(const TenantFacts& facts);
  base::Result<void> replace(const RestoreOrder& order, ArchiveChain& chain, const TenantFacts& facts,
                             RestoreReport& report);
  base::Result<void> remove_others(const Upkeep::Opened& opened, const Manifest& manifest,
                                   const std::set<std::string>& erased);
  base::Result<void> adopt_users(const base::TenantId& tenant, const TenantFacts& facts);

  const BackupOptions options_;
  PlatformDatabase& platform_;
  tenancy::TenantDirectory& tenants_;
  StoreManager& stores_;
  Upkeep& upkeep_;
  const base::Clock& clock_;
  std::mutex one_;
  AdoptedKeys adopted_;
  LegacyUsers* legacy_users_ = nullptr;
  Tombstones tombstones_;
};

}  // namespace bulkhead::storage
