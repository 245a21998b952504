#include "storage/tombstones.h"

#include <algorithm>

#include "base/json.h"
#include "crypto/random.h"
#include "storage/record_json.h"
#include "storage/seal.h"
#include "storage/store_common.h"

namespace bulkhead::storage {
namespace {

namespace json = base::json;
using base::Result;

constexpr std::string_view kErased = "erased";
constexpr std::string_view kRevoked = "revoked";
constexpr std::string_view kNarrowed = "narrowed";
constexpr std::string_view kAll = "*";

// Certificates of erasures that were made before there were tombstones.
Result<void> add_certified(PlatformDatabase& platform, const base::TenantId& tenant,
                           std::set<std::string>& names) {
  BULKHEAD_TRY(certificates, platform.erasure_certificates(tenant));
  for (const std::string& certificate : certificates) {
    auto document = json::Document::parse(certificate);
    if (!document) return damaged("a certificate of erasure");
    const json::Value root = document->root();
    for (std::size_t i = 0; i < root["records"].size(); ++i) {
      names.insert(std::string(root["records"].at(i)["id"].as_string().value_or("")));
    }
    for (std::size_t i = 0; i < root["api_keys"].size(); ++i) {
      names.insert("api_key/" + std::string(root["api_keys"].at(i).as_string().value_or("")));
    }
  }
  return {};
}

std::vector<PlatformDatabase::Tombstone> entries_of(const Tombstones::Known& known) {
  std::vector<PlatformDatabase::Tombstone> all;
  for (const std::string& name : known.erased) all.push_back({std::string(kErased), name, ""});
  for (const std::string& name : known.revoked) all.push_back({std::string(kRevoked), name, ""});
  for (const auto& [name, stamp] : known.narrowed) all.push_back({std::string(kNarrowed), name, stamp});
  return all;
}

bool sort_in(Tombstones::Known& known, std::string_view kind, std::string name, std::string stamp) {
  if (kind == kErased) {
    known.erased.insert(std::move(name));
  } else if (kind == kRevoked) {
    known.revoked.insert(std::move(name));
  } else if (kind == kNarrowed) {
    known.narrowed.insert_or_assign(std::move(name), std::move(stamp));
  } else {
    return false;
  }
  return true;
}

}  // namespace

bool Tombstones::Known::revokes(const std::string& subject) const {
  return revoked.contains(subject) || revoked.contains(std::string(kAll));
}

bool Tombstones::Known::narrowed_since(const Known& archive, const std::string& subject) const {
  const auto differs = [&](const std::string& name) {
    const auto here = narrowed.find(name);
    if (here == narrowed.end()) return false;
    const auto there = archive.narrowed.find(name);
    return there == archive.narrowed.end() || there->second != here->second;
  };
  return differs(subject) || differs(std::string(kAll));
}

void Tombstones::Known::merge(const Known& other) {
  erased.insert(other.erased.begin(), other.erased.end());
  revoked.insert(other.revoked.begin(), other.revoked.end());
  narrowed.insert(other.narrowed.begin(), other.narrowed.end());
}

Result<void> Tombstones::add(const base::TenantId& tenant, std::string_view kind, const std::string& name) {
  const PlatformDatabase::Tombstone entry{std::string(kind), name, crypto::random_id()};
  BULKHEAD_CHECK_OK(platform_.put_tombstone(tenant, entry));
  BULKHEAD_TRY(count, platform_.count_tombstones(tenant, kind));
  if (count <= entries_max_ || kind == kErased) return {};
  return platform_.replace_tombstones(tenant, {entry.kind, std::string(kAll), entry.stamp});
}

Result<void> Tombstones::note_erased(const base::TenantId& tenant, const std::set<std::string>& subjects) {
  Known known;
  known.erased = subjects;
  return adopt(tenant, known);
}

Result<void> Tombstones::note_revoked(const base::TenantId& tenant, const base::ApiKeyId& id) {
  return add(tenant, kRevoked, subject_of(id));
}

Result<void> Tombstones::note_narrowed(const base::TenantId& tenant, const base::FileId& id) {
  return add(tenant, kNarrowed, subject_of(id));
}

Result<bool> Tombstones::is_revoked(const base::TenantId& tenant, const base::ApiKeyId& id) {
  return platform_.has_tombstone(tenant, kRevoked, subject_of(id));
}

Result<void> Tombstones::revoke_api_key(TenantStore& store, const tenancy::TenantScope& scope,
                                        const base::ApiKeyId& id) {
  BULKHEAD_TRY(keys, store.list_api_keys(scope));
  const bool there = std::any_of(keys.begin(), keys.end(), [&](const auto& key) { return key.id == id; });
  if (!there) return not_found("API key");
  BULKHEAD_CHECK_OK(note_revoked(scope.tenant(), id));
  return store.revoke_api_key(scope, id);
}

Result<void> Tombstones::set_file_access(TenantStore& store, const tenancy::TenantScope& scope,
                                         const base::FileId& id, const access::DocumentAccess& access) {
  BULKHEAD_TRY(file, store.get_file(scope, id));
  if (access::includes(access, file.access)) return store.set_file_access(scope, id, access);
  BULKHEAD_CHECK_OK(note_narrowed(scope.tenant(), id));
  BULKHEAD_CHECK_OK(store.set_file_access(scope, id, access));
  return note_narrowed(scope.tenant(), id);
}

Result<Tombstones::Known> Tombstones::known(const base::TenantId& tenant) {
  Known known;
  BULKHEAD_TRY(entries, platform_.tombstones(tenant));
  for (PlatformDatabase::Tombstone& each : entries) {
    if (!sort_in(known, each.kind, std::move(each.name), std::move(each.stamp)))
      return damaged("a tombstone");
  }
  BULKHEAD_CHECK_OK(add_certified(platform_, tenant, known.erased));
  return known;
}

Result<void> Tombstones::adopt(const base::TenantId& tenant, const Known& known) {
  return platform_.adopt_tombstones(tenant, entries_of(known));
}

std::string Tombstones::to_json(const Known& known) {
  json::Writer w;
  w.begin_array();
  for (const PlatformDatabase::Tombstone& each : entries_of(known)) {
    w.begin_array().value(each.kind).value(each.name).value(each.stamp).end_array();
  }
  w.end_array();
  return w.take();
}

Result<Tombstones::Known> Tombstones::from_json(std::string_view text) {
  auto document = json::Document::parse(text);
  if (!document || !document->root().is_array()) return damaged("a list of tombstones");
  const json::Value root = document->root();
  Known known;
  for (std::size_t i = 0; i < root.size(); ++i) {
    const json::Value each = root.at(i);
    const auto kind = each.at(0).as_string();
    const auto name = each.at(1).as_string();
    const auto stamp = each.at(2).as_string();
    if (each.size() != 3 || !kind || !name || !stamp) return damaged("a list of tombstones");
    if (!sort_in(known, *kind, std::string(*name), std::string(*stamp)))
      return damaged("a list of tombstones");
  }
  return known;
}

}  // namespace bulkhead::storage
