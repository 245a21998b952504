// The switch of the wiping allocator (scrub_heap.cc), which clears every heap block as it is freed
// or moved by realloc. It is on from the first instruction; only the control experiment of the
// residue tests turns it off, in development mode (invariant I6).
#pragma once

#include <cstddef>

namespace bulkhead::base {

void set_heap_scrubbing(bool on);
bool heap_scrubbing();
// True when the executable was linked with the wiping allocator (sanitizer builds are not).
bool heap_scrubbing_linked();
// How many bytes of cleared blocks the calling thread keeps for its next requests, instead of 512 KiB.
// For threads that hold many requests at once, each with its coroutine frames; for good, since they end
// with the process. Nothing without the wiping allocator.
void keep_freed_heap(std::size_t bytes);

// No core dumps, not traceable by others of the same user; no error when the kernel refuses (the
// posture command reports it). Called first in every main().
void harden_process();

}  // namespace bulkhead::base
