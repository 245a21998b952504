// Server-sent events (WHATWG HTML, section 9.2), as far as the OpenAI API uses them: "data:" lines.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace bulkhead::http {

// "data: <payload>\n\n"; the payload must hold no newline (JSON text doesn't).
std::string sse_event(std::string_view payload);

// Splits a byte stream into event payloads. Bounded: an event over `event_bytes_max` is an error.
// Lines end with LF or CRLF.
class SseParser {
 public:
  explicit SseParser(std::size_t event_bytes_max = 1 << 20) : event_bytes_max_(event_bytes_max) {}
  ~SseParser();  // wipes what is buffered
  SseParser(const SseParser&) = delete;
  base::Result<void> feed(std::string_view bytes);
  std::optional<std::string> next();  // one event's data, comments and other fields dropped

 private:
  void take_line();

  std::size_t event_bytes_max_;
  std::string line_;    // not complete yet
  std::string buffer_;  // data of the event that is not complete yet
  bool has_data_ = false;
  std::deque<std::string> events_;
};

}  // namespace bulkhead::http
