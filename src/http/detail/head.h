// The head of a message: start line and header fields (RFC 9112 sections 2 to 5), for requests and
// responses alike. Strict: CRLF only, no obs-fold, no space before the colon, no control bytes.
#pragma once

#include <cstddef>
#include <string_view>

#include "http/message.h"

namespace bulkhead::http::detail {

struct HeadLimits {
  std::size_t start_line_bytes_max;
  std::size_t header_bytes_max;
  std::size_t header_count_max;
};

enum class HeadScan { Incomplete, Complete, BareLineFeed, TooLarge };

// Looks for the empty line that ends the head. `scanned` keeps how far the lines before it were
// seen already, so that a head which arrives byte by byte is not searched again and again.
struct HeadProgress {
  std::size_t line_begin = 0;
  std::size_t first_line_end = 0;  // past its CRLF; 0 while unknown
};
HeadScan scan_head(std::string_view data, const HeadLimits& limits, HeadProgress& progress,
                   std::size_t& head_bytes);

// `fields` is everything after the start line's CRLF, up to and with the empty line. False with
// `reason` (safe text) when a field is malformed; `too_many` when there are too many of them.
bool parse_fields(std::string_view fields, std::size_t count_max, Headers& headers, std::string_view& reason,
                  bool& too_many);

}  // namespace bulkhead::http::detail
