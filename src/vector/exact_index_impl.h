// The inside of ExactIndex.
#pragma once

#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "vector/index.h"
#include "vector/kernels.h"

namespace bulkhead::vector {

// Codes of all rows, each row on a 64-byte boundary.
class AlignedCodes {
 public:
  AlignedCodes() = default;
  explicit AlignedCodes(std::size_t bytes);
  AlignedCodes(AlignedCodes&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}
  AlignedCodes& operator=(AlignedCodes&& other) noexcept {
    std::swap(data_, other.data_);
    return *this;
  }
  ~AlignedCodes();
  std::uint8_t* data() { return data_; }
  const std::uint8_t* data() const { return data_; }

 private:
  std::uint8_t* data_ = nullptr;
};

struct ExactIndex::Impl {
  struct Range {
    std::uint32_t begin = 0;
    std::uint32_t end = 0;
  };
  struct RowBound {
    float scale = 0;
    float rest_norm = 0;
    float code_norm = 0;
  };

  std::vector<Hit> search(const std::vector<float>& query, const std::vector<base::FileId>& wanted,
                          std::size_t k, DotRows dot_rows) const;
  std::vector<Range> ranges_of(const std::vector<base::FileId>& wanted) const;
  void group_by_file();

  std::size_t dimensions = 0;
  std::size_t width = 0;  // dimensions, rounded up to the kernels' multiple
  AlignedCodes codes;
  std::vector<RowBound> bounds;
  std::vector<float> vectors;
  std::vector<storage::ChunkKey> keys;
  std::unordered_map<std::string, Range> files;

  // While building only.
  std::vector<std::uint32_t> row_files;
  std::vector<std::string> file_names;
  std::unordered_map<std::string, std::uint32_t> file_numbers;
};

std::vector<Hit> search_with(Simd simd, const ExactIndex& index, const std::vector<float>& query,
                             const std::vector<base::FileId>& files, std::size_t k);

}  // namespace bulkhead::vector
