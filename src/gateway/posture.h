// Posture: for each tenant, which wall stands at each layer, how that was checked just now, and what it
// costs. Every check tries something (opens a file with a foreign key, presents a forged credential, asks
// the kernel about a process); what can't be tried from inside is said to be stated, not shown.
//
// No check opens a tenant's scope or reads content (invariant I10).
// Thread safety: values, and functions over what they are given. Those that block are named so.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "engine/process_probe.h"
#include "gateway/services.h"
#include "storage/store_probe.h"

namespace bulkhead::gateway {

enum class Verdict {
  Stands,  // tried just now
  Shared,  // shared with others, as the tenant's mode and policy have it; `wall` says what separates there
  Idle,    // nothing is there that a wall would have to stand around
  Stated,  // by configuration; can't be tried from here
  Broken,
};
std::string_view verdict_name(Verdict verdict);

struct Wall {
  std::string layer;  // "identity", "access", "engine", "prefixes", "batching", "store", "records", "keys",
                      // "vectors", "retention", "audit", "limits", "files"
  Verdict verdict = Verdict::Broken;
  std::string wall;    // what separates
  std::string check;   // what was tried just now, and what came of it
  std::string remedy;  // what to do; for broken walls only
};
using Walls = std::vector<Wall>;

// Its own only; what is shared is in the platform's cost.
struct Cost {
  std::uint64_t processes = 0, resident_bytes = 0, storage_bytes = 0, index_bytes = 0;
};

struct TenantPosture {
  tenancy::Tenant tenant;
  std::string place;
  Walls walls;
  Cost cost;
};

struct Posture {
  std::string time;  // RFC 3339
  Walls platform;
  Cost cost;  // of the gateway and the shared workers
  std::vector<TenantPosture> tenants;
  std::size_t broken() const;
  std::string to_json() const;
};

// posture_walls.cc: pure, or blocking for /proc and files only.
Wall access_wall(const access::RoleTable& roles, const identity::Principal& operator_);
Wall process_wall(const engine::WorkerStatus& worker, const engine::ProcessFacts& facts);
Wall engine_wall(const Services& services, const tenancy::Tenant& tenant,
                 const std::vector<engine::WorkerStatus>& workers, Cost& cost);  // blocks
Wall batching_wall(const tenancy::Tenant& tenant, const std::vector<engine::WorkerStatus>& workers);
Wall limits_wall(const base::Clock& clock, const tenancy::Tenant& tenant);
Wall keys_wall(const base::Result<tenancy::KeyProof>& proof, const tenancy::KeyStatus& status);
Wall audit_wall(const Services& services);  // blocks
Wall files_wall(const Config& config);      // blocks
Walls store_walls(const Services& services, const tenancy::Tenant& tenant, const base::TenantId& other,
                  TenantPosture& out);  // blocks
Wall burn_wall(const Config& config);

}  // namespace bulkhead::gateway
