// What the targets share: a check that ends the process, and ways of cutting an input into pieces.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace bulkhead::fuzz {

inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "property broken: %s\n", what);
  std::abort();
}

// Every refusal tells its receiver something.
inline void require_told(const base::Error& error) {
  require(!error.message().empty(), "an error has a message for its receiver");
  require(!error.name().code.empty(), "an error has a code");
}

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// The input in one piece, byte by byte, and in pieces whose lengths come from its own content, so
// that a find stays a plain file of the format and shows the same pieces again.
inline std::vector<std::vector<std::string_view>> ways_to_cut(std::string_view text) {
  std::vector<std::vector<std::string_view>> ways(3);
  ways[0].push_back(text);
  std::uint64_t state = 0xcbf29ce484222325;
  for (std::size_t i = 0; i < text.size(); ++i) {
    ways[1].push_back(text.substr(i, 1));
    state = (state ^ static_cast<unsigned char>(text[i])) * 0x100000001b3;
  }
  while (!text.empty()) {
    state = state * 6364136223846793005 + 1442695040888963407;
    std::size_t bytes = 1 + (state >> 33) % 23;
    ways[2].push_back(text.substr(0, bytes));
    text.remove_prefix(ways[2].back().size());
  }
  return ways;
}

// "first line, LF, the rest": for targets that take a short parameter beside their text.
inline std::string_view take_line(std::string_view& text) {
  std::size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

}  // namespace bulkhead::fuzz
