// Health, inspection and overdue slots of the replicas.
#include "base/log.h"
#include "engine/external_engine_impl.h"

namespace bulkhead::engine {

using base::Error;
using base::Result;
using base::Task;
using Core = ExternalEngine::Core;

namespace {

constexpr std::string_view kDownReason = "does_not_answer";
constexpr std::string_view kUnsafeReason = "started_unsafely";

// Learns whether the replica is safe. True: it is.
Task<bool> inspect(std::shared_ptr<Core> core, Replica& replica, bool whole) {
  Inspection found = whole ? co_await inspect_llama_server(replica, core->needs(), core->stopping)
                           : co_await inspect_settings(replica, core->needs(), core->stopping);
  const bool safe = found.outcome == Inspection::Outcome::Safe;
  if (!safe) {
    base::log::error("replica_not_used", {{"replica", std::string_view(replica.name())},
                                          {"reason", std::string_view(found.reason)}});
  }
  if (!safe && replica.inspected.exchange(false)) core->tell(replica, false, std::string(kUnsafeReason));
  if (safe && !replica.inspected.exchange(true)) core->tell(replica, true, "");
  co_return safe;
}

Task<void> check(std::shared_ptr<Core> core, std::shared_ptr<Replica> replica) {
  if (!replica->breaker.allow()) co_return;
  auto answer =
      co_await replica->call(http::Method::Get, std::string(core->dialect.health), "", core->stopping);
  if (core->stopping.cancelled()) co_return;
  if (!answer || answer->status >= 500) {
    core->note_failure(*replica);
    co_return;
  }
  if (core->dialect.slots && !co_await inspect(core, *replica, !replica->inspected)) {
    replica->breaker.gave_up();
    co_return;
  }
  // Only a trial: while it is closed, /health says nothing of what generations meet.
  if (replica->breaker.state() != CircuitBreaker::State::Closed) core->note_success(*replica);
}

}  // namespace

void Core::tell(const Replica& replica, bool up, std::string reason) const {
  base::log::warning(up ? "replica_up" : "replica_down",
                     {{"replica", std::string_view(replica.name())}, {"reason", std::string_view(reason)}});
  if (options.on_event) options.on_event({replica.name(), up, std::move(reason)});
}

void Core::note_failure(Replica& replica) {
  ++replica.failures;
  const bool was_inspected = dialect.slots && replica.inspected.exchange(false);
  // Whatever comes up in its place is inspected before it is used, and its slots may hold anything.
  if (dialect.slots) replica.slots.all_dirty();
  if (replica.breaker.failed() || was_inspected) tell(replica, false, std::string(kDownReason));
}

void Core::note_success(Replica& replica) {
  if (replica.breaker.succeeded()) tell(replica, true, "");
}

Task<Result<FairQueue::Place>> place_for_erasing(const Core& core, Replica& replica) {
  // A line of its own beside the tenants'; no tenant may bear this name.
  return replica.places.enter(*base::TenantId::parse("platform"), core.stopping);
}

Task<void> sweep_slots(std::shared_ptr<Core> core, std::shared_ptr<Replica> replica) {
  if (!core->dialect.slots) co_return;
  auto place = co_await place_for_erasing(*core, *replica);
  if (!place) co_return;
  while (replica->inspected && !core->stopping.cancelled()) {
    auto slot = replica->slots.lease_overdue();
    if (!slot) co_return;
    auto erased = co_await erase_slot(*replica, *slot, 0, core->stopping);
    if (!erased) {
      replica->slots.back_dirty(*slot);
      co_return;
    }
    replica->slots.back_clean(*slot);
  }
}

Task<void> watch_replica(std::shared_ptr<Core> core, std::size_t index) {
  auto pass = core->gate.enter();
  if (!pass) co_return;
  std::shared_ptr<Replica> replica = core->replicas[index];
  while (co_await http::Reactor::current()->sleep(core->options.health_interval, core->stopping)) {
    co_await check(core, replica);
    co_await sweep_slots(core, replica);
  }
}

Task<Result<void>> look_first(std::shared_ptr<Core> core) {
  if (!core->dialect.slots) co_return Result<void>();
  for (const std::shared_ptr<Replica>& replica : core->replicas) {
    Inspection found = co_await inspect_llama_server(*replica, core->needs(), core->stopping);
    if (found.outcome == Inspection::Outcome::Unsafe) {
      co_return Error(EngineError::Failed, "The llama.cpp server at " + replica->name() + " " + found.reason +
                                               ". It is not used as it is.");
    }
    replica->inspected = found.outcome == Inspection::Outcome::Safe;
    if (!replica->inspected) {
      base::log::warning("replica_not_used", {{"replica", std::string_view(replica->name())},
                                              {"reason", std::string_view(found.reason)}});
    }
  }
  co_return Result<void>();
}

}  // namespace bulkhead::engine
