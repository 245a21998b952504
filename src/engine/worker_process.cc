#include "engine/worker_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>

#include "base/bytes.h"
#include "base/captured_output.h"
#include "base/file.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/worker_pulse.h"
#include "crypto/random.h"
#include "engine/engine.h"
#include "http/message_signature.h"

namespace bulkhead::engine {

using base::Error;
using base::Result;

namespace {

constexpr int kListenFd = 3;
constexpr int kControlFd = 4;
constexpr int kPulseFd = 5;
constexpr int kListenBacklog = 512;
constexpr std::size_t kSigningKeyBytes = 32;
constexpr std::string_view kKeyId = "gateway";
// A run this long counts as healthy: the next restart is quick again.
constexpr std::chrono::seconds kHealthyRun{30};

Error start_error(std::string what) {
  return Error(EngineError::Unavailable, "The engine worker could not be started.",
               what + ": " + std::strerror(errno));
}

Result<int> listen_on(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.native().size() >= sizeof(address.sun_path)) {
    return Error(EngineError::Unavailable, "The engine worker could not be started.",
                 "socket path is longer than " + std::to_string(sizeof(address.sun_path) - 1) +
                     " bytes; choose a shorter data.dir: " + path.string());
  }
  std::memcpy(address.sun_path, path.c_str(), path.native().size());
  int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return start_error("socket");
  ::unlink(path.c_str());
  mode_t before = ::umask(0177);
  int bound = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  ::umask(before);
  if (bound != 0 || ::listen(fd, kListenBacklog) != 0) {
    Error error = start_error("bind " + path.string());
    ::close(fd);
    return error;
  }
  return fd;
}

std::string describe_exit(int status) {
  if (WIFSIGNALED(status)) return "signal " + std::to_string(WTERMSIG(status));
  return "exit " + std::to_string(WEXITSTATUS(status));
}

// The kernel's word for a crash of the program itself; SIGKILL comes from outside.
bool is_crash(int status) {
  if (!WIFSIGNALED(status)) return false;
  const int signal = WTERMSIG(status);
  return signal == SIGSEGV || signal == SIGABRT || signal == SIGBUS || signal == SIGFPE || signal == SIGILL ||
         signal == SIGSYS;
}

// Starts the program with `listen_fd` as 3, the pipe's read end as 4 `pulse_fd` as 5 and `log_fd` as
// standard error; everything else is closed.
Result<pid_t> spawn(const WorkerOptions& options, int listen_fd, int pulse_fd, int log_fd,
                    const base::Secret& key) {
  int control[2];
  if (::pipe2(control, O_CLOEXEC) != 0) return start_error("pipe");
  // dup2 onto the same number would keep close-on-exec, so both are first moved out of the way.
  int listen_high = ::fcntl(listen_fd, F_DUPFD_CLOEXEC, 64);
  int control_high = ::fcntl(control[0], F_DUPFD_CLOEXEC, 64);
  int pulse_high = ::fcntl(pulse_fd, F_DUPFD_CLOEXEC, 64);
  int log_high = ::fcntl(log_fd, F_DUPFD_CLOEXEC, 64);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, log_high, STDERR_FILENO);
  posix_spawn_file_actions_adddup2(&actions, listen_high, kListenFd);
  posix_spawn_file_actions_adddup2(&actions, control_high, kControlFd);
  posix_spawn_file_actions_adddup2(&actions, pulse_high, kPulseFd);
  posix_spawn_file_actions_addclosefrom_np(&actions, kPulseFd + 1);

  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, defaults;
  sigemptyset(&none);
  sigfillset(&defaults);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  // A group of its own: Ctrl-C at the terminal goes to the gateway, which drains first.
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);

  std::vector<std::string> arguments = {
      options.executable.string(), "--listen-fd", std::to_string(kListenFd), "--control-fd",
      std::to_string(kControlFd),  "--pulse-fd",  std::to_string(kPulseFd)};
  arguments.insert(arguments.end(), options.arguments.begin(), options.arguments.end());
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  char* environment[] = {nullptr};

  pid_t pid = 0;
  int failed =
      ::posix_spawn(&pid, options.executable.c_str(), &actions, &attributes, argv.data(), environment);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  ::close(listen_high);
  ::close(log_high);
  ::close(control_high);
  ::close(pulse_high);
  ::close(control[0]);
  if (failed != 0) {
    ::close(control[1]);
    errno = failed;
    return start_error("start " + options.executable.string());
  }
  std::string line = base::hex_encode(key.reveal()) + "\n";
  ssize_t written = ::write(control[1], line.data(), line.size());
  bool delivered = written == static_cast<ssize_t>(line.size());
  base::wipe(line);
  ::close(control[1]);
  if (!delivered) base::log::warning("engine_key_not_delivered");
  return pid;
}

}  // namespace

