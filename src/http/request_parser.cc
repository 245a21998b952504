#include "http/request_parser.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/bytes.h"
#include "http/detail/body_decoder.h"
#include "http/detail/head.h"
#include "http/detail/syntax.h"

namespace bulkhead::http {

namespace {

using detail::BodyDecoder;

constexpr std::size_t kQueryParametersMax = 100;

std::optional<Method> parse_method(std::string_view text) {
  for (Method method : {Method::Post, Method::Get, Method::Head, Method::Put, Method::Patch, Method::Delete,
                        Method::Options}) {
    if (text == method_name(method)) return method;
  }
  return std::nullopt;
}

// RFC 3986 path characters, and '%'. What is left out (quotes, angle brackets, backslash, braces)
// is read differently by different software.
bool is_path_char(char c) {
  const char small = detail::lower(c);
  return (small >= 'a' && small <= 'z') || (c >= '0' && c <= '9') ||
         std::string_view("/-._~!$&'()*+,;=:@%").find(c) != std::string_view::npos;
}

bool is_query_char(char c) {
  return c > 0x20 && c < 0x7f && c != '#' && c != '"' && c != '<' && c != '>' && c != '\\';
}

bool has_dot_segment_or_empty_one(std::string_view path) {
  std::size_t begin = 1;
  while (begin <= path.size()) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view segment = path.substr(begin, end - begin);
    if (segment == "." || segment == "..") return true;
    if (segment.empty() && end < path.size()) return true;
    begin = end + 1;
  }
  return false;
}

bool decode_path(std::string_view raw, std::string& out) {
  if (raw.empty() || raw.front() != '/') return false;
  if (!std::all_of(raw.begin(), raw.end(), is_path_char)) return false;
  if (raw.find('%') == std::string_view::npos) {
    out.assign(raw);
  } else {
    // A decoded '/' or '\' would make one segment two; it is never what a client means.
    for (std::size_t i = raw.find('%'); i != std::string_view::npos; i = raw.find('%', i + 1)) {
      const std::string_view escape = raw.substr(i, 3);
      if (detail::equal_ignoring_case(escape, "%2f") || detail::equal_ignoring_case(escape, "%5c")) {
        return false;
      }
    }
    auto decoded = detail::percent_decode(raw, false);
    if (!decoded) return false;
    out = std::move(*decoded);
  }
  return !has_dot_segment_or_empty_one(out);
}

bool decode_query(std::string_view raw, std::vector<std::pair<std::string, std::string>>& out) {
  if (!std::all_of(raw.begin(), raw.end(), is_query_char)) return false;
  while (!raw.empty()) {
    const std::size_t end = raw.find('&');
    const std::string_view pair = raw.substr(0, end);
    raw.remove_prefix(end == std::string_view::npos ? raw.size() : end + 1);
    if (pair.empty()) continue;
    if (out.size() == kQueryParametersMax) return false;
    const std::size_t equals = pair.find('=');
    auto name = detail::percent_decode(pair.substr(0, equals), true);
    auto value = detail::percent_decode(
        equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1), true);
    if (!name || !value) return false;
    out.emplace_back(std::move(*name), std::move(*value));
  }
  return true;
}

}  // namespace

struct RequestParser::Impl {
  enum class Phase { Head, ReportHeaders, Body, Done, Failed };

  explicit Impl(const ParserLimits& limits_in) : limits(limits_in) {}
  ~Impl() {
    base::wipe(pending_head);
    base::wipe(request.body);
  }

  ParserLimits limits;
  Phase phase = Phase::Head;
  Request request;
  BodyDecoder body = BodyDecoder::none();
  std::optional<std::uint64_t> body_length = 0;
  std::string pending_head;  // only of a head that did not arrive in one piece
  detail::HeadProgress progress;
  std::optional<base::Error> error;
  int status = 0;
  bool expects_continue = false;
  bool keep_alive = true;
  bool skipped_empty_line = false;

  bool fail(HttpError code, int http_status, std::string_view message) {
    error.emplace(code, std::string(message));
    status = http_status;
    phase = Phase::Failed;
    return false;
  }

  bool feed_head(std::string_view data, std::size_t& consumed);
  bool parse_head(std::string_view head);
  bool parse_start_line(std::string_view line, std::string_view& authority);
  bool parse_framing();
  State feed_body(std::string_view data, std::size_t& consumed);
};

