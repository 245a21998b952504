#include "vector/kernels.h"

#include <immintrin.h>

namespace bulkhead::vector {
namespace {

void dot_rows_scalar(const std::uint8_t* codes, std::size_t rows, std::size_t width, const std::int8_t* query,
                     std::int32_t* out) {
  for (std::size_t row = 0; row < rows; ++row, codes += width) {
    std::int32_t sum = 0;
    for (std::size_t i = 0; i < width; ++i) sum += std::int32_t{codes[i]} * query[i];
    out[row] = sum;
  }
}

__attribute__((target("avx2"))) inline __m256i widen_codes(const std::uint8_t* from) {
  return _mm256_cvtepu8_epi16(_mm_load_si128(reinterpret_cast<const __m128i*>(from)));
}

// Widened to 16 bits: the 8-bit multiply of AVX2 saturates, and the result must be exact.
__attribute__((target("avx2"))) void dot_rows_avx2(const std::uint8_t* codes, std::size_t rows,
                                                   std::size_t width, const std::int8_t* query,
                                                   std::int32_t* out) {
  for (std::size_t row = 0; row < rows; ++row, codes += width) {
    __m256i even = _mm256_setzero_si256();
    __m256i odd = _mm256_setzero_si256();
    for (std::size_t i = 0; i < width; i += 32) {
      const __m256i q0 = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(query + i)));
      const __m256i q1 =
          _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(query + i + 16)));
      even = _mm256_add_epi32(even, _mm256_madd_epi16(widen_codes(codes + i), q0));
      odd = _mm256_add_epi32(odd, _mm256_madd_epi16(widen_codes(codes + i + 16), q1));
    }
    const __m256i sum = _mm256_add_epi32(even, odd);
    __m128i half = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4e));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0xb1));
    out[row] = _mm_cvtsi128_si32(half);
  }
}

__attribute__((target("avx512f,avx512bw,avx512vnni"))) void dot_rows_avx512(const std::uint8_t* codes,
                                                                            std::size_t rows,
                                                                            std::size_t width,
                                                                            const std::int8_t* query,
                                                                            std::int32_t* out) {
  std::size_t row = 0;
  // Four rows at once keep four independent sums in flight and load the query once.
  for (; row + 4 <= rows; row += 4, codes += 4 * width) {
    __m512i sum0 = _mm512_setzero_si512();
    __m512i sum1 = sum0;
    __m512i sum2 = sum0;
    __m512i sum3 = sum0;
    for (std::size_t i = 0; i < width; i += 64) {
      const __m512i q = _mm512_loadu_si512(query + i);
      sum0 = _mm512_dpbusd_epi32(sum0, _mm512_load_si512(codes + i), q);
      sum1 = _mm512_dpbusd_epi32(sum1, _mm512_load_si512(codes + width + i), q);
      sum2 = _mm512_dpbusd_epi32(sum2, _mm512_load_si512(codes + 2 * width + i), q);
      sum3 = _mm512_dpbusd_epi32(sum3, _mm512_load_si512(codes + 3 * width + i), q);
    }
    out[row] = _mm512_reduce_add_epi32(sum0);
    out[row + 1] = _mm512_reduce_add_epi32(sum1);
    out[row + 2] = _mm512_reduce_add_epi32(sum2);
    out[row + 3] = _mm512_reduce_add_epi32(sum3);
  }
  for (; row < rows; ++row, codes += width) {
    __m512i sum = _mm512_setzero_si512();
    for (std::size_t i = 0; i < width; i += 64) {
      sum = _mm512_dpbusd_epi32(sum, _mm512_load_si512(codes + i), _mm512_loadu_si512(query + i));
    }
    out[row] = _mm512_reduce_add_epi32(sum);
  }
}

}  // namespace

bool simd_supported(Simd simd) {
  switch (simd) {
    case Simd::Scalar: return true;
    case Simd::Avx2: return __builtin_cpu_supports("avx2") != 0;
    case Simd::Avx512Vnni:
      return __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vnni") != 0;
  }
  return false;
}

Simd best_simd() {
  static const Simd best = simd_supported(Simd::Avx512Vnni) ? Simd::Avx512Vnni
                           : simd_supported(Simd::Avx2)     ? Simd::Avx2
                                                            : Simd::Scalar;
  return best;
}

DotRows dot_rows_for(Simd simd) {
  switch (simd) {
    case Simd::Scalar: return dot_rows_scalar;
    case Simd::Avx2: return dot_rows_avx2;
    case Simd::Avx512Vnni: return dot_rows_avx512;
  }
  return dot_rows_scalar;
}

double exact_dot(const float* left, const float* right, std::size_t dimensions) {
  double sums[8] = {};
  std::size_t i = 0;
  for (; i + 8 <= dimensions; i += 8) {
    for (std::size_t lane = 0; lane < 8; ++lane) {
      sums[lane] += static_cast<double>(left[i + lane]) * right[i + lane];
    }
  }
  for (; i < dimensions; ++i) sums[i % 8] += static_cast<double>(left[i]) * right[i];
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

}  // namespace bulkhead::vector
