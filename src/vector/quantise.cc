#include "vector/quantise.h"

#include <algorithm>
#include <cmath>

namespace bulkhead::vector {
namespace {

constexpr float kCodeMax = 127.0F;

// More than what rounding to float and summing up to kWidthMax doubles can lose.
float round_up(double value) { return static_cast<float>(value * (1.0 + 1e-6) + 1e-30); }

}  // namespace

bool quantise(const float* vector, std::size_t dimensions, std::int8_t* codes, Quantised& out) {
  float largest = 0;
  for (std::size_t i = 0; i < dimensions; ++i) {
    if (!std::isfinite(vector[i])) return false;
    largest = std::max(largest, std::fabs(vector[i]));
  }
  // A subnormal scale would lose its precision; such a vector is all rest.
  out.scale = largest / kCodeMax;
  if (!std::isnormal(out.scale)) out.scale = 0;
  double rest = 0;
  double coded = 0;
  for (std::size_t i = 0; i < dimensions; ++i) {
    const float exact = out.scale > 0 ? std::round(vector[i] / out.scale) : 0;
    codes[i] = static_cast<std::int8_t>(std::clamp(exact, -kCodeMax, kCodeMax));
    const double approximate = static_cast<double>(out.scale) * codes[i];
    coded += approximate * approximate;
    rest += (vector[i] - approximate) * (vector[i] - approximate);
  }
  out.rest_norm = round_up(std::sqrt(rest));
  out.code_norm = round_up(std::sqrt(coded));
  return true;
}

float norm_up(const float* vector, std::size_t dimensions) {
  double sum = 0;
  for (std::size_t i = 0; i < dimensions; ++i) sum += static_cast<double>(vector[i]) * vector[i];
  return round_up(std::sqrt(sum));
}

}  // namespace bulkhead::vector
