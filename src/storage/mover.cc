#include "storage/mover.h"

#include <map>
#include <mutex>
#include <set>

#include "base/json.h"
#include "base/log.h"
#include "storage/archive.h"
#include "storage/record_json.h"
#include "tenancy/certificate.h"

namespace bulkhead::storage {
namespace {

namespace json = base::json;
using base::Error;
using base::Result;
using base::TenantId;
using crypto::Purpose;

// Another rotation may come first each time, but not for ever.
constexpr int kRotateAttemptsMax = 8;

// What stands in the platform database.
struct Plan {
  MovePlace from, to;
  // Set with the switch: the newest versions of the keys that open the old place.
  std::uint32_t record_seal = 0, database = 0;
  std::uint64_t records = 0;
  std::string manifest;
  bool cancelled = false;
};

void write_place(json::Writer& w, std::string_view name, const MovePlace& place) {
  w.key(name).begin_object().member("mode", static_cast<int>(place.mode)).member("store", place.store);
  w.member("engine", static_cast<int>(place.engine)).end_object();
}

MovePlace read_place(const json::Value& value) {
  return {static_cast<tenancy::IsolationMode>(value["mode"].as_int().value_or(0)),
          std::string(value["store"].as_string().value_or("")),
          static_cast<tenancy::EngineMode>(value["engine"].as_int().value_or(0))};
}

std::string plan_json(const Plan& plan) {
  json::Writer w;
  w.begin_object();
  write_place(w, "from", plan.from);
  write_place(w, "to", plan.to);
  w.member("record_seal", static_cast<std::int64_t>(plan.record_seal));
  w.member("database", static_cast<std::int64_t>(plan.database)).member("records", plan.records);
  w.member("manifest", plan.manifest).member("cancelled", plan.cancelled).end_object();
  return w.take();
}

Result<Plan> parse_plan(const std::string& text) {
  auto document = json::Document::parse(text);
  if (!document) return damaged("a move");
  const json::Value root = document->root();
  return Plan{read_place(root["from"]),
              read_place(root["to"]),
              static_cast<std::uint32_t>(root["record_seal"].as_int().value_or(0)),
              static_cast<std::uint32_t>(root["database"].as_int().value_or(0)),
              static_cast<std::uint64_t>(root["records"].as_int().value_or(0)),
              std::string(root["manifest"].as_string().value_or("")),
              root["cancelled"].as_bool().value_or(false)};
}

bool is_at(const tenancy::Tenant& tenant, const MovePlace& place) {
  return tenant.mode == place.mode && tenant.policy.store == place.store;
}

Error busy(std::string message, const TenantId& tenant) {
  return Error(tenancy::TenancyError::Busy, std::move(message), tenant.str());
}

// The new place, and what is known to be in it.
class NewPlace {
 public:
  NewPlace(std::shared_ptr<OpenStore> store, const tenancy::TenantScope& scope)
      : store_(std::move(store)), scope_(scope) {}
  ~NewPlace() { store_->shut(); }
  NewPlace(const NewPlace&) = delete;

  // Finds what an earlier run has copied already.
  Result<void> look() {
    BULKHEAD_TRY(names, list_subjects(*store_, scope_));
    for (std::string& name : names) there_.insert(std::move(name));
    return {};
  }
  // True: it was written. Whatever differs after that is in `differing`.
  Result<bool> follow(const std::string& name, const std::optional<Subject>& subject,
                      const crypto::Digest& digest) {
    if (!subject) {
      differing_.erase(name);
      if (there_.erase(name) != 0) BULKHEAD_CHECK_OK(remove_subject(*store_, scope_, name));
      return false;
    }
    if (there_.contains(name)) {
      BULKHEAD_TRY(same, holds(name, digest));
      if (same) {
        differing_.erase(name);
        return false;
      }
    }
    there_.insert(name);
    BULKHEAD_CHECK_OK(write_subject(*store_, scope_, *subject));
    BULKHEAD_TRY(same, holds(name, digest));
    if (same) {
      differing_.erase(name);
    } else {
      differing_.insert(name);
    }
    return true;
  }
  bool differs(const std::string& name) const { return differing_.contains(name); }
  // Nothing beside `all`, and nothing that differs.
  Result<void> settle(const std::vector<SubjectEntry>& all) {
    std::set<std::string> extra = there_;
    for (const SubjectEntry& entry : all) {
      if (extra.erase(entry.name) == 0) return unlike(entry.name);
    }
    for (const std::string& name : extra) {
      BULKHEAD_CHECK_OK(remove_subject(*store_, scope_, name));
      there_.erase(name);
      differing_.erase(name);
    }
    if (!differing_.empty()) return unlike(*differing_.begin());
    return {};
  }

