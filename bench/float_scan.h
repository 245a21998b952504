// The peer of the vector index: every vector's dot product in single precision, in one pass, as fast as
// the compiler makes it for this CPU; then the best k.
#pragma once

#include <cstddef>
#include <vector>

namespace bulkhead::bench {

// `rows` vectors of `dimensions`, row after row. Row numbers of the best `k`, best first.
std::vector<std::size_t> float_scan(const std::vector<float>& rows, std::size_t dimensions,
                                    const float* query, std::size_t k);

}  // namespace bulkhead::bench
