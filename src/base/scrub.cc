#include "base/scrub.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#include <atomic>

namespace bulkhead::base {

namespace {
constinit std::atomic<bool> scrubbing{true};
}  // namespace

// Defined by scrub_heap.cc, which only executables link.
extern "C" __attribute__((weak)) bool bulkhead_scrub_heap_linked();
extern "C" __attribute__((weak)) void bulkhead_scrub_heap_keep(std::size_t bytes);

void set_heap_scrubbing(bool on) { scrubbing.store(on, std::memory_order_relaxed); }
bool heap_scrubbing() { return scrubbing.load(std::memory_order_relaxed); }
bool heap_scrubbing_linked() { return bulkhead_scrub_heap_linked != nullptr && bulkhead_scrub_heap_linked(); }

void keep_freed_heap(std::size_t bytes) {
  if (bulkhead_scrub_heap_keep != nullptr) bulkhead_scrub_heap_keep(bytes);
}

void harden_process() {
  rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

}  // namespace bulkhead::base