 private:
  static Error unlike(const std::string& name) {
    return Error(StorageError::Busy, "The new place does not hold the same yet. It is tried again.",
                 name + " differs");
  }
  Result<bool> holds(const std::string& name, const crypto::Digest& digest) {
    BULKHEAD_TRY(back, read_subject(*store_, scope_, name));
    return back && digest_of(*back) == digest;
  }

  const std::shared_ptr<OpenStore> store_;
  const tenancy::TenantScope& scope_;
  std::set<std::string> there_, differing_;
};

}  // namespace

struct Mover::Impl {
  PlatformDatabase& platform;
  tenancy::TenantDirectory& tenants;
  StoreManager& stores;
  Upkeep& upkeep;
  const crypto::SigningKey& signer;
  const base::Clock& clock;
  WorkRecorder* recorder = nullptr;
  std::mutex one;            // carrying out
  mutable std::mutex mutex;  // of what follows
  std::map<TenantId, MoveStatus> running;
  std::set<TenantId> cancelled;
  std::function<void(const TenantId&)> switched;
  std::function<void(const TenantId&, const MoveStatus&)> moved;

  void note(const TenantId& tenant, const std::function<void(MoveStatus&)>& change) {
    std::scoped_lock lock(mutex);
    change(running[tenant]);
  }
  bool is_cancelled(const TenantId& tenant) const {
    std::scoped_lock lock(mutex);
    return cancelled.contains(tenant);
  }
  void forget(const TenantId& tenant) {
    std::scoped_lock lock(mutex);
    running.erase(tenant);
    cancelled.erase(tenant);
    upkeep.unpin(tenant);
  }

  Result<void> switch_registry(std::int64_t number, const TenantId& tenant, Plan& plan) {
    // First what the erasing must know, then the one step that decides.
    BULKHEAD_CHECK_OK(platform.change_move(number, plan_json(plan)));
    BULKHEAD_TRY(changed, tenants.relocate(tenant, plan.to.mode, plan.to.store, plan.to.engine));
    static_cast<void>(changed);
    return {};
  }

