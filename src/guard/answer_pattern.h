// Regular expressions that an answer may be held to: the part of ECMA-262 that a grammar can express exactly.
//
// Anchored at both ends; characters, classes, groups, alternatives and counted repetitions. What a grammar
// can't express (look-around, back references, word boundaries) is refused, never served without the
// constraint. The pattern is rewritten into the dialect of llama.cpp's converter, which knows no \d, \w, \s
// and takes what it doesn't know for "any string".
// Bounds: kPatternBytesMax, kPatternDepthMax, kRepetitionMax. Pure functions, thread safe.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace bulkhead::guard {

inline constexpr std::size_t kPatternBytesMax = 2'048;
inline constexpr std::size_t kPatternDepthMax = 16;
inline constexpr std::int64_t kRepetitionMax = 1'000;

struct ReadPattern {
  std::string rewritten;  // of the same language
  std::string fault;      // not empty: why it is refused, as the end of a sentence: "repeats a group ..."
};
ReadPattern read_answer_pattern(std::string_view pattern);

}  // namespace bulkhead::guard
