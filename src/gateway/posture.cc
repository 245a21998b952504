#include "gateway/posture.h"

#include <algorithm>

namespace bulkhead::gateway {

namespace {

void write_walls(base::json::Writer& w, const Walls& walls) {
  w.key("walls").begin_array();
  for (const Wall& wall : walls) {
    w.begin_object().member("layer", wall.layer).member("verdict", verdict_name(wall.verdict));
    w.member("wall", wall.wall).member("check", wall.check);
    if (wall.verdict == Verdict::Broken) w.member("remedy", wall.remedy);
    w.end_object();
  }
  w.end_array();
}

void write_cost(base::json::Writer& w, const Cost& cost) {
  w.key("cost").begin_object();
  w.member("processes", cost.processes).member("resident_bytes", cost.resident_bytes);
  w.member("storage_bytes", cost.storage_bytes).member("index_bytes", cost.index_bytes).end_object();
}

std::size_t broken_in(const Walls& walls) {
  return static_cast<std::size_t>(std::count_if(
      walls.begin(), walls.end(), [](const Wall& wall) { return wall.verdict == Verdict::Broken; }));
}

}  // namespace

std::string_view verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::Stands: return "stands";
    case Verdict::Shared: return "shared";
    case Verdict::Idle: return "idle";
    case Verdict::Stated: return "stated";
    case Verdict::Broken: return "broken";
  }
  return "broken";
}

std::size_t Posture::broken() const {
  std::size_t count = broken_in(platform);
  for (const TenantPosture& tenant : tenants) count += broken_in(tenant.walls);
  return count;
}

std::string Posture::to_json() const {
  base::json::Writer w;
  w.begin_object().member("object", "bulkhead.posture").member("checked_at", time);
  w.member("broken", static_cast<std::uint64_t>(broken()));
  w.key("platform").begin_object();
  write_walls(w, platform);
  write_cost(w, cost);
  w.end_object();
  w.key("tenants").begin_array();
  for (const TenantPosture& each : tenants) {
    w.begin_object().member("id", each.tenant.id.str()).member("display_name", each.tenant.display_name);
    w.member("mode", tenancy::mode_name(each.tenant.mode));
    w.member("state", tenancy::state_name(each.tenant.state)).member("store", each.place);
    write_walls(w, each.walls);
    write_cost(w, each.cost);
    w.end_object();
  }
  w.end_array().end_object();
  return w.take();
}

}  // namespace bulkhead::gateway
