// The integer dot products of the index's first pass, one function for each kind of CPU. All give
// the same, exact numbers.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bulkhead::vector {

// For each of `rows` rows of `width` codes (unsigned, row after row): the dot product with `query`
// (signed), as plain integers. `width` is a multiple of kWidthMultiple, rows are 64-byte aligned and
// the sums fit (width <= kWidthMax).
using DotRows = void (*)(const std::uint8_t* codes, std::size_t rows, std::size_t width,
                         const std::int8_t* query, std::int32_t* out);

inline constexpr std::size_t kWidthMultiple = 64;
inline constexpr std::size_t kWidthMax = 32'768;

enum class Simd { Scalar, Avx2, Avx512Vnni };

bool simd_supported(Simd simd);
Simd best_simd();  // decided once
DotRows dot_rows_for(Simd simd);

// In double precision with a fixed order of additions, so that every machine ranks alike.
double exact_dot(const float* left, const float* right, std::size_t dimensions);

}  // namespace bulkhead::vector
