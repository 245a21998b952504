#include "extract/sandbox.h"

#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/instrumented.h"
#include "extract/document.h"

namespace bulkhead::extract {

using base::Error;
using base::Result;

namespace {

constexpr long long kMicros = 1'000'000;

constexpr int kAllowed[] = {
    SCMP_SYS(read),         SCMP_SYS(write),          SCMP_SYS(close),
    SCMP_SYS(fstat),        SCMP_SYS(lseek),          SCMP_SYS(munmap),
    SCMP_SYS(mremap),       SCMP_SYS(madvise),        SCMP_SYS(brk),
    SCMP_SYS(futex),        SCMP_SYS(clock_gettime),  SCMP_SYS(gettimeofday),
    SCMP_SYS(getrandom),    SCMP_SYS(getpid),         SCMP_SYS(gettid),
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),  SCMP_SYS(sched_yield),    SCMP_SYS(exit),
    SCMP_SYS(exit_group),   SCMP_SYS(setitimer),      SCMP_SYS(getitimer),
};

constexpr int kDeadly[] = {
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(fork),
    SCMP_SYS(vfork),
    SCMP_SYS(clone),
    SCMP_SYS(socket),
    SCMP_SYS(connect),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(unlink),
    SCMP_SYS(unlinkat),
    SCMP_SYS(rename),
    SCMP_SYS(mount),
    SCMP_SYS(bpf),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(userfaultfd),
};

Error failed(int code) {
  return Error(ExtractionError::Invalid, "The document could not be read safely.", std::strerror(code));
}

bool limit(__rlimit_resource_t resource, rlim_t value, rlim_t hard) {
  rlimit bound{value, hard};
  return setrlimit(resource, &bound) == 0;
}
bool limit(__rlimit_resource_t resource, rlim_t value) { return limit(resource, value, value); }

// Calls that are harmless with some arguments only: memory is never executable, so that bytes of a
// document can't become code, and abort() may end this process, not another one of the same user.
int allow_narrowed(scmp_filter_ctx filter) {
  const scmp_arg_cmp not_executable = {2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0};
  const scmp_arg_cmp own_process = {0, SCMP_CMP_EQ, static_cast<scmp_datum_t>(getpid()), 0};
  int status = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, &not_executable);
  if (status == 0)
    status = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, &not_executable);
  if (status == 0) status = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, &own_process);
  return status;
}

bool set_reading_clock(long long micros) {
  const itimerval value{{0, 0},
                        {static_cast<time_t>(micros / kMicros), static_cast<suseconds_t>(micros % kMicros)}};
  return ::setitimer(ITIMER_VIRTUAL, &value, nullptr) == 0;
}

}  // namespace

// Where no clock runs (outside the sandbox, or without recognition) none is started.
ReadingClockPause::ReadingClockPause(int seconds_max) {
  itimerval before{};
  if (::getitimer(ITIMER_VIRTUAL, &before) != 0) return;
  const long long left = before.it_value.tv_sec * kMicros + before.it_value.tv_usec;
  if (left > 0 && set_reading_clock(seconds_max * kMicros)) micros_left_ = left;
}

ReadingClockPause::~ReadingClockPause() {
  if (micros_left_ > 0) set_reading_clock(micros_left_);
}

Result<void> enter_sandbox(const SandboxLimits& limits) {
  // The soft CPU limit ends the process with SIGXCPU and the timer with SIGVTALRM, which tell the gateway
  // why.
  const auto seconds = static_cast<rlim_t>(limits.seconds_max);
  bool limited = (base::kInstrumented || limit(RLIMIT_AS, limits.memory_bytes_max)) &&
                 limit(RLIMIT_CPU, seconds, seconds + 1) && limit(RLIMIT_FSIZE, 0) && limit(RLIMIT_CORE, 0) &&
                 limit(RLIMIT_NPROC, 0) && limit(RLIMIT_NOFILE, 3);
  if (limited && limits.reading_seconds_max < limits.seconds_max) {
    limited = set_reading_clock(limits.reading_seconds_max * kMicros);
  }
  if (!limited || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return failed(errno);
  // Libraries that look for fonts or character tables get a no and go on without.
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
  if (!filter) return failed(ENOMEM);
  int status = allow_narrowed(filter);
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
