#include "inference/text_set.h"

namespace bulkhead::inference {

void TextSet::add(std::string_view text) {
  if (text.empty()) return;
  first_[static_cast<std::uint8_t>(text[0])] = true;
  std::uint32_t node = 0;
  for (char byte : text) {
    auto [at, fresh] = steps_.try_emplace(step(node, byte), static_cast<std::uint32_t>(ends_.size()));
    if (fresh) ends_.push_back(false);
    node = at->second;
  }
  ends_[node] = true;
}

std::size_t TextSet::longest_at(std::string_view text, std::size_t at) const {
  if (at >= text.size() || !first_[static_cast<std::uint8_t>(text[at])]) return 0;
  std::size_t longest = 0;
  std::uint32_t node = 0;
  for (std::size_t i = at; i < text.size(); ++i) {
    auto next = steps_.find(step(node, text[i]));
    if (next == steps_.end()) break;
    node = next->second;
    if (ends_[node]) longest = i + 1 - at;
  }
  return longest;
}

}  // namespace bulkhead::inference
