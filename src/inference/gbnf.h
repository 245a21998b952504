// Grammars that answers are held to, compiled from GBNF text (llama.cpp's grammar notation).
//
// llama.cpp compiles and matches them too, without a bound: repetitions are unrolled, nullable rules walked
// again and again, contradictory bounds never end, and a few characters of an ambiguous grammar fill the
// memory. Everything here is linear in the text: repetitions are counted, not unrolled, and what can't be
// matched in bounded work (left recursion) is refused. Matching is grammar_state.h.
// Understood: literals, classes, `.`, groups, alternatives, `* + ? {n} {n,} {n,m}`, rule names, comments.
// Tokens
// (`<[17]>`) are not: no grammar made here has any.
// Thread safety: immutable after compile.
// Source: llama.cpp's grammars/README.md.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "inference/error.h"

namespace bulkhead::inference {

struct GrammarElement {
  enum class Kind : std::uint8_t { End, Alternative, Rule, Repeat, Char, Class };
  static constexpr std::uint32_t kNoGreatest = UINT32_MAX;
  Kind kind = Kind::End;
  std::uint32_t value = 0;                // of Rule and Repeat a rule, of Char a code point, of Class a class
  std::uint32_t least = 1, greatest = 1;  // of Repeat
  bool ends() const { return kind == Kind::End || kind == Kind::Alternative; }
  bool is_text() const { return kind == Kind::Char || kind == Kind::Class; }
};

struct CharClass {
  bool negated = false;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> ranges;  // of code points, inclusive
  // Whether any code point from low to high is in it.
  bool meets(std::uint32_t low, std::uint32_t high) const;
};

struct GrammarBounds {
  std::size_t bytes = 1 << 20;        // of the text
  std::size_t elements = 100'000;     // of all rules, and as many ranges of characters
  std::size_t depth = 128;            // nested groups
  std::uint32_t repetitions = 2'000;  // of one item
};

class Grammar {
 public:
  // BadGrammar with a detail for the log of what is wrong, which never quotes the text.
  static base::Result<std::shared_ptr<const Grammar>> compile(std::string_view gbnf,
                                                              const GrammarBounds& bounds = {});

  const GrammarElement& at(std::uint32_t element) const { return elements_[element]; }
  // The first element of each alternative of a rule.
  const std::vector<std::uint32_t>& alternatives(std::uint32_t rule) const { return alternatives_[rule]; }
  // Of an element that is text: whether any code point from low to high matches it.
  bool matches(const GrammarElement& one, std::uint32_t low, std::uint32_t high) const;
  // How many comparisons that takes.
  std::size_t effort(const GrammarElement& one) const;
  std::uint32_t root() const { return root_; }
  std::size_t size() const { return elements_.size(); }

 private:
  friend class GbnfCompiler;
  Grammar() = default;
  std::vector<GrammarElement> elements_;  // all rules, one after the other
  std::vector<std::vector<std::uint32_t>> alternatives_;
  std::vector<CharClass> classes_;
  std::uint32_t root_ = 0;
};

}  // namespace bulkhead::inference
