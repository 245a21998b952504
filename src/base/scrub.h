// The switch of the wiping allocator (scrub_heap.cc), which clears every heap block as it is freed
// or moved by realloc. It is on from the first instruction; only the control experiment of the
// residue tests turns it off, in development mode (invariant I6).
#pragma once

namespace bulkhead::base {

void set_heap_scrubbing(bool on);
bool heap_scrubbing();
// True when the executable was linked with the wiping allocator (sanitizer builds are not).
bool heap_scrubbing_linked();

// No core dumps, not traceable by others of the same user; no error when the kernel refuses (the
// posture command reports it). Called first in every main().
void harden_process();

}  // namespace bulkhead::base
