// EmbeddingSpace: names what made a vector. Vectors of one space can be compared with each other; those of
// two can't, whatever their dimensions. Sixteen bytes; all zero is "not known", which no model's space is.
//
// A local model's space is the first half of its file's SHA-256, which its worker checks at every load.
#pragma once

#include <algorithm>
#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace bulkhead::base {

struct EmbeddingSpace {
  std::array<std::uint8_t, 16> bytes{};

  friend auto operator<=>(const EmbeddingSpace&, const EmbeddingSpace&) = default;
  bool known() const { return *this != EmbeddingSpace(); }
  std::string hex() const { return hex_encode(bytes); }
  // Of a model by its pinned SHA-256 in hex; not known when that is no such text.
  static EmbeddingSpace of_model(std::string_view sha256_hex) {
    EmbeddingSpace space;
    if (sha256_hex.size() != 64) return space;
    const auto read = hex_decode(sha256_hex.substr(0, 2 * space.bytes.size()));
    if (read) std::copy(read->begin(), read->end(), space.bytes.begin());
    return space;
  }
};

}  // namespace bulkhead::base
