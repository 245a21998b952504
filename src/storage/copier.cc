#include "storage/copier.h"

#include <algorithm>
#include <thread>

#include "storage/seal.h"

namespace bulkhead::storage {

using base::Result;

namespace {

// Requests of the tenant wait for so long at most until those inside have ended; then they get a turn.
constexpr std::chrono::milliseconds kDrainTimeMax{750};
constexpr std::chrono::milliseconds kTurn{250};
constexpr std::chrono::milliseconds kBeginTimeMax{5'000};
// With every pass that is not much shorter than the one before, requests wait for longer at a stretch, and
// have shorter turns in between.
constexpr std::chrono::milliseconds kHoldStep{200};
constexpr std::chrono::milliseconds kHoldMax{750};
constexpr std::chrono::milliseconds kBrakeTurn{100};
constexpr int kPassesMax = 64;           // over what was written meanwhile, each shorter than the one before
constexpr int kInstantsMax = 40;         // tries to have the store to oneself
constexpr std::size_t kFewSubjects = 8;  // that may be left to read while requests wait
constexpr std::size_t kFewSubjectsMax = 512;

// Where writing is quicker than copying, more is left to the instant, a little at a time.
std::size_t few(int pass) { return std::min(kFewSubjects << (pass / 4), kFewSubjectsMax); }

// Lets the store be used in turns while a pass goes on.
class Brake {
 public:
  Brake(StoreManager::Watch& watch, int strength)
      : watch_(watch),
        hold_(std::min(kHoldStep * strength, kHoldMax)),
        turn_(kBrakeTurn / std::max(strength, 1)) {}
  Brake(const Brake&) = delete;
  ~Brake() {
    if (held_) watch_.thaw();
  }
  void step() {
    if (hold_.count() == 0) return;
    const auto now = std::chrono::steady_clock::now();
    if (now - since_ < (held_ ? hold_ : turn_)) return;
    if (held_) {
      watch_.thaw();
      held_ = false;
    } else {
      held_ = watch_.freeze(kDrainTimeMax);
    }
    since_ = std::chrono::steady_clock::now();
  }

 private:
  StoreManager::Watch& watch_;
  const std::chrono::milliseconds hold_, turn_;
  bool held_ = false;
  std::chrono::steady_clock::time_point since_{};
};

base::Error stopped() { return base::Error(StorageError::Busy, "Stopped; try again later."); }

base::Error too_busy() {
  return base::Error(StorageError::Busy,
                     "The tenant's store is written to without a pause. Try again at a quieter time.");
}

}  // namespace

Result<Copier> Copier::begin(Upkeep& upkeep, StoreManager& stores, const base::TenantId& tenant) {
  BULKHEAD_TRY(hold, upkeep.hold(tenant));
  BULKHEAD_TRY(scope, upkeep.scope(tenant));
  BULKHEAD_TRY(watch, stores.watch(tenant, kBeginTimeMax));
  return Copier(std::move(hold), std::move(scope), std::move(watch));
}

Result<void> Copier::take_one(const Take& take, const std::string& name) {
  std::optional<Subject> subject;
  {
    BULKHEAD_TRY(store, watch_->store(scope_));
    BULKHEAD_TRY(read, read_subject(*store, scope_, name));
    subject = std::move(read);
  }
  BULKHEAD_TRY(digest, take(name, subject));
  if (!subject) {
    taken_.erase(name);
    return {};
  }
  if (const auto* shelf = std::get_if<VectorStoreSubject>(&*subject)) {
    for (const AttachmentRecord& each : shelf->attachments) holders_[subject_of(each.file)].insert(name);
  }
  const auto [entry, fresh] = taken_.try_emplace(name, Taken{digest, met_});
  if (fresh) ++met_;
  entry->second.digest = digest;
  return {};
}

Result<void> Copier::take_written(const Take& take, const std::function<bool()>& stopping, int brake) {
  Journal::Written written = watch_->journal().take();
  Brake braking(*watch_, brake);
  // Files first, and the vector stores, which hold them, after: by the order of kinds.
  for (const SubjectKind kind : kSubjectKinds) {
    std::set<std::string> now;
    for (const std::string& name : written) {
      if (subject_kind(name) == kind) now.insert(name);
    }
    for (const std::string& name : now) {
      if (stopping()) return stopped();
      braking.step();
      BULKHEAD_CHECK_OK(take_one(take, name));
      if (kind != SubjectKind::File || taken_.contains(name)) continue;
      // What held the file that is gone has lost it.
      const auto held = holders_.find(name);
      if (held == holders_.end()) continue;
      written.insert(held->second.begin(), held->second.end());
      holders_.erase(held);
    }
  }
  return {};
}

std::vector<SubjectEntry> Copier::in_order() const {
  std::vector<std::pair<std::pair<SubjectKind, std::uint64_t>, SubjectEntry>> numbered;
  numbered.reserve(taken_.size());
  for (const auto& [name, taken] : taken_) {
    numbered.push_back({{*subject_kind(name), taken.number}, {name, taken.digest}});
  }
  std::sort(numbered.begin(), numbered.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<SubjectEntry> entries;
  entries.reserve(numbered.size());
  for (auto& [number, entry] : numbered) entries.push_back(std::move(entry));
  return entries;
}

Result<void> Copier::run(const Take& take, const std::function<bool()>& stopping,
                         const AtInstant& at_instant) {
  std::vector<std::string> names;
  {
    BULKHEAD_TRY(store, watch_->store(scope_));
    BULKHEAD_TRY(listed, list_subjects(*store, scope_));
    names = std::move(listed);
  }
  for (const std::string& name : names) {
    if (stopping()) return stopped();
    BULKHEAD_CHECK_OK(take_one(take, name));
  }
  int instants = 0, brake = 0;
  std::size_t last = names.size();
  for (int pass = 0; pass < kPassesMax && instants < kInstantsMax; ++pass) {
    if (const std::size_t left = watch_->journal().size(); left > few(pass)) {
      if (left > last / 2) ++brake;
      last = left;
      BULKHEAD_CHECK_OK(take_written(take, stopping, brake));
      continue;
    }
    ++instants;
    if (stopping()) return stopped();
    if (!watch_->freeze(kDrainTimeMax)) {
      std::this_thread::sleep_for(kTurn);
      continue;
    }
    const auto began = std::chrono::steady_clock::now();
    auto done = take_written(take, stopping);
    if (done) done = at_instant(in_order());
    watch_->thaw();
    frozen_for_ =
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began);
    return done;
  }
  return too_busy();
}

}  // namespace bulkhead::storage
