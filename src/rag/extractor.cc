#include "rag/extractor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/json.h"

namespace bulkhead::rag {

namespace json = base::json;
using base::Error;
using base::Result;
using base::Task;

namespace {

constexpr std::size_t kPieceBytes = 64 << 10;
constexpr int kPollMillis = 100;  // how soon a cancel is seen
// JSON around the text, with escapes.
constexpr std::size_t kAnswerFactor = 8;

Error unavailable(std::string detail) {
  return Error(ExtractError::Unavailable, "Documents can't be read just now. Try again later.", std::move(detail));
}

class Pipe {
 public:
  bool open() { return ::pipe2(ends_, O_CLOEXEC) == 0; }
  ~Pipe() {
    close_end(0);
    close_end(1);
  }
  int read_end() const { return ends_[0]; }
  int write_end() const { return ends_[1]; }
  void close_end(int which) {
    if (ends_[which] >= 0) ::close(ends_[which]);
    ends_[which] = -1;
  }

 private:
  int ends_[2] = {-1, -1};
};

// A running worker; killed and reaped by its destructor when it hasn't ended.
class Child {
 public:
  ~Child() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      wait();
    }
  }
  bool start(const std::filesystem::path& executable, const Pipe& in, const Pipe& out) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in.read_end(), STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out.write_end(), STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t none, defaults;
    sigemptyset(&none);
    sigfillset(&defaults);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
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
  // The exit status as waitpid gives it.
  int wait() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return status;
  }

 private:
  pid_t pid_ = -1;
};

void set_nonblocking(int fd) { ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK); }

Block::Kind block_kind(std::string_view name) {
  if (name == "heading") return Block::Kind::Heading;
  if (name == "list_item") return Block::Kind::ListItem;
  if (name == "table_row") return Block::Kind::TableRow;
  if (name == "code") return Block::Kind::Code;
  return Block::Kind::Paragraph;
}

// The worker read hostile bytes: its answer is trusted no further than its form.
Result<ExtractedDocument> parse_answer(std::string_view answer, std::size_t text_bytes_max) {
  Error broken(ExtractError::Crashed, "The file could not be read: its reader stopped.", "malformed answer");
  json::Limits limits;
  limits.bytes_max = text_bytes_max * kAnswerFactor;
  limits.nodes_max = 2'000'000;
  auto document = json::Document::parse(answer, limits);
  if (!document || !document->root().is_object()) return broken;
  json::Value root = document->root();
  if (json::Value error = root["error"]; error.is_object()) {
    auto code = error["code"].as_string().value_or("");
    ExtractError kind = code == "unsupported_file" ? ExtractError::UnsupportedFile
                        : code == "encrypted_file" ? ExtractError::Encrypted
                        : code == "too_large"      ? ExtractError::TooLarge
                                                   : ExtractError::InvalidFile;
    return Error(kind, std::string(error["message"].as_string().value_or("The file could not be read.").substr(0, 300)));
  }
  ExtractedDocument out;
  out.type = std::string(root["type"].as_string().value_or("").substr(0, 16));
  out.title = std::string(root["title"].as_string().value_or("").substr(0, 300));
  json::Value blocks = root["blocks"];
  if (!blocks.is_array()) return broken;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    json::Value block = blocks.at(i);
    auto text = block["text"].as_string();
    if (!text) return broken;
    auto level = block["level"].as_int().value_or(0);
    auto page = block["page"].as_int().value_or(0);
    out.blocks.push_back({block_kind(block["kind"].as_string().value_or("")),
                          static_cast<int>(std::clamp<std::int64_t>(level, 0, 9)), std::string(*text),
                          static_cast<std::uint32_t>(std::clamp<std::int64_t>(page, 0, 1'000'000))});
  }
  return out;
}

}  // namespace

base::ErrorName error_name(ExtractError code) {
  switch (code) {
    case ExtractError::UnsupportedFile: return {"extract", "unsupported_file"};
    case ExtractError::InvalidFile: return {"extract", "invalid_file"};
    case ExtractError::Encrypted: return {"extract", "encrypted_file"};
    case ExtractError::TooLarge: return {"extract", "too_large"};
    case ExtractError::Timeout: return {"extract", "timeout"};
    case ExtractError::Crashed: return {"extract", "crashed"};
    case ExtractError::Unavailable: return {"extract", "unavailable"};
    case ExtractError::Cancelled: return {"extract", "cancelled"};
  }
  return {"extract", "unknown"};
}

struct Extractor::Impl {
  ExtractorOptions options;
  base::BlockingPool& pool;
  std::mutex mutex;
  std::condition_variable freed;
  std::size_t running = 0;
  std::atomic<std::uint64_t> started{0}, failed{0}, killed{0};

