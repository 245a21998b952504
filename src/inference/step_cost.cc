#include "inference/step_cost.h"

#include <algorithm>

namespace bulkhead::inference {

namespace {

constexpr double kCostSmoothing = 0.05, kSpeedSmoothing = 0.3;
constexpr std::size_t kTellingTokens = 64;
// Of the step's time, whatever the answers in it are said to cost: that, too, is only measured.
constexpr double kReadingShareMin = 0.25;
constexpr double kSecondsMin = 1e-6;

void approach(double& value, double target, double part) { value += part * (target - value); }

}  // namespace

void StepCost::learn(std::size_t tokens, double seconds) {
  if (tokens == 1) {
    approach(first_, seconds, kCostSmoothing);
  } else if (tokens > 1) {
    approach(more_, std::max(0.0, (seconds - first_) / static_cast<double>(tokens - 1)), kCostSmoothing);
  }
}

double StepCost::of(std::size_t tokens) const {
  return tokens == 0 ? 0 : first_ + more_ * static_cast<double>(tokens - 1);
}

void ReadingSpeed::learn(std::size_t tokens, std::size_t answers, const StepCost& cost, double seconds) {
  if (tokens < kTellingTokens) return;
  const double reading = std::max({seconds - cost.of(answers), seconds * kReadingShareMin, kSecondsMin});
  const double speed = static_cast<double>(tokens) / reading;
  if (known()) {
    approach(speed_, speed, kSpeedSmoothing);
  } else {
    speed_ = speed;
  }
}

}  // namespace bulkhead::inference
