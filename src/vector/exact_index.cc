#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <numeric>
#include <string>
#include <unordered_map>

#include "vector/exact_index_impl.h"
#include "vector/quantise.h"

namespace bulkhead::vector {
namespace {

constexpr std::uint8_t kCodeBias = 128;  // codes are stored unsigned, as the VNNI instruction wants
constexpr std::size_t kBlockRows = 256;  // dot products computed at once; fits the first-level cache

// Slack for the float arithmetic on the bounds themselves.
constexpr double kSlack = 1e-6;

// The best `k` lower bounds seen so far; their smallest is what a row must be able to reach.
class Threshold {
 public:
  explicit Threshold(std::size_t k) : k_(k) { heap_.reserve(k); }
  void offer(float lower) {
    // An overflowed bound says nothing; it must not hide another row.
    if (!std::isfinite(lower)) lower = -std::numeric_limits<float>::infinity();
    if (heap_.size() < k_) {
      heap_.push_back(lower);
      std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
    } else if (lower > heap_.front()) {
      std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
      heap_.back() = lower;
      std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
    }
  }
  float value() const { return heap_.size() < k_ ? -std::numeric_limits<float>::infinity() : heap_.front(); }

 private:
  std::size_t k_;
  std::vector<float> heap_;
};

struct Candidate {
  std::uint32_t row;
  float upper;
};

struct Scored {
  double score;
  storage::ChunkKey key;
  // Ties go to the older chunk, so that the same question always gets the same answer.
  friend bool operator<(const Scored& left, const Scored& right) {
    return left.score != right.score ? left.score > right.score : left.key < right.key;
  }
};

}  // namespace

AlignedCodes::AlignedCodes(std::size_t bytes)
    : data_(bytes == 0
                ? nullptr
                : static_cast<std::uint8_t*>(::operator new(bytes, std::align_val_t{kWidthMultiple}))) {
  if (data_) std::memset(data_, kCodeBias, bytes);
}

AlignedCodes::~AlignedCodes() {
  if (data_) ::operator delete(data_, std::align_val_t{kWidthMultiple});
}

std::vector<ExactIndex::Impl::Range> ExactIndex::Impl::ranges_of(
    const std::vector<base::FileId>& wanted) const {
  std::vector<Range> ranges;
  ranges.reserve(wanted.size());
  for (const base::FileId& file : wanted) {
    const auto found = files.find(file.str());
    if (found != files.end()) ranges.push_back(found->second);
  }
  std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) { return a.begin < b.begin; });
  // A file named twice must not be counted twice; neighbours join, so that blocks are full.
  std::vector<Range> joined;
  for (const Range& range : ranges) {
    if (!joined.empty() && range.begin < joined.back().end) continue;
    if (!joined.empty() && range.begin == joined.back().end) {
      joined.back().end = range.end;
    } else {
      joined.push_back(range);
    }
  }
  return joined;
}

std::vector<Hit> ExactIndex::Impl::search(const std::vector<float>& query,
                                          const std::vector<base::FileId>& wanted, std::size_t k,
                                          DotRows dot_rows) const {
  if (k == 0 || keys.empty() || query.size() != dimensions) return {};
  std::vector<std::int8_t> codes_of_query(width, 0);
  Quantised about_query;
  if (!quantise(query.data(), dimensions, codes_of_query.data(), about_query)) return {};
  const float query_norm = norm_up(query.data(), dimensions);
  // Stored codes are biased; the bias adds the same to every row's sum.
  const std::int32_t bias =
      kCodeBias * std::accumulate(codes_of_query.begin(), codes_of_query.end(), std::int32_t{0});

  const std::vector<Range> ranges = ranges_of(wanted);
  Threshold threshold(std::min(k, keys.size()));
  std::vector<Candidate> candidates;
  std::int32_t sums[kBlockRows];
  for (const Range& range : ranges) {
    for (std::size_t first = range.begin; first < range.end; first += kBlockRows) {
      const std::size_t rows = std::min<std::size_t>(kBlockRows, range.end - first);
      dot_rows(codes.data() + first * width, rows, width, codes_of_query.data(), sums);
      float reach = threshold.value();
      for (std::size_t i = 0; i < rows; ++i) {
        const RowBound& row = bounds[first + i];
        const float estimate = row.scale * about_query.scale * static_cast<float>(sums[i] - bias);
        const float off = (row.code_norm * about_query.rest_norm + row.rest_norm * query_norm) *
                              static_cast<float>(1.0 + kSlack) +
                          std::fabs(estimate) * static_cast<float>(kSlack);
        if (!(estimate + off < reach)) {
          candidates.push_back({static_cast<std::uint32_t>(first + i), estimate + off});
          threshold.offer(estimate - off);
          reach = threshold.value();
        }
      }
    }
  }

  const float reach = threshold.value();
  std::vector<Scored> scored;
  scored.reserve(candidates.size());
  for (const Candidate& candidate : candidates) {
    if (candidate.upper < reach) continue;
    scored.push_back({exact_dot(vectors.data() + candidate.row * dimensions, query.data(), dimensions),
                      keys[candidate.row]});
  }
  const std::size_t count = std::min(k, scored.size());
  std::partial_sort(scored.begin(), scored.begin() + static_cast<std::ptrdiff_t>(count), scored.end());
  std::vector<Hit> hits;
  hits.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    hits.push_back({scored[i].key, static_cast<float>(scored[i].score)});
  }
  return hits;
}

