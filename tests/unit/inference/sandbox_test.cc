// The worker's sandbox against what code inside a worker would try that a prompt or a model file has taken
// over. Each attempt runs in a child process twice: without the sandbox, where it must succeed (the control),
// and inside it, where it must not.
#include "inference/sandbox.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <ostream>

#include "support.h"

namespace bulkhead::inference {
namespace {

constexpr int kSucceeded = 0, kRefused = 1, kNoSandbox = 2;

// The exit status of `attempt` in a child, or minus the signal that killed it.
int outcome(bool sandboxed, bool (*attempt)()) {
  pid_t child = ::fork();
  if (child == 0) {
    if (sandboxed) tie_to_parent();
    if (sandboxed && !enter_sandbox()) ::_exit(kNoSandbox);
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
// With the flag that an honest fstat sends, and a path all the same.
bool asks_for_a_file_as_if_for_a_descriptor() {
  struct stat info;
  return ::syscall(SYS_newfstatat, AT_FDCWD, "/etc/passwd", &info, AT_EMPTY_PATH) == 0;
}
bool asks_for_a_file_by_statx() {
  struct statx info;
  return ::statx(AT_FDCWD, "/etc/passwd", 0, STATX_SIZE, &info) == 0;
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
bool signals_anothers_thread() { return ::syscall(SYS_tgkill, ::getppid(), ::getppid(), 0) == 0; }
bool signals_another() { return ::kill(::getppid(), 0) == 0; }
bool opens_anothers_handle() {
  return close_if_open(static_cast<int>(::syscall(SYS_pidfd_open, ::getppid(), 0)));
}
bool asks_to_be_signalled_for_another() {
  int ends[2];
  return ::pipe(ends) == 0 && ::fcntl(ends[0], F_SETOWN, ::getppid()) == 0;
}
bool schedules_another() {
  sched_param none{};
  return ::syscall(SYS_sched_setscheduler, ::getppid(), SCHED_OTHER, &none) == 0;
}
bool places_another() {
  cpu_set_t cores;
  return ::syscall(SYS_sched_getaffinity, ::getpid(), sizeof cores, &cores) > 0 &&
         ::syscall(SYS_sched_setaffinity, ::getppid(), sizeof cores, &cores) == 0;
}
bool asks_where_another_runs() {
  cpu_set_t cores;
  return ::syscall(SYS_sched_getaffinity, ::getppid(), sizeof cores, &cores) > 0;
}
bool asks_how_another_is_scheduled() { return ::syscall(SYS_sched_getscheduler, ::getppid()) >= 0; }
bool limits_another() {
  rlimit limit;
  return ::prlimit(::getppid(), RLIMIT_CORE, nullptr, &limit) == 0;
}
bool maps_executable_memory() {
  return ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
         MAP_FAILED;
}
bool makes_memory_executable() {
  void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return page != MAP_FAILED && ::mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0;
}
bool makes_all_that_is_readable_executable() { return ::personality(READ_IMPLIES_EXEC) >= 0; }
bool makes_a_file_in_memory() { return close_if_open(static_cast<int>(::syscall(SYS_memfd_create, "x", 0))); }
bool is_traced() { return ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0; }
bool reads_memory_by_pid() {
  char from = 'x', to = 0;
  iovec local{&to, 1}, remote{&from, 1};
  return ::process_vm_readv(::getpid(), &local, 1, &remote, 1, 0) == 1;
}
bool sends_an_odd_request_to_a_device() {
  int ends[2];
  return ::pipe(ends) == 0 && ::ioctl(ends[0], FIOCLEX) == 0;
}
bool names_itself() { return ::syscall(SYS_prctl, 15 /* PR_SET_NAME */, "x", 0, 0, 0) == 0; }

struct Attempt {
  const char* name;
  bool (*act)();
  int outcome_inside;
};
std::ostream& operator<<(std::ostream& out, const Attempt& attempt) { return out << attempt.name; }

class WorkerSandbox : public testing::TestWithParam<Attempt> {};

TEST_P(WorkerSandbox, Aisvs_4_1_1_RefusesWhatSucceedsWithoutIt) {
  EXPECT_EQ(outcome(false, GetParam().act), kSucceeded) << "control: must succeed without the sandbox";
  EXPECT_EQ(outcome(true, GetParam().act), GetParam().outcome_inside);
}

INSTANTIATE_TEST_SUITE_P(
    Attempts, WorkerSandbox,
    testing::Values(Attempt{"OpenFile", opens_a_file, kRefused}, Attempt{"MakeFile", makes_a_file, kRefused},
                    Attempt{"AskForFile", asks_for_a_file, kRefused},
                    Attempt{"AskForFileAsDescriptor", asks_for_a_file_as_if_for_a_descriptor, kRefused},
                    Attempt{"AskForFileByStatx", asks_for_a_file_by_statx, kRefused},
                    Attempt{"Socket", opens_a_socket, -SIGSYS}, Attempt{"SocketPair", opens_a_pair, kRefused},
                    Attempt{"Fork", forks, kRefused}, Attempt{"Execute", executes, -SIGSYS},
                    Attempt{"SignalThread", signals_anothers_thread, kRefused},
                    Attempt{"Signal", signals_another, kRefused},
                    Attempt{"HandleOfAnother", opens_anothers_handle, kRefused},
                    Attempt{"SignalByDescriptor", asks_to_be_signalled_for_another, kRefused},
                    Attempt{"Schedule", schedules_another, kRefused},
                    Attempt{"Place", places_another, kRefused},
                    Attempt{"AskPlace", asks_where_another_runs, kRefused},
                    Attempt{"AskSchedule", asks_how_another_is_scheduled, kRefused},
                    Attempt{"Limit", limits_another, kRefused},
                    Attempt{"MapExecutable", maps_executable_memory, kRefused},
                    Attempt{"MakeExecutable", makes_memory_executable, kRefused},
                    Attempt{"AllExecutable", makes_all_that_is_readable_executable, kRefused},
                    Attempt{"MemoryFile", makes_a_file_in_memory, kRefused},
                    Attempt{"Trace", is_traced, -SIGSYS}, Attempt{"ReadMemory", reads_memory_by_pid, -SIGSYS},
                    Attempt{"DeviceRequest", sends_an_odd_request_to_a_device, kRefused},
                    Attempt{"Prctl", names_itself, kRefused}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(WorkerSandboxWorks, AbortStillEndsTheProcess) {
  EXPECT_EQ(outcome(true, []() -> bool { std::abort(); }), -SIGABRT);
}

TEST(WorkerSandboxWorks, ThreadsPipesAndSignalsToItself) {
  EXPECT_EQ(outcome(true,
                    [] {
                      int sum = 0;
                      std::thread([&sum] { sum = 1; }).join();
                      int ends[2];
                      return sum == 1 && std::thread::hardware_concurrency() > 0 && ::pipe(ends) != 0 &&
                             ::pthread_kill(::pthread_self(), 0) == 0 && ::fcntl(0, F_GETFL) >= 0;
                    }),
            kSucceeded);
}

// As main does it, in a process of its own: files first, then the sandbox, then everything else.
[[noreturn]] void load_and_answer(bool open_first) {
  llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
  llama_backend_init();
  const ModelFile file{"test", test::model_path(), "", {}};
  std::optional<base::Result<OpenModelFile>> open;
  if (open_first) open.emplace(OpenModelFile::open(file));
  if (!enter_sandbox()) ::_exit(kNoSandbox);
  if (!open_first) open.emplace(OpenModelFile::open(file));
  if (!*open) ::_exit(kRefused);
  auto model = Model::load(std::move(**open), ModelKind::Chat, 0);
  if (!model) ::_exit(3);
  SchedulerOptions options;
  options.slots = 2;
  options.context = 256;
  options.threads = options.batch_threads = 2;
  auto engine = Scheduler::start(**model, options);
  if (!engine) ::_exit(4);
  auto generation = std::make_shared<Generation>();
  generation->request.context = test::who("acme");
  generation->request.prompt = *(*model)->tokenize_chat({{"user", "What is the capital of France?", {}, ""}});
  generation->request.max_tokens = 8;
  generation->request.sampling.temperature = 0;
  test::Answered answer = test::run(**engine, std::move(generation));
  ::_exit(answer.error.empty() && answer.result.burn.verified() ? kSucceeded : 5);
}

TEST(WorkerSandboxWorksDeathTest, Aisvs_4_1_1_AModelIsParsedAndServedInsideIt) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(load_and_answer(true), testing::ExitedWithCode(kSucceeded), "");
  EXPECT_EXIT(load_and_answer(false), testing::ExitedWithCode(kRefused), "") << "control: it opens no file";
}

}  // namespace
}  // namespace bulkhead::inference
