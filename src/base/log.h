// The operator's log: one JSON object a line on standard error, or where base/captured_output.h says.
//
// For operation only (start, reload, worker died, disk full). Never payload, tokens, keys, document
// names or claims: what a user did belongs to the audit log, as keyed hashes. Fields are few and
// typed so that nothing slips in by formatting. Thread safe; a line is written whole.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>
#include <variant>

namespace bulkhead::base::log {

enum class Level { Debug, Info, Warning, Error };

struct Field {
  std::string_view name;
  std::variant<std::string_view, std::int64_t, double, bool> value;
};

void set_level(Level minimum);
void set_component(std::string_view name);  // "gateway", "engine": once, at start
void set_descriptor(int fd);                // where lines go; standard error at first
void write(Level level, std::string_view event, std::initializer_list<Field> fields = {});
// For a line that another process wrote: `component` says which.
void write_as(std::string_view component, Level level, std::string_view event, std::span<const Field> fields);

inline void info(std::string_view event, std::initializer_list<Field> fields = {}) {
  write(Level::Info, event, fields);
}
inline void warning(std::string_view event, std::initializer_list<Field> fields = {}) {
  write(Level::Warning, event, fields);
}
inline void error(std::string_view event, std::initializer_list<Field> fields = {}) {
  write(Level::Error, event, fields);
}
inline void debug(std::string_view event, std::initializer_list<Field> fields = {}) {
  write(Level::Debug, event, fields);
}

}  // namespace bulkhead::base::log
