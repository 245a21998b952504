// What the kernel says of a worker process just now, from /proc: not what it was told to be.
//
// A worker that is not dumpable keeps its descriptors to itself; without CAP_SYS_PTRACE the probe can't
// list them then, and says so (`closed`): that is the wall itself. Source: proc(5).
// Thread safety: a plain function; blocks for some file reads.
#pragma once

#include <cstdint>
#include <optional>

namespace bulkhead::engine {

struct ProcessFacts {
  bool running = false;
  int seccomp_mode = 0;  // 2: a filter
  bool no_new_privileges = false;
  std::optional<std::uint64_t> core_bytes_max;  // 0: none is ever written
  bool closed = false;                          // its descriptors are closed even to the gateway's own user
  std::uint64_t sockets = 0;                    // of any kind
  std::uint64_t network_sockets = 0;            // those that are not Unix sockets
  std::uint64_t resident_bytes = 0;
  std::uint64_t swapped_bytes = 0;
};
ProcessFacts probe_process(int pid);

}  // namespace bulkhead::engine
