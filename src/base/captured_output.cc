#include "base/captured_output.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"

namespace bulkhead::base {

namespace {

constexpr std::size_t kPieceBytes = 4096;
constexpr std::size_t kLineBytesMax = 8192;
constexpr std::size_t kTextBytesMax = 512;
constexpr std::size_t kNameBytesMax = 64;
constexpr std::size_t kFieldsMax = 16;

std::atomic<std::uint64_t> dropped{0};

Error pipe_error(const char* what) {
  return Error(FileError::Io,
               std::string("Standard error could not be captured: ") + what + ": " + std::strerror(errno));
}

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= kNameBytesMax &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string_view::npos;
}

std::string cleaned(std::string_view text) {
  std::string out(text.substr(0, kTextBytesMax));
  for (char& c : out) {
    if (c < 0x20 || c > 0x7e) c = '?';
  }
  return out;
}

std::optional<log::Level> level_of(std::string_view name) {
  if (name == "debug") return log::Level::Debug;
  if (name == "info") return log::Level::Info;
  if (name == "warning") return log::Level::Warning;
  if (name == "error") return log::Level::Error;
  return std::nullopt;
}

// False: there is nothing more to come.
bool read_piece(int fd, std::vector<char>& piece, std::string_view& got) {
  while (true) {
    const ssize_t count = ::read(fd, piece.data(), piece.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    got = std::string_view(piece.data(), static_cast<std::size_t>(count));
    return true;
  }
}

}  // namespace

std::uint64_t foreign_bytes() { return dropped.load(); }

OutputCapture::OutputCapture(int real, int read_end, int stop, bool show)
    : real_(real), read_end_(read_end), stop_(stop), show_(show), thread_([this] { run(); }) {}

Result<std::unique_ptr<OutputCapture>> OutputCapture::start(bool show) {
  int ends[2];
  const int real = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 64);
  if (real < 0) return pipe_error("dup");
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
    ::close(real);
    return pipe_error("pipe");
  }
  const int stop = ::eventfd(0, EFD_CLOEXEC);
  // Our own lines are never held up by a pipe that is full; a library's are lost to it, as they would be
  // anyway.
  log::set_descriptor(real);
  if (stop < 0 || ::dup2(ends[1], STDERR_FILENO) < 0) {
    log::set_descriptor(STDERR_FILENO);
    for (int fd : {real, ends[0], ends[1], stop}) ::close(fd);
    return pipe_error("redirect");
  }
  ::close(ends[1]);
  return std::unique_ptr<OutputCapture>(new OutputCapture(real, ends[0], stop, show));
}

OutputCapture::~OutputCapture() {
  static_cast<void>(::dup2(real_, STDERR_FILENO) >= 0);
  log::set_descriptor(STDERR_FILENO);
  const std::uint64_t one = 1;
  static_cast<void>(::write(stop_, &one, sizeof one) == sizeof one);
  thread_.join();
  for (int fd : {real_, read_end_, stop_}) ::close(fd);
}

void OutputCapture::run() {
  std::vector<char> piece(kPieceBytes);
  while (true) {
    pollfd fds[2] = {{read_end_, POLLIN, 0}, {stop_, POLLIN, 0}};
    if (::poll(fds, 2, -1) < 0 && errno != EINTR) return;
    std::string_view got;
    if (fds[0].revents != 0 && read_piece(read_end_, piece, got)) {
      dropped += got.size();
      if (show_) log::info("foreign_output", {{"text", std::string_view(cleaned(got))}});
      std::fill(piece.begin(), piece.end(), '\0');  // it may be a user's text
      continue;                                     // to its end before a stop
    }
    if (fds[1].revents != 0) return;
    if (fds[0].revents != 0) return;  // every writer is gone
  }
}

LogRelay::LogRelay(std::string component, int read_end, int child_end)
    : component_(std::move(component)), read_end_(read_end), child_end_(child_end) {}

Result<std::unique_ptr<LogRelay>> LogRelay::open(std::string component) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return pipe_error("pipe");
  return std::unique_ptr<LogRelay>(new LogRelay(std::move(component), ends[0], ends[1]));
}

LogRelay::~LogRelay() {
  if (child_end_ >= 0) ::close(child_end_);
  if (thread_.joinable()) thread_.join();
  ::close(read_end_);
}

void LogRelay::begin() {
  ::close(child_end_);
  child_end_ = -1;
  thread_ = std::thread([this] { run(); });
}

void LogRelay::run() {
  std::vector<char> piece(kPieceBytes);
  std::string line;
  bool too_long = false;
  std::string_view got;
  while (read_piece(read_end_, piece, got)) {
    for (char c : got) {
      if (c != '\n') {
        too_long = too_long || line.size() >= kLineBytesMax;
        if (too_long)
          ++dropped;
        else
          line += c;
        continue;
      }
      if (too_long || !relay_line(component_, line)) dropped += line.size() + 1;
      std::fill(line.begin(), line.end(), '\0');
      line.clear();
      too_long = false;
    }
    std::fill(piece.begin(), piece.end(), '\0');
  }
  dropped += line.size();
}

bool relay_line(std::string_view component, std::string_view line) {
  auto document = json::Document::parse(line);
  if (!document || !document->root().is_object()) return false;
  const json::Value root = document->root();
  const auto event = root["event"].as_string();
  const auto level = level_of(root["level"].as_string().value_or(""));
  if (!event || !is_name(*event) || !level) return false;
  std::vector<std::string> texts;
  std::vector<log::Field> fields;
  texts.reserve(kFieldsMax);  // fields point into it
  for (std::size_t i = 0; i < root.size(); ++i) {
    const std::string_view name = root.key_at(i);
    const json::Value value = root.at(i);
    if (name == "time" || name == "level" || name == "component" || name == "event") continue;
    if (!is_name(name) || fields.size() == kFieldsMax) return false;
    if (auto text = value.as_string()) {
      fields.push_back({name, std::string_view(texts.emplace_back(cleaned(*text)))});
    } else if (auto number = value.as_int()) {
      fields.push_back({name, *number});
    } else if (auto real = value.as_double()) {
      fields.push_back({name, *real});
    } else if (auto flag = value.as_bool()) {
      fields.push_back({name, *flag});
    } else {
      return false;
    }
  }
  log::write_as(component, *level, *event, fields);
  return true;
}

}  // namespace bulkhead::base
