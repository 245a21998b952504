// Server-sent events (WHATWG HTML, section 9.2), as far as the OpenAI API uses them: "data:" lines.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace bulkhead::http {

// "data: <payload>\n\n"; the payload must hold no newline (JSON text doesn't).
std::string sse_event(std::string_view payload);

// Splits a byte stream into event payloads. Bounded: an event over `event_bytes_max` is an error.
class SseParser {
 public:
  explicit SseParser(std::size_t event_bytes_max = 1 << 20) : event_bytes_max_(event_bytes_max) {}
  ~SseParser();  // wipes what is buffered
  base::Result<void> feed(std::string_view bytes);
  std::optional<std::string> next();  // one event's data, comments and other fields dropped

 private:
  std::size_t event_bytes_max_;
  std::string buffer_;
  std::size_t scanned_ = 0;
};

}  // namespace bulkhead::http
