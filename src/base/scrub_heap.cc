// The wiping allocator: glibc's malloc family with every block cleared before it goes back to the
// free lists, and realloc never leaving a copy behind. Linked into executables only.
//
// Why here and not in each buffer's owner: text passes through libraries (OpenSSL, SQLite, simdjson,
// libstdc++) that free their copies themselves. What is cleared at free can't be found later
// (invariant I6). Cost: one memset of what was used anyway and is mostly in cache.
#include <malloc.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "base/scrub.h"

extern "C" {

void* __libc_malloc(std::size_t bytes);
void __libc_free(void* block);
void* __libc_calloc(std::size_t count, std::size_t bytes);
void* __libc_realloc(void* block, std::size_t bytes);
void* __libc_memalign(std::size_t alignment, std::size_t bytes);

bool bulkhead_scrub_heap_linked() { return true; }

namespace {

inline void clear(void* block, std::size_t bytes) {
  if (!bulkhead::base::heap_scrubbing()) return;
  std::memset(block, 0, bytes);
  // Keeps the compiler from dropping the stores as dead.
  asm volatile("" : : "r"(block) : "memory");
}

// Cleared blocks that a thread keeps for its next requests of their size. glibc's own thread cache keeps
// seven of a size and none over 1 KiB; beyond that each block is a walk through the free lists, and a
// proxied request, with its coroutine frames, takes some 130 blocks (measured: an eighth of its time).
// What a thread holds when it ends is lost: 512 KiB at most, unless it asked for more (base/scrub.h), and
// the threads of our programs live as long as they do.
//
// As in glibc, the lists' pointers are masked with where they stand ("safe-linking", Itkin 2020), so that
// a stray write doesn't choose what malloc returns, and a block that is kept carries a mark, so that
// freeing it twice ends the process.
class ThreadCache {
 public:
  void* take(std::size_t bytes) {
    if (bytes > kBytesMax) return nullptr;
    const std::size_t shelf = shelf_for(bytes);
    Block* block = shelves_[shelf];
    if (!block) return nullptr;
    if (reinterpret_cast<std::uintptr_t>(block) % 16 != 0) std::abort();
    shelves_[shelf] = masked(block->next, block);
    bytes_kept_ -= bytes_on(shelf);
    block->next = nullptr;
    block->mark = nullptr;
    return block;
  }

  static bool is_kept(const void* block) { return static_cast<const Block*>(block)->mark == &kept_mark; }

  bool keep(void* cleared, std::size_t usable) {
    if (usable > kUsableMax) return false;
    const std::size_t shelf = shelf_of(usable);
    if (bytes_kept_ + bytes_on(shelf) > bytes_kept_max_) return false;
    auto* block = static_cast<Block*>(cleared);
    block->next = masked(shelves_[shelf], block);
    block->mark = &kept_mark;
    shelves_[shelf] = block;
    bytes_kept_ += bytes_on(shelf);
    return true;
  }

  void set_bytes_kept_max(std::size_t bytes) { bytes_kept_max_ = bytes; }

  // What to ask glibc for, so that the block fits its shelf again.
  static std::size_t rounded(std::size_t bytes) {
    return bytes > kBytesMax ? bytes : bytes_on(shelf_for(bytes));
  }

 private:
  struct Block {
    Block* next;
    const char* mark;
  };

  // Sizes that glibc's chunks have: 24 bytes and every 16 more. Over 1 KiB every 512, so that frames of
  // nearly one size share a shelf.
  static constexpr std::size_t kFirst = 24, kStep = 16, kSmall = 63,
                               kSmallMax = kFirst + (kSmall - 1) * kStep;
  static constexpr std::size_t kLargeStep = 512, kLarge = 15, kLargeFirst = 1024 + kLargeStep;
  static constexpr std::size_t kBytesMax = kLargeFirst + (kLarge - 1) * kLargeStep;
  // The largest block that glibc gives for kBytesMax; a mapped one has more.
  static constexpr std::size_t kUsableMax = kBytesMax + kStep;

  static constexpr std::size_t bytes_on(std::size_t shelf) {
    return shelf < kSmall ? kFirst + shelf * kStep : kLargeFirst + (shelf - kSmall) * kLargeStep;
  }
  // The first shelf whose blocks are large enough.
  static constexpr std::size_t shelf_for(std::size_t bytes) {
    if (bytes <= kFirst) return 0;
    if (bytes <= kSmallMax) return (bytes - kFirst + kStep - 1) / kStep;
    if (bytes <= kLargeFirst) return kSmall;
    return kSmall + (bytes - kLargeFirst + kLargeStep - 1) / kLargeStep;
  }
  // The last shelf whose requests a block of this size serves. glibc has none under 24 bytes.
  static constexpr std::size_t shelf_of(std::size_t usable) {
    if (usable < kLargeFirst) return usable >= kSmallMax ? kSmall - 1 : (usable - kFirst) / kStep;
    return usable >= kBytesMax ? kSmall + kLarge - 1 : kSmall + (usable - kLargeFirst) / kLargeStep;
  }
  static Block* masked(Block* pointer, const Block* where) {
    return reinterpret_cast<Block*>(reinterpret_cast<std::uintptr_t>(pointer) ^
                                    (reinterpret_cast<std::uintptr_t>(where) >> 12));
  }
  static const char kept_mark;

  Block* shelves_[kSmall + kLarge] = {};
  std::size_t bytes_kept_ = 0;
  std::size_t bytes_kept_max_ = 512 << 10;
};
constexpr char ThreadCache::kept_mark = 0;

// Of plain data, so that a thread's first use needs no set-up that would itself allocate.
constinit thread_local ThreadCache thread_cache{};

}  // namespace

void bulkhead_scrub_heap_keep(std::size_t bytes) { thread_cache.set_bytes_kept_max(bytes); }

void* malloc(std::size_t bytes) {
  if (void* block = thread_cache.take(bytes)) return block;
  return __libc_malloc(ThreadCache::rounded(bytes));
}
void* calloc(std::size_t count, std::size_t bytes) {
  std::size_t total = 0;
  if (!__builtin_mul_overflow(count, bytes, &total)) {
    // Cleared already, unless the control experiment runs.
    if (void* block = thread_cache.take(total)) return std::memset(block, 0, total);
  }
  return __libc_calloc(count, bytes);
}

void free(void* block) {
  if (!block) return;
  int kept = errno;  // free must not change it
  if (ThreadCache::is_kept(block)) std::abort();
  std::size_t bytes = malloc_usable_size(block);
  clear(block, bytes);
  if (!thread_cache.keep(block, bytes)) __libc_free(block);
  errno = kept;
}

void* realloc(void* block, std::size_t bytes) {
  if (!block) return malloc(bytes);
  if (bytes == 0) {
    free(block);
    return nullptr;
  }
  if (!bulkhead::base::heap_scrubbing()) return __libc_realloc(block, bytes);
  std::size_t have = malloc_usable_size(block);
  if (bytes <= have && bytes >= have / 2) {
    // Stays where it is; what was cut off is cleared.
    std::memset(static_cast<char*>(block) + bytes, 0, have - bytes);
    asm volatile("" : : "r"(block) : "memory");
    return block;
  }
  void* moved = malloc(bytes);
  if (!moved) return nullptr;
  std::memcpy(moved, block, have < bytes ? have : bytes);
  free(block);
  return moved;
}

void* memalign(std::size_t alignment, std::size_t bytes) { return __libc_memalign(alignment, bytes); }
void* aligned_alloc(std::size_t alignment, std::size_t bytes) { return __libc_memalign(alignment, bytes); }

int posix_memalign(void** out, std::size_t alignment, std::size_t bytes) {
  if (alignment < sizeof(void*) || (alignment & (alignment - 1)) != 0) return EINVAL;
  void* block = __libc_memalign(alignment, bytes);
  if (!block) return ENOMEM;
  *out = block;
  return 0;
}

}  // extern "C"
