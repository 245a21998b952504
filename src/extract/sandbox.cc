#include "extract/sandbox.h"

#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <cerrno>
#include <cstring>

#include "extract/document.h"

namespace bulkhead::extract {

using base::Error;
using base::Result;

namespace {

constexpr rlim_t kCpuSeconds = 20;

constexpr int kAllowed[] = {
    SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(close), SCMP_SYS(fstat), SCMP_SYS(newfstatat),
    SCMP_SYS(lseek), SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(mprotect),
    SCMP_SYS(madvise), SCMP_SYS(brk), SCMP_SYS(futex), SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday),
    SCMP_SYS(getrandom), SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(tgkill), SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(sigaltstack), SCMP_SYS(sched_yield),
    SCMP_SYS(exit), SCMP_SYS(exit_group),
};

constexpr int kDeadly[] = {
    SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(fork), SCMP_SYS(vfork), SCMP_SYS(clone),
    SCMP_SYS(socket), SCMP_SYS(connect), SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv),
    SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(rename), SCMP_SYS(mount), SCMP_SYS(bpf),
};

Error failed(int code) {
  return Error(ExtractionError::Invalid, "The document could not be read safely.", std::strerror(code));
}

bool limit(__rlimit_resource_t resource, rlim_t value) {
  rlimit bound{value, value};
  return setrlimit(resource, &bound) == 0;
}

}  // namespace

Result<void> enter_sandbox(std::size_t memory_bytes_max) {
  bool limited = limit(RLIMIT_AS, memory_bytes_max) && limit(RLIMIT_CPU, kCpuSeconds) &&
                 limit(RLIMIT_FSIZE, 0) && limit(RLIMIT_CORE, 0) && limit(RLIMIT_NPROC, 0) &&
                 limit(RLIMIT_NOFILE, 3);
  if (!limited || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return failed(errno);
  // Libraries that look for fonts or character tables get a no and go on without.
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
  if (!filter) return failed(ENOMEM);
  int status = 0;
  for (int call : kAllowed) {
    if (status == 0) status = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0);
  }
  for (int call : kDeadly) {
    if (status == 0) status = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, call, 0);
  }
  if (status == 0) status = seccomp_load(filter);
  seccomp_release(filter);
  if (status != 0) return failed(-status);
  return Result<void>();
}

}  // namespace bulkhead::extract