ExactIndex::ExactIndex() : impl_(std::make_unique<Impl>()) {}
ExactIndex::~ExactIndex() = default;

std::vector<Hit> ExactIndex::search(const std::vector<float>& query, const std::vector<base::FileId>& files,
                                    std::size_t k) const {
  return impl_->search(query, files, k, dot_rows_for(best_simd()));
}

std::vector<Hit> search_with(Simd simd, const ExactIndex& index, const std::vector<float>& query,
                             const std::vector<base::FileId>& files, std::size_t k) {
  return index.impl_->search(query, files, k, dot_rows_for(simd));
}

std::size_t ExactIndex::size() const { return impl_->keys.size(); }
std::size_t ExactIndex::dimensions() const { return impl_->dimensions; }

std::size_t ExactIndex::bytes() const {
  std::size_t total = sizeof(Impl) + impl_->vectors.capacity() * sizeof(float) +
                      impl_->keys.size() * impl_->width + impl_->keys.capacity() * sizeof(storage::ChunkKey) +
                      impl_->bounds.capacity() * sizeof(Impl::RowBound);
  for (const auto& [file, range] : impl_->files) total += file.capacity() + 96;
  return total;
}

ExactIndex::Builder::Builder(std::size_t dimensions) : index_(new ExactIndex()) {
  index_->impl_->dimensions = dimensions;
  index_->impl_->width = (dimensions + kWidthMultiple - 1) / kWidthMultiple * kWidthMultiple;
}
ExactIndex::Builder::~Builder() = default;

void ExactIndex::Builder::add(storage::ChunkKey key, const base::FileId& file, const float* vector) {
  Impl& impl = *index_->impl_;
  // A vector that is not a number can't be ranked; it is never found rather than found everywhere.
  for (std::size_t i = 0; i < impl.dimensions; ++i) {
    if (!std::isfinite(vector[i])) return;
  }
  if (impl.width > kWidthMax) return;
  impl.keys.push_back(key);
  impl.vectors.insert(impl.vectors.end(), vector, vector + impl.dimensions);
  if (impl.row_files.empty() || impl.file_names[impl.row_files.back()] != file.str()) {
    const auto [at, added] =
        impl.file_numbers.try_emplace(file.str(), static_cast<std::uint32_t>(impl.file_names.size()));
    if (added) impl.file_names.push_back(file.str());
    impl.row_files.push_back(at->second);
  } else {
    impl.row_files.push_back(impl.row_files.back());
  }
}

std::shared_ptr<const ExactIndex> ExactIndex::Builder::build() {
  Impl& impl = *index_->impl_;
  impl.group_by_file();
  const std::size_t rows = impl.keys.size();
  impl.codes = AlignedCodes(rows * impl.width);
  impl.bounds.resize(rows);
  std::vector<std::int8_t> codes(impl.dimensions);
  for (std::size_t row = 0; row < rows; ++row) {
    Quantised about;
    (void)quantise(impl.vectors.data() + row * impl.dimensions, impl.dimensions, codes.data(), about);
    impl.bounds[row] = {about.scale, about.rest_norm, about.code_norm};
    std::uint8_t* out = impl.codes.data() + row * impl.width;
    for (std::size_t i = 0; i < impl.dimensions; ++i) {
      out[i] = static_cast<std::uint8_t>(codes[i] + kCodeBias);
    }
  }
  return std::shared_ptr<const ExactIndex>(std::move(index_));
}

// Rows of one file become neighbours, so that a filter is a few ranges. Stores stream them so
// already; then nothing moves.
void ExactIndex::Impl::group_by_file() {
  std::vector<std::uint32_t> order(keys.size());
  std::iota(order.begin(), order.end(), 0U);
  const auto by_file = [this](std::uint32_t a, std::uint32_t b) {
    return row_files[a] != row_files[b] ? row_files[a] < row_files[b] : a < b;
  };
  if (!std::is_sorted(order.begin(), order.end(), by_file)) {
    std::sort(order.begin(), order.end(), by_file);
    std::vector<float> moved_vectors(vectors.size());
    std::vector<storage::ChunkKey> moved_keys(keys.size());
    std::vector<std::uint32_t> moved_files(keys.size());
    for (std::size_t to = 0; to < order.size(); ++to) {
      const std::size_t from = order[to];
      std::copy_n(vectors.data() + from * dimensions, dimensions, moved_vectors.data() + to * dimensions);
      moved_keys[to] = keys[from];
      moved_files[to] = row_files[from];
    }
    vectors = std::move(moved_vectors);
    keys = std::move(moved_keys);
    row_files = std::move(moved_files);
  }
  vectors.shrink_to_fit();
  keys.shrink_to_fit();
  for (std::size_t row = 0; row < row_files.size(); ++row) {
    auto [at, added] = files.try_emplace(
        file_names[row_files[row]], Range{static_cast<std::uint32_t>(row), static_cast<std::uint32_t>(row)});
    at->second.end = static_cast<std::uint32_t>(row + 1);
  }
  row_files = {};
  file_names = {};
  file_numbers = {};
}

}  // namespace bulkhead::vector
