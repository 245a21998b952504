#include "base/log.h"
#include "engine/external_engine_impl.h"

namespace bulkhead::engine {

using base::Error;
using base::Result;
using base::Task;

namespace {

Task<void> sweep_in_background(std::shared_ptr<ExternalEngine::Core> core, std::shared_ptr<Replica> replica,
                               base::Gate::Pass pass) {
  co_await sweep_slots(std::move(core), std::move(replica));
  static_cast<void>(pass);
}

}  // namespace

Turn::~Turn() {
  if (!slot_ || !replica_) return;
  replica_->slots.back_dirty(*slot_);
  place_.reset();
  if (auto pass = core_->gate.enter()) {
    base::spawn(core_->reactors.at(0), sweep_in_background(core_, replica_, std::move(*pass)));
  }
}

Task<Result<void>> Turn::prepare(CallContext context) {
  const tenancy::EnginePolicy& policy = context.scope.record().policy.engine;
  if (policy.prefix_cache != tenancy::PrefixCacheMode::Off) {
    keep_ = std::chrono::seconds(policy.prefix_cache_seconds);
  }
  if (!core_->dialect.slots) co_return Result<void>();
  owner_ = {context.scope.tenant().str(), context.session};
  auto place = co_await replica_->places.enter(context.scope.tenant(), context.cancel);
  if (!place) co_return place.take_error();
  place_.emplace(std::move(*place));
  auto lease = replica_->slots.lease(owner_);
  if (!lease) co_return Error(EngineError::QueueFull, "The model is busy. Try again in a moment.", "no slot");
  slot_ = lease->slot;
  if (lease->erase_first) {
    // Not under the caller's token: the erasing goes on when the caller goes.
    auto erased = co_await erase_slot(*replica_, *slot_, 0, core_->stopping);
    if (!erased) co_return erased.take_error();
  }
  reuse_ = keep_.count() > 0;
  co_return Result<void>();
}

Stance Turn::stance(const CallContext& context, const ChatRequest& request) const {
  Stance stance;
  if (core_->dialect.salted) stance.salt = core_->salts.salt(context, request.model);
  stance.slot = slot_;
  stance.reuse_slot = reuse_;
  return stance;
}

Task<base::BurnReport> Turn::finish(std::int64_t prompt_tokens) {
  if (!slot_) {
    const base::RowsFate fate = fate_of(core_->kind);
    // Where each session has a salt of its own its next request matches the rows; else each request has one.
    const bool matched = fate == base::RowsFate::Unreachable && keep_.count() > 0;
    co_return burn_report(core_->kind, matched ? base::RowsFate::Kept : fate, keep_);
  }
  if (keep_.count() > 0) {
    replica_->slots.back_kept(*slot_, std::move(owner_), keep_);
    slot_.reset();
    place_.reset();
    co_return burn_report(core_->kind, base::RowsFate::Kept, keep_);
  }
  auto erased = co_await erase_slot(*replica_, *slot_, prompt_tokens, core_->stopping);
  if (!erased) {
    // The slot stays dirty and is erased before anyone else gets it.
    base::log::warning("slot_not_erased", {{"replica", std::string_view(replica_->name())},
                                           {"detail", std::string_view(erased.error().detail())}});
    co_return burn_report(core_->kind, base::RowsFate::NotErasedYet, keep_);
  }
  replica_->slots.back_clean(*slot_);
  slot_.reset();
  place_.reset();
  co_return burn_report(core_->kind, base::RowsFate::Forgotten, keep_);
}

base::RowsFate fate_of(EngineKind kind) {
  switch (guarantees_of(kind).erasure) {
    case Erasure::None: return base::RowsFate::Unknown;
    case Erasure::Unreachable: return base::RowsFate::Unreachable;
    case Erasure::Forgotten: return base::RowsFate::Forgotten;
    case Erasure::Verified: break;  // the own worker alone, which reports for itself
  }
  return base::RowsFate::Unknown;
}

base::BurnReport burn_report(EngineKind kind, base::RowsFate rows, std::chrono::seconds kept) {
  base::BurnReport report;
  report.engine = kind_name(kind);
  report.rows = rows;
  report.reuse = base::RowsReuse::None;
  if (!guarantees_of(kind).prefix_isolation) report.reuse = base::RowsReuse::Unknown;
  if (rows == base::RowsFate::Kept) {
    report.reuse = base::RowsReuse::Session;
    report.reuse_seconds = static_cast<std::uint64_t>(kept.count());
  }
  return report;
}

}  // namespace bulkhead::engine
