// Archives that build upon each other (storage/archive.h): a whole one, then its increments.
//
// Errors: StorageError::BackupRefused for all that is wrong with an archive, its key or the set. Thread
// safety: one thread at a time. All block.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "storage/archive.h"

namespace bulkhead::storage {

inline constexpr std::string_view kArchiveExtension = ".bhk";
// Of the archives in a folder (their names end in kArchiveExtension), the one made last that none builds
// upon, and what it builds upon, the whole one first; empty when there is none. Refused when one between them
// is missing or one is no archive. Only the headers are read: nothing of them is proven.
base::Result<std::vector<std::filesystem::path>> newest_chain(const std::filesystem::path& folder);

// The archives of one backup, the whole one first and each increment after what it builds upon. `newest()` is
// the state that they describe. Refused: one that is missing or foreign, of another tenant, or that names a
// subject which none of them holds.
class ArchiveChain {
 public:
  static base::Result<ArchiveChain> open(const std::vector<std::filesystem::path>& files,
                                         const base::Secret& backup_key);
  ArchiveReader& newest() { return *archives_.back(); }
  std::size_t size() const { return archives_.size(); }
  base::Result<Subject> read(const SubjectEntry& entry);

 private:
  std::vector<std::unique_ptr<ArchiveReader>> archives_;
  std::map<std::pair<std::string, crypto::Digest>, std::pair<ArchiveReader*, const ArchiveReader::Place*>>
      places_;
};

}  // namespace bulkhead::storage
