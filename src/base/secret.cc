#include "base/secret.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <ostream>
#include <utility>

namespace bulkhead::base {

namespace {

constexpr std::size_t kBlockBytes = 256 << 10;
constexpr std::size_t kGrain = 32;

// Locked pages, handed out in grains, first fit. Few and small allocations: keys, not payload.
class LockedArena {
 public:
  static LockedArena& instance() {
    static LockedArena* arena = new LockedArena;  // never destroyed: secrets may outlive statics
    return *arena;
  }

  std::uint8_t* allocate(std::size_t bytes) {
    bytes = rounded(bytes);
    std::lock_guard lock(mutex_);
    for (auto it = free_.begin(); it != free_.end(); ++it) {
      if (it->second >= bytes) return take(it, bytes);
    }
    grow(bytes);
    for (auto it = free_.begin(); it != free_.end(); ++it) {
      if (it->second >= bytes) return take(it, bytes);
    }
    std::abort();
  }

  void release(std::uint8_t* data, std::size_t bytes) {
    explicit_bzero(data, bytes);
    bytes = rounded(bytes);
    std::lock_guard lock(mutex_);
    auto [it, inserted] = free_.emplace(data, bytes);
    merge_with_next(it);
    if (it != free_.begin()) merge_with_next(std::prev(it));
  }

 private:
  using FreeList = std::map<std::uint8_t*, std::size_t>;

  static std::size_t rounded(std::size_t bytes) { return (bytes + kGrain - 1) / kGrain * kGrain; }

  std::uint8_t* take(FreeList::iterator it, std::size_t bytes) {
    std::uint8_t* data = it->first;
    std::size_t left = it->second - bytes;
    free_.erase(it);
    if (left > 0) free_.emplace(data + bytes, left);
    return data;
  }

  void merge_with_next(FreeList::iterator it) {
    auto next = std::next(it);
    if (next == free_.end() || it->first + it->second != next->first) return;
    it->second += next->second;
    free_.erase(next);
  }

  void grow(std::size_t bytes) {
    std::size_t size = (bytes + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
    void* block = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) fail("mmap");
    if (mlock(block, size) != 0) fail("mlock");
    if (madvise(block, size, MADV_DONTDUMP) != 0) fail("madvise(MADV_DONTDUMP)");
    // Kernels before 4.14 know only the second; a child then has no such pages at all.
    if (madvise(block, size, MADV_WIPEONFORK) != 0 && madvise(block, size, MADV_DONTFORK) != 0) {
      fail("madvise(MADV_WIPEONFORK)");
    }
    free_.emplace(static_cast<std::uint8_t*>(block), size);
  }

  [[noreturn]] static void fail(const char* what) {
    std::fprintf(stderr,
                 "bulkhead: %s failed: keys need locked memory. Raise RLIMIT_MEMLOCK "
                 "(ulimit -l, or LimitMEMLOCK= in the service) to at least 8 MiB.\n",
                 what);
    std::abort();
  }

  std::mutex mutex_;
  FreeList free_;
};

}  // namespace

Secret::Secret(std::size_t bytes) : size_(bytes) {
  if (bytes > 0) data_ = LockedArena::instance().allocate(bytes);
}

Secret Secret::copy_of(ByteView bytes) {
  Secret secret(bytes.size());
  if (!bytes.empty()) std::memcpy(secret.data_, bytes.data(), bytes.size());
  return secret;
}

Secret::Secret(Secret&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this != &other) {
    release();
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

Secret::~Secret() { release(); }

void Secret::release() {
  if (data_) LockedArena::instance().release(data_, size_);
  data_ = nullptr;
  size_ = 0;
}

std::ostream& operator<<(std::ostream& out, const Secret&) { return out << "[redacted]"; }

}  // namespace bulkhead::base
