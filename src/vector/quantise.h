// Vectors as 8-bit codes with a proven bound on what the codes leave out.
//
// A vector v becomes scale * code + rest, code in [-127, 127], with |rest| (Euclidean) kept beside
// it. For two vectors, with a = scale * code:
//   v . q = a_v . a_q + a_v . rest_q + v_rest . q
// so by Cauchy-Schwarz the dot product of the codes is off by at most
//   |a_v| * |rest_q| + |rest_v| * |q|.
// Norms are computed in double and rounded up, so the bound holds in floating point too.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bulkhead::vector {

struct Quantised {
  float scale = 0;      // 0: the zero vector
  float rest_norm = 0;  // rounded up
  float code_norm = 0;  // |scale * code|, rounded up
};

// Writes `dimensions` codes. False when a component is not finite; nothing is then usable.
bool quantise(const float* vector, std::size_t dimensions, std::int8_t* codes, Quantised& out);

// Euclidean length, rounded up.
float norm_up(const float* vector, std::size_t dimensions);

}  // namespace bulkhead::vector
