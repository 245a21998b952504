#include "storage/store.h"

namespace bulkhead::storage {

base::ErrorName error_name(StorageError code) {
  switch (code) {
    case StorageError::NotFound: return {"storage", "not_found"};
    case StorageError::AlreadyExists: return {"storage", "already_exists"};
    case StorageError::ScopeMismatch: return {"storage", "scope_mismatch"};
    case StorageError::TenantGone: return {"storage", "tenant_gone"};
    case StorageError::Full: return {"storage", "full"};
    case StorageError::Corrupt: return {"storage", "corrupt"};
    case StorageError::WrongKey: return {"storage", "wrong_key"};
    case StorageError::Busy: return {"storage", "busy"};
    case StorageError::Io: return {"storage", "io"};
    case StorageError::SealBroken: return {"storage", "seal_broken"};
    case StorageError::TooLarge: return {"storage", "too_large"};
    case StorageError::QuotaExceeded: return {"storage", "quota_exceeded"};
    case StorageError::BackupRefused: return {"storage", "backup_refused"};
    case StorageError::Unavailable: return {"storage", "unavailable"};
    case StorageError::Misconfigured: return {"storage", "misconfigured"};
    case StorageError::Cancelled: return {"storage", "cancelled"};
    case StorageError::Reindexing: return {"storage", "reindexing"};
  }
  return {"storage", "unknown"};
}

std::string_view file_status_name(FileStatus status) {
  switch (status) {
    case FileStatus::Uploaded: return "uploaded";
    case FileStatus::Processing: return "processing";
    case FileStatus::Processed: return "processed";
    case FileStatus::Failed: return "failed";
  }
  return "failed";
}

}  // namespace bulkhead::storage