struct WorkerProcess::Impl {
  WorkerOptions options;
  const base::Clock& clock;
  int listen_fd = -1;

  mutable std::mutex mutex;
  std::condition_variable stop_requested;
  bool stopping = false;
  bool is_ready = false;
  pid_t pid = 0;
  std::unique_ptr<http::MessageSigner> signer;
  std::uint64_t starts = 0;
  std::unique_ptr<base::PulseMemory> pulse;  // of the current start
  std::optional<base::PulseWatch> pulse_watch;
  std::string stalled;                        // what made us kill it
  std::unique_ptr<base::LogRelay> log_relay;  // of the running worker; the watcher's own
  std::thread watcher;

  Impl(WorkerOptions o, const base::Clock& c) : options(std::move(o)), clock(c) {}

  Result<void> start_once() {
    base::Secret key = crypto::random_secret(kSigningKeyBytes);
    std::lock_guard lock(mutex);
    if (stopping) return Result<void>();
    int pulse_fd = -1;
    BULKHEAD_TRY(page, base::PulseMemory::make(pulse_fd));
    // The worker's libraries print what they were given: only what has the form of our log comes through.
    auto relay = base::LogRelay::open("engine");
    auto started = relay ? spawn(options, listen_fd, pulse_fd, (*relay)->child_end(), key)
                         : Result<pid_t>(relay.take_error());
    ::close(pulse_fd);
    if (!started) return started.take_error();
    (*relay)->begin();
    log_relay = std::move(*relay);
    pulse = std::move(page);
    pulse_watch.emplace(options.stall_time_max);
    stalled.clear();
    pid = *started;
    ++starts;
    signer = std::make_unique<http::MessageSigner>(std::move(key), std::string(kKeyId), clock);
    return Result<void>();
  }

  // Waits for the running worker's end; true when it was asked for.
  bool wait_for_end() {
    pid_t watched;
    {
      std::lock_guard lock(mutex);
      watched = pid;
    }
    // Waited for without being reaped: until `pid` is 0 again, whoever kills it means this process.
    siginfo_t ended;
    while (::waitid(P_PID, static_cast<id_t>(watched), &ended, WEXITED | WNOWAIT) < 0 && errno == EINTR) {
    }
    log_relay.reset();  // what it said at last is in the log before how it ended
    WorkerDeath death;
    bool asked;
    {
      std::lock_guard lock(mutex);
      int status = 0;
      while (::waitpid(watched, &status, 0) < 0 && errno == EINTR) {
      }
      death = {describe_exit(status), is_crash(status), {}};
      if (!stalled.empty()) death = {"stalled (" + stalled + ")", true, {}};
      death.requests = base::requests_of(pulse->page());
      pid = 0;
      is_ready = false;
      signer.reset();
      asked = stopping;
    }
    stop_requested.notify_all();
    if (!asked) {
      base::log::error("engine_died", {{"how", std::string_view(death.how)}});
      if (options.on_died) options.on_died(death);
    }
    return asked;
  }

