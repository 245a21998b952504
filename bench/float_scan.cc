#include "float_scan.h"

#include <algorithm>
#include <utility>

namespace bulkhead::bench {

std::vector<std::size_t> float_scan(const std::vector<float>& rows, std::size_t dimensions,
                                    const float* query, std::size_t k) {
  std::size_t count = rows.size() / dimensions;
  std::vector<std::pair<float, std::size_t>> scored(count);
  for (std::size_t row = 0; row < count; ++row) {
    const float* vector = rows.data() + row * dimensions;
    float sum = 0;
    for (std::size_t i = 0; i < dimensions; ++i) sum += vector[i] * query[i];
    scored[row] = {-sum, row};
  }
  k = std::min(k, count);
  std::partial_sort(scored.begin(), scored.begin() + static_cast<std::ptrdiff_t>(k), scored.end());
  std::vector<std::size_t> best;
  for (std::size_t i = 0; i < k; ++i) best.push_back(scored[i].second);
  return best;
}

}  // namespace bulkhead::bench
