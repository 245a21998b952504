// Which prompts are read in a step, and how much of each. A pure function.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace bulkhead::inference {

struct PromptReader {
  std::string tenant;
  std::uint64_t placed = 0;  // the lower, the earlier it got its slot
  std::size_t wanted = 0;    // tokens of its prompt that are not read yet
  // In a slot that is another tenant's by its share: that one may ask for it at any moment.
  bool borrowed = false;
};

// Tokens for each reader, `budget` together at most: equal parts a tenant, what one leaves goes to the
// others; inside a tenant the sequence that came first is served first. Borrowed ones get a few tokens
// together: who asks for the slot back waits for the step's end, so it must not be a long one.
std::vector<std::size_t> reading_shares(const std::vector<PromptReader>& readers, std::size_t budget);

}  // namespace bulkhead::inference
