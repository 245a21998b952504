#include "storage/vector_rotation.h"

#include <array>
#include <bit>
#include <cmath>
#include <numeric>
#include <string>

#include "base/bytes.h"
#include "crypto/hash.h"

namespace bulkhead::storage {
namespace {

constexpr std::size_t kRounds = 4;

// Numbers out of HMAC-SHA-256 over a counter.
class KeyedNumbers {
 public:
  explicit KeyedNumbers(const base::Secret& key) : key_(key) {}
  ~KeyedNumbers() { base::wipe(block_.data(), block_.size()); }
  std::uint32_t next() {
    if (used_ + sizeof(std::uint32_t) > block_.size()) refill();
    std::uint32_t number = 0;
    for (std::size_t i = 0; i < sizeof number; ++i) number = number << 8 | block_[used_++];
    return number;
  }
  // Evenly from 0 to `end` - 1: what would favour the small ones is thrown away.
  std::uint32_t below(std::uint32_t end) {
    const std::uint32_t whole = UINT32_MAX - UINT32_MAX % end;
    std::uint32_t number = next();
    while (number >= whole) number = next();
    return number % end;
  }

 private:
  void refill() {
    std::array<std::uint8_t, 8> counter{};
    for (std::size_t i = 0; i < counter.size(); ++i)
      counter[i] = static_cast<std::uint8_t>(counter_ >> (8 * i));
    ++counter_;
    block_ = crypto::hmac_sha256(key_.reveal(), counter);
    used_ = 0;
  }
  const base::Secret& key_;
  crypto::Digest block_{};
  std::size_t used_ = sizeof(crypto::Digest);
  std::uint64_t counter_ = 0;
};

void walsh_hadamard(double* block, std::size_t size) {
  for (std::size_t half = 1; half < size; half *= 2) {
    for (std::size_t first = 0; first < size; first += 2 * half) {
      for (std::size_t i = first; i < first + half; ++i) {
        const double a = block[i], b = block[i + half];
        block[i] = a + b;
        block[i + half] = a - b;
      }
    }
  }
  const double scale = 1 / std::sqrt(static_cast<double>(size));
  for (std::size_t i = 0; i < size; ++i) block[i] *= scale;
}

}  // namespace

VectorRotation::VectorRotation(const base::Secret& key, const base::EmbeddingSpace& space,
                               std::size_t dimensions)
    : rounds_(kRounds) {
  const base::Secret own = crypto::hkdf_sha256(
      key.reveal(), {}, "bulkhead/v1/vector-rotation/" + space.hex() + "/" + std::to_string(dimensions), 32);
  KeyedNumbers numbers(own);
  for (Round& round : rounds_) {
    round.from.resize(dimensions);
    std::iota(round.from.begin(), round.from.end(), 0U);
    for (std::size_t i = dimensions; i > 1; --i) {
      std::swap(round.from[i - 1], round.from[numbers.below(static_cast<std::uint32_t>(i))]);
    }
    for (std::size_t i = 0; i < dimensions; ++i) round.sign.push_back((numbers.next() & 1) ? 1.0 : -1.0);
  }
}

VectorRotation::~VectorRotation() {
  for (Round& round : rounds_) {
    base::wipe(round.from.data(), round.from.size() * sizeof(std::uint32_t));
    base::wipe(round.sign.data(), round.sign.size() * sizeof(double));
  }
}

// In double precision, so that only the last step rounds to the vectors' own.
std::vector<float> VectorRotation::apply(const std::vector<float>& vector) const {
  std::vector<double> now(vector.begin(), vector.end()), next(vector.size());
  for (const Round& round : rounds_) {
    for (std::size_t i = 0; i < now.size(); ++i) next[i] = round.sign[i] * now[round.from[i]];
    for (std::size_t first = 0; first < next.size();) {
      const std::size_t size = std::bit_floor(next.size() - first);
      walsh_hadamard(next.data() + first, size);
      first += size;
    }
    now.swap(next);
  }
  return {now.begin(), now.end()};
}

}  // namespace bulkhead::storage
