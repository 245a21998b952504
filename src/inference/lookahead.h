// Lookahead: guesses an answer's next tokens from the request's own text, so that one step can check
// several of them (prompt lookup decoding, A. Saxena 2023; verification as in Leviathan et al., "Fast
// Inference from Transformers via Speculative Decoding", 2023). Answers from documents quote them, which is
// where it pays.
//
// A guess stands only when the sampler draws that very token from the model's own numbers for its place,
// so the answer is distributed as without guessing. It is made from this request's prompt and answer and from
// nothing else: there is no table of texts that a second request could meet.
// Pure values; used by the scheduler's thread.
#pragma once

#include <cstddef>

#include "inference/step_cost.h"
#include "inference/tokens.h"

namespace bulkhead::inference {

// What followed the latest earlier place at which the text reads as it does at its end (the longest of the
// last 4, 3 or 2 tokens). `text` ends with `next`, which is not yet part of it. At most `most` tokens;
// empty when the end has no earlier likeness.
Tokens guess_next(const Tokens& text, Token next, std::size_t most);

// How often one answer's guesses came true lately.
class GuessRecord {
 public:
  void add(std::size_t guessed, std::size_t right);
  // A token was written without guessing: old failures count less.
  void pass();
  double share() const { return right_ / guessed_; }
  // How many tokens are worth guessing in a step of `answers` running answers: as long as the chance that
  // one stands, counted in what a token costs without it, outweighs what it adds to the step, and as long as
  // the step does not become so long that the answer would come in bursts.
  std::size_t worth(const StepCost& cost, std::size_t answers) const;

 private:
  // As if two of three had been right: the first guesses are made, and a few wrong ones end it.
  static constexpr double kGuessedAtFirst = 3, kRightAtFirst = 2;
  double guessed_ = kGuessedAtFirst, right_ = kRightAtFirst;
};

}  // namespace bulkhead::inference
