#include "http/detail/serialize.h"

#include "http/detail/syntax.h"

namespace bulkhead::http::detail {

bool headers_are_safe(const Headers& headers) {
  for (const auto& [name, value] : headers.all()) {
    if (!is_token(name) || !is_field_value(value)) return false;
  }
  return true;
}

bool is_framing_header(std::string_view lower_name) {
  return lower_name == "content-length" || lower_name == "transfer-encoding" || lower_name == "connection";
}

void append_header(std::string& out, std::string_view name, std::string_view value) {
  out.append(name);
  out.append(": ");
  out.append(value);
  out.append("\r\n");
}

void append_response_head(std::string& out, int status, const Headers& headers, std::string_view date) {
  out.append("HTTP/1.1 ");
  append_number(out, static_cast<std::uint64_t>(status));
  out.push_back(' ');
  out.append(status_phrase(status));
  out.append("\r\n");
  for (const auto& [name, value] : headers.all()) {
    if (!is_framing_header(name)) append_header(out, name, value);
  }
  if (headers.count("date") == 0) append_header(out, "date", date);
}

}  // namespace bulkhead::http::detail
