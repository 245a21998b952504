#include "http/detail/client_connection.h"

#include <algorithm>
#include <limits>

#include "http/detail/serialize.h"
#include "http/detail/syntax.h"

namespace bulkhead::http::detail {

namespace {
constexpr std::size_t kCopiedBodyBytesMax = 16 << 10;
constexpr unsigned kInterimAnswersMax = 8;
constexpr std::size_t kStatusLineBytesMax = 4 << 10;
constexpr std::size_t kAnswerHeadersMax = 200;
// Shorter than the usual keep-alive time of servers, so that we close first.
constexpr std::chrono::milliseconds kIdleTimeMax{30'000};
}  // namespace

std::shared_ptr<ClientConnection> ClientPool::take() {
  while (!idle_.empty()) {
    std::shared_ptr<ClientConnection> connection = std::move(idle_.back());
    idle_.pop_back();
    if (connection->is_open() && !connection->ended()) return connection;
  }
  return nullptr;
}

void ClientPool::give_back(std::shared_ptr<ClientConnection> connection) {
  if (closed_ || !connection->reusable()) {
    connection->cut(HttpError::ConnectionClosed);
    return;
  }
  if (idle_.size() >= idle_max_) {
    connection->cut(HttpError::ConnectionClosed);
    return;
  }
  connection->set_idle(weak_from_this());
  idle_.push_back(std::move(connection));
}

void ClientPool::remove(const ClientConnection& connection) {
  std::erase_if(idle_, [&connection](const auto& each) { return each.get() == &connection; });
}

void ClientPool::close_all() {
  closed_ = true;
  for (auto& connection : idle_) connection->cut(HttpError::ConnectionClosed);
  idle_.clear();
}

ClientConnection::ClientConnection(Reactor& reactor, int fd, std::unique_ptr<TlsSession> tls,
                                   const ClientOptions& options)
    : Stream(reactor, fd, std::move(tls)), header_bytes_max_(options.header_bytes_max) {
  set_write_pace(Pace(options.stall_time_max, 0));
}

void ClientConnection::serialize(const Url& url, const Request& request) {
  const bool copied = request.body.size() <= kCopiedBodyBytesMax;
  out_.reserve(512 + (copied ? request.body.size() : 0));
  out_.append(method_name(request.method));
  out_.push_back(' ');
  out_.append(url.path);
  out_.append(request.target);
  out_.append(" HTTP/1.1\r\n");
  if (request.headers.count("host") == 0) {
    out_.append("host: ");
    if (!url.unix_path.empty()) {
      out_.append("localhost");
    } else {
      const bool v6 = url.host.find(':') != std::string::npos;
      if (v6) out_.push_back('[');
      out_.append(url.host);
      if (v6) out_.push_back(']');
      if (url.port != (url.tls ? 443 : 80)) {
        out_.push_back(':');
        append_number(out_, url.port);
      }
    }
    out_.append("\r\n");
  }
  for (const auto& [name, value] : request.headers.all()) {
    if (!is_framing_header(name)) append_header(out_, name, value);
  }
  const bool expects_body =
      request.method == Method::Post || request.method == Method::Put || request.method == Method::Patch;
  if (expects_body || !request.body.empty()) {
    out_.append("content-length: ");
    append_number(out_, request.body.size());
    out_.append("\r\n");
  }
  out_.append("\r\n");
  body_beside_ = {};
  if (copied) {
    out_.append(request.body);
  } else {
    body_beside_ = request.body;
  }
}

void ClientConnection::wipe_output() {
  base::wipe(out_.data(), out_.size());
  out_.clear();
  body_beside_ = {};
}

void ClientConnection::begin_request() {
  ++generation_;
  idle_ = false;
  keep_alive_ = false;
  interim_answers_ = 0;
  progress_ = HeadProgress();
  headers_.clear();
  bad_reason_ = {};
  clear_timed_out();
  clear_deadline();
}

bool ClientConnection::bad(std::string_view reason) {
  bad_reason_ = reason;
  return false;
}

bool ClientConnection::parse_status_line(std::string_view line) {
  // "HTTP/1.1 200 OK"; the reason and the space before it may be missing.
  if (line.size() < 12 || !line.starts_with("HTTP/1.") || (line[7] != '1' && line[7] != '0') ||
      line[8] != ' ' || (line.size() > 12 && line[12] != ' ')) {
    return bad("malformed status line");
  }
  const auto code = parse_decimal(line.substr(9, 3));
  if (!code || *code < 100 || *code > 599) return bad("malformed status code");
  if (!is_field_value(line)) return bad("control byte in the status line");
  status_ = static_cast<int>(*code);
  keep_alive_ = line[7] == '1';
  return true;
}

bool ClientConnection::parse_framing(Method method) {
  const std::size_t lengths = headers_.count("content-length");
  const std::size_t codings = headers_.count("transfer-encoding");
  if (lengths > 1 || codings > 1 || (lengths != 0 && codings != 0)) {
    return bad("conflicting Content-Length and Transfer-Encoding");
  }
  for (const auto& [name, value] : headers_.all()) {
    if (name == "connection" && list_contains(value, "close")) keep_alive_ = false;
  }
  constexpr std::uint64_t kNoMax = std::numeric_limits<std::uint64_t>::max();
  std::optional<std::uint64_t> length;
  if (lengths != 0) {
    length = parse_decimal(*headers_.single("content-length"));
    if (!length) return bad("malformed Content-Length");
  }
  if (codings != 0 && !equal_ignoring_case(*headers_.single("transfer-encoding"), "chunked")) {
    return bad("unknown Transfer-Encoding");
  }
  if (method == Method::Head || status_ == 204 || status_ == 304) {
    body_ = BodyDecoder::none();
  } else if (codings != 0) {
    body_ = BodyDecoder::chunked(kNoMax, kNoMax);
  } else if (length) {
    body_ = BodyDecoder::length(*length);
  } else {
    body_ = BodyDecoder::until_close(kNoMax);
    keep_alive_ = false;
  }
  return true;
}

ClientConnection::HeadState ClientConnection::parse_head(Method method) {
  const HeadLimits limits{kStatusLineBytesMax, header_bytes_max_, kAnswerHeadersMax};
  for (;;) {
    std::size_t head_bytes = 0;
    switch (scan_head(input(), limits, progress_, head_bytes)) {
      case HeadScan::Incomplete:
        if (!input_full()) return HeadState::NeedMore;
        bad("headers too large");
        return HeadState::Bad;
      case HeadScan::BareLineFeed: bad("bare LF in the head"); return HeadState::Bad;
      case HeadScan::TooLarge: bad("headers too large"); return HeadState::Bad;
      case HeadScan::Complete: break;
    }
    const std::string_view head = input().substr(0, head_bytes);
    headers_.clear();
    bool too_many = false;
    if (!parse_status_line(head.substr(0, progress_.first_line_end - 2)) ||
        !parse_fields(head.substr(progress_.first_line_end), limits.header_count_max, headers_, bad_reason_,
                      too_many)) {
      return HeadState::Bad;
    }
    consume(head_bytes);
    progress_ = HeadProgress();
    if (status_ >= 200) return parse_framing(method) ? HeadState::Done : HeadState::Bad;
    // 101 would hand the connection to a protocol that nobody asked for.
    if (status_ == 101 || ++interim_answers_ > kInterimAnswersMax) {
      bad("unexpected interim answer");
      return HeadState::Bad;
    }
  }
}

BodyDecoder::State ClientConnection::read_body(std::string& out) {
  std::size_t consumed = 0;
  const BodyDecoder::State state = body_.feed(input(), consumed, out);
  consume(consumed);
  return state;
}

bool ClientConnection::reusable() const {
  // Bytes behind an answer that nobody asked for would be taken for the next answer.
  return keep_alive_ && is_open() && !ended() && input().empty();
}

void ClientConnection::set_idle(std::weak_ptr<ClientPool> pool) {
  ++generation_;
  idle_ = true;
  pool_ = std::move(pool);
  set_deadline_in(kIdleTimeMax);
  trim();
}

void ClientConnection::on_deadline() {
  if (!idle_) {
    Stream::on_deadline();
    return;
  }
  const auto self = shared_from_this();
  if (auto pool = pool_.lock()) pool->remove(*this);
  cut(HttpError::ConnectionClosed);
}

void ClientConnection::on_input() {
  if (!idle_) return;
  // The upstream closed, or talks out of turn.
  if (auto pool = pool_.lock()) pool->remove(*this);
  cut(HttpError::ConnectionClosed);
}

}  // namespace bulkhead::http::detail
