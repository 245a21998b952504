// The single walls; posture_handlers.cc puts them together.
#include <algorithm>

#include "audit/chain.h"
#include "audit/verify.h"
#include "base/file.h"
#include "gateway/posture.h"

namespace bulkhead::gateway {

namespace {

using engine::ProcessFacts;
using engine::WorkerStatus;
using tenancy::EngineMode;
using tenancy::IsolationMode;

constexpr int kSeccompFilter = 2;
constexpr std::uint32_t kAdmissionsTried = 2'000;
constexpr std::size_t kHeadBytesMax = 64 << 10;

std::string joined(std::string list, const std::string& more) {
  return list.empty() || more.empty() ? list + more : list + "; " + more;
}

// What is wrong with a worker's cage; "" for nothing.
std::string flaws_of(const ProcessFacts& facts) {
  std::string flaws;
  if (facts.seccomp_mode != kSeccompFilter) flaws = joined(flaws, "no seccomp filter");
  if (!facts.no_new_privileges) flaws = joined(flaws, "it may gain privileges");
  if (facts.core_bytes_max != std::uint64_t{0}) flaws = joined(flaws, "it may write a core");
  if (facts.network_sockets > 0)
    flaws = joined(flaws, "it holds " + std::to_string(facts.network_sockets) + " network sockets");
  return flaws;
}

std::string told(const ProcessFacts& facts) {
  std::string text = "seccomp filter on, no new privileges, no core";
  if (facts.closed) return text + ", memory and descriptors closed even to the gateway's user";
  return text + ", " + std::to_string(facts.sockets) + " sockets, all Unix, none of a network";
}

}  // namespace

Wall access_wall(const access::RoleTable& roles, const identity::Principal& operator_) {
  Wall wall{.layer = "access", .wall = "deny by default; the operator's credential reads no content"};
  wall.remedy = "Run a build whose role table passes its tests; this one grants across the wall.";
  std::size_t refused = 0;
  std::string wrong;
  for (std::size_t i = 0; i < static_cast<std::size_t>(access::Permission::Count_); ++i) {
    const auto permission = static_cast<access::Permission>(i);
    const bool platform = access::is_platform_permission(permission);
    if (!platform) {
      if (access::decide(roles, operator_, permission).allowed)
        wrong = joined(wrong, "the operator may " + std::string(access::permission_name(permission)));
      else
        ++refused;
    }
    for (const std::string& role : roles.names()) {
      if (role == "operator" || !platform || !roles.find(role)->test(i)) continue;
      wrong = joined(wrong, "role " + role + " may " + std::string(access::permission_name(permission)));
    }
  }
  wall.verdict = wrong.empty() && refused > 0 ? Verdict::Stands : Verdict::Broken;
  wall.check = wrong.empty()
                   ? "asked as the operator of this request for all " + std::to_string(refused) +
                         " permissions on content: refused; no tenant's role holds one of the platform"
                   : wrong;
  return wall;
}

Wall process_wall(const WorkerStatus& worker, const ProcessFacts& facts) {
  Wall wall{.layer = "engine", .wall = "worker " + worker.name + " in a cage of its own"};
  wall.remedy = "Stop the gateway and start it with the bulkhead-engine of this build.";
  if (worker.pid == 0 || !facts.running) {
    wall.verdict = Verdict::Idle;
    wall.check = "not running just now";
    return wall;
  }
  const std::string flaws = flaws_of(facts);
  // A worker enters its cage once its model is loaded, before it answers anybody.
  wall.verdict = flaws.empty() ? Verdict::Stands : worker.ready ? Verdict::Broken : Verdict::Idle;
  wall.check = "process " + std::to_string(worker.pid) + ": " +
               (flaws.empty()  ? told(facts)
                : worker.ready ? flaws
                               : "loading its model, answers nobody yet");
  return wall;
}

Wall engine_wall(const Services& services, const tenancy::Tenant& tenant,
                 const std::vector<WorkerStatus>& workers, Cost& cost) {
  const bool own = tenant.policy.engine.engine == EngineMode::Dedicated;
  Wall wall{.layer = "engine"};
  wall.remedy = "Give the tenant a policy with \"engine\": {\"engine\": \"dedicated\"}.";
  if (tenant.mode == IsolationMode::Silo && !own) {
    wall.wall = "none: a silo at a shared worker";
    wall.check = "its policy says shared";
    return wall;
  }
  if (!own) {
    wall.verdict = Verdict::Shared;
    wall.wall = services.engine_pool && !services.config.engine.is_external()
                    ? "shared worker; each sequence has its own KV cells"
                    : "external server, shared";
    wall.check = "the shared workers are under platform";
    return wall;
  }
  wall.wall = "a worker process of its own";
  std::string running, flaws;
  for (const WorkerStatus& worker : workers) {
    if (worker.tenant != tenant.id.str() || worker.pid == 0) continue;
    const ProcessFacts facts = engine::probe_process(worker.pid);
    const Wall one = process_wall(worker, facts);
    if (one.verdict == Verdict::Broken) flaws = joined(flaws, one.check);
    running = joined(running, one.check);
    cost.processes += 1;
    cost.resident_bytes += facts.resident_bytes;
    const bool alone = std::none_of(workers.begin(), workers.end(), [&](const WorkerStatus& other) {
      return other.pid == worker.pid && other.tenant != worker.tenant;
    });
    if (!alone) flaws = joined(flaws, "process " + std::to_string(worker.pid) + " serves another tenant too");
  }
  wall.remedy = "Stop the gateway and start it with the bulkhead-engine of this build.";
  wall.verdict = !flaws.empty() ? Verdict::Broken : running.empty() ? Verdict::Idle : Verdict::Stands;
  wall.check = !flaws.empty()    ? flaws
               : running.empty() ? "idle: not running, so nothing of the tenant is in any engine"
                                 : running + "; it serves nobody else";
  return wall;
}

Wall batching_wall(const tenancy::Tenant& tenant, const std::vector<WorkerStatus>& workers) {
  Wall wall{.layer = "batching"};
  const bool running = std::any_of(workers.begin(), workers.end(), [&](const WorkerStatus& worker) {
    return worker.tenant == tenant.id.str() && worker.pid != 0;
  });
  if (tenant.policy.engine.engine == EngineMode::Dedicated) {
    wall.verdict = running ? Verdict::Stands : Verdict::Idle;
    wall.wall = "no other tenant in the process";
    wall.check = running ? "its worker bears its name alone" : "no worker runs";
  } else if (tenant.policy.engine.batching == tenancy::BatchingMode::Exclusive) {
    wall.verdict = Verdict::Stated;
    wall.wall = "decoding steps of its own";
    wall.check = "by policy; a batch can't be looked into from outside (the suite does)";
  } else {
    wall.verdict = Verdict::Shared;
    wall.wall = "decoding steps shared with others: no state passes, but speed tells that others are active";
    wall.check = "by policy; \"batching\": \"exclusive\" or \"engine\": \"dedicated\" would end it";
  }
  return wall;
}

Wall limits_wall(const base::Clock& clock, const tenancy::Tenant& tenant) {
  Wall wall{.layer = "limits"};
  const tenancy::TenantLimits& limits = tenant.policy.limits;
  wall.wall = std::to_string(limits.requests_per_minute) + " requests and " +
              std::to_string(limits.tokens_per_minute) + " tokens a minute, " +
              std::to_string(limits.concurrent_requests) + " at once, " +
              std::to_string(limits.storage_bytes_max >> 20) + " MiB";
  wall.remedy = "Give the tenant a policy with limits that can be reached.";
  // On a limiter of its own: the tenant's real quota is not touched.
  Limiter limiter(clock);
  std::vector<Limiter::Admission> inside;
  const std::uint32_t most = std::min(limits.concurrent_requests, kAdmissionsTried);
  std::int64_t retry = 0;
  while (inside.size() <= most) {
    auto admitted = limiter.admit(tenant, "user-" + std::to_string(inside.size()), 1, retry);
    if (!admitted) break;
    inside.push_back(std::move(*admitted));
  }
  const std::string count = std::to_string(inside.size());
  if (inside.size() <= limits.concurrent_requests) {
    wall.verdict = Verdict::Stands;
    wall.check = "with the tenant's limits on a limiter of its own: " + count +
                 " requests at once went in, the next was refused";
  } else if (limits.concurrent_requests > kAdmissionsTried) {
    wall.verdict = Verdict::Stated;
    wall.check = "wider than was tried (" + count + " at once)";
  } else {
    wall.check = count + " requests at once went in";
  }
  return wall;
}

Wall keys_wall(const base::Result<tenancy::KeyProof>& proof, const tenancy::KeyStatus& status) {
  Wall wall{.layer = "keys", .wall = "own keys; the only copy wrapped, bound to the tenant's name"};
  if (!status.custody.empty()) {
    wall.wall += "; by key provider " + status.provider + " (" + status.custody + "), not by the platform";
  }
  wall.verdict = !proof ? Verdict::Broken : proof->closed ? Verdict::Idle : Verdict::Stands;
  wall.check = proof ? proof->wrapped : proof.error().describe();
  if (proof && proof->closed) wall.check = "closed, its provider did not unwrap the key: " + wall.check;
  wall.remedy = "Check the platform key file, or restore the platform database from a backup.";
  return wall;
}

Wall audit_wall(const Services& services) {
  Wall wall{.layer = "audit", .wall = "hash chain with signed checkpoints, one for all tenants"};
  wall.remedy = "Keep a copy of the log as it is, then see what `bulkhead audit verify` says of it.";
  // A group commit may be half on disk while it is read: what is damaged stays so at a second look.
  constexpr int kLooks = 3;
  for (int look = 0; look < kLooks; ++look) {
    auto head = base::read_file(services.config.audit.dir / audit::kHeadFile, kHeadBytesMax);
    std::vector<std::string> anchors;
    if (head) anchors.push_back(std::move(*head));
    auto kept = services.platform.setting("audit-head");
    if (kept && *kept) anchors.push_back(**kept);
    auto report = audit::verify(services.config.audit.dir, services.signer.verify_key(), anchors);
    if (!report) {
      wall.check = report.error().describe();
      continue;
    }
    if (report->ok && services.audit.healthy()) {
      wall.verdict = Verdict::Stands;
      wall.check = "verified " + std::to_string(report->records) + " records and " +
                   std::to_string(report->checkpoints) + " checkpoints up to line " +
                   std::to_string(report->last_seq) +
                   ", with the heads kept beside the log and in the database";
      return wall;
    }
    wall.check = report->findings.empty() ? "its disk refuses records"
                                          : report->findings[0].file + ": " + report->findings[0].what;
  }
  return wall;
}

Wall files_wall(const Config& config) {
  Wall wall{.layer = "files",
            .wall = "private files: nobody but the gateway's user reads keys and databases"};
  wall.remedy = "Do what the check says; whoever had access meanwhile may have a copy: rotate the keys.";
  std::string flaws;
  std::size_t looked_at = 0;
  auto look = [&](const std::filesystem::path& path, unsigned mode, bool needed) {
    std::error_code failed;
    if (path.empty() || (!needed && !std::filesystem::exists(path, failed))) return;
    ++looked_at;
    flaws = joined(flaws, storage::privacy_flaw(path, mode));
  };
  const std::filesystem::path& data = config.data.dir;
  look(data, 0700, true);
  look(data / "platform.db", 0600, true);
  look(data / "platform.key.box", 0600, true);
  look(config.data.platform_key_file, 0600, !config.data.platform_key_file.empty());
  look(data / "run", 0700, true);
  look(data / "tls" / "key.pem", 0600, false);
  look(config.server.key, 0640, false);  // a group for certificates is usual
  look(config.audit.dir, 0750, true);
  look(config.engine.chat_api_key_file, 0600, false);
  for (const KeyProviderConfig& each : config.key_providers) look(each.pkcs11.pin_file, 0600, false);
  for (const storage::PostgresOptions& store : config.stores) look(store.admin_password_file, 0600, false);
  std::error_code failed;
  for (const auto& each : std::filesystem::directory_iterator(data / "run", failed)) {
    if (each.path().extension() == ".sock") look(each.path(), 0600, false);
  }
  wall.verdict = flaws.empty() ? Verdict::Stands : Verdict::Broken;
  wall.check =
      flaws.empty() ? "owner and mode of " + std::to_string(looked_at) + " files and folders" : flaws;
  return wall;
}

Wall burn_wall(const Config& config) {
  Wall wall{.layer = "retention", .wall = "what a request leaves in memory is wiped"};
  wall.remedy = "Set burn = true in the configuration and start the gateway again.";
  wall.verdict = config.burn ? Verdict::Stated : Verdict::Broken;
  wall.check =
      !config.burn ? "burn = false"
      : config.engine.is_external()
          ? "burning is on in the gateway; what an external engine leaves, each answer's receipt says"
          : "burning is on; each answer's receipt says what was cleared and read back";
  return wall;
}

Walls store_walls(const Services& services, const tenancy::Tenant& tenant, const base::TenantId& other,
                  TenantPosture& out) {
  Walls walls;
  auto probe = services.stores.probe(tenant.id, other);
  if (!probe) {
    Wall wall{.layer = "store", .wall = "the tenant's store"};
    wall.check = "could not be looked at: " + probe.error().describe();
    wall.remedy = "Do what the check says, then look again.";
    walls.push_back(std::move(wall));
    return walls;
  }
  out.place = probe->place;
  out.cost.storage_bytes = probe->bytes;
  if (!probe->made) {
    walls.push_back({.layer = "store",
                     .verdict = Verdict::Idle,
                     .wall = "nothing is kept yet",
                     .check = "looked: not there"});
    return walls;
  }
  for (storage::WallSeen& seen : probe->walls) {
    walls.push_back({.layer = std::move(seen.layer),
                     .verdict = seen.stands ? Verdict::Stands : Verdict::Broken,
                     .wall = std::move(seen.wall),
                     .check = std::move(seen.check),
                     .remedy = std::move(seen.remedy)});
  }
  return walls;
}

}  // namespace bulkhead::gateway
