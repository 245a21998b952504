// What ranks must stay, and what a vector looked like must not.
#include "storage/vector_rotation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>

#include "store_fixture.h"

namespace bulkhead::storage {
namespace {

using Vector = std::vector<float>;

double product(const Vector& a, const Vector& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

Vector unit(std::mt19937& random, std::size_t dimensions) {
  std::normal_distribution<float> normal;
  Vector out(dimensions);
  for (float& each : out) each = normal(random);
  const double length = std::sqrt(product(out, out));
  for (float& each : out) each = static_cast<float>(each / length);
  return out;
}

const base::Secret& key(int which) {
  static const base::Secret keys[] = {
      base::Secret::copy_of(std::string_view("0123456789abcdef0123456789abcdef")),
      base::Secret::copy_of(std::string_view("0123456789abcdef0123456789abcdeg"))};
  return keys[which];
}

TEST(VectorRotation, KeepsInnerProducts) {
  std::mt19937 random(1);
  for (const std::size_t dimensions : {1UL, 2UL, 3UL, 8UL, 100UL, 384UL, 768UL, 1000UL, 2000UL}) {
    const VectorRotation rotation(key(0), sample_space(1), dimensions);
    for (int i = 0; i < 20; ++i) {
      const Vector a = unit(random, dimensions), b = unit(random, dimensions);
      EXPECT_NEAR(product(rotation.apply(a), rotation.apply(b)), product(a, b), 2e-6) << dimensions;
    }
  }
}

TEST(VectorRotation, LeavesNothingOfWhatAVectorLookedLike) {
  std::mt19937 random(2);
  const VectorRotation rotation(key(0), sample_space(1), 384);
  const double spread = 1 / std::sqrt(384.0);
  double most = 0;
  for (int i = 0; i < 200; ++i) {
    const Vector a = unit(random, 384);
    most = std::max(most, std::abs(product(a, rotation.apply(a))));
  }
  EXPECT_LT(most, 6 * spread) << "no nearer to itself than to any other vector";
  // A vector along one axis is spread over all of them, so that no place tells which it was.
  for (std::size_t axis = 0; axis < 384; axis += 7) {
    Vector one(384, 0.0F);
    one[axis] = 1;
    for (float each : rotation.apply(one)) EXPECT_LT(std::abs(each), 0.5F) << axis;
  }
}

TEST(VectorRotation, IsAnotherOneForEveryKeyAndSpaceAndTheSameForTheSame) {
  std::mt19937 random(3);
  const Vector a = unit(random, 384);
  const Vector rotated = VectorRotation(key(0), sample_space(1), 384).apply(a);
  EXPECT_EQ(VectorRotation(key(0), sample_space(1), 384).apply(a), rotated) << "control";
  const double spread = 1 / std::sqrt(384.0);
  EXPECT_LT(std::abs(product(VectorRotation(key(1), sample_space(1), 384).apply(a), rotated)), 6 * spread);
  EXPECT_LT(std::abs(product(VectorRotation(key(0), sample_space(2), 384).apply(a), rotated)), 6 * spread);
}

}  // namespace
}  // namespace bulkhead::storage
