// FairLines: waiting work in one line per party, served by virtual token counters.
//
// Each party (a tenant) has a counter of the work it was given, divided by its weight. The party with the
// smallest counter among those that wait is served next; whoever comes back from idleness is lifted to
// the smallest counter of those that wait, so that nobody saves up service by staying away (Sheng et al.,
// "Fairness in Serving Large Language Models", OSDI 2024, algorithm 2). Of two parties that both wait
// all the time, neither gets more than
//     2 * max(greatest cost of taking one item, greatest cost outstanding at once)
// ahead of the other, per unit of weight; tests/unit/base/fair_lines_test.cc holds random traces to that.
// With a `credit` whoever comes back may stay so much below that floor, which adds to the bound: a short
// piece of work goes ahead of a long one's next item, and who was served lately has no credit left.
// Work-conserving: `take` gives something whenever anything waits.
// Inside a party higher classes go first, and first come, first served within a class.
// Thread safety: none; the owner locks. Owns its items.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>

namespace bulkhead::base {

template <typename Item>
class FairLines {
 public:
  static constexpr std::size_t kClasses = 2;  // 0 first
  using Party = std::string;

  explicit FairLines(double credit = 0) : credit_(credit) {}

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::size_t size(const Party& party) const {
    auto line = lines_.find(party);
    return line == lines_.end() ? 0 : line->second.waiting();
  }
  std::size_t parties() const { return waiting_parties_; }

  void push(const Party& party, double weight, std::size_t priority, Item item) {
    Line& line = arrive(party);
    line.weight = weight;
    line.classes[std::min(priority, kClasses - 1)].push_back(std::move(item));
  }
  // Puts back what was taken and could not be finished: before all else of its party.
  void push_front(const Party& party, double weight, Item item) {
    Line& line = arrive(party);
    line.weight = weight;
    line.classes[0].push_front(std::move(item));
  }

  template <typename Each>
  void each_waiting(Each each) const {
    for (const auto& [party, line] : lines_) {
      if (line.waiting() > 0) each(party, line.weight);
    }
  }

  // The party to be served next among those that `may_take` allows.
  template <typename Allowed>
  std::optional<Party> next(Allowed may_take) const {
    const Party* best = nullptr;
    double least = 0;
    for (const auto& [party, line] : lines_) {
      if (line.waiting() == 0 || (best && line.counter >= least) || !may_take(party)) continue;
      best = &party;
      least = line.counter;
    }
    return best ? std::optional<Party>(*best) : std::nullopt;
  }

  // The first item of a party that waits.
  Item take(const Party& party) {
    auto found = lines_.find(party);
    for (auto& queue : found->second.classes) {
      if (queue.empty()) continue;
      Item item = std::move(queue.front());
      queue.pop_front();
      left(found->second);
      return item;
    }
    return Item();
  }
  std::optional<std::pair<Party, Item>> take() {
    auto party = next([](const Party&) { return true; });
    if (!party) return std::nullopt;
    Item item = take(*party);
    return std::make_pair(std::move(*party), std::move(item));
  }

  // Removes the items for which `gone` is true and hands each to `each`.
  template <typename Gone, typename Each>
  void remove_if(Gone gone, Each each) {
    for (auto& [party, line] : lines_) {
      for (auto& queue : line.classes) {
        for (auto at = queue.begin(); at != queue.end();) {
          if (!gone(*at)) {
            ++at;
            continue;
          }
          Item item = std::move(*at);
          at = queue.erase(at);
          left(line);
          each(std::move(item));
        }
      }
    }
  }

  // Counts work given to a party, at any time.
  void charge(const Party& party, double cost) {
    Line& line = lines_[party];
    line.counter += cost / line.weight;
  }
  double counter(const Party& party) const {
    auto line = lines_.find(party);
    return line == lines_.end() ? 0 : line->second.counter;
  }

 private:
  struct Line {
    double counter = 0, weight = 1;
    std::array<std::deque<Item>, kClasses> classes;
    std::size_t waiting() const {
      std::size_t sum = 0;
      for (const auto& queue : classes) sum += queue.size();
      return sum;
    }
  };
  static constexpr std::size_t kIdleMax = 1024;  // counters kept of parties that wait for nothing

  Line& arrive(const Party& party) {
    if (lines_.size() > kIdleMax + waiting_parties_) forget_idle();
    Line& line = lines_[party];
    if (line.waiting() == 0) {
      line.counter = std::max(line.counter, floor() - credit_);
      ++waiting_parties_;
    }
    ++size_;
    return line;
  }

  void left(Line& line) {
    --size_;
    if (line.waiting() > 0) return;
    --waiting_parties_;
    last_left_ = line.counter;
  }

  // What a newcomer is lifted to: the least of those that wait, or of who waited last.
  double floor() const {
    std::optional<double> least;
    for (const auto& [party, line] : lines_) {
      if (line.waiting() > 0) least = std::min(least.value_or(line.counter), line.counter);
    }
    return least.value_or(last_left_);
  }

  // A counter below the floor is of no more use: its party would be lifted to it anyway. Beyond that, the
  // counters nearest to it go first.
  void forget_idle() {
    double low = floor() - credit_;
    std::erase_if(lines_, [low](const auto& entry) {
      return entry.second.waiting() == 0 && entry.second.counter <= low;
    });
    while (lines_.size() > kIdleMax + waiting_parties_) {
      auto least = lines_.end();
      for (auto at = lines_.begin(); at != lines_.end(); ++at) {
        bool idle = at->second.waiting() == 0;
        if (idle && (least == lines_.end() || at->second.counter < least->second.counter)) least = at;
      }
      lines_.erase(least);
    }
  }

  const double credit_;
  std::map<Party, Line> lines_;
  std::size_t size_ = 0, waiting_parties_ = 0;
  double last_left_ = 0;
};

}  // namespace bulkhead::base
