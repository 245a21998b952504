#include "gateway/audit_query.h"

#include <charconv>

#include "gateway/api_error.h"
#include "gateway/store_call.h"

namespace bulkhead::gateway {

using base::Result;

namespace {

// Read in a few milliseconds.
constexpr std::uint64_t kSliceBytes = 2 << 20;
// Read for one question.
constexpr std::uint64_t kReadBytesMax = 256 << 20;

std::string answer_body(const audit::QueryRun& run) {
  base::json::Writer w;
  w.begin_object().member("object", "list").key("data").begin_array();
  for (const std::string& line : run.lines()) w.raw(line);
  w.end_array().key("first_id").null().key("last_id").null();
  w.member("has_more", !run.whole()).key("next_after");
  if (run.whole() || !run.scanned_seq()) {
    w.null();
  } else {
    w.value(*run.scanned_seq());
  }
  w.end_object();
  return w.take();
}

}  // namespace

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

base::Task<Result<Reply>> answer_audit_query(Call& call, audit::Query query) {
  base::FairPool& pool = call.services.audit_pool;
  auto run = co_await pool.run(turn_of(call), [&] {
    return audit::QueryRun::begin(call.services.config.audit.dir, std::move(query));
  });
  if (!run) co_return run.take_error();
  bool over = false;
  while (!over && run->bytes_read() < kReadBytesMax) {
    auto slice = co_await pool.run(turn_of(call), [&] { return Result(run->advance(kSliceBytes)); });
    if (!slice) co_return slice.take_error();
    over = *slice;
  }
  co_return Reply::json(200, answer_body(*run));
}

}  // namespace bulkhead::gateway
