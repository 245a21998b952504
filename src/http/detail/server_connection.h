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
                   std::unique_ptr<TlsSession> tls, std::string peer);
  ~ServerConnection() override;

  // The connection's life, from handshake to close.
  static base::Task<void> serve(std::shared_ptr<ServerConnection> self);
  // No more requests: an idle connection ends now, a busy one after its answer.
  void drain();
  // Ends now, whatever runs.
  void give_up();

  Request& request() override { return request_; }
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

  RequestParser::State parse();
  void set_receive_deadline();
  void begin_exchange();
  // After the handler: true when the connection goes on to the next request. `unanswered` is set
  // when the handler forgot to answer.
  bool end_exchange(bool& unanswered);
  void client_gone(base::CancelReason reason = base::CancelReason::ClientGone);
  Response malformed_response();
  void append_framing(bool has_body, std::size_t body_bytes);
  void wipe_output();
  base::Error write_failure() const;
  base::Task<void> refuse(Response response);

  std::shared_ptr<ServerState> server_;
  ListenerState& listener_;
  std::string peer_;
  RequestParser parser_;
  Request request_;
  Method method_ = Method::Get;
  std::string out_;                                  // wiped after each use
  mutable std::optional<base::CancelToken> cancel_;  // made when a handler asks for it
  base::CancelReason gone_reason_ = base::CancelReason::None;
  Phase phase_ = Phase::Idle;
  Answer answer_ = Answer::None;
  bool body_over_ = false;  // of a streamed answer
  bool keep_alive_ = true;
  bool first_request_ = true;
  bool gone_ = false;
  bool linger_ = false;
};

}  // namespace bulkhead::http::detail
