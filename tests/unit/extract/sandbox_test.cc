// The sandbox against what an exploited parser would try. Each attempt runs in a child process twice:
// without the sandbox, where it must succeed (the control), and inside it, where it must not.
#include "extract/sandbox.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <ostream>
#include <string>
#include <vector>

#include "base/instrumented.h"

namespace bulkhead::extract {
namespace {

constexpr std::size_t kMemoryBytes = 256u << 20;
constexpr int kSucceeded = 0, kRefused = 1, kNoSandbox = 2;

// The exit status of `attempt` in a child, or minus the signal that killed it.
int outcome(bool sandboxed, bool (*attempt)()) {
  pid_t child = ::fork();
  if (child == 0) {
    if (sandboxed && !enter_sandbox({.memory_bytes_max = kMemoryBytes})) ::_exit(kNoSandbox);
    ::_exit(attempt() ? kSucceeded : kRefused);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

bool close_if_open(int fd) { return fd >= 0 && ::close(fd) == 0; }

bool opens_a_file() { return close_if_open(::open("/etc/passwd", O_RDONLY)); }
bool makes_a_file() {
  std::string path = "/tmp/bulkhead-sandbox-test-" + std::to_string(::getpid());
  bool made = close_if_open(::open(path.c_str(), O_CREAT | O_WRONLY | O_EXCL, 0600));
  return made && ::unlink(path.c_str()) == 0;
}
bool asks_for_a_file() {
  struct stat info;
  return ::stat("/etc/passwd", &info) == 0;
}
bool opens_a_socket() { return close_if_open(::socket(AF_INET, SOCK_STREAM, 0)); }
bool opens_a_pair() {
  int ends[2];
  return ::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0;
}
bool forks() {
  pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  return child > 0 && ::waitpid(child, nullptr, 0) == child;
}
bool executes() {
  char path[] = "/bin/true";
  char* argv[] = {path, nullptr};
  char* environment[] = {nullptr};
  ::execve(path, argv, environment);
  return false;  // without the sandbox, /bin/true's status 0 is the outcome
}
bool signals_its_parent() { return ::syscall(SYS_tgkill, ::getppid(), ::getppid(), 0) == 0; }
bool kills_by_pid() { return ::kill(::getppid(), 0) == 0; }
bool maps_executable_memory() {
  return ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
         MAP_FAILED;
}
bool makes_memory_executable() {
  void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return page != MAP_FAILED && ::mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0;
}
bool is_traced() { return ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0; }
bool sets_its_limits() {
  rlimit none{0, 0};
  return ::setrlimit(RLIMIT_CORE, &none) == 0;
}
bool takes_more_memory() {
  return ::mmap(nullptr, kMemoryBytes * 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
         MAP_FAILED;
}

struct Attempt {
  const char* name;
  bool (*act)();
  int outcome_inside;
};
std::ostream& operator<<(std::ostream& out, const Attempt& attempt) { return out << attempt.name; }

class Sandbox : public testing::TestWithParam<Attempt> {};

TEST_P(Sandbox, RefusesWhatSucceedsWithoutIt) {
  if (base::kInstrumented && GetParam().act == takes_more_memory) {
    GTEST_SKIP() << "an instrumented process has no bound on its address space";
  }
  EXPECT_EQ(outcome(false, GetParam().act), kSucceeded) << "control: must succeed without the sandbox";
  EXPECT_EQ(outcome(true, GetParam().act), GetParam().outcome_inside);
}

INSTANTIATE_TEST_SUITE_P(
    Attempts, Sandbox,
    testing::Values(
        Attempt{"OpenFile", opens_a_file, kRefused}, Attempt{"MakeFile", makes_a_file, kRefused},
        Attempt{"AskForFile", asks_for_a_file, kRefused}, Attempt{"Socket", opens_a_socket, -SIGSYS},
        Attempt{"SocketPair", opens_a_pair, kRefused}, Attempt{"Fork", forks, -SIGSYS},
        Attempt{"Execute", executes, -SIGSYS}, Attempt{"SignalThread", signals_its_parent, kRefused},
        Attempt{"Signal", kills_by_pid, kRefused}, Attempt{"MapExecutable", maps_executable_memory, kRefused},
        Attempt{"MakeExecutable", makes_memory_executable, kRefused}, Attempt{"Trace", is_traced, -SIGSYS},
        Attempt{"SetLimits", sets_its_limits, kRefused}, Attempt{"Memory", takes_more_memory, kRefused}),
    [](const auto& info) { return std::string(info.param.name); });

// An inherited descriptor of a file can't be written either: the size limit is zero.
TEST(SandboxFiles, WritingToAnInheritedFileIsRefused) {
  auto run = [](bool sandboxed) {
    char path[] = "/tmp/bulkhead-sandbox-XXXXXX";
    int file = ::mkstemp(path);
    ::unlink(path);
    pid_t child = ::fork();
    if (child == 0) {
      ::signal(SIGXFSZ, SIG_IGN);
      if (sandboxed && !enter_sandbox({.memory_bytes_max = kMemoryBytes})) ::_exit(kNoSandbox);
      ::_exit(::write(file, "x", 1) == 1 ? kSucceeded : kRefused);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    ::close(file);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  };
  EXPECT_EQ(run(false), kSucceeded);
  EXPECT_EQ(run(true), kRefused);
}

// What parsing needs still works inside.
TEST(SandboxFiles, MemoryAndPipesStillWork) {
  EXPECT_EQ(outcome(true,
                    [] {
                      std::vector<std::string> blocks(1'000, std::string(10'000, 'x'));
                      return blocks.back().size() == 10'000;
                    }),
            kSucceeded);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  pid_t child = ::fork();
  if (child == 0) {
    if (!enter_sandbox({.memory_bytes_max = kMemoryBytes})) ::_exit(kNoSandbox);
    ::_exit(::write(ends[1], "text", 4) == 4 ? kSucceeded : kRefused);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), kSucceeded);
  char text[4];
  EXPECT_EQ(::read(ends[0], text, sizeof text), 4);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(SandboxFiles, AbortStillEndsTheProcess) {
  EXPECT_EQ(outcome(true, []() -> bool { std::abort(); }), -SIGABRT);
}

}  // namespace
}  // namespace bulkhead::extract
