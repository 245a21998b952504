// Message heads as bytes. Names and values that would break out of their line are refused.
#pragma once

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

#include "http/message.h"

namespace bulkhead::http::detail {

// False when a name is no lower-case token or a value holds CR, LF, NUL or another control byte.
bool headers_are_safe(const Headers& headers);

inline void append_number(std::string& out, std::uint64_t number, int base = 10) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof(digits), number, base);
  out.append(digits, static_cast<std::size_t>(end.ptr - digits));
}

// "HTTP/1.1 200 OK\r\n" and the headers but for those that frame the message (content-length,
// transfer-encoding, connection), which the connection writes itself.
void append_response_head(std::string& out, int status, const Headers& headers, std::string_view date);
void append_header(std::string& out, std::string_view name, std::string_view value);
bool is_framing_header(std::string_view lower_name);

}  // namespace bulkhead::http::detail
