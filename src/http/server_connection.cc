#include "http/detail/server_connection.h"

#include <algorithm>
#include <utility>

#include "base/json.h"
#include "http/detail/serialize.h"

namespace bulkhead::http::detail {

namespace {
// How long the rest of a refused request is read and thrown away, so that the answer is not lost
// to the RST that closing with unread input would send (RFC 9112 section 9.6): many clients read an answer
// only once they have sent their whole body.
constexpr std::chrono::milliseconds kLingerTimeMax{30'000};
constexpr std::chrono::milliseconds kLingerSilenceMax{2'000};
constexpr std::chrono::milliseconds kLingerPause{20};  // after each 64 KiB
// Up to here reading a body that nobody wants costs less than the new connection that its client would make.
constexpr std::size_t kSkippedBytesMax = 64 << 10;
constexpr std::size_t kBodyBytesFirst = 1 << 20;
}  // namespace

ServerConnection::ServerConnection(std::shared_ptr<ServerState> server, ListenerState& listener, int fd,
                                   std::unique_ptr<TlsSession> tls, Peer peer)
    : Stream(listener.reactor, fd, std::move(tls)),
      server_(std::move(server)),
      listener_(listener),
      peer_(std::move(peer)),
      parser_(server_->options.limits.parser) {
  const ServerLimits& limits = server_->options.limits;
  set_write_pace(Pace(limits.stall_time_max, limits.transfer_rate_min));
  listener_.connections.insert(this);
}

ServerConnection::~ServerConnection() {
  listener_.connections.erase(this);
  server_->book.leave(peer_.network);
  --listener_.open;
  const std::lock_guard lock(server_->mutex);
  server_->changed.notify_all();
}

base::Task<void> ServerConnection::serve(std::shared_ptr<ServerConnection> self) {
  ServerConnection& connection = *self;
  const Server::Options& options = connection.server_->options;
  connection.set_deadline_in(options.limits.head_time_max);
  bool go_on = co_await connection.secure_handshake();
  while (go_on) {
    const RequestParser::State state = connection.parse();
    if (state == RequestParser::State::NeedMore) {
      if (connection.server_->draining && !connection.parser_.started()) break;
      connection.set_receive_deadline();
      const bool arrived = co_await connection.more_input();
      if (arrived) continue;
      if (connection.timed_out() && connection.phase_ == Phase::Receiving) {
        co_await connection.refuse(
            options.malformed(408, base::Error(HttpError::Timeout, "The request took too long to arrive.")));
      }
      break;
    }
    if (state == RequestParser::State::Failed) {
      ++connection.listener_.malformed;
      co_await connection.refuse(
          options.malformed(connection.parser_.error_status(), connection.parser_.error()));
      break;
    }
    connection.begin_exchange(state == RequestParser::State::Done);
    go_on = co_await connection.exchange();
  }
  connection.phase_ = Phase::Closing;
  if (connection.linger_ && connection.is_open() && !connection.ended()) {
    co_await connection.linger();
  } else if (connection.secure()) {
    connection.shutdown_send();
  }
  connection.clear_deadline();
  connection.cut(HttpError::ConnectionClosed);
}

base::Task<bool> ServerConnection::exchange() {
  const Server::Options& options = server_->options;
  if (!options.body_on_demand && body_ != Body::Whole) {
    const base::Result<bool> received = co_await receive_body(options.limits.parser.body_bytes_max + 1);
    if (!received) {
      const bool failed = parser_.failed();
      co_await refuse(options.malformed(failed ? parser_.error_status() : 408, received.error()));
      co_return false;
    }
  }
  co_await options.handler(*this);
  bool unanswered = false;
  bool go_on = end_exchange(unanswered);
  if (unanswered) {
    co_await refuse(
        options.malformed(500, base::Error(HttpError::ConnectionClosed, "The server failed to answer.")));
  }
  if (go_on && body_ != Body::Whole) go_on = co_await skip_body();
  co_return go_on;
}

base::Task<void> ServerConnection::linger() {
  shutdown_send();
  clear_timed_out();
  parser_ = RequestParser(server_->options.limits.parser);  // and what it holds of a body
  const SteadyTime began = std::chrono::steady_clock::now();
  for (bool more = true; more && !timed_out();) {
    const bool full = input_full();
    consume(input().size());
    // Somebody who only sends gets no more of our time than this.
    if (full) co_await reactor().sleep(kLingerPause, base::CancelToken());
    const auto time_max = server_->draining ? kLingerSilenceMax : kLingerTimeMax;
    const SteadyTime now = std::chrono::steady_clock::now();
    if (now >= began + time_max) break;
    set_deadline(std::min(now + kLingerSilenceMax, began + time_max));
    more = co_await more_input();
  }
}

RequestParser::State ServerConnection::parse(std::size_t bytes_max) {
  std::size_t consumed = 0;
  const RequestParser::State state = parser_.feed(input().substr(0, bytes_max), consumed);
  body_pace_.moved(consumed);
  consume(consumed);
  return state;
}

void ServerConnection::set_receive_deadline() {
  const ServerLimits& limits = server_->options.limits;
  if (parser_.started()) {
    // Counted from the first byte on; later bytes buy no more time.
    if (phase_ != Phase::Receiving) set_deadline_in(limits.head_time_max);
    phase_ = Phase::Receiving;
    return;
  }
  phase_ = Phase::Idle;
  if (!first_request_) set_deadline_in(limits.idle_time_max);
}

void ServerConnection::begin_exchange(bool whole) {
  keep_alive_ = parser_.keep_alive() && !server_->draining;
  expects_continue_ = !whole && parser_.expects_continue();
  request_ = whole ? parser_.take() : parser_.take_head();
  body_ = whole ? Body::Whole : Body::Pending;
  body_room_ = 0;
  const ServerLimits& limits = server_->options.limits;
  body_pace_ = Pace(limits.stall_time_max, limits.transfer_rate_min);
  restart_write_pace();
  request_.peer = peer_;
  request_.secure = secure();
  method_ = request_.method;
  phase_ = Phase::Handling;
  answer_ = Answer::None;
  body_over_ = false;
  first_request_ = false;
  cancel_.reset();
  ++listener_.requests;
  clear_deadline();
  trim();
  if (hung_up()) client_gone();
}

std::optional<std::uint64_t> ServerConnection::body_length() const {
  return body_ == Body::Pending ? parser_.body_length() : 0;
}

base::Task<base::Result<bool>> ServerConnection::receive_body(std::size_t bytes_max) {
  if (body_ == Body::Whole) co_return true;
  if (body_ == Body::Broken) {
    co_return base::Error(HttpError::ConnectionClosed, "The request's body did not arrive.");
  }
  const std::uint64_t length = parser_.body_length().value_or(bytes_max);
  const auto expected = static_cast<std::size_t>(std::min<std::uint64_t>(bytes_max, length));
  // A client that didn't wait has sent its body already.
  if (waits_for_continue() && length != 0) {
    const bool sent = co_await Stream::write("HTTP/1.1 100 Continue\r\n\r\n");
    if (!sent) client_gone();
  }
  expects_continue_ = false;
  for (;;) {
    make_room(expected);
    const std::size_t room = bytes_max - std::min(bytes_max, parser_.body_received());
    const RequestParser::State state = parse(room);
    if (state == RequestParser::State::Done) {
      request_.body = std::move(parser_.take().body);
      body_ = Body::Whole;
      co_return true;
    }
    if (state == RequestParser::State::Failed) {
      ++listener_.malformed;
      body_ = Body::Broken;
      co_return parser_.error();
    }
    if (parser_.body_received() >= bytes_max) co_return false;
    const bool arrived = co_await more_body();
    if (arrived) continue;
    body_ = Body::Broken;
    if (timed_out()) {
      clear_timed_out();
      co_return base::Error(HttpError::Timeout,
                            "The request's body came too slowly or stopped. Send it again, over a better "
                            "connection or in smaller parts.");
    }
    client_gone();
    co_return base::Error(HttpError::Cancelled, "The client went away before its request was whole.");
  }
}

// Memory goes ahead of what has come, but only so far: what a client promised and never sends would have to
// be wiped like the rest.
void ServerConnection::make_room(std::size_t expected) {
  const std::size_t bytes = parser_.body_received() + input().size();
  if (bytes <= body_room_ && body_room_ != 0) return;
  body_room_ = std::min(expected, std::max(kBodyBytesFirst, bytes * 4));
  parser_.reserve_body(body_room_);
}

base::Task<bool> ServerConnection::more_body() {
  const SteadyTime began = std::chrono::steady_clock::now();
  set_deadline(body_pace_.deadline(began));
  const bool arrived = co_await more_input();
  clear_deadline();
  body_pace_.waited(std::chrono::steady_clock::now() - began);
  co_return arrived;
}

bool ServerConnection::can_skip_body() const {
  const auto length = parser_.body_length();
  if (body_ != Body::Pending || !length) return false;
  return *length == 0 || (*length <= kSkippedBytesMax && !waits_for_continue());
}

base::Task<bool> ServerConnection::skip_body() {
  const base::Result<bool> received = co_await receive_body(kSkippedBytesMax);
  base::wipe(request_.body);
  request_ = Request();
  co_return received.ok() && *received;
}

bool ServerConnection::end_exchange(bool& unanswered) {
  base::wipe(request_.body);
  request_ = Request();
  cancel_.reset();
  clear_deadline();
  clear_timed_out();
  if (answer_ == Answer::Streaming && !body_over_) {
    cut(HttpError::ConnectionClosed, true);
    return false;
  }
  if (gone_ || !is_open()) return false;
  if (answer_ == Answer::None) {
    unanswered = true;
    return false;
  }
  // A busy client's next request may be here already and would turn our close into a RST.
  if (!keep_alive_) linger_ = !input().empty() || body_ != Body::Whole;
  return keep_alive_;
}

void ServerConnection::client_gone(base::CancelReason reason) {
  if (gone_) return;
  gone_ = true;
  gone_reason_ = reason;
  if (cancel_) cancel_->cancel(reason);
}

const base::CancelToken& ServerConnection::cancel_token() const {
  if (!cancel_) {
    cancel_.emplace();
    if (gone_) cancel_->cancel(gone_reason_);
  }
  return *cancel_;
}

void ServerConnection::on_input() {
  if (hung_up() && phase_ == Phase::Handling) client_gone();
}

void ServerConnection::drain() {
  keep_alive_ = false;
  if (phase_ == Phase::Idle && !parser_.started() && input().empty()) {
    cut(HttpError::ConnectionClosed);
  }
}

void ServerConnection::give_up() {
  client_gone(base::CancelReason::Shutdown);
  cut(HttpError::Cancelled, true);
}

void ServerConnection::abort() {
  client_gone(base::CancelReason::Abandoned);
  cut(HttpError::ConnectionClosed, true);
}

base::Error ServerConnection::write_failure() const {
  return timed_out() ? base::Error(HttpError::Timeout, "The client did not read its answer in time.")
                     : base::Error(HttpError::ConnectionClosed, "The client has gone away.");
}

void ServerConnection::append_framing(bool has_body, std::size_t body_bytes) {
  if (has_body) {
    out_.append("content-length: ");
    append_number(out_, body_bytes);
    out_.append("\r\n");
  }
  if (!keep_alive_) out_.append("connection: close\r\n");
  out_.append("\r\n");
}

void ServerConnection::wipe_output() {
  base::wipe(out_.data(), out_.size());
  out_.clear();
  constexpr std::size_t kKeptBytesMax = 32 << 10;
  if (out_.capacity() > kKeptBytesMax) out_.shrink_to_fit();
}

base::Task<base::Result<void>> ServerConnection::send(Response response) {
  if (answer_ != Answer::None) {
    co_return base::Error(HttpError::ConnectionClosed, "The request was answered already.");
  }
  if (gone_ || !is_open()) co_return write_failure();
  if (!headers_are_safe(response.headers)) {
    response = server_->options.malformed(
        500, base::Error(HttpError::Malformed, "The server made an invalid answer."));
  }
  answer_ = Answer::Whole;
  if (server_->draining || (body_ != Body::Whole && !can_skip_body())) keep_alive_ = false;
  const auto connection_header = response.headers.single("connection");
  if (connection_header && *connection_header == "close") keep_alive_ = false;

  const bool bodiless = response.status == 204 || response.status == 304;
  if (bodiless || method_ == Method::Head) {
    append_response_head(out_, response.status, response.headers, reactor().impl().http_date());
    append_framing(!bodiless, response.body.size());
    response.body.clear();
  } else {
    // One system call either way; up to here copying is cheaper than a second buffer.
    const std::size_t copied_bytes_max = secure() ? 16 << 10 : 4 << 10;
    const bool copied = response.body.size() <= copied_bytes_max;
    out_.reserve(512 + (copied ? response.body.size() : 0));
    append_response_head(out_, response.status, response.headers, reactor().impl().http_date());
    append_framing(true, response.body.size());
    if (copied) {
      out_.append(response.body);
      base::wipe(response.body);
    }
  }
  const bool sent = co_await Stream::write(out_, response.body);
  wipe_output();
  base::wipe(response.body);
  if (sent) co_return base::Result<void>();
  client_gone(timed_out() ? base::CancelReason::TimedOut : base::CancelReason::ClientGone);
  co_return write_failure();
}

base::Task<base::Result<void>> ServerConnection::start(int status, Headers headers) {
  if (answer_ != Answer::None) {
    co_return base::Error(HttpError::ConnectionClosed, "The request was answered already.");
  }
  if (gone_ || !is_open()) co_return write_failure();
  if (!headers_are_safe(headers)) {
    co_return base::Error(HttpError::Malformed, "The server made an invalid answer.");
  }
  answer_ = Answer::Streaming;
  if (server_->draining || (body_ != Body::Whole && !can_skip_body())) keep_alive_ = false;
  append_response_head(out_, status, headers, reactor().impl().http_date());
  out_.append("transfer-encoding: chunked\r\n");
  append_framing(false, 0);
  const bool sent = co_await Stream::write(out_);
  wipe_output();
  if (sent) co_return base::Result<void>();
  client_gone(timed_out() ? base::CancelReason::TimedOut : base::CancelReason::ClientGone);
  co_return write_failure();
}

base::Task<base::Result<void>> ServerConnection::write(std::string data) {
  if (answer_ != Answer::Streaming || body_over_) {
    co_return base::Error(HttpError::ConnectionClosed, "No streamed answer is under way.");
  }
  if (gone_ || !is_open()) co_return write_failure();
  // An empty chunk would end the body.
  if (data.empty() || method_ == Method::Head) co_return base::Result<void>();
  constexpr std::size_t kCopiedBytesMax = 4 << 10;
  append_number(out_, data.size(), 16);
  out_.append("\r\n");
  std::string_view rest = data;
  std::string_view line_end = "\r\n";
  if (data.size() <= kCopiedBytesMax) {
    out_.append(data);
    out_.append(line_end);
    rest = line_end = std::string_view();
  }
  const bool sent = co_await Stream::write(out_, rest, line_end);
  wipe_output();
  base::wipe(data);
  if (sent) co_return base::Result<void>();
  client_gone(timed_out() ? base::CancelReason::TimedOut : base::CancelReason::ClientGone);
  co_return write_failure();
}

base::Task<base::Result<void>> ServerConnection::finish() {
  if (answer_ != Answer::Streaming || body_over_) {
    co_return base::Error(HttpError::ConnectionClosed, "No streamed answer is under way.");
  }
  if (gone_ || !is_open()) co_return write_failure();
  body_over_ = true;
  if (method_ == Method::Head) co_return base::Result<void>();
  const bool sent = co_await Stream::write("0\r\n\r\n");
  if (sent) co_return base::Result<void>();
  client_gone(timed_out() ? base::CancelReason::TimedOut : base::CancelReason::ClientGone);
  co_return write_failure();
}

base::Task<void> ServerConnection::refuse(Response response) {
  if (phase_ == Phase::Receiving || phase_ == Phase::Idle) method_ = parser_.partial().method;
  phase_ = Phase::Closing;
  answer_ = Answer::None;
  keep_alive_ = false;
  linger_ = true;
  clear_timed_out();
  const base::Result<void> sent = co_await send(std::move(response));
  if (!sent) linger_ = false;
}

}  // namespace bulkhead::http::detail
