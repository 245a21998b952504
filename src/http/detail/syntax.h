// The lexical rules of HTTP (RFC 9110 section 5.6, RFC 3986) that parser, client and serialiser
// share. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead::http::detail {

bool is_token_char(unsigned char c);
bool is_token(std::string_view text);        // not empty
bool is_field_value(std::string_view text);  // no control byte but HTAB
char lower(char c);
bool equal_ignoring_case(std::string_view left, std::string_view right);
std::string_view trim(std::string_view text);  // SP and HTAB

// A Content-Length: 1 to 19 digits, nothing else.
std::optional<std::uint64_t> parse_decimal(std::string_view text);
int hex_value(char c);  // -1 when it is none

// True when the comma-separated list (Connection, Transfer-Encoding) holds `token`.
bool list_contains(std::string_view list, std::string_view token);

// "example.org", "example.org:8443", "[::1]:80": host and port alone, no user info.
bool is_host(std::string_view text);

// Percent-decodes; nothing for a malformed escape or one that gives a control byte.
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space);

}  // namespace bulkhead::http::detail
