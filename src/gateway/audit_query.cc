#include "gateway/audit_query.h"

#include <charconv>

#include "gateway/api_error.h"

namespace bulkhead::gateway {

using base::Result;

Result<audit::Query> read_audit_query(const http::Request& request) {
  audit::Query query;
  auto bad_number = [](const std::string& name) {
    return api_error(ApiError::BadParameter, "'" + name + "' must be a whole number.", name);
  };
  auto number = [](const std::string& text, auto& out) {
    auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), out);
    return failed == std::errc() && end == text.data() + text.size();
  };
  for (const auto& [name, value] : request.query) {
    if (name == "event")
      query.event = value;
    else if (name == "request_id")
      query.request_id = value;
    else if (name == "decision")
      query.decision = value;
    else if (name == "principal")
      query.principal = value;
    else if (name == "since")
      query.since = value;
    else if (name == "until")
      query.until = value;
    else if (name == "order" && (value == "asc" || value == "desc"))
      query.newest_first = value == "desc";
    else if (name == "limit") {
      if (!number(value, query.limit)) return bad_number(name);
    } else if (name == "after") {
      std::uint64_t seq = 0;
      if (!number(value, seq)) return bad_number(name);
      query.after_seq = seq;
    } else {
      return api_error(
          ApiError::UnknownParameter,
          "There is no query parameter '" + name.substr(0, 64) + "' here, or its value is not allowed.",
          name.substr(0, 64));
    }
  }
  return query;
}

}  // namespace bulkhead::gateway
