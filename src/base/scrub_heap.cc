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

// Blocks just over 1 KiB, cleared and kept a thread for the next request of that size. glibc's own
// thread cache stops at 1 KiB, and beyond it each of the coroutine frames that every request has costs
// a walk through the free lists (measured: 5 % of a proxied request). What a thread holds when it ends
// is lost: 512 KiB at most, and the threads of our programs live as long as they do.
class ThreadCache {
 public:
  void* take(std::size_t bytes) {
    if (bytes <= kBytesMin || bytes > kBytesMax) return nullptr;
    Shelf& shelf = shelves_[(bytes + kStep - 1) / kStep - 1];
    Block* block = shelf.first;
    if (!block) return nullptr;
    shelf.first = block->next;
    bytes_kept_ -= (bytes + kStep - 1) / kStep * kStep;
    block->next = nullptr;
    return block;
  }
  bool keep(void* cleared, std::size_t usable) {
    std::size_t bytes = usable / kStep * kStep;  // what it surely serves
    if (bytes <= kBytesMin || bytes > kBytesMax) return false;
    if (bytes_kept_ + bytes > kBytesKeptMax) return false;
    Shelf& shelf = shelves_[bytes / kStep - 1];
    auto* block = static_cast<Block*>(cleared);
    block->next = shelf.first;
    shelf.first = block;
    bytes_kept_ += bytes;
    return true;
  }
  // What to ask glibc for, so that the block fits its shelf again.
  static std::size_t rounded(std::size_t bytes) {
    if (bytes <= kBytesMin || bytes > kBytesMax) return bytes;
    return (bytes + kStep - 1) / kStep * kStep;
  }

 private:
  static constexpr std::size_t kStep = 512, kBytesMin = 1024, kBytesMax = 8192, kBytesKeptMax = 512 << 10;
  struct Block {
    Block* next;
  };
  struct Shelf {
    Block* first;
  };
  Shelf shelves_[kBytesMax / kStep];
  std::size_t bytes_kept_;
};

// Of plain data, so that a thread's first use needs no set-up that would itself allocate.
constinit thread_local ThreadCache thread_cache{};

}  // namespace

void* malloc(std::size_t bytes) {
  if (void* block = thread_cache.take(bytes)) return block;
  return __libc_malloc(ThreadCache::rounded(bytes));
}
void* calloc(std::size_t count, std::size_t bytes) { return __libc_calloc(count, bytes); }

void free(void* block) {
  if (!block) return;
  int kept = errno;  // free must not change it
  std::size_t bytes = malloc_usable_size(block);
  clear(block, bytes);
  if (!thread_cache.keep(block, bytes)) __libc_free(block);
  errno = kept;
}

void* realloc(void* block, std::size_t bytes) {
  if (!block) return __libc_malloc(bytes);
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
  void* moved = __libc_malloc(bytes);
  if (!moved) return nullptr;
  std::memcpy(moved, block, have < bytes ? have : bytes);
  free(block);
  return moved;
}

void* memalign(std::size_t alignment, std::size_t bytes) { return __libc_memalign(alignment, bytes); }
void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  return __libc_memalign(alignment, bytes);
}

int posix_memalign(void** out, std::size_t alignment, std::size_t bytes) {
  if (alignment < sizeof(void*) || (alignment & (alignment - 1)) != 0) return EINVAL;
  void* block = __libc_memalign(alignment, bytes);
  if (!block) return ENOMEM;
  *out = block;
  return 0;
}

}  // extern "C"
