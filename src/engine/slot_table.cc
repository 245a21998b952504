#include "engine/slot_table.h"

namespace bulkhead::engine {

template <typename Wanted>
std::optional<std::size_t> SlotTable::take(Wanted wanted) {
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].leased || !wanted(slots_[i])) continue;
    slots_[i].leased = true;
    return i;
  }
  return std::nullopt;
}

std::optional<SlotTable::Lease> SlotTable::lease(const Owner& owner) {
  std::lock_guard lock(mutex_);
  const base::MonotonicTime now = clock_.monotonic();
  auto own =
      take([&](const Slot& s) { return s.state == Slot::State::Kept && s.owner == owner && s.until > now; });
  if (own) return Lease{*own, false};
  if (auto clean = take([](const Slot& s) { return s.state == Slot::State::Clean; }))
    return Lease{*clean, false};
  if (auto dirty = take([](const Slot& s) { return s.state == Slot::State::Dirty; }))
    return Lease{*dirty, true};
  // The one that would be given up soonest anyway.
  std::optional<base::MonotonicTime> first;
  for (const Slot& s : slots_) {
    if (!s.leased && (!first || s.until < *first)) first = s.until;
  }
  if (!first) return std::nullopt;
  auto kept = take([&](const Slot& s) { return s.until == *first; });
  return Lease{*kept, true};
}

std::optional<std::size_t> SlotTable::lease_overdue() {
  std::lock_guard lock(mutex_);
  const base::MonotonicTime now = clock_.monotonic();
  return take([&](const Slot& s) {
    return s.state == Slot::State::Dirty || (s.state == Slot::State::Kept && s.until <= now);
  });
}

std::optional<std::size_t> SlotTable::lease_kept(const std::string& tenant, const std::string& session) {
  std::lock_guard lock(mutex_);
  return take([&](const Slot& s) {
    return s.state == Slot::State::Kept && s.owner.tenant == tenant &&
           (session.empty() || s.owner.session == session);
  });
}

void SlotTable::give_back(std::size_t slot, Slot state) {
  std::lock_guard lock(mutex_);
  slots_[slot] = std::move(state);
}

void SlotTable::back_clean(std::size_t slot) { give_back(slot, {Slot::State::Clean, false, {}, {}}); }
void SlotTable::back_dirty(std::size_t slot) { give_back(slot, {Slot::State::Dirty, false, {}, {}}); }
void SlotTable::back_kept(std::size_t slot, Owner owner, std::chrono::seconds time) {
  give_back(slot, {Slot::State::Kept, false, std::move(owner), clock_.monotonic() + time});
}

void SlotTable::all_dirty() {
  std::lock_guard lock(mutex_);
  for (Slot& slot : slots_) slot.state = Slot::State::Dirty;
}

}  // namespace bulkhead::engine
