#include "base/memory_lock.h"

#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "base/file.h"

namespace bulkhead::base {

namespace {

constexpr std::size_t kSwapsBytesMax = 64 << 10;

bool has_lock_capability() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &header, data) != 0) return false;
  return (data[CAP_IPC_LOCK / 32].effective >> (CAP_IPC_LOCK % 32) & 1) != 0;
}

bool may_lock_everything() {
  if (has_lock_capability()) return true;
  rlimit limit{};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_max != RLIM_INFINITY) return false;
  limit.rlim_cur = RLIM_INFINITY;
  return setrlimit(RLIMIT_MEMLOCK, &limit) == 0;
}

}  // namespace

// /proc/swaps holds a heading and one line for each active area.
MemoryLock judge_memory_lock(bool may_lock, bool locked, std::string_view proc_swaps) {
  if (may_lock && locked) return MemoryLock::Locked;
  return std::count(proc_swaps.begin(), proc_swaps.end(), '\n') > 1 ? MemoryLock::MaySwap
                                                                    : MemoryLock::NoSwap;
}

MemoryLock lock_process_memory() {
  const bool may_lock = may_lock_everything();
  const bool locked = may_lock && mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0;
  // A kernel without swap has no such file; one that can't be read says nothing, so swap is assumed.
  std::string swaps;
  if (::access("/proc/swaps", F_OK) == 0) {
    auto text = read_file("/proc/swaps", kSwapsBytesMax);
    swaps = text ? std::move(*text) : std::string("heading\nunknown\n");
  }
  return judge_memory_lock(may_lock, locked, swaps);
}

}  // namespace bulkhead::base
