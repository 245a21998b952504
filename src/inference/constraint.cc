#include "inference/constraint.h"

#include <algorithm>

namespace bulkhead::inference {

using base::Error;
using base::Result;

namespace {

// A pattern's search is as long as the text, and std::regex recurses by its length.
constexpr std::size_t kTriggerWindow = 512;

}  // namespace

Result<std::unique_ptr<ConstraintState>> ConstraintState::make(const Constraint& constraint) {
  std::unique_ptr<ConstraintState> state(new ConstraintState(constraint));
  if (!constraint.lazy && !state->begin(constraint.accepted)) {
    return Error(InferenceError::BadGrammar, "The answer's format can't be turned into a grammar.",
                 "the grammar does not begin as the prompt ends");
  }
  return state;
}

bool ConstraintState::begin(std::string_view text) {
  state_.emplace(constraint_.grammar, constraint_.bounds);
  if (state_->exhausted()) return false;
  return text.empty() || state_->accept(text);
}

// Where the first trigger begins that ends in the last `fresh` bytes.
std::optional<std::size_t> ConstraintState::trigger(std::size_t fresh) const {
  std::optional<std::size_t> first;
  for (const Trigger& one : constraint_.triggers) {
    std::size_t at = std::string::npos;
    if (!one.pattern) {
      const std::size_t tail = fresh + one.word.size();
      at = spoken_.find(one.word, spoken_.size() > tail ? spoken_.size() - tail : 0);
    } else if (!(one.from_the_start && cut_)) {
      std::smatch match;
      if (std::regex_search(spoken_, match, *one.pattern)) {
        at = static_cast<std::size_t>(match.position(0));
        // The grammar covers the text from the pattern's first group on.
        for (std::size_t i = 1; i < match.size(); ++i) {
          if (match.length(i) == 0) continue;
          at = static_cast<std::size_t>(match.position(i));
          break;
        }
      }
    }
    if (at != std::string::npos && (!first || at < *first)) first = at;
  }
  return first;
}

bool ConstraintState::accept(std::string_view bytes) {
  if (state_) return state_->accept(bytes);
  spoken_ += bytes;
  if (auto at = trigger(bytes.size())) {
    const bool begun = begin(std::string_view(spoken_).substr(*at));
    spoken_.clear();
    return begun;
  }
  if (spoken_.size() > 2 * kTriggerWindow) {
    spoken_.erase(0, spoken_.size() - kTriggerWindow);
    cut_ = true;
  }
  return true;
}

}  // namespace bulkhead::inference