  Result<void> copy(std::int64_t number, const TenantId& tenant, Plan& plan,
                    const std::function<bool()>& stopping) {
    BULKHEAD_TRY(copier, Copier::begin(upkeep, stores, tenant));
    const tenancy::TenantScope& scope = copier.scope();
    plan.record_seal = scope.key_version(Purpose::RecordSeal);
    plan.database = scope.key_version(Purpose::Database);
    auto opened = stores.open_at(scope, plan.to.store);
    if (!opened) return remove_unreadable(tenant, plan, opened.take_error());
    std::optional<NewPlace> place;
    place.emplace(std::move(*opened), scope);
    if (auto looked = place->look(); !looked) {
      place.reset();
      return remove_unreadable(tenant, plan, looked.take_error());
    }
    note(tenant, [](MoveStatus& status) { status.records = status.copied = 0; });
    const auto take = [&](const std::string& name,
                          const std::optional<Subject>& subject) -> Result<crypto::Digest> {
      const crypto::Digest digest = subject ? digest_of(*subject) : crypto::Digest{};
      BULKHEAD_TRY(written, place->follow(name, subject, digest));
      // A vector store may hold a file that came after the files were gone through.
      if (place->differs(name)) copier.watch().journal().note(name);
      note(tenant, [&](MoveStatus& status) {
        ++status.records;
        status.copied += written ? 1 : 0;
      });
      return digest;
    };
    const auto stop = [&] { return stopping() || is_cancelled(tenant); };
    return copier.run(take, stop, [&](std::vector<SubjectEntry> all) -> Result<void> {
      BULKHEAD_CHECK_OK(place->settle(all));
      if (is_cancelled(tenant)) return Error(StorageError::Busy, "The move was given up.");
      plan.records = all.size();
      plan.manifest = base::hex_encode(Manifest{tenant.str(), "", std::move(all)}.digest());
      BULKHEAD_CHECK_OK(switch_registry(number, tenant, plan));
      // Whoever comes now opens the new place.
      place.reset();
      stores.close(tenant);
      if (switched) switched(tenant);
      return {};
    });
  }

  // A copy that can't be read (it was left half made, or meddled with) is made anew.
  Result<void> remove_unreadable(const TenantId& tenant, const Plan& plan, Error why) {
    const bool unreadable = why.is(StorageError::WrongKey) || why.is(StorageError::SealBroken) ||
                            why.is(StorageError::Corrupt) || why.is(StorageError::Misconfigured);
    if (unreadable) {
      BULKHEAD_TRY(erased, stores.erase_at(tenant, plan.to.store));
      static_cast<void>(erased);
    }
    return why;
  }

  // Until nothing opens the old place any more.
  Result<void> renew_keys(const TenantId& tenant, const Plan& plan) {
    for (int attempt = 0; attempt < kRotateAttemptsMax; ++attempt) {
      BULKHEAD_CHECK_OK(upkeep.complete(tenant));
      BULKHEAD_TRY(scope, upkeep.scope(tenant));
      tenancy::RotationOrder order{.tenant_key = true, .purposes = {}};
      if (scope.key_version(Purpose::RecordSeal) <= plan.record_seal)
        order.purposes.push_back(Purpose::RecordSeal);
      if (scope.key_version(Purpose::Database) <= plan.database) order.purposes.push_back(Purpose::Database);
      const bool gone =
          !scope.key(Purpose::RecordSeal, plan.record_seal) && !scope.key(Purpose::Database, plan.database);
      if (order.purposes.empty() && gone) return {};
      auto begun = upkeep.rotate(tenant, order);
      if (!begun && !begun.error().is(tenancy::TenancyError::Busy)) return begun.take_error();
    }
    return Error(StorageError::Busy, "The tenant's keys are being rotated. The move goes on by itself.");
  }

  Result<void> erase(std::int64_t number, const TenantId& tenant, const Plan& plan) {
    note(tenant, [](MoveStatus& status) { status.phase = "erasing"; });
    tenancy::MoveFacts facts{.tenant = tenant.str(),
                             .from_mode = std::string(tenancy::mode_name(plan.from.mode)),
                             .from_store = plan.from.store,
                             .to_mode = std::string(tenancy::mode_name(plan.to.mode)),
                             .to_store = plan.to.store,
                             .records = plan.records,
                             .manifest = plan.manifest};
    upkeep.unpin(tenant);
    if (plan.from.store != plan.to.store) {
      BULKHEAD_CHECK_OK(renew_keys(tenant, plan));
      facts.record_seal_version = plan.record_seal;
      facts.database_version = plan.database;
      BULKHEAD_TRY(erased, stores.erase_at(tenant, plan.from.store));
      facts.erased = std::move(erased);
    }
    facts.time = clock.wall();
    BULKHEAD_CHECK_OK(platform.end_move(number, tenancy::make_move_certificate(facts, signer).json));
    std::optional<MoveStatus> last;
    {
      std::scoped_lock lock(mutex);
      last = running[tenant];
    }
    forget(tenant);
    if (moved) moved(tenant, *last);
    return {};
  }

