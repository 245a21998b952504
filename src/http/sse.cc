#include "http/sse.h"

#include "base/bytes.h"
#include "http/message.h"

namespace bulkhead::http {

std::string sse_event(std::string_view payload) {
  std::string out;
  out.reserve(payload.size() + 8);
  out.append("data: ");
  out.append(payload);
  out.append("\n\n");
  return out;
}

SseParser::~SseParser() {
  base::wipe(line_);
  base::wipe(buffer_);
  for (std::string& event : events_) base::wipe(event);
}

base::Result<void> SseParser::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    const std::string_view piece = bytes.substr(0, end);
    if (line_.size() + piece.size() + buffer_.size() > event_bytes_max_) {
      return base::Error(HttpError::BadResponse, "The upstream service failed; try again.",
                         "an event of the stream is too large");
    }
    line_.append(piece);
    if (end == std::string_view::npos) return {};
    bytes.remove_prefix(end + 1);
    take_line();
  }
  return {};
}

void SseParser::take_line() {
  std::string_view line = line_;
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.empty()) {
    if (has_data_) events_.push_back(std::move(buffer_));
    buffer_ = std::string();
    has_data_ = false;
  } else if (line.starts_with("data:") || line == "data") {
    std::string_view value = line.substr(line == "data" ? 4 : 5);
    if (value.starts_with(' ')) value.remove_prefix(1);
    if (has_data_) buffer_.push_back('\n');
    buffer_.append(value);
    has_data_ = true;
  }
  base::wipe(line_);
}

std::optional<std::string> SseParser::next() {
  if (events_.empty()) return std::nullopt;
  std::string event = std::move(events_.front());
  events_.pop_front();
  return event;
}

}  // namespace bulkhead::http
