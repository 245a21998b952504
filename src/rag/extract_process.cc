#include "rag/extract_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "rag/extractor.h"

namespace bulkhead::rag {

using base::Error;
using base::Result;

namespace {

constexpr std::size_t kPieceBytes = 64 << 10;
constexpr int kPollMillis = 50;    // how soon a cancel is seen
constexpr int kEndMillis = 1'000;  // from the end of the answer to the end of the process

Error unavailable(const char* what) {
  return Error(ExtractError::Unavailable, "Documents can't be read just now. Try again later.",
               std::string(what) + ": " + std::strerror(errno));
}

Error crashed(std::string detail) {
  return Error(ExtractError::Crashed, "The file could not be read: its reader stopped. It may be damaged.",
               std::move(detail));
}

Error timed_out() {
  return Error(ExtractError::Timeout, "The file took too long to read. Split it or save it anew.");
}

class Fd {
 public:
  Fd() = default;
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { close(); }
  void reset(int fd) {
    close();
    fd_ = fd;
  }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

struct Channels {
  Fd to_child, child_in, from_child, child_out;

  bool open() {
    int in[2], out[2];
    // A socket, because writing to one whose reader is gone can be told not to raise SIGPIPE.
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in) != 0) return false;
    to_child.reset(in[0]);
    child_in.reset(in[1]);
    if (::pipe2(out, O_CLOEXEC) != 0) return false;
    from_child.reset(out[0]);
    child_out.reset(out[1]);
    for (int fd : {to_child.get(), from_child.get()}) {
      if (::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK) != 0) return false;
    }
    return true;
  }
};

// A running worker; killed and reaped by its destructor when it hasn't ended.
class Child {
 public:
  Child() = default;
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ > 0) kill_and_reap();
  }

  bool start(const std::filesystem::path& executable, int in, int out) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    std::string path = executable.string();
    char* argv[] = {path.data(), nullptr};
    char* environment[] = {nullptr};
    int failed = ::posix_spawn(&pid_, path.c_str(), &actions, &attributes, argv, environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (failed != 0) {
      pid_ = -1;
      errno = failed;
    }
    return failed == 0;
  }

  // The status as waitpid gives it. A child that closed its output and lives on is killed.
  int finish() {
    Fd handle;
    handle.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
    pollfd ended{handle.get(), POLLIN, 0};
    int ready = 0;
    do {
      ready = handle.is_open() ? ::poll(&ended, 1, kEndMillis) : 0;
    } while (ready < 0 && errno == EINTR);
    return ready > 0 ? reap() : kill_and_reap();
  }

 private:
  int kill_and_reap() {
    ::kill(-pid_, SIGKILL);
    return reap();
  }
  int reap() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return status;
  }

  pid_t pid_ = -1;
};

// What is still to be written: the header line, then the document.
class Outgoing {
 public:
  Outgoing(std::string_view header, std::string_view content) : now_(header), next_(content) { advance(); }
  bool done() const { return now_.empty(); }
  // False when the child reads no more; why, its answer or status tells.
  bool write_some(int fd) {
    ssize_t put = ::send(fd, now_.data(), now_.size(), MSG_NOSIGNAL);
    if (put < 0) return errno == EAGAIN || errno == EINTR;
    now_.remove_prefix(static_cast<std::size_t>(put));
    advance();
    return true;
  }

 private:
  void advance() {
    if (now_.empty()) now_ = std::exchange(next_, {});
  }
  std::string_view now_, next_;
};

// Writes the document and reads the answer side by side, until the child closes its output.
Result<std::string> exchange(Channels& channels, const ExtractRun& run, const base::CancelToken& cancel) {
  const auto deadline = base::Clock::system().monotonic() + run.time_max;
  Outgoing outgoing(run.header, run.content);
  std::string answer;
  std::vector<char> piece(kPieceBytes);
  while (true) {
    if (cancel.cancelled()) return Error(ExtractError::Cancelled, "The request was cancelled.");
    if (base::Clock::system().monotonic() > deadline) return timed_out();
    // A descriptor of -1 is passed over by poll.
    pollfd fds[2] = {{channels.from_child.get(), POLLIN, 0}, {channels.to_child.get(), POLLOUT, 0}};
    if (::poll(fds, 2, kPollMillis) < 0 && errno != EINTR) return unavailable("poll");
    if (channels.to_child.is_open() && fds[1].revents != 0) {
      if (!outgoing.write_some(channels.to_child.get()) || outgoing.done()) channels.to_child.close();
    }
    if (fds[0].revents == 0) continue;
    ssize_t got = ::read(channels.from_child.get(), piece.data(), piece.size());
    if (got == 0) return answer;
    if (got < 0 && errno != EAGAIN && errno != EINTR) return unavailable("read");
    if (got > 0) answer.append(piece.data(), static_cast<std::size_t>(got));
    if (answer.size() > run.answer_bytes_max) {
      return Error(ExtractError::TooLarge, "The document holds more text than is taken. Split it.");
    }
  }
}

}  // namespace

Result<std::string> run_extract_process(const ExtractRun& run, const base::CancelToken& cancel) {
  Channels channels;
  if (!channels.open()) return unavailable("pipe");
  Child child;
  if (!child.start(run.executable, channels.child_in.get(), channels.child_out.get())) {
    return unavailable("start the extractor");
  }
  channels.child_in.close();
  channels.child_out.close();
  BULKHEAD_TRY(answer, exchange(channels, run, cancel));
  int status = child.finish();
  const int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  if (signal == SIGXCPU || signal == SIGVTALRM) return timed_out();
  if (signal != 0) return crashed("signal " + std::to_string(signal));
  if (WEXITSTATUS(status) != 0 && answer.empty())
    return crashed("status " + std::to_string(WEXITSTATUS(status)));
  return std::move(answer);
}

}  // namespace bulkhead::rag
