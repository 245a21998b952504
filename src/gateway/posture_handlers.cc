// GET /admin/posture, /admin/tenants/{id}/posture: the walls put together. Forged credentials and burns go
// their usual way on the reactor; what blocks (files, databases, /proc) goes to the pool, one tenant after
// the other.
#include <unistd.h>

#include <algorithm>

#include "crypto/jose.h"
#include "crypto/random.h"
#include "gateway/dto.h"
#include "gateway/handlers.h"
#include "gateway/posture.h"
#include "gateway/store_call.h"

namespace bulkhead::gateway {

namespace json = base::json;
using base::Result;
using base::Task;

namespace {

constexpr std::int64_t kForgedLifeSeconds = 300;

std::string name_in_token(const identity::IssuerConfig& issuer, const std::string& tenant) {
  for (const auto& [value, name] : issuer.tenant_map) {
    if (name == tenant) return value;
  }
  return tenant;
}

// A token that is right in everything but its signature: by a key that nobody published.
Result<std::string> forged_token(const identity::IssuerConfig& issuer, const std::string& tenant,
                                 std::int64_t now) {
  BULKHEAD_TRY(key, crypto::TokenSigningKey::generate(issuer.algorithms.front()));
  json::Writer header, claims;
  header.begin_object().member("alg", crypto::jws_algorithm_name(key.algorithm()));
  header.member("typ", issuer.token_types.front()).member("kid", "posture").end_object();
  claims.begin_object().member("iss", issuer.issuer);
  if (!issuer.audiences.empty()) claims.member("aud", issuer.audiences.front());
  if (!issuer.client_ids.empty()) claims.member("client_id", issuer.client_ids.front());
  claims.member("iat", now).member("exp", now + kForgedLifeSeconds);
  issuer.user_claim.write(claims, "posture");
  if (issuer.tenant.empty()) issuer.tenant_claim.write(claims, name_in_token(issuer, tenant));
  claims.end_object();
  std::string token = base::base64url_encode(base::as_bytes(header.text())) + "." +
                      base::base64url_encode(base::as_bytes(claims.text()));
  return token + "." + base::base64url_encode(key.sign(base::as_bytes(token)));
}

// Nobody's credentials for this tenant: an API key of the right form and tag that was never made, and a
// token of each issuer by a wrong key.
Task<Wall> identity_wall(Services& services, tenancy::Tenant tenant) {
  Wall wall{.layer = "identity", .wall = "only a credential verified for this tenant opens it"};
  wall.remedy = "Stop the gateway: whoever names this tenant is let in. Report what was tried.";
  std::vector<std::pair<std::string, std::string>> forged;
  forged.emplace_back("an API key of the right form that was never made",
                      services.key_format.make(tenant.id).text.reveal_text());
  for (const identity::IssuerConfig& issuer : services.config.issuers) {
    auto token = forged_token(issuer, tenant.id.str(), services.clock.unix_seconds());
    if (token)
      forged.emplace_back("a token of " + issuer.issuer + " under a key of nobody's", std::move(*token));
  }
  wall.verdict = Verdict::Stands;
  for (auto& [what, credential] : forged) {
    auto opened = co_await services.authenticator.authenticate("Bearer " + credential);
    const bool refused = !opened.ok();
    if (!refused) wall.verdict = Verdict::Broken;
    wall.check += (wall.check.empty() ? "" : "; ") + what +
                  (refused ? ": refused (" + std::string(opened.error().name().code) + ")" : ": LET IN");
  }
  co_return wall;
}

// Asks the workers to burn: all of the tenant where nothing may be kept, a session that nobody has where
// prefixes are kept by policy (those stay).
Task<Wall> prefixes_wall(Services& services, tenancy::Tenant tenant, std::string request_id) {
  const tenancy::EnginePolicy& policy = tenant.policy.engine;
  const bool off = policy.prefix_cache == tenancy::PrefixCacheMode::Off;
  Wall wall{.layer = "prefixes"};
  wall.wall =
      off ? "nothing of a request is kept in the engine"
          : "prefixes kept for the same " +
                std::string(policy.prefix_cache == tenancy::PrefixCacheMode::Tenant ? "tenant" : "session") +
                " only";
  wall.remedy = "Suspend the tenant, which ends its workers and burns what they keep; then report this.";
  if (services.config.engine.is_external()) {
    wall.verdict = Verdict::Stated;
    wall.check = "an external engine keeps what it keeps; it can't be asked";
    co_return wall;
  }
  const std::string nobody = off ? "" : "posture-" + base::hex_encode(crypto::random_bytes(16));
  auto report = co_await services.engine.burn_kept({tenant.id, nobody, std::move(request_id)});
  if (!report) {
    wall.verdict = Verdict::Idle;
    wall.check = "the engine does not answer: " + report.error().message();
    co_return wall;
  }
  wall.verdict = report->prefixes == 0 && report->verified() ? Verdict::Stands : Verdict::Broken;
  wall.check = (off ? "told the workers to burn all that is kept of the tenant: "
                    : "told the workers to burn a session that nobody has: ") +
               std::to_string(report->prefixes) + " prefixes found" +
               (report->verified() ? "" : ", burn NOT verified");
  co_return wall;
}

Wall records_wall(const Result<tenancy::KeyProof>& proof) {
  Wall wall{.layer = "records", .wall = "each record sealed to its tenant and its place"};
  wall.verdict = proof ? Verdict::Stands : Verdict::Broken;
  wall.check = proof ? proof->sealed : proof.error().describe();
  wall.remedy = "Stop the gateway and start one whose tests pass; then report this.";
  return wall;
}

Wall vectors_wall(const Services& services, const TenantPosture& posture) {
  Wall wall{.layer = "vectors", .wall = "own index in memory; vectors sealed in the store"};
  const std::uint64_t bytes = posture.cost.index_bytes;
  const bool broken = std::any_of(posture.walls.begin(), posture.walls.end(), [](const Wall& each) {
    return (each.layer == "store" || each.layer == "records") && each.verdict == Verdict::Broken;
  });
  static_cast<void>(services);
  wall.verdict = broken ? Verdict::Broken : bytes > 0 ? Verdict::Stands : Verdict::Idle;
  wall.check = broken      ? "its vectors lie behind a wall of the store or the records that does not stand"
               : bytes > 0 ? "an index of " + std::to_string(bytes) + " bytes under its name alone"
                           : "no index in memory";
  wall.remedy = "Repair the wall that is named.";
  return wall;
}

// What its keys open.
void look_inside(Services& services, const base::TenantId& other, TenantPosture& out) {
  const tenancy::Tenant& tenant = out.tenant;
  auto proof = services.tenants.keyring().prove(tenant.id, other);
  auto status = services.tenants.keyring().status(tenant.id);
  const Wall keys = keys_wall(proof, status ? *status : tenancy::KeyStatus());
  if (proof && proof->closed) {
    out.walls.push_back({.layer = "store",
                         .verdict = Verdict::Idle,
                         .wall = "closed: the tenant's key can't be had",
                         .check = "nothing of it can be opened, so nothing could be tried"});
    out.walls.push_back(keys);
    return;
  }
  Walls store = store_walls(services, tenant, other, out);
  out.walls.insert(out.walls.end(), store.begin(), store.end());
  out.walls.push_back(records_wall(proof));
  out.walls.push_back(keys);
  out.cost.index_bytes = services.indexes.bytes_of(tenant.id);
  // A store that searches by itself has said so, and nothing of it is in memory.
  const bool said =
      std::any_of(store.begin(), store.end(), [](const Wall& each) { return each.layer == "vectors"; });
  if (!said) out.walls.push_back(vectors_wall(services, out));
}

// What blocks, of one tenant.
void look_at(Services& services, const base::TenantId& other,
             const std::vector<engine::WorkerStatus>& workers, TenantPosture& out) {
  const tenancy::Tenant& tenant = out.tenant;
  out.walls.push_back(engine_wall(services, tenant, workers, out.cost));
  out.walls.push_back(batching_wall(tenant, workers));
  if (tenant.state == tenancy::TenantState::Active) {
    look_inside(services, other, out);
  } else {
    out.walls.push_back({.layer = "store",
                         .verdict = Verdict::Idle,
                         .wall = "closed: the tenant is suspended",
                         .check = "its key is not opened while it is"});
  }
  out.walls.push_back(burn_wall(services.config));
  out.walls.push_back(limits_wall(services.clock, tenant));
}

void look_at_platform(Services& services, const identity::Principal& operator_,
                      const std::vector<engine::WorkerStatus>& workers, Posture& out) {
  out.platform.push_back(access_wall(services.roles, operator_));
  engine::ProcessFacts gateway = engine::probe_process(::getpid());
  out.cost = {.processes = 1, .resident_bytes = gateway.resident_bytes};
  for (const engine::WorkerStatus& worker : workers) {
    if (!worker.tenant.empty()) continue;
    const engine::ProcessFacts facts = engine::probe_process(worker.pid);
    out.platform.push_back(process_wall(worker, facts));
    if (worker.pid == 0) continue;
    out.cost.processes += 1;
    out.cost.resident_bytes += facts.resident_bytes;
  }
  out.platform.push_back(files_wall(services.config));
  out.platform.push_back(audit_wall(services));
}

// The neighbour that tries to get in: in the same store if there is one, or a name that nobody can have.
base::TenantId neighbour_of(const tenancy::Tenant& tenant, const std::vector<tenancy::Tenant>& all) {
  base::TenantId other = *base::TenantId::parse("platform");
  bool found = false;
  for (const tenancy::Tenant& each : all) {
    if (each.id == tenant.id || each.state != tenancy::TenantState::Active) continue;
    if (each.policy.store == tenant.policy.store) return each.id;
    if (!found) other = each.id;
    found = true;
  }
  return other;
}

Task<Result<TenantPosture>> look_at_tenant(Call& call, tenancy::Tenant tenant, base::TenantId other,
                                           std::vector<engine::WorkerStatus> workers) {
  Services& services = call.services;
  TenantPosture one{.tenant = tenant};
  one.walls.push_back(co_await identity_wall(services, tenant));
  BULKHEAD_CO_CHECK_OK(co_await services.pools.long_work(tenant.id).run(turn_of(call), [&]() -> Result<void> {
    look_at(services, other, workers, one);
    return {};
  }));
  // After identity, engine: the order in which a request meets them.
  one.walls.insert(one.walls.begin() + 2, co_await prefixes_wall(services, tenant, call.id.str()));
  co_return one;
}

// Of one tenant, or of all when `asked` is empty.
HandlerResult look(Call& call, std::string asked) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  Services& services = call.services;
  const std::vector<tenancy::Tenant> all = services.tenants.list();
  std::vector<engine::WorkerStatus> workers;
  if (services.engine_pool) workers = services.engine_pool->workers();
  Posture posture;
  posture.time = base::rfc3339(services.clock.wall());
  BULKHEAD_CO_CHECK_OK(co_await services.platform_pool.run(turn_of(call), [&]() -> Result<void> {
    look_at_platform(services, *call.principal, workers, posture);
    return {};
  }));
  for (const tenancy::Tenant& listed : all) {
    if (!asked.empty() && listed.id.str() != asked) continue;
    if (call.cancel.cancelled()) co_return api_error(ApiError::ShuttingDown, "The report was cancelled.");
    // A tenant that was suspended or destroyed while it was looked at is looked at as what it is now.
    for (auto now = services.tenants.find(listed.id); now && now->state != tenancy::TenantState::Destroyed;) {
      auto one = co_await look_at_tenant(call, *now, neighbour_of(*now, all), workers);
      if (!one) co_return one.take_error();
      auto then = services.tenants.find(listed.id);
      const bool same = then && then->state == now->state;
      now = std::move(then);
      if (!same) continue;
      posture.tenants.push_back(std::move(*one));
      break;
    }
  }
  if (!asked.empty() && posture.tenants.empty()) co_return not_found("tenant");
  co_return Reply::json(200, posture.to_json());
}

}  // namespace

HandlerResult admin_posture(Call& call) { return look(call, ""); }

HandlerResult admin_tenant_posture(Call& call) {
  auto id = base::TenantId::parse(call.captures[0]);
  if (!id) co_return not_found("tenant");
  call.record.target = id->str();
  co_return co_await look(call, id->str());
}

}  // namespace bulkhead::gateway
