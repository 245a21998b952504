#include "inference/sandbox.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "base/scrub.h"
#include "inference/error.h"

namespace bulkhead::inference {

using base::Error;
using base::Result;

namespace {

// What a worker needs to read its models from open files and to serve: its descriptors, memory, threads,
// time.
constexpr int kAllowed[] = {
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(readv),
    SCMP_SYS(writev),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendto),
    SCMP_SYS(sendmsg),
    SCMP_SYS(accept),
    SCMP_SYS(accept4),
    SCMP_SYS(close),
    SCMP_SYS(shutdown),
    SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt),
    SCMP_SYS(getsockname),
    SCMP_SYS(getpeername),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_create1),
    SCMP_SYS(eventfd2),
    SCMP_SYS(timerfd_create),
    SCMP_SYS(timerfd_settime),
    SCMP_SYS(fstat),
    SCMP_SYS(lseek),
    SCMP_SYS(pread64),
    SCMP_SYS(fadvise64),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(brk),
    SCMP_SYS(mlock),
    SCMP_SYS(mlock2),
    SCMP_SYS(munlock),
    SCMP_SYS(futex),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(sched_yield),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(getrandom),
    SCMP_SYS(getrusage),
    SCMP_SYS(sysinfo),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigtimedwait),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(membarrier),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
};

// arch_prctl(2): ARCH_GET_XCOMP_PERM and ARCH_REQ_XCOMP_PERM.
constexpr scmp_datum_t kGetXcompPermission = 0x1022;
constexpr scmp_datum_t kRequestXcompPermission = 0x1023;

// Calls that are harmless with some values of one argument only.
struct Narrowed {
  int call;
  scmp_arg_cmp argument;
};

std::vector<Narrowed> narrowed() {
  constexpr scmp_datum_t kExecute = PROT_EXEC;
  const auto self = static_cast<scmp_datum_t>(getpid());
  std::vector<Narrowed> out = {
      // Memory is never executable, so that bytes of a model or a prompt can't become code.
      {SCMP_SYS(mmap), {2, SCMP_CMP_MASKED_EQ, kExecute, 0}},
      {SCMP_SYS(mprotect), {2, SCMP_CMP_MASKED_EQ, kExecute, 0}},
      // abort() and pthread_kill may signal this process, not another one of the same user.
      {SCMP_SYS(tgkill), {0, SCMP_CMP_EQ, self, 0}},
      // Threads yes, processes no. clone3 hides its flags from filters: glibc falls back to clone.
      {SCMP_SYS(clone), {0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD}},
      {SCMP_SYS(sched_getaffinity), {0, SCMP_CMP_EQ, 0, 0}},
      {SCMP_SYS(sched_getaffinity), {0, SCMP_CMP_EQ, self, 0}},
  };
  // ggml asks for the AMX tile registers when it first multiplies on a CPU that has them.
  for (scmp_datum_t request : {kGetXcompPermission, kRequestXcompPermission}) {
    out.push_back({SCMP_SYS(arch_prctl), {0, SCMP_CMP_EQ, request, 0}});
  }
  // Not F_SETOWN, which would send others signals, nor the terminal's requests.
  for (scmp_datum_t command : {F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC}) {
    out.push_back({SCMP_SYS(fcntl), {1, SCMP_CMP_EQ, command, 0}});
  }
  for (scmp_datum_t request : {scmp_datum_t{FIONBIO}, scmp_datum_t{FIONREAD}}) {
    out.push_back({SCMP_SYS(ioctl), {1, SCMP_CMP_MASKED_EQ, 0xffff'ffff, request}});
  }
  return out;
}

// Only an attacker asks for these.
constexpr int kDeadly[] = {
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(fork),
    SCMP_SYS(vfork),
    SCMP_SYS(socket),
    SCMP_SYS(connect),
    SCMP_SYS(bind),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(creat),
    SCMP_SYS(unlink),
    SCMP_SYS(unlinkat),
    SCMP_SYS(rename),
    SCMP_SYS(mount),
    SCMP_SYS(init_module),
    SCMP_SYS(bpf),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(userfaultfd),
};

}  // namespace

void tie_to_parent() {
  base::harden_process();
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

Result<void> enter_sandbox() {
  auto failed = [](int code) {
    return Error(InferenceError::Failed, "The sandbox could not be entered, so nothing is served.",
                 std::strerror(-code));
  };
  // Anything else is refused with EPERM: libraries probe the machine and cope with a no.
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
  if (!filter) return failed(-ENOMEM);
  int status = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
  for (int call : kAllowed) {
    if (status == 0) status = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0);
  }
  for (int call : kDeadly) {
    if (status == 0) status = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, call, 0);
  }
  for (const Narrowed& rule : narrowed()) {
    if (status == 0) {
      status = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, rule.call, 1, &rule.argument);
    }
  }
  if (status == 0) status = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
  if (status == 0) status = seccomp_load(filter);
  seccomp_release(filter);
  if (status != 0) return failed(status);
  return Result<void>();
}

}  // namespace bulkhead::inference