// True when the head is complete and good; otherwise look at `phase`.
bool RequestParser::Impl::feed_head(std::string_view data, std::size_t& consumed) {
  const detail::HeadLimits head_limits{limits.request_line_bytes_max, limits.header_bytes_max,
                                       limits.header_count_max};
  const std::size_t before = pending_head.size();
  std::string_view text = data;
  if (before != 0) {
    pending_head.append(data);
    text = pending_head;
  }
  std::size_t skipped = 0;
  if (!skipped_empty_line && text.starts_with("\r\n")) {
    // RFC 9112 section 2.2: one empty line before a request is ignored.
    skipped_empty_line = true;
    skipped = 2;
    text.remove_prefix(skipped);
  }
  std::size_t head_bytes = 0;
  switch (detail::scan_head(text, head_limits, progress, head_bytes)) {
    case detail::HeadScan::Incomplete:
      if (before == 0) {
        pending_head.assign(text);
      } else {
        pending_head.erase(0, skipped);
      }
      consumed = data.size();
      return false;
    case detail::HeadScan::BareLineFeed:
      return fail(HttpError::Malformed, 400, "Lines of a request must end with CRLF.");
    case detail::HeadScan::TooLarge:
      return fail(HttpError::HeadersTooLarge, 431,
                  "The request's line or headers are too large; send fewer or shorter ones.");
    case detail::HeadScan::Complete: break;
  }
  consumed = skipped + head_bytes - before;
  const bool good = parse_head(text.substr(0, head_bytes));
  if (before != 0) base::wipe(pending_head);
  return good;
}

bool RequestParser::Impl::parse_start_line(std::string_view line, std::string_view& authority) {
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) {
    return fail(HttpError::Malformed, 400, "The request line must be: method, target, version.");
  }
  const std::string_view version = line.substr(last + 1);
  if (version != "HTTP/1.1") {
    const bool shaped = version.size() == 8 && version.starts_with("HTTP/");
    return shaped ? fail(HttpError::UnsupportedVersion, 505, "Use HTTP/1.1.")
                  : fail(HttpError::Malformed, 400, "The request line must end with HTTP/1.1.");
  }
  const std::string_view method = line.substr(0, first);
  const auto known = parse_method(method);
  if (!known) {
    return detail::is_token(method) ? fail(HttpError::Malformed, 501, "This method is not supported here.")
                                    : fail(HttpError::Malformed, 400, "The method is not a valid token.");
  }
  request.method = *known;

  std::string_view target = line.substr(first + 1, last - first - 1);
  if (!target.starts_with('/')) {
    const std::size_t scheme = target.starts_with("http://") ? 7 : target.starts_with("https://") ? 8 : 0;
    if (scheme == 0) {
      return fail(HttpError::Malformed, 400, "The request target must be a path.");
    }
    const std::size_t slash = std::min(target.find('/', scheme), target.size());
    authority = target.substr(scheme, slash - scheme);
    if (!detail::is_host(authority)) {
      return fail(HttpError::Malformed, 400, "The request target names no valid host.");
    }
    target.remove_prefix(slash);
    if (target.empty()) target = "/";
  }
  const std::size_t mark = target.find('?');
  if (!decode_path(target.substr(0, mark), request.path)) {
    return fail(HttpError::Malformed, 400,
                "The path holds a character, an escape or a segment that is not allowed.");
  }
  if (mark != std::string_view::npos && !decode_query(target.substr(mark + 1), request.query)) {
    return fail(HttpError::Malformed, 400, "The query holds a character or an escape that is not allowed.");
  }
  request.target.assign(target);
  return true;
}

bool RequestParser::Impl::parse_head(std::string_view head) {
  std::string_view authority;
  if (!parse_start_line(head.substr(0, progress.first_line_end - 2), authority)) return false;
  std::string_view reason;
  bool too_many = false;
  if (!detail::parse_fields(head.substr(progress.first_line_end), limits.header_count_max, request.headers,
                            reason, too_many)) {
    return too_many ? fail(HttpError::HeadersTooLarge, 431, reason) : fail(HttpError::Malformed, 400, reason);
  }
  const auto host = request.headers.single("host");
  if (!host || !detail::is_host(*host)) {
    return fail(HttpError::Malformed, 400, "Send exactly one valid Host header.");
  }
  if (!authority.empty() && !detail::equal_ignoring_case(authority, *host)) {
    return fail(HttpError::Malformed, 400, "The request target is for another host.");
  }
  return parse_framing();
}

