// Keeps a whole process out of swap (invariant I6: text must not reach a disk by the back door).
//
// Keys have locked memory of their own (secret.h). Prompts, documents and answers lie on the ordinary heap
// and on stacks, in libraries too, so the processes that hold them lock everything: what they have, and what
// they will map, each page as it is first touched (mlockall(2) with MCL_ONFAULT: address space that is only
// reserved costs nothing).
//
// Locking all needs CAP_IPC_LOCK or an unlimited RLIMIT_MEMLOCK. With less it isn't tried: under a limit it
// could succeed now and make every later allocation fail.
#pragma once

#include <string_view>

namespace bulkhead::base {

enum class MemoryLock {
  Locked,   // nothing of this process is swapped
  NoSwap,   // not allowed to lock; there is no swap just now
  MaySwap,  // not allowed to lock, and swap is active: text may reach its disk
};

// Once, early in main(); the calling process's memory. Not inherited by children.
MemoryLock lock_process_memory();

// What to tell a person about the last two.
inline constexpr std::string_view kMaySwapMessage =
    "Swap is active and this process may not lock its memory, so what tenants write could reach the swap "
    "disk. "
    "Switch swap off (swapoff -a), or allow locking: LimitMEMLOCK=infinity in the systemd unit, `ulimit -l "
    "unlimited`, or CAP_IPC_LOCK.";
inline constexpr std::string_view kNoSwapMessage =
    "this process may not lock its memory; there is no swap now, keep it off or allow locking "
    "(LimitMEMLOCK=infinity or CAP_IPC_LOCK)";

// For tests: the same decision from its three facts.
MemoryLock judge_memory_lock(bool may_lock, bool locked, std::string_view proc_swaps);

}  // namespace bulkhead::base
