// What holds an answer to a format: a grammar from the first token on, or from a trigger on.
//
// A lazy one lets the model talk until a trigger (the words that begin a tool call) shows up; the grammar
// then covers the text from the trigger on. Triggers come from the model's template, never from a client.
// Thread safety: a Constraint is immutable; a ConstraintState is one answer's.
#pragma once

#include <memory>
#include <optional>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "inference/gbnf.h"
#include "inference/grammar_state.h"

namespace bulkhead::inference {

struct Trigger {
  std::string word;                   // found as it stands, or
  std::optional<std::regex> pattern;  // searched in the answer's last kTriggerWindow bytes
  bool from_the_start = false;        // the pattern is about the whole answer so far
};

struct Constraint {
  std::shared_ptr<const Grammar> grammar;  // null: none
  bool lazy = false;
  std::vector<Trigger> triggers;
  std::string accepted;  // what the grammar has seen of the prompt's end already
  MatchBounds bounds;
};

class ConstraintState {
 public:
  // BadGrammar when the grammar can't begin as the prompt ends.
  static base::Result<std::unique_ptr<ConstraintState>> make(const Constraint& constraint);

  bool holds() const { return state_.has_value(); }
  void begin_token() {
    if (state_) state_->begin_token();
  }
  // Of a token's bytes; of the answer's end. Everything is allowed until it holds.
  bool allows(std::string_view bytes) { return !state_ || state_->allows(bytes); }
  bool may_end() const { return !state_ || state_->may_end(); }
  // False when the text is not the grammar's.
  bool accept(std::string_view bytes);
  bool exhausted() const { return state_ && state_->exhausted(); }

 private:
  explicit ConstraintState(const Constraint& constraint) : constraint_(constraint) {}
  bool begin(std::string_view text);
  std::optional<std::size_t> trigger(std::size_t fresh) const;

  const Constraint& constraint_;
  std::optional<GrammarState> state_;
  std::string spoken_;  // before the trigger: its last bytes
  bool cut_ = false;    // what was spoken is longer
};

}  // namespace bulkhead::inference