  void watch_pulse(std::chrono::milliseconds elapsed) {
    std::lock_guard lock(mutex);
    // While it loads its model it has no loops yet.
    if (pid == 0 || !is_ready || stopping || !stalled.empty()) return;
    auto what = pulse_watch->look(pulse->page(), elapsed);
    if (!what) return;
    stalled = std::move(*what);
    is_ready = false;
    base::log::error("engine_stalled", {{"pid", std::int64_t{pid}}, {"what", std::string_view(stalled)}});
    ::kill(pid, SIGKILL);
  }

  bool pause(std::chrono::milliseconds delay) {
    std::unique_lock lock(mutex);
    return stop_requested.wait_for(lock, delay, [this] { return stopping; });
  }

  // One thread starts, waits and starts again: the worker's parent-death signal is tied to the
  // thread that made it, so that thread must live as long as the worker.
  void watch() {
    std::chrono::milliseconds delay = options.restart_delay_min;
    while (true) {
      auto began = clock.monotonic();
      auto started = start_once();
      pid_t now_running;
      {
        std::lock_guard lock(mutex);
        if (stopping && pid == 0) return;
        now_running = pid;
      }
      if (started && now_running != 0) {
        base::log::info("engine_started", {{"pid", std::int64_t{now_running}}});
        if (options.on_started) options.on_started(now_running);
        if (wait_for_end()) return;
      } else if (!started) {
        base::log::error("engine_start_failed", {{"detail", std::string_view(started.error().detail())}});
      }
      if (clock.monotonic() - began > kHealthyRun) delay = options.restart_delay_min;
      if (pause(delay)) return;
      delay = std::min(delay * 2, options.restart_delay_max);
    }
  }

  void stop() {
    {
      std::unique_lock lock(mutex);
      stopping = true;
      stop_requested.notify_all();
      if (pid != 0) {
        ::kill(pid, SIGTERM);
        if (!stop_requested.wait_for(lock, options.stop_time_max, [this] { return pid == 0; }) && pid != 0) {
          ::kill(pid, SIGKILL);
        }
      }
    }
    if (watcher.joinable()) watcher.join();
    if (listen_fd >= 0) {
      ::close(listen_fd);
      listen_fd = -1;
      ::unlink(options.socket.c_str());
    }
  }
};

WorkerProcess::WorkerProcess(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
WorkerProcess::~WorkerProcess() { impl_->stop(); }

Result<std::unique_ptr<WorkerProcess>> WorkerProcess::start(WorkerOptions options, const base::Clock& clock) {
  if (::access(options.executable.c_str(), X_OK) != 0) {
    return start_error("no engine worker at " + options.executable.string());
  }
  BULKHEAD_CHECK_OK(base::make_private_directory(options.socket.parent_path()));
  BULKHEAD_TRY(listen_fd, listen_on(options.socket));
  auto impl = std::make_unique<Impl>(std::move(options), clock);
  impl->listen_fd = listen_fd;
  Impl* raw = impl.get();
  impl->watcher = std::thread([raw] { raw->watch(); });
  return std::unique_ptr<WorkerProcess>(new WorkerProcess(std::move(impl)));
}

void WorkerProcess::stop() { impl_->stop(); }

int WorkerProcess::pid() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->pid;
}

std::uint64_t WorkerProcess::restarts() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->starts > 0 ? impl_->starts - 1 : 0;
}

void WorkerProcess::mark_ready() {
  std::lock_guard lock(impl_->mutex);
  // Not one that is being killed, whatever it still answers.
  if (impl_->pid != 0 && impl_->stalled.empty()) impl_->is_ready = true;
}

bool WorkerProcess::ready() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->is_ready;
}

void WorkerProcess::watch_pulse(std::chrono::milliseconds elapsed) { impl_->watch_pulse(elapsed); }

Result<void> WorkerProcess::sign(http::Request& request) const {
  std::lock_guard lock(impl_->mutex);
  if (!impl_->signer) {
    return Error(EngineError::Unavailable, "The model is starting. Try again shortly.",
                 "no engine worker is running");
  }
  impl_->signer->sign(request);
  return Result<void>();
}

}  // namespace bulkhead::engine
