// Transfer: reading a tenant's store subject by subject, and writing subjects into another store of any
// backend. What backups (storage/backup.h) and moves (storage/mover.h) are made of.
//
// One subject is in memory at a time. Each function is several calls of the store, so others may write in
// between: a copy is consistent once nobody does (StoreManager::Watch).
//
// Errors: StorageError of the stores. Thread safety: plain functions; all block.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "storage/subject.h"

namespace bulkhead::storage {

// The names of all subjects: files, vector stores, chats, API keys, each oldest first. Chats that have
// expired are not there.
base::Result<std::vector<std::string>> list_subjects(TenantStore& store, const tenancy::TenantScope& scope);
base::Result<std::vector<std::string>> list_subjects(TenantStore& store, const tenancy::TenantScope& scope,
                                                     SubjectKind kind);

// Nothing: there is no such subject (any more).
base::Result<std::optional<Subject>> read_subject(TenantStore& store, const tenancy::TenantScope& scope,
                                                  const std::string& name);

// Makes the subject in this store, or brings the one that is there up to date. Attachments of files that
// the store does not hold are left out.
base::Result<void> write_subject(TenantStore& store, const tenancy::TenantScope& scope,
                                 const Subject& subject);
// Fine when it isn't there.
base::Result<void> remove_subject(TenantStore& store, const tenancy::TenantScope& scope,
                                  const std::string& name);

}  // namespace bulkhead::storage
