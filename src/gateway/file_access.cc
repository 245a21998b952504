#include "gateway/file_access.h"

#include "gateway/dto.h"
#include "gateway/user_dto.h"
#include "identity/name_claims.h"
#include "identity/user_id.h"

namespace bulkhead::gateway {

using base::Result;

namespace {
constexpr std::size_t kNamesMax = 256;
constexpr std::size_t kNameBytesMax = identity::kClaimNameBytesMax;
// All names of a list together: it is read at every search of its file.
constexpr std::size_t kAccessBytesMax = 64u << 10;

std::size_t bytes_of(const std::vector<std::string>& names) {
  std::size_t sum = 0;
  for (const std::string& name : names) sum += name.size();
  return sum;
}

void write_names(base::json::Writer& w, std::string_view key, const std::vector<std::string>& names) {
  w.key(key).begin_array();
  for (const std::string& name : names) w.value(name);
  w.end_array();
}
}  // namespace

bool has_permission(const Call& call, access::Permission permission) {
  return access::decide(call.services.roles, *call.principal, permission).allowed;
}

bool may_read(const Call& call, const storage::FileRecord& file) {
  return access::decide_document(call.services.roles, *call.principal, file.owner, file.access).allowed;
}

bool may_manage(const Call& call, const storage::FileRecord& file) {
  return call.principal->is_user(file.owner) || has_permission(call, access::Permission::FilesManage);
}

Result<storage::FileRecord> readable_file(const Call& call, storage::TenantStore& store,
                                          const base::FileId& id) {
  auto file = store.get_file(call.scope(), id);
  if (!file && !file.error().is(storage::StorageError::NotFound)) return file.take_error();
  if (!file || !may_read(call, *file)) return not_found("file");
  return file;
}

Result<access::DocumentAccess> read_access(const base::json::Value& object, const std::string& path) {
  if (!object.is_object()) {
    return api_error(ApiError::BadParameter, "'" + path + "' must be an object.", path);
  }
  ObjectReader reader(object, path);
  access::DocumentAccess access;
  access.shared_with_tenant = reader.flag("shared").value_or(false);
  access.users = reader.texts("users", kNamesMax, identity::kUserNameBytesMax);
  access.groups = reader.texts("groups", kNamesMax, kNameBytesMax);
  access.roles = reader.texts("roles", kNamesMax, kNameBytesMax);
  BULKHEAD_CHECK_OK(reader.finish());
  bool listed = !access.users.empty() || !access.groups.empty() || !access.roles.empty();
  if (access.shared_with_tenant && listed) {
    return api_error(ApiError::BadParameter,
                     "'" + path + "': say either \"shared\": true or name users, groups and roles.", path);
  }
  return access;
}

Result<access::DocumentAccess> parse_access(const Call& call, const base::json::Value& object,
                                            std::string path) {
  BULKHEAD_TRY(access, read_access(object, path));
  for (std::string& name : access.users) {
    BULKHEAD_TRY(user, named_user(call, name, path + ".users"));
    name = std::move(user);
  }
  if (bytes_of(access.users) + bytes_of(access.groups) + bytes_of(access.roles) > kAccessBytesMax) {
    return api_error(ApiError::BadParameter,
                     "'" + path + "': the names may have 65536 bytes together. Name groups instead of users.",
                     path);
  }
  return access;
}

void write_access(base::json::Writer& w, const access::DocumentAccess& access) {
  w.begin_object().member("shared", access.shared_with_tenant);
  write_names(w, "users", access.users);
  write_names(w, "groups", access.groups);
  write_names(w, "roles", access.roles);
  w.end_object();
}

void write_access(const Call& call, base::json::Writer& w, access::DocumentAccess access) {
  for (std::string& user : access.users) user = shown_user(call, user);
  write_access(w, access);
}

void write_extraction(base::json::Writer& w, const storage::FileRecord& file) {
  if (file.status == storage::FileStatus::Processed && !file.status_detail.empty()) {
    w.key("extraction").raw(file.status_detail);
  }
}

}  // namespace bulkhead::gateway