bool RequestParser::Impl::parse_framing() {
  const std::size_t lengths = request.headers.count("content-length");
  const std::size_t codings = request.headers.count("transfer-encoding");
  if (lengths > 1 || codings > 1 || (lengths != 0 && codings != 0)) {
    return fail(HttpError::Malformed, 400, "Send one Content-Length or one Transfer-Encoding, not several.");
  }
  keep_alive = true;
  for (const auto& [name, value] : request.headers.all()) {
    if (name == "connection" && detail::list_contains(value, "close")) keep_alive = false;
  }
  expects_continue = false;
  if (request.headers.count("expect") != 0) {
    const auto expect = request.headers.single("expect");
    if (!expect || !detail::equal_ignoring_case(*expect, "100-continue")) {
      return fail(HttpError::Malformed, 400, "The only accepted Expect is 100-continue.");
    }
    expects_continue = true;
  }
  bool has_body = false;
  body_length = 0;
  if (codings != 0) {
    const auto coding = request.headers.single("transfer-encoding");
    if (!coding || !detail::equal_ignoring_case(*coding, "chunked")) {
      return fail(HttpError::UnsupportedTransferEncoding, 501,
                  "The only accepted Transfer-Encoding is chunked.");
    }
    body = BodyDecoder::chunked(limits.body_bytes_max, limits.chunk_count_max);
    body_length.reset();
    has_body = true;
  } else if (lengths != 0) {
    const auto length = detail::parse_decimal(*request.headers.single("content-length"));
    if (!length) return fail(HttpError::Malformed, 400, "Content-Length must be a number.");
    if (*length > limits.body_bytes_max) {
      return fail(HttpError::BodyTooLarge, 413, "The request's body is too large.");
    }
    body = BodyDecoder::length(*length);
    body_length = *length;
    has_body = *length != 0;
  } else {
    body = BodyDecoder::none();
  }
  phase = has_body || expects_continue ? Phase::ReportHeaders : Phase::Done;
  return true;
}

RequestParser::State RequestParser::Impl::feed_body(std::string_view data, std::size_t& consumed) {
  std::size_t used = 0;
  const BodyDecoder::State state = body.feed(data, used, request.body);
  consumed += used;
  switch (state) {
    case BodyDecoder::State::NeedMore: return State::NeedMore;
    case BodyDecoder::State::Done: phase = Phase::Done; return State::Done;
    case BodyDecoder::State::TooLarge:
      fail(HttpError::BodyTooLarge, 413, "The request's body is too large.");
      return State::Failed;
    case BodyDecoder::State::Malformed: break;
  }
  fail(HttpError::Malformed, 400, "The request's chunked body is malformed.");
  return State::Failed;
}

RequestParser::RequestParser(const ParserLimits& limits) : impl_(std::make_unique<Impl>(limits)) {}
RequestParser::~RequestParser() = default;
RequestParser::RequestParser(RequestParser&&) noexcept = default;
RequestParser& RequestParser::operator=(RequestParser&&) noexcept = default;

RequestParser::State RequestParser::feed(std::string_view data, std::size_t& consumed) {
  Impl& impl = *impl_;
  consumed = 0;
  switch (impl.phase) {
    case Impl::Phase::Head:
      if (!impl.feed_head(data, consumed)) {
        return impl.phase == Impl::Phase::Failed ? State::Failed : State::NeedMore;
      }
      if (impl.phase == Impl::Phase::Done) return State::Done;
      impl.phase = Impl::Phase::Body;
      return State::HeadersDone;
    case Impl::Phase::ReportHeaders:
    case Impl::Phase::Body: return impl.feed_body(data, consumed);
    case Impl::Phase::Done: return State::Done;
    case Impl::Phase::Failed: return State::Failed;
  }
  return State::Failed;
}

bool RequestParser::failed() const { return impl_->phase == Impl::Phase::Failed; }
const base::Error& RequestParser::error() const { return *impl_->error; }
int RequestParser::error_status() const { return impl_->status; }
const Request& RequestParser::partial() const { return impl_->request; }
bool RequestParser::expects_continue() const { return impl_->expects_continue; }
bool RequestParser::keep_alive() const { return impl_->keep_alive; }
bool RequestParser::started() const {
  return impl_->phase != Impl::Phase::Head || !impl_->pending_head.empty();
}

std::optional<std::uint64_t> RequestParser::body_length() const { return impl_->body_length; }
std::size_t RequestParser::body_received() const { return impl_->request.body.size(); }
void RequestParser::reserve_body(std::size_t bytes) { impl_->request.body.reserve(bytes); }

Request RequestParser::take_head() {
  Request head = std::move(impl_->request);
  impl_->request = Request();
  return head;
}

Request RequestParser::take() {
  Request request = std::move(impl_->request);
  impl_->request = Request();
  impl_->phase = Impl::Phase::Head;
  impl_->progress = detail::HeadProgress();
  impl_->skipped_empty_line = false;
  return request;
}

}  // namespace bulkhead::http
