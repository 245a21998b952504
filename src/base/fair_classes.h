// FairClasses: waiting work of several classes, each served fairly between its parties.
//
// Class 0 goes first (somebody waits for it), class 1 next (background), class 2 last (maintenance). Inside a
// class the party with the least service by its weight is served (base/fair_lines.h), and first come, first
// served within a party. A class that waited while kHigherInARow items of higher classes were taken is
// served once before them, so that a party that floods the highest class does not stop the work of the
// others. So an item of class 0 waits for at most one item of each lower class beyond its own class's.
// A party that comes back has a credit in its class, so that a small document isn't made to take turns with a
// large one (base/fair_lines.h).
// Work-conserving: `take` gives something whenever something may be taken.
// Thread safety: none; the owner locks. Owns its items.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include "base/fair_lines.h"

namespace bulkhead::base {

template <typename Item>
class FairClasses {
 public:
  static constexpr std::size_t kClasses = 3;
  static constexpr std::size_t kHigherInARow = 8;
  using Party = std::string;
  struct Taken {
    std::size_t priority = 0;
    Party party;
    Item item;
  };

  explicit FairClasses(double credit = 0)
      : lines_{FairLines<Item>(credit), FairLines<Item>(credit), FairLines<Item>(credit)} {}

  void push(std::size_t priority, const Party& party, double weight, Item item) {
    lines_[std::min(priority, kClasses - 1)].push(party, weight, 0, std::move(item));
  }

  // The next item among those that `may_take(priority, party)` allows.
  template <typename Allowed>
  std::optional<Taken> take(Allowed may_take) {
    for (std::size_t each = 1; each < kClasses; ++each) {
      if (passed_[each] < kHigherInARow) continue;
      if (auto taken = take_from(each, may_take)) return taken;
    }
    for (std::size_t each = 0; each < kClasses; ++each) {
      if (auto taken = take_from(each, may_take)) return taken;
    }
    return std::nullopt;
  }
  std::optional<Taken> take() {
    return take([](std::size_t, const Party&) { return true; });
  }

  // Counts work given to a party of a class, at any time.
  void charge(std::size_t priority, const Party& party, double cost) {
    lines_[std::min(priority, kClasses - 1)].charge(party, cost);
  }

  // Removes the items for which `gone` is true and hands each to `each`.
  template <typename Gone, typename Each>
  void remove_if(Gone gone, Each each) {
    for (auto& lines : lines_) lines.remove_if(gone, each);
  }

  bool empty() const { return size() == 0; }
  std::size_t size() const {
    std::size_t sum = 0;
    for (const auto& lines : lines_) sum += lines.size();
    return sum;
  }
  std::size_t size(std::size_t priority) const { return lines_[std::min(priority, kClasses - 1)].size(); }
  // Of one party, in all classes.
  std::size_t size(const Party& party) const {
    std::size_t sum = 0;
    for (const auto& lines : lines_) sum += lines.size(party);
    return sum;
  }

 private:
  template <typename Allowed>
  std::optional<Taken> take_from(std::size_t priority, Allowed& may_take) {
    auto party = lines_[priority].next([&](const Party& each) { return may_take(priority, each); });
    if (!party) return std::nullopt;
    passed_[priority] = 0;
    for (std::size_t lower = priority + 1; lower < kClasses; ++lower) {
      if (!lines_[lower].empty()) ++passed_[lower];
    }
    Item item = lines_[priority].take(*party);
    return Taken{priority, std::move(*party), std::move(item)};
  }

  std::array<FairLines<Item>, kClasses> lines_;
  std::array<std::size_t, kClasses> passed_{};  // takes of higher classes since this one's last
};

}  // namespace bulkhead::base
