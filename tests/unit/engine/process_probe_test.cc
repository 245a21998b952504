// The probe against processes whose state is known because the test made it so.
#include "engine/process_probe.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

namespace bulkhead::engine {
namespace {

// A child that has done `prepare` and stands still until it is killed.
class Child {
 public:
  explicit Child(const std::function<void()>& prepare) {
    int ready[2];
    if (::pipe(ready) != 0) std::abort();
    pid_ = ::fork();
    if (pid_ == 0) {
      prepare();
      static_cast<void>(!::write(ready[1], "x", 1));
      while (true) ::pause();
    }
    char byte;
    static_cast<void>(!::read(ready[0], &byte, 1));
    ::close(ready[0]);
    ::close(ready[1]);
  }
  ~Child() { end(); }
  void end() {
    if (pid_ == 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = 0;
};

TEST(ProcessProbe, NoProcessIsNotRunning) {
  EXPECT_FALSE(probe_process(0).running);
  EXPECT_FALSE(probe_process(-1).running);
  Child child([] {});
  const pid_t pid = child.pid();
  EXPECT_TRUE(probe_process(pid).running) << "control";
  EXPECT_GT(probe_process(pid).resident_bytes, 100'000u);
  child.end();
  EXPECT_FALSE(probe_process(pid).running);
}

TEST(ProcessProbe, PrivilegesAndCoresAreTold) {
  Child open([] {
    rlimit core{4096, 4096};
    ::setrlimit(RLIMIT_CORE, &core);
  });
  Child caged([] {
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    rlimit core{0, 0};
    ::setrlimit(RLIMIT_CORE, &core);
  });
  EXPECT_TRUE(probe_process(caged.pid()).no_new_privileges);
  EXPECT_EQ(probe_process(caged.pid()).core_bytes_max, 0u);
  EXPECT_FALSE(probe_process(open.pid()).no_new_privileges);
  EXPECT_NE(probe_process(open.pid()).core_bytes_max, 0u);
  EXPECT_EQ(probe_process(open.pid()).seccomp_mode, probe_process(::getpid()).seccomp_mode);
}

TEST(ProcessProbe, ANetworkSocketIsToldFromAUnixOne) {
  const ProcessFacts before = probe_process(::getpid());
  ASSERT_FALSE(before.closed);
  const int local = ::socket(AF_UNIX, SOCK_STREAM, 0);
  EXPECT_EQ(probe_process(::getpid()).sockets, before.sockets + 1);
  EXPECT_EQ(probe_process(::getpid()).network_sockets, before.network_sockets);
  const int network = ::socket(AF_INET, SOCK_STREAM, 0);
  EXPECT_EQ(probe_process(::getpid()).network_sockets, before.network_sockets + 1);
  ::close(network);
  EXPECT_EQ(probe_process(::getpid()).network_sockets, before.network_sockets);
  ::close(local);
}

}  // namespace
}  // namespace bulkhead::engine