  Result<void> give_up(std::int64_t number, const TenantId& tenant, const Plan& plan) {
    if (plan.from.store != plan.to.store) {
      BULKHEAD_TRY(erased, stores.erase_at(tenant, plan.to.store));
      static_cast<void>(erased);
    }
    BULKHEAD_CHECK_OK(platform.forget_move(number));
    forget(tenant);
    base::log::info("move_given_up", {{"tenant", std::string_view(tenant.str())}});
    return {};
  }

  Result<void> announce(const TenantId& tenant) {
    return recorder ? recorder->announce(WorkRecorder::Kind::Move, tenant) : Result<void>();
  }

  Result<void> carry_on(const PlatformDatabase::PendingWork& pending, const std::function<bool()>& stopping) {
    BULKHEAD_TRY(plan, parse_plan(pending.plan));
    const TenantId& tenant = pending.tenant;
    note(tenant, [&](MoveStatus& status) {
      if (status.phase.empty()) status.phase = "copying";
      status.from = plan.from;
      status.to = plan.to;
    });
    auto record = tenants.find(tenant);
    if (!record || record->state == tenancy::TenantState::Destroyed) {
      // With its tenant all of it is destroyed, in both places.
      BULKHEAD_TRY(old_place, stores.erase_at(tenant, plan.from.store));
      static_cast<void>(old_place);
      return give_up(pending.number, tenant, plan);
    }
    if (!is_at(*record, plan.to)) {
      if (plan.cancelled) return give_up(pending.number, tenant, plan);
      if (plan.from.store == plan.to.store) {
        BULKHEAD_CHECK_OK(switch_registry(pending.number, tenant, plan));
        if (switched) switched(tenant);
      } else {
        BULKHEAD_CHECK_OK(copy(pending.number, tenant, plan, stopping));
      }
    }
    return erase(pending.number, tenant, plan);
  }
};

Mover::Mover(PlatformDatabase& platform, tenancy::TenantDirectory& tenants, StoreManager& stores,
             Upkeep& upkeep, const crypto::SigningKey& signer, const base::Clock& clock)
    : impl_(new Impl{.platform = platform,
                     .tenants = tenants,
                     .stores = stores,
                     .upkeep = upkeep,
                     .signer = signer,
                     .clock = clock}) {}
Mover::~Mover() = default;

void Mover::on_switched(std::function<void(const TenantId&)> listener) {
  impl_->switched = std::move(listener);
}
void Mover::on_moved(std::function<void(const TenantId&, const MoveStatus&)> listener) {
  impl_->moved = std::move(listener);
}

void Mover::record_with(WorkRecorder* recorder) { impl_->recorder = recorder; }

Result<MoveStatus> Mover::begin(const TenantId& tenant, const MovePlace& to) {
  const auto record = impl_->tenants.find(tenant);
  if (!record || record->state == tenancy::TenantState::Destroyed) {
    return Error(tenancy::TenancyError::UnknownTenant, "No such tenant.");
  }
  if (record->state == tenancy::TenantState::Restoring) {
    return busy("This tenant is being restored from a backup. Wait until that has ended.", tenant);
  }
  const MovePlace from{record->mode, record->policy.store, record->policy.engine.engine};
  if (is_at(*record, to)) {
    return Error(tenancy::TenancyError::BadPolicy, "The tenant has this mode, in this store, already.");
  }
  BULKHEAD_TRY(erasures, impl_->platform.pending_erasures());
  for (const auto& erasure : erasures) {
    if (erasure.tenant == tenant) {
      return busy("An erasure in this tenant is under way and goes on by itself. Wait until it has ended.",
                  tenant);
    }
  }
  // No rotation from here on: it would destroy keys under which the copy is being written.
  BULKHEAD_CHECK_OK(impl_->upkeep.pin(tenant));
  auto number = impl_->platform.begin_move(tenant, plan_json({.from = from, .to = to}));
  if (!number) {
    impl_->upkeep.unpin(tenant);
    return number.take_error();
  }
  const MoveStatus status{.phase = "copying", .from = from, .to = to};
  std::scoped_lock lock(impl_->mutex);
  impl_->running.insert_or_assign(tenant, status);
  return status;
}

Result<void> Mover::load() {
  BULKHEAD_TRY(pending, impl_->platform.pending_moves());
  for (const auto& each : pending) {
    BULKHEAD_TRY(plan, parse_plan(each.plan));
    const auto record = impl_->tenants.find(each.tenant);
    const bool switched = !record || is_at(*record, plan.to);
    if (!switched && record->state != tenancy::TenantState::Destroyed) {
      BULKHEAD_CHECK_OK(impl_->upkeep.pin(each.tenant));
    }
    impl_->note(each.tenant, [&](MoveStatus& status) {
      status = {.phase = switched ? "erasing" : "copying", .from = plan.from, .to = plan.to};
    });
  }
  return {};
}

Result<void> Mover::cancel(const TenantId& tenant) {
  {
    std::scoped_lock lock(impl_->mutex);
    impl_->cancelled.insert(tenant);
  }
  // The copying stops soon.
  std::scoped_lock one(impl_->one);
  BULKHEAD_TRY(pending, impl_->platform.pending_moves());
  for (const auto& each : pending) {
    if (each.tenant != tenant) continue;
    BULKHEAD_TRY(plan, parse_plan(each.plan));
    const auto record = impl_->tenants.find(tenant);
    if (record && is_at(*record, plan.to)) {
      std::scoped_lock lock(impl_->mutex);
      impl_->cancelled.erase(tenant);
      return busy("The tenant answers from its new place already; the old one is being erased.", tenant);
    }
    plan.cancelled = true;
    BULKHEAD_CHECK_OK(impl_->platform.change_move(each.number, plan_json(plan)));
    BULKHEAD_CHECK_OK(impl_->give_up(each.number, tenant, plan));
    if (impl_->recorder) impl_->recorder->ended(WorkRecorder::Kind::Move, tenant, "given up");
    return {};
  }
  impl_->forget(tenant);
  return Error(StorageError::NotFound, "This tenant is not being moved.");
}

void Mover::run_once(const std::function<bool()>& stopping) {
  std::scoped_lock one(impl_->one);
  auto pending = impl_->platform.pending_moves();
  if (!pending) return;
  for (const auto& each : *pending) {
    if (stopping()) return;
    auto done = impl_->announce(each.tenant);
    if (done) done = impl_->carry_on(each, stopping);
    if (done && impl_->recorder) impl_->recorder->ended(WorkRecorder::Kind::Move, each.tenant, "given up");
    if (done || stopping() || impl_->is_cancelled(each.tenant)) continue;
    impl_->note(each.tenant,
                [&](MoveStatus& status) { status.delayed = std::string(done.error().name().code); });
    base::log::warning("move_delayed", {{"tenant", std::string_view(each.tenant.str())},
                                        {"error", done.error().name().code},
                                        {"detail", std::string_view(done.error().detail())}});
  }
}

std::optional<MoveStatus> Mover::status(const TenantId& tenant) const {
  std::scoped_lock lock(impl_->mutex);
  const auto found = impl_->running.find(tenant);
  if (found == impl_->running.end()) return std::nullopt;
  return found->second;
}

std::size_t Mover::running() const {
  std::scoped_lock lock(impl_->mutex);
  return impl_->running.size();
}

Result<std::vector<std::string>> Mover::certificates(const TenantId& tenant) {
  return impl_->platform.move_certificates(tenant);
}

}  // namespace bulkhead::storage
