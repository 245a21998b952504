// SlotTable: which slot of one llama.cpp server serves whom.
//
// A slot is leased for one request at a time. Back from a lease it is clean (erased, and the server said so),
// kept (for later requests of the same tenant and session, until its time is over) or dirty. What is not
// clean goes to nobody else before it was erased: `Lease::erase_first` says so. At the beginning every slot
// is dirty, since a server may have served others before.
//
// Thread safety: all members from every thread. The clock outlives it.
#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"

namespace bulkhead::engine {

class SlotTable {
 public:
  struct Owner {
    std::string tenant, session;
    friend bool operator==(const Owner&, const Owner&) = default;
  };
  struct Lease {
    std::size_t slot = 0;
    bool erase_first = false;
  };

  SlotTable(std::size_t slots, const base::Clock& clock) : clock_(clock), slots_(slots) {}

  // The slot kept for `owner`, else a clean one, else one to be erased first; nothing when all are leased.
  std::optional<Lease> lease(const Owner& owner);
  // An idle slot whose rows must go: dirty, or kept beyond its time. For sweeping.
  std::optional<std::size_t> lease_overdue();
  // An idle slot kept for this tenant (and session, when not empty). For burning.
  std::optional<std::size_t> lease_kept(const std::string& tenant, const std::string& session);

  void back_clean(std::size_t slot);
  void back_dirty(std::size_t slot);
  void back_kept(std::size_t slot, Owner owner, std::chrono::seconds time);
  // The server was started anew, or another stands in its place.
  void all_dirty();
  std::size_t size() const { return slots_.size(); }

 private:
  struct Slot {
    enum class State { Clean, Dirty, Kept } state = State::Dirty;
    bool leased = false;
    Owner owner;
    base::MonotonicTime until{};
  };
  template <typename Wanted>
  std::optional<std::size_t> take(Wanted wanted);
  void give_back(std::size_t slot, Slot state);

  const base::Clock& clock_;
  std::mutex mutex_;
  std::vector<Slot> slots_;
};

}  // namespace bulkhead::engine
