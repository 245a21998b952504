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

inline void clear(void* block) {
  if (!bulkhead::base::heap_scrubbing()) return;
  std::size_t bytes = malloc_usable_size(block);
  std::memset(block, 0, bytes);
  // Keeps the compiler from dropping the stores as dead.
  asm volatile("" : : "r"(block) : "memory");
}

}  // namespace

void* malloc(std::size_t bytes) { return __libc_malloc(bytes); }
void* calloc(std::size_t count, std::size_t bytes) { return __libc_calloc(count, bytes); }

void free(void* block) {
  if (!block) return;
  int kept = errno;  // free must not change it
  clear(block);
  __libc_free(block);
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
