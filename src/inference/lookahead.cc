#include "inference/lookahead.h"

#include <algorithm>

namespace bulkhead::inference {

namespace {

constexpr std::size_t kLikenessMax = 4, kLikenessMin = 2;
constexpr std::size_t kGuessesMax = 8;  // of one answer in a step
constexpr double kForgetting = 0.02;
// Each guess counts this much less with every later one, so that a change of manner is seen soon.
constexpr double kMemory = 0.95;
// What must be gained at least, since costs are measured on a machine that does other things too.
constexpr double kMargin = 1.1;
// How much longer than without guesses a step may take: a reader sees the pause before a burst, not the
// burst.
constexpr double kStretchMax = 1.3;

void approach(double& value, double target, double part) { value += part * (target - value); }

}  // namespace

Tokens guess_next(const Tokens& text, Token next, std::size_t most) {
  // The text's token `back` places before its end, which `next` is.
  auto ending = [&](std::size_t back) { return back == 0 ? next : text[text.size() - back]; };
  std::size_t best = 0, at = 0;
  for (std::size_t end = text.size(); end-- > 0 && best < kLikenessMax;) {
    std::size_t like = 0;
    while (like < kLikenessMax && like <= end && text[end - like] == ending(like)) ++like;
    if (like > best) {
      best = like;
      at = end + 1;
    }
  }
  if (best < kLikenessMin || most == 0) return {};
  Tokens out;
  for (std::size_t i = at; i < text.size() && out.size() < most; ++i) out.push_back(text[i]);
  if (out.size() < most) out.push_back(next);
  return out;
}

void GuessRecord::add(std::size_t guessed, std::size_t right) {
  for (std::size_t i = 0; i < guessed; ++i) {
    guessed_ = guessed_ * kMemory + 1;
    right_ = right_ * kMemory + (i < right ? 1 : 0);
  }
}

void GuessRecord::pass() {
  approach(guessed_, kGuessedAtFirst, kForgetting);
  approach(right_, kRightAtFirst, kForgetting);
}

std::size_t GuessRecord::worth(const StepCost& cost, std::size_t answers) const {
  double token_without = cost.of(answers) / static_cast<double>(std::max<std::size_t>(answers, 1));
  double stands = 1;
  for (std::size_t i = 0; i < kGuessesMax; ++i) {
    stands *= share();
    if (stands * token_without < kMargin * cost.each_more()) return i;
    if (cost.of(answers * (i + 2)) > kStretchMax * cost.of(answers)) return i;
  }
  return kGuessesMax;
}

}  // namespace bulkhead::inference