  Impl(ExtractorOptions o, base::BlockingPool& p) : options(std::move(o)), pool(p) {}

  Result<ExtractedDocument> run(const std::string& name, std::string content, const base::CancelToken& cancel) {
    {
      std::unique_lock lock(mutex);
      freed.wait(lock, [this] { return running < options.concurrent; });
      ++running;
    }
    auto result = run_child(name, content, cancel);
    base::wipe(content);
    {
      std::lock_guard lock(mutex);
      --running;
    }
    freed.notify_one();
    if (!result) failed.fetch_add(1);
    return result;
  }

  Result<ExtractedDocument> run_child(const std::string& name, const std::string& content,
                                      const base::CancelToken& cancel) {
    Pipe in, out;
    if (!in.open() || !out.open()) return unavailable(std::string("pipe: ") + std::strerror(errno));
    Child child;
    if (!child.start(options.executable, in, out)) {
      return unavailable("can't start " + options.executable.string() + ": " + std::strerror(errno));
    }
    started.fetch_add(1);
    in.close_end(0);
    out.close_end(1);
    std::string answer;
    BULKHEAD_CHECK_OK(exchange(in, out, header_line(name, content.size()), content, answer, cancel));
    int status = child.wait();
    if (WIFSIGNALED(status) || answer.empty()) {
      return Error(ExtractError::Crashed, "The file could not be read: its reader stopped.",
                   "status " + std::to_string(status));
    }
    auto document = parse_answer(answer, options.text_bytes_max);
    base::wipe(answer);
    return document;
  }

  std::string header_line(const std::string& name, std::size_t bytes) const {
    json::Writer w;
    w.begin_object()
        .member("name", name)
        .member("bytes", static_cast<std::uint64_t>(bytes))
        .member("memory_bytes_max", static_cast<std::uint64_t>(options.memory_bytes_max))
        .member("text_bytes_max", static_cast<std::uint64_t>(options.text_bytes_max))
        .end_object();
    return w.take() + "\n";
  }

  // Writes the document and reads the answer side by side, until both are done or time is up.
  Result<void> exchange(Pipe& in, Pipe& out, std::string header, std::string_view content, std::string& answer,
                        const base::CancelToken& cancel) {
    set_nonblocking(in.write_end());
    set_nonblocking(out.read_end());
    auto deadline = base::Clock::system().monotonic() + options.time_max;
    std::string_view pending = header;
    bool body_next = true;
    std::vector<char> piece(kPieceBytes);
    while (true) {
      if (cancel.cancelled()) return Error(ExtractError::Cancelled, "The request was cancelled.");
      if (base::Clock::system().monotonic() > deadline) {
        killed.fetch_add(1);
        return Error(ExtractError::Timeout, "The file took too long to read.");
      }
      pollfd fds[2] = {{out.read_end(), POLLIN, 0}, {in.write_end(), POLLOUT, 0}};
      nfds_t count = in.write_end() >= 0 ? 2 : 1;
      if (::poll(fds, count, kPollMillis) < 0 && errno != EINTR) return unavailable("poll");
      if (count == 2 && fds[1].revents != 0) {
        ssize_t put = ::write(in.write_end(), pending.data(), pending.size());
        if (put > 0) pending.remove_prefix(static_cast<std::size_t>(put));
        // A worker that ended early says why in its answer, or by its status.
        if (put < 0 && errno != EAGAIN && errno != EINTR) in.close_end(1);
        if (pending.empty() && body_next) {
          pending = content;
          body_next = false;
        }
        if (pending.empty() && !body_next) in.close_end(1);
      }
      if (fds[0].revents == 0) continue;
      ssize_t got = ::read(out.read_end(), piece.data(), piece.size());
      if (got == 0) break;
      if (got > 0) answer.append(piece.data(), static_cast<std::size_t>(got));
      if (answer.size() > options.text_bytes_max * kAnswerFactor) {
        return Error(ExtractError::TooLarge, "The document holds more text than is taken. Split it.");
      }
    }
    base::wipe(piece.data(), piece.size());
    return Result<void>();
  }
};

Extractor::Extractor(ExtractorOptions options, base::BlockingPool& pool)
    : impl_(std::make_shared<Impl>(std::move(options), pool)) {}
Extractor::~Extractor() = default;

Task<Result<ExtractedDocument>> Extractor::extract(std::string file_name, std::string content,
                                                   base::CancelToken cancel) {
  std::shared_ptr<Impl> impl = impl_;
  auto document = co_await impl->pool.run(
      [&impl, &file_name, &content, &cancel] { return impl->run(file_name, std::move(content), cancel); });
  co_return std::move(document);
}

Extractor::Stats Extractor::stats() const {
  return {impl_->started.load(), impl_->failed.load(), impl_->killed.load()};
}

}  // namespace bulkhead::rag
