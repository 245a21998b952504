// One client's connection to the server, and the Exchange of the request it is at.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "http/detail/server_state.h"
#include "http/detail/stream.h"
#include "http/request_parser.h"
#include "http/server.h"

namespace bulkhead::http::detail {

class ServerConnection final : public Stream, public Exchange {
 public:
  ServerConnection(std::shared_ptr<ServerState> server, ListenerState& listener, int fd,
                   std::unique_ptr<TlsSession> tls, Peer peer);
  ~ServerConnection() override;

  // The connection's life, from handshake to close.
  static base::Task<void> serve(std::shared_ptr<ServerConnection> self);
  // No more requests: an idle connection ends now, a busy one after its answer.
  void drain();
  // Ends now, whatever runs.
  void give_up();

  Request& request() override { return request_; }
  std::optional<std::uint64_t> body_length() const override;
  base::Task<base::Result<bool>> receive_body(std::size_t bytes_max) override;
  const base::CancelToken& cancel_token() const override;
  base::Task<base::Result<void>> send(Response response) override;
  base::Task<base::Result<void>> start(int status, Headers headers) override;
  base::Task<base::Result<void>> write(std::string data) override;
  base::Task<base::Result<void>> finish() override;
  bool started() const override { return answer_ != Answer::None; }
  void abort() override;

 protected:
  void on_input() override;

 private:
  enum class Phase { Idle, Receiving, Handling, Closing };
  enum class Answer { None, Streaming, Whole };
  enum class Body {
    Whole,    // received, or there is none
    Pending,  // not asked for yet, or in part
    Broken,   // malformed, too large or too slow: what follows on this connection can't be told from it
  };

  // Takes at most `bytes_max` bytes of the input.
  RequestParser::State parse(std::size_t bytes_max = SIZE_MAX);
  void set_receive_deadline();
  // The head is there (and, when there is no body, so is the whole request).
  void begin_exchange(bool whole);
  // One request from its head to its answer: true when the connection goes on to the next.
  base::Task<bool> exchange();
  // After the handler: true when the connection goes on. `unanswered` is set when the handler forgot to
  // answer.
  bool end_exchange(bool& unanswered);
  void make_room(std::size_t expected);
  // Waits for more of the body, as long as its sender keeps up.
  base::Task<bool> more_body();
  bool waits_for_continue() const { return expects_continue_ && input().empty(); }
  // Whether the rest of a body that nobody wants is read, so that the connection can be kept.
  bool can_skip_body() const;
  base::Task<bool> skip_body();
  // Reads on and throws away after the last answer, within bounds.
  base::Task<void> linger();
  void client_gone(base::CancelReason reason = base::CancelReason::ClientGone);
  void append_framing(bool has_body, std::size_t body_bytes);
  void wipe_output();
  base::Error write_failure() const;
  base::Task<void> refuse(Response response);

  std::shared_ptr<ServerState> server_;
  ListenerState& listener_;
  Peer peer_;
  RequestParser parser_;
  Request request_;
  Method method_ = Method::Get;
  std::string out_;                                  // wiped after each use
  mutable std::optional<base::CancelToken> cancel_;  // made when a handler asks for it
  base::CancelReason gone_reason_ = base::CancelReason::None;
  Phase phase_ = Phase::Idle;
  Answer answer_ = Answer::None;
  Body body_ = Body::Whole;
  Pace body_pace_;
  std::size_t body_room_ = 0;      // bytes that memory was made for
  bool expects_continue_ = false;  // and was not told to go on yet
  bool body_over_ = false;         // of a streamed answer
  bool keep_alive_ = true;
  bool first_request_ = true;
  bool gone_ = false;
  bool linger_ = false;
};

}  // namespace bulkhead::http::detail
