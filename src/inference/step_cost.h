// What a step of the scheduler takes, as measured while it goes on: only that tells how much of a prompt may
// share a step with streams, and whether a wider step brings more than it costs (on a CPU a small model's
// does, a large one's hardly).
// Pure values; used by the scheduler's thread.
#pragma once

#include <cstddef>

namespace bulkhead::inference {

// Seconds of a step that decodes some tokens of running answers.
class StepCost {
 public:
  StepCost(double one_token, double each_more) : first_(one_token), more_(each_more) {}
  void learn(std::size_t tokens, double seconds);
  double of(std::size_t tokens) const;
  double each_more() const { return more_; }

 private:
  double first_, more_;
};

// How fast prompts are read.
class ReadingSpeed {
 public:
  // A step read `tokens` of prompts and decoded `answers` tokens beside them. What the answers' tokens would
  // have taken anyway is not the reading's: else many streams would make reading seem slow, chunks small,
  // and a new request wait for many a step. Steps that read only a little say too little.
  void learn(std::size_t tokens, std::size_t answers, const StepCost& cost, double seconds);
  // Prompt tokens that can be read in this time. Only when `known`.
  std::size_t tokens_in(double seconds) const { return static_cast<std::size_t>(speed_ * seconds); }
  bool known() const { return speed_ > 0; }

 private:
  double speed_ = 0;  // tokens a second
};

}  // namespace bulkhead::inference
