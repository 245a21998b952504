#include "gateway/token_buckets.h"

#include <algorithm>
#include <mutex>
#include <unordered_map>

namespace bulkhead::gateway {

namespace {
constexpr std::chrono::seconds kTidyInterval{1};
}  // namespace

struct TokenBuckets::Impl {
  struct Bucket {
    double left;
    base::MonotonicTime seen;
  };
  const base::Clock& clock;
  const Shape shape;
  const std::size_t names_max;
  std::mutex mutex;
  std::unordered_map<std::string, Bucket> buckets;
  Bucket others;  // names beyond the bound, together
  base::MonotonicTime tidied{};

  Impl(const base::Clock& c, const Shape& s, std::size_t names)
      : clock(c), shape(s), names_max(names), others{s.capacity, c.monotonic()} {}

  double left_now(const Bucket& bucket, base::MonotonicTime now) const {
    const double seconds = std::chrono::duration<double>(now - bucket.seen).count();
    return std::min(shape.capacity, bucket.left + shape.per_second * seconds);
  }

  // Null: the name has none of its own.
  Bucket* find(const std::string& name) {
    const auto found = buckets.find(name);
    return found == buckets.end() ? nullptr : &found->second;
  }

  bool is_full(base::MonotonicTime now) {
    if (buckets.size() < names_max) return false;
    if (now - tidied >= kTidyInterval) {
      tidied = now;
      std::erase_if(buckets,
                    [&](const auto& entry) { return left_now(entry.second, now) >= shape.capacity; });
    }
    return buckets.size() >= names_max;
  }
};

TokenBuckets::TokenBuckets(const base::Clock& clock, Shape shape, std::size_t names_max)
    : impl_(std::make_unique<Impl>(clock, shape, names_max)) {}
TokenBuckets::~TokenBuckets() = default;

double TokenBuckets::left(const std::string& name) const {
  std::lock_guard lock(impl_->mutex);
  const Impl::Bucket* bucket = impl_->find(name);
  if (!bucket && impl_->buckets.size() >= impl_->names_max) bucket = &impl_->others;
  return bucket ? impl_->left_now(*bucket, impl_->clock.monotonic()) : impl_->shape.capacity;
}

double TokenBuckets::take(const std::string& name, double count) {
  std::lock_guard lock(impl_->mutex);
  const base::MonotonicTime now = impl_->clock.monotonic();
  Impl::Bucket* bucket = impl_->find(name);
  if (!bucket) {
    bucket = impl_->is_full(now)
                 ? &impl_->others
                 : &impl_->buckets.try_emplace(name, impl_->shape.capacity, now).first->second;
  }
  *bucket = {std::max(impl_->left_now(*bucket, now) - count, impl_->shape.floor), now};
  return bucket->left;
}

}  // namespace bulkhead::gateway
