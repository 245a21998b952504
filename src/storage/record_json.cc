#include "storage/record_json.h"

#include "base/json.h"
#include "storage/store.h"

namespace bulkhead::storage {
namespace {

void write_strings(base::json::Writer& writer, const std::vector<std::string>& strings) {
  writer.begin_array();
  for (const std::string& text : strings) writer.value(text);
  writer.end_array();
}

base::Result<std::vector<std::string>> read_strings(const base::json::Value& array) {
  if (!array.is_array()) return damaged("a list");
  std::vector<std::string> strings;
  strings.reserve(array.size());
  for (std::size_t i = 0; i < array.size(); ++i) {
    const auto text = array.at(i).as_string();
    if (!text) return damaged("a list");
    strings.emplace_back(*text);
  }
  return strings;
}

}  // namespace

base::Error damaged(std::string_view what) {
  return base::Error(StorageError::Corrupt,
                     "The store is damaged and was not used. Ask your operator to restore it from a "
                     "backup.",
                     "stored form of " + std::string(what) + " is not well-formed");
}

std::string strings_to_json(const std::vector<std::string>& strings) {
  base::json::Writer writer;
  write_strings(writer, strings);
  return writer.take();
}

base::Result<std::vector<std::string>> strings_from_json(std::string_view text) {
  auto document = base::json::Document::parse(text);
  if (!document) return damaged("a list");
  return read_strings(document->root());
}

std::string access_to_json(const access::DocumentAccess& access) {
  base::json::Writer writer;
  writer.begin_object().member("shared", access.shared_with_tenant);
  writer.key("users");
  write_strings(writer, access.users);
  writer.key("groups");
  write_strings(writer, access.groups);
  writer.key("roles");
  write_strings(writer, access.roles);
  writer.end_object();
  return writer.take();
}

base::Result<access::DocumentAccess> access_from_json(std::string_view text) {
  auto document = base::json::Document::parse(text);
  if (!document) return damaged("an access list");
  const base::json::Value root = document->root();
  const auto shared = root["shared"].as_bool();
  if (!shared) return damaged("an access list");
  access::DocumentAccess access;
  access.shared_with_tenant = *shared;
  BULKHEAD_TRY(users, read_strings(root["users"]));
  BULKHEAD_TRY(groups, read_strings(root["groups"]));
  BULKHEAD_TRY(roles, read_strings(root["roles"]));
  access.users = std::move(users);
  access.groups = std::move(groups);
  access.roles = std::move(roles);
  return access;
}

}  // namespace bulkhead::storage
