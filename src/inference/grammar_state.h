// How far an answer has come in its grammar: a pushdown automaton that is simulated in all its states at
// once, within bounds of states, depth, memory and work that hold whatever the grammar and the text are.
//
// A state is a node: an element of the grammar to be matched next, above what follows once its rule is over.
// Equal nodes are one, so that what two ways have in common is there once; what follows a node is found out
// once. When a bound is met, the state is `exhausted` for good: the answer ends with an error, its neighbours
// don't wait. Nesting beyond the depth is no error: the grammar then allows no further step in. Thread
// safety: none; one answer's, used by the scheduler's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "inference/gbnf.h"
#include "inference/utf8.h"

namespace bulkhead::inference {

struct MatchBounds {
  std::size_t states = 256;       // at one place of the text
  std::size_t depth = 512;        // nodes above each other
  std::size_t nodes = 1 << 15;    // in memory
  std::size_t steps = 2'000'000;  // of one token of the answer, for all candidates together
};

class GrammarState {
 public:
  explicit GrammarState(std::shared_ptr<const Grammar> grammar, const MatchBounds& bounds = {});

  // Allows a new token's steps; at the beginning of each token.
  void begin_token();
  // Whether the bytes may come next. May end in the middle of a character.
  bool allows(std::string_view bytes);
  // They came. False when the grammar doesn't allow them.
  bool accept(std::string_view bytes);
  // Whether the answer may end here.
  bool may_end() const;
  bool exhausted() const { return exhausted_; }
  std::size_t states() const { return states_.size(); }
  std::size_t nodes() const { return nodes_.size(); }

 private:
  using Id = std::uint32_t;
  static constexpr Id kOver = 0;  // nothing follows
  struct Node {
    std::uint32_t element = 0;
    Id below = kOver;
    std::uint32_t count = 0;  // of a repetition: how often its item has begun
    std::uint32_t depth = 0;
    std::uint32_t seen = 0;  // the expansion that was here last
    bool expanded = false;   // `after` is known
    std::vector<Id> after;   // of a node at a class: the states once it has matched
  };
  struct Key {
    std::uint32_t element, below, count;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const {
      std::uint64_t mixed = (std::uint64_t{key.element} << 32 | key.below) * 0x9E3779B97F4A7C15ull;
      return (mixed ^ (mixed >> 29)) + key.count * 0xBF58476D1CE4E5B9ull;
    }
  };

  void reset();
  Id node(std::uint32_t element, Id below, std::uint32_t count);
  // What follows `below` after the element: nothing is laid down when the element is its rule's last.
  Id below_after(std::uint32_t element, Id below);
  void expand(std::vector<Id>& work, std::vector<Id>& out);
  void expand_one(Id id, std::vector<Id>& work, std::vector<Id>& out);
  void pass(std::uint32_t element, Id below, std::vector<Id>& work, std::vector<Id>& out);
  const std::vector<Id>& after(Id id);
  bool walk(std::string_view bytes, std::vector<Id>& states, Utf8State& text);
  bool step(std::uint32_t code_point, std::vector<Id>& states);
  void compact();
  bool spend(std::size_t steps);

  std::shared_ptr<const Grammar> grammar_;
  const MatchBounds bounds_;
  std::vector<Node> nodes_;
  std::unordered_map<Key, Id, KeyHash> ids_;
  std::vector<Id> states_;
  Utf8State text_;
  std::uint32_t expansion_ = 0;
  std::size_t steps_left_ = 0, entries_ = 0;
  bool exhausted_ = false;
};

}  // namespace bulkhead::inference
