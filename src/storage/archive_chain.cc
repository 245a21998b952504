#include "storage/archive_chain.h"

#include <algorithm>
#include <set>

namespace bulkhead::storage {

using base::Result;

namespace {

base::Error refused(std::string message, std::string detail) {
  return base::Error(StorageError::BackupRefused, std::move(message), std::move(detail));
}

struct Found {
  ArchiveHeader header;
  std::filesystem::path file;
};

// By their ids.
Result<std::map<std::string, Found>> archives_in(const std::filesystem::path& folder) {
  std::map<std::string, Found> archives;
  std::error_code failed;
  for (std::filesystem::directory_iterator each(folder, failed), end; !failed && each != end;
       each.increment(failed)) {
    if (each->path().extension() != kArchiveExtension) continue;
    const std::string name = each->path().filename().string();
    auto header = read_archive_header(each->path());
    if (!header) {
      return refused(
          "The file " + name + " in this folder is no usable backup. Take it away, or use another folder.",
          header.error().describe());
    }
    const std::string id = header->id;
    if (!archives.try_emplace(id, Found{std::move(*header), each->path()}).second) {
      return refused("The file " + name + " is a backup that is in this folder twice. Take one of them away.",
                     id);
    }
  }
  if (failed)
    return refused("There is no such folder with backups.", folder.string() + ": " + failed.message());
  return archives;
}

}  // namespace

Result<std::vector<std::filesystem::path>> newest_chain(const std::filesystem::path& folder) {
  BULKHEAD_TRY(archives, archives_in(folder));
  std::vector<std::filesystem::path> chain;
  if (archives.empty()) return chain;
  std::set<std::string> built_upon;
  for (const auto& [id, found] : archives) built_upon.insert(found.header.base);
  const ArchiveHeader* newest = nullptr;
  for (const auto& [id, found] : archives) {
    if (built_upon.contains(id)) continue;
    if (!newest || found.header.created > newest->created) newest = &found.header;
  }
  if (!newest) return damaged_archive("each of the folder's archives builds upon another");
  for (std::string id = newest->id; !id.empty();) {
    const auto found = archives.find(id);
    if (found == archives.end()) {
      return refused(
          "A backup that later ones of this folder build upon is missing. Put it back, or begin anew with a "
          "whole one.",
          "archive " + id);
    }
    chain.push_back(std::move(found->second.file));
    id = found->second.header.base;
    archives.erase(found);
  }
  std::reverse(chain.begin(), chain.end());
  return chain;
}

Result<ArchiveChain> ArchiveChain::open(const std::vector<std::filesystem::path>& files,
                                        const base::Secret& backup_key) {
  if (files.empty()) return base::Error(StorageError::BackupRefused, "Name at least one backup.");
  std::map<std::string, std::unique_ptr<ArchiveReader>> by_base;
  for (const auto& file : files) {
    BULKHEAD_TRY(reader, ArchiveReader::open(file, backup_key));
    BULKHEAD_CHECK_OK(reader->verify());
    std::string base = reader->header().base;
    if (!by_base.emplace(base, std::move(reader)).second) {
      return base::Error(StorageError::BackupRefused,
                         base.empty() ? "Two of these backups are whole ones. Name one, and the increments "
                                        "that build upon it."
                                      : "Two of these backups build upon the same one. Name one of them.",
                         "base " + base);
    }
  }
  ArchiveChain chain;
  std::string wanted;
  while (!by_base.empty()) {
    const auto next = by_base.find(wanted);
    if (next == by_base.end()) {
      return base::Error(StorageError::BackupRefused,
                         wanted.empty()
                             ? "The whole backup that these increments build upon is missing. Name "
                               "it as well."
                             : "A backup between these is missing. Name every one from the whole "
                               "backup on.",
                         "nothing builds upon " + (wanted.empty() ? std::string("nothing") : wanted));
    }
    wanted = next->second->header().id;
    chain.archives_.push_back(std::move(next->second));
    by_base.erase(next);
  }
  const std::string& tenant = chain.newest().manifest().tenant;
  for (const auto& archive : chain.archives_) {
    if (archive->manifest().tenant != tenant) {
      return base::Error(StorageError::BackupRefused, "These backups are of different tenants.",
                         archive->header().id);
    }
    for (const auto& place : archive->subjects()) {
      chain.places_.insert_or_assign({place.name, place.digest}, std::pair(archive.get(), &place));
    }
  }
  for (const SubjectEntry& entry : chain.newest().manifest().entries) {
    if (!chain.places_.contains({entry.name, entry.digest}))
      return damaged_archive("no archive holds " + entry.name);
  }
  return chain;
}

Result<Subject> ArchiveChain::read(const SubjectEntry& entry) {
  const auto found = places_.find({entry.name, entry.digest});
  if (found == places_.end()) return damaged_archive("no archive holds " + entry.name);
  return found->second.first->read(*found->second.second);
}

}  // namespace bulkhead::storage
