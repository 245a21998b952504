// Who may do what with one file: the one place where handlers ask.
#pragma once

#include "access/decision.h"
#include "base/json.h"
#include "base/result.h"
#include "gateway/call.h"
#include "storage/store.h"

namespace bulkhead::gateway {

bool may_read(const Call& call, const storage::FileRecord& file);
// Owners manage their own files, holders of files.manage everyone's.
bool may_manage(const Call& call, const storage::FileRecord& file);
bool has_permission(const Call& call, access::Permission permission);

// The file, when the caller may read it; otherwise the same answer as for a missing one.
base::Result<storage::FileRecord> readable_file(const Call& call, storage::TenantStore& store,
                                                const base::FileId& id);

// {"shared": true} or {"users": […], "groups": […], "roles": […]}, with the users' names as they are written.
base::Result<access::DocumentAccess> read_access(const base::json::Value& object, const std::string& path);
void write_access(base::json::Writer& w, const access::DocumentAccess& access);

// The same with users by their ids: `named_user` and `shown_user` (user_dto.h) stand between.
base::Result<access::DocumentAccess> parse_access(const Call& call, const base::json::Value& object,
                                                  std::string path);
void write_access(const Call& call, base::json::Writer& w, access::DocumentAccess access);

// The member "extraction" of a file that was indexed: what was read of it and left out
// (rag/extraction_report.h). Nothing for files that were indexed before there were reports.
void write_extraction(base::json::Writer& w, const storage::FileRecord& file);

}  // namespace bulkhead::gateway
