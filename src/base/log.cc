#include "base/log.h"

#include <unistd.h>

#include <atomic>
#include <string>

#include "base/clock.h"
#include "base/json.h"

namespace bulkhead::base::log {

namespace {

std::atomic<Level> minimum_level{Level::Info};
std::atomic<const std::string*> own_component{nullptr};
std::atomic<int> descriptor{STDERR_FILENO};

std::string_view level_name(Level level) {
  switch (level) {
    case Level::Debug: return "debug";
    case Level::Info: return "info";
    case Level::Warning: return "warning";
    case Level::Error: return "error";
  }
  return "info";
}

}  // namespace

void set_level(Level minimum) { minimum_level = minimum; }

void set_component(std::string_view name) {
  own_component = new std::string(name);  // once a process; kept for good
}

void set_descriptor(int fd) { descriptor = fd; }

void write(Level level, std::string_view event, std::initializer_list<Field> fields) {
  const std::string* name = own_component.load();
  write_as(name ? std::string_view(*name) : std::string_view(), level, event,
           std::span<const Field>(fields.begin(), fields.size()));
}

void write_as(std::string_view component, Level level, std::string_view event,
              std::span<const Field> fields) {
  if (level < minimum_level.load(std::memory_order_relaxed)) return;
  json::Writer line;
  line.begin_object().member("time", rfc3339(Clock::system().wall())).member("level", level_name(level));
  if (!component.empty()) line.member("component", component);
  line.member("event", event);
  for (const Field& field : fields) {
    line.key(field.name);
    std::visit([&line](const auto& value) { line.value(value); }, field.value);
  }
  line.end_object();
  std::string text = line.take() + "\n";
  // One write: lines of several threads don't mix. A log that can't be written is nobody's error.
  ssize_t ignored = ::write(descriptor.load(), text.data(), text.size());
  static_cast<void>(ignored);
}

}  // namespace bulkhead::base::log
