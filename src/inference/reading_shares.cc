#include "inference/reading_shares.h"

#include <algorithm>
#include <map>

namespace bulkhead::inference {

namespace {

constexpr std::size_t kBorrowedTokens = 40;

}  // namespace

std::vector<std::size_t> reading_shares(const std::vector<PromptReader>& readers, std::size_t budget) {
  std::vector<std::size_t> order(readers.size()), wanted(readers.size()), shares(readers.size(), 0);
  for (std::size_t i = 0; i < readers.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return readers[a].placed < readers[b].placed; });
  std::map<std::string_view, std::vector<std::size_t>> lines;
  std::size_t for_borrowed = kBorrowedTokens;
  for (std::size_t i : order) {
    wanted[i] = readers[i].borrowed ? std::min(readers[i].wanted, for_borrowed) : readers[i].wanted;
    if (readers[i].borrowed) for_borrowed -= wanted[i];
    if (wanted[i] > 0) lines[readers[i].tenant].push_back(i);
  }
  while (budget > 0 && !lines.empty()) {
    const std::size_t part = std::max<std::size_t>(1, budget / lines.size());
    for (auto line = lines.begin(); line != lines.end() && budget > 0;) {
      std::size_t left = std::min(part, budget);
      std::vector<std::size_t>& places = line->second;
      while (left > 0 && !places.empty()) {
        const std::size_t i = places.front();
        const std::size_t more = std::min(left, wanted[i] - shares[i]);
        shares[i] += more;
        left -= more;
        budget -= more;
        if (shares[i] == wanted[i]) places.erase(places.begin());
      }
      line = places.empty() ? lines.erase(line) : std::next(line);
    }
  }
  return shares;
}

}  // namespace bulkhead::inference
