// What was seen of a tenant's walls in its store just now: by trying to pass them, not by reading the
// configuration. No content is read: the probes count rows, open a file with the wrong key, ask the
// catalogue.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/secret.h"

namespace bulkhead::storage {

struct WallSeen {
  std::string layer;  // "store", "records", "vectors", "retention"
  bool stands = false;
  std::string wall;    // what separates
  std::string check;   // what was tried, and what came of it
  std::string remedy;  // what to do when it does not stand
};

struct StoreProbe {
  std::string place;  // "embedded: tenants/acme/store.db", "pg: database bulkhead_1f0c..."
  bool made = false;  // false: nothing is kept of this tenant yet
  std::vector<WallSeen> walls;
  std::uint64_t bytes = 0;  // on disk; with row-level security, the tenant's content as counted
};

// Chats that should have been removed by now are a finding only after the sweep had this long.
inline constexpr std::int64_t kSweepGraceSeconds = 300;

// The embedded backend's: opens the file with its own key, and then with a foreign one beside it; `whose`
// says in words whose key that is.
StoreProbe probe_embedded(const std::filesystem::path& file, const base::Secret& own_key,
                          const base::Secret& foreign_key, const std::string& whose, std::int64_t now);

// Nothing when `path` is as private as it must be: of this user or root, `mode` or less, no link.
// Otherwise what is wrong, with the command that cures it.
std::string privacy_flaw(const std::filesystem::path& path, unsigned mode);

}  // namespace bulkhead::storage
