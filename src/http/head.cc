#include "http/detail/head.h"

#include <algorithm>
#include <cstring>

#include "http/detail/syntax.h"

namespace bulkhead::http::detail {

HeadScan scan_head(std::string_view data, const HeadLimits& limits, HeadProgress& progress,
                   std::size_t& head_bytes) {
  for (;;) {
    const std::size_t from = progress.line_begin;
    const void* found =
        from < data.size() ? std::memchr(data.data() + from, '\n', data.size() - from) : nullptr;
    const std::size_t seen =
        found ? static_cast<std::size_t>(static_cast<const char*>(found) - data.data()) + 1 : data.size();
    if (progress.first_line_end == 0) {
      if (seen > limits.start_line_bytes_max) return HeadScan::TooLarge;
    } else if (seen - progress.first_line_end > limits.header_bytes_max) {
      return HeadScan::TooLarge;
    }
    if (!found) return HeadScan::Incomplete;
    if (seen < from + 2 || data[seen - 2] != '\r') return HeadScan::BareLineFeed;
    if (progress.first_line_end == 0) {
      progress.first_line_end = seen;
    } else if (seen == from + 2) {
      head_bytes = seen;
      return HeadScan::Complete;
    }
    progress.line_begin = seen;
  }
}

bool parse_fields(std::string_view fields, std::size_t count_max, Headers& headers, std::string_view& reason,
                  bool& too_many) {
  too_many = false;
  std::size_t lines = static_cast<std::size_t>(std::count(fields.begin(), fields.end(), '\n'));
  headers.reserve(std::min(lines, count_max), fields.size());
  char name[256];
  std::size_t count = 0;
  while (fields.size() > 2) {
    const std::size_t end = fields.find("\r\n");
    const std::string_view line = fields.substr(0, end);
    fields.remove_prefix(end + 2);
    if (++count > count_max) {
      too_many = true;
      reason = "Too many header fields.";
      return false;
    }
    if (line.front() == ' ' || line.front() == '\t') {
      reason = "Folded header fields are not accepted; send each field on one line.";
      return false;
    }
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0 || colon > sizeof(name)) {
      reason = "A header field has no valid name.";
      return false;
    }
    for (std::size_t i = 0; i < colon; ++i) {
      if (!is_token_char(static_cast<unsigned char>(line[i]))) {
        reason = "A header field's name holds a character that is not allowed there.";
        return false;
      }
      name[i] = lower(line[i]);
    }
    const std::string_view value = trim(line.substr(colon + 1));
    if (!is_field_value(value)) {
      reason = "A header field's value holds a control character.";
      return false;
    }
    headers.add(std::string_view(name, colon), value);
  }
  return true;
}

}  // namespace bulkhead::http::detail
