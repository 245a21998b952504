// TextSet: which of a fixed set of texts stands at a place of another text. A trie; a look-up walks at most
// the longest text of the set, however many there are. Thread safety: immutable after it is filled.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace bulkhead::inference {

class TextSet {
 public:
  void add(std::string_view text);  // an empty one is not added
  // Bytes of the longest text of the set that stands at `at`; 0 when none does.
  std::size_t longest_at(std::string_view text, std::size_t at) const;
  bool empty() const { return steps_.empty(); }

 private:
  static constexpr std::uint64_t step(std::uint32_t node, char byte) {
    return (std::uint64_t{node} << 8) | static_cast<std::uint8_t>(byte);
  }
  std::array<bool, 256> first_{};
  std::unordered_map<std::uint64_t, std::uint32_t> steps_;  // node and byte to node
  std::vector<bool> ends_{false};                           // by node: a text ends here
};

}  // namespace bulkhead::inference
