#include "http/detail/server_connection.h"

#include <utility>

#include "base/json.h"
#include "http/detail/serialize.h"

namespace bulkhead::http::detail {

namespace {
// How long the rest of a refused request is read and thrown away, so that the answer is not lost
// to the RST that closing with unread input would send (RFC 9112 section 9.6).
constexpr std::chrono::milliseconds kLingerTimeMax{2'000};
}  // namespace

ServerConnection::ServerConnection(std::shared_ptr<ServerState> server, ListenerState& listener, int fd,
                                   std::unique_ptr<TlsSession> tls, std::string peer)
    : Stream(listener.reactor, fd, std::move(tls)),
      server_(std::move(server)),
      listener_(listener),
      peer_(std::move(peer)),
      parser_(server_->options.limits.parser) {
  set_write_stall_max(server_->options.limits.write_stall_max);
  listener_.connections.insert(this);
}

ServerConnection::~ServerConnection() {
  listener_.connections.erase(this);
  --listener_.open;
  const std::lock_guard lock(server_->mutex);
  server_->changed.notify_all();
}

base::Task<void> ServerConnection::serve(std::shared_ptr<ServerConnection> self) {
  ServerConnection& connection = *self;
  const Server::Options& options = connection.server_->options;
  connection.set_deadline_in(options.limits.request_time_max);
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
    if (state == RequestParser::State::HeadersDone) {
      if (options.early_check) {
        std::optional<Response> refusal = options.early_check(connection.parser_.partial());
        if (refusal) {
          ++connection.listener_.requests;
          co_await connection.refuse(std::move(*refusal));
          break;
        }
      }
      // A client that didn't wait has sent its body already.
      if (connection.parser_.expects_continue() && connection.input().empty()) {
        go_on = co_await connection.Stream::write("HTTP/1.1 100 Continue\r\n\r\n");
      }
      continue;
    }
    if (state == RequestParser::State::Failed) {
      ++connection.listener_.malformed;
      co_await connection.refuse(
          options.malformed(connection.parser_.error_status(), connection.parser_.error()));
      break;
    }
    connection.begin_exchange();
    co_await options.handler(connection);
    bool unanswered = false;
    go_on = connection.end_exchange(unanswered);
    if (unanswered) {
      co_await connection.refuse(
          options.malformed(500, base::Error(HttpError::ConnectionClosed, "The server failed to answer.")));
    }
  }
  connection.phase_ = Phase::Closing;
  if (connection.linger_ && connection.is_open() && !connection.ended()) {
    connection.shutdown_send();
    connection.clear_timed_out();
    connection.set_deadline_in(kLingerTimeMax);
    for (bool more = true; more && !connection.timed_out();) {
      connection.consume(connection.input().size());
      more = co_await connection.more_input();
    }
  } else if (connection.secure()) {
    connection.shutdown_send();
  }
  connection.clear_deadline();
  connection.cut(HttpError::ConnectionClosed);
}

RequestParser::State ServerConnection::parse() {
  std::size_t consumed = 0;
  const RequestParser::State state = parser_.feed(input(), consumed);
  consume(consumed);
  return state;
}

void ServerConnection::set_receive_deadline() {
  const ServerLimits& limits = server_->options.limits;
  if (parser_.started()) {
    // Counted from the first byte on; later bytes buy no more time.
    if (phase_ != Phase::Receiving) set_deadline_in(limits.request_time_max);
    phase_ = Phase::Receiving;
    return;
  }
  phase_ = Phase::Idle;
  if (!first_request_) set_deadline_in(limits.idle_time_max);
}

void ServerConnection::begin_exchange() {
  keep_alive_ = parser_.keep_alive() && !server_->draining;
  request_ = parser_.take();
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
  if (!keep_alive_) linger_ = !input().empty();
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
  if (server_->draining) keep_alive_ = false;
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
  if (server_->draining) keep_alive_ = false;
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
  phase_ = Phase::Closing;
  answer_ = Answer::None;
  keep_alive_ = false;
  linger_ = true;
  method_ = parser_.started() ? parser_.partial().method : method_;
  clear_timed_out();
  const base::Result<void> sent = co_await send(std::move(response));
  if (!sent) linger_ = false;
}

}  // namespace bulkhead::http::detail
