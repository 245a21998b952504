// Tombstones: what a tenant took back, kept where no restore of a backup reaches, in the platform database.
//
//   erased    a document, chat or API key with a certificate: no restore brings it back
//   revoked   an API key: a restore brings it back revoked
//   narrowed  a file whose access list was made to let fewer in: a list from before is not applied again
//
// Each entry has a stamp, a random name of that change. An archive holds the tenant's entries of its time; an
// entry of this deployment's whose stamp the archive lacks was made after it, or elsewhere. No clock is
// asked. Another deployment takes an archive's entries over, so an older archive can't undo there what a
// newer one knew.
//
// An entry is written before the change that it tells of, and for an access list again after it: a copy that
// was made in between holds an older stamp. Bounded: beyond `kEntriesMax` of one kind, one entry for all
// ("*") replaces them, erased ones apart, of which each has a certificate that is kept anyway.
//
// Thread safety: all members from every thread; all block. Errors: those of the platform database and of the
// store.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>

#include "storage/store_manager.h"

namespace bulkhead::storage {

class Tombstones {
 public:
  static constexpr std::size_t kEntriesMax = 100'000;  // of one tenant and kind

  explicit Tombstones(PlatformDatabase& platform, std::size_t entries_max = kEntriesMax)
      : platform_(platform), entries_max_(entries_max) {}

  // The one way to revoke an API key, and to change a file's access list.
  base::Result<void> revoke_api_key(TenantStore& store, const tenancy::TenantScope& scope,
                                    const base::ApiKeyId& id);
  base::Result<void> set_file_access(TenantStore& store, const tenancy::TenantScope& scope,
                                     const base::FileId& id, const access::DocumentAccess& access);
  // Before the first of them is erased. `subjects` as subject_name has them.
  base::Result<void> note_erased(const base::TenantId& tenant, const std::set<std::string>& subjects);
  base::Result<void> note_revoked(const base::TenantId& tenant, const base::ApiKeyId& id);
  base::Result<void> note_narrowed(const base::TenantId& tenant, const base::FileId& id);
  base::Result<bool> is_revoked(const base::TenantId& tenant, const base::ApiKeyId& id);

  struct Known {
    std::set<std::string> erased, revoked;        // subjects
    std::map<std::string, std::string> narrowed;  // subject to stamp
    bool revokes(const std::string& subject) const;
    // Whether the file's list was narrowed after `archive` was made, or by a history that it doesn't know.
    bool narrowed_since(const Known& archive, const std::string& subject) const;
    void merge(const Known& other);  // what stands here stays
  };
  // With what certificates of erasure tell.
  base::Result<Known> known(const base::TenantId& tenant);
  base::Result<void> adopt(const base::TenantId& tenant, const Known& known);

  // JSON, for an archive. Parsing is total: Corrupt for anything else.
  static std::string to_json(const Known& known);
  static base::Result<Known> from_json(std::string_view text);

 private:
  base::Result<void> add(const base::TenantId& tenant, std::string_view kind, const std::string& name);

  PlatformDatabase& platform_;
  std::size_t entries_max_;
};

}  // namespace bulkhead::storage
