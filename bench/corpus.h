// Vectors as a sentence model gives them: topics, with passages around them, of unit length; questions lie
// near passages.
#pragma once

#include <cmath>
#include <cstddef>
#include <random>
#include <vector>

namespace bulkhead::bench {

inline constexpr std::size_t kDimensions = 384;
inline constexpr float kNearPassage = 0.6f, kNearTopic = 1.1f;

using Vector = std::vector<float>;

inline void normalise(float* vector) {
  double sum = 0;
  for (std::size_t i = 0; i < kDimensions; ++i) sum += static_cast<double>(vector[i]) * vector[i];
  for (std::size_t i = 0; i < kDimensions; ++i) vector[i] = static_cast<float>(vector[i] / std::sqrt(sum));
}

inline Vector near(std::mt19937& random, const float* centre, float spread) {
  std::normal_distribution<float> normal(0, 1 / std::sqrt(static_cast<float>(kDimensions)));
  Vector vector(kDimensions);
  for (std::size_t i = 0; i < kDimensions; ++i)
    vector[i] = (centre ? centre[i] : 0) + spread * normal(random);
  normalise(vector.data());
  return vector;
}

inline std::vector<Vector> make_topics(std::mt19937& random, int count = 200) {
  std::vector<Vector> topics;
  for (int i = 0; i < count; ++i) topics.push_back(near(random, nullptr, 1));
  return topics;
}

}  // namespace bulkhead::bench
