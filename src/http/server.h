// HTTP/1.1 server over TCP, TLS 1.2+ or a Unix socket.
//
// One Listener per reactor (SO_REUSEPORT for TCP); each connection lives on the reactor that
// accepted it, and its handler runs there as a coroutine. Handlers must not block: blocking work
// goes to a base::FairPool.
//
// A handler is given the whole request, or, with `Options::body_on_demand`, its head as soon as that is
// there: then it decides by the head whether to ask for the body at all, and no byte of a body is kept
// before it does. What it leaves unread is thrown away within bounds, so that the client still gets its
// answer.
//
// Bounds, all in ServerLimits: headers, body, time to receive a head, silence and least rate of a body
// and of an answer, idle time between requests, connections. Pipelined requests are answered
// in order, one at a time. Buffers that held a request or an answer are wiped when it is over.
//
// Drain: `drain()` stops accepting, closes idle connections, lets running requests finish (answers
// get "Connection: close"), and is over when none is left or the deadline has passed.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/task.h"
#include "http/message.h"
#include "http/reactor.h"
#include "http/request_parser.h"
#include "http/tls.h"

namespace bulkhead::http {

struct ServerLimits {
  ParserLimits parser;
  std::chrono::milliseconds head_time_max{30'000};  // first byte to last byte of a request's head
  std::chrono::milliseconds idle_time_max{75'000};
  // Bodies and answers: how long the client may keep us waiting for a byte, and how many bytes a second
  // it has to move on average once it has kept us waiting that long in all.
  std::chrono::milliseconds stall_time_max{30'000};
  std::size_t transfer_rate_min = 4 << 10;
  std::size_t connections_max = 4096;                  // of the whole server; more are closed
  std::size_t connections_per_address_max = SIZE_MAX;  // by Peer::network
};

// What a handler answers with. Exactly one of `send` or `start` is called; a handler that returns
// without either gets a 500. All calls on the connection's reactor.
class Exchange {
 public:
  virtual ~Exchange() = default;

  // The request; the handler may move the body out.
  virtual Request& request() = 0;
  // The length of a body that was not asked for yet; 0 when there is none, nothing when it is chunked.
  virtual std::optional<std::uint64_t> body_length() const = 0;
  // Reads on until the body is whole and in request() (true), or `bytes_max` bytes of it are kept (false).
  // "100 Continue" is sent where it is waited for. After an error
  // the handler may still answer; the connection is closed then.
  // Errors: HttpError::Timeout, Malformed, BodyTooLarge (the parser's bound), Cancelled (the client went
  // away).
  virtual base::Task<base::Result<bool>> receive_body(std::size_t bytes_max) = 0;
  // Fires when the client goes away or the server gives up on it. Watched while the handler runs.
  virtual const base::CancelToken& cancel_token() const = 0;

  // A whole answer. Content-Length is set here.
  virtual base::Task<base::Result<void>> send(Response response) = 0;

  // A streamed answer: chunked transfer coding, each `write` goes out at once (no coalescing).
  virtual base::Task<base::Result<void>> start(int status, Headers headers) = 0;
  virtual base::Task<base::Result<void>> write(std::string data) = 0;
  virtual base::Task<base::Result<void>> finish() = 0;
  // True once the status line is on its way (an error can't be answered any more; the connection
  // is cut instead, so that the client can tell a cut answer from a whole one).
  virtual bool started() const = 0;
  virtual void abort() = 0;
};

using Handler = std::function<base::Task<void>(Exchange& exchange)>;

struct ListenAddress {
  std::string host = "127.0.0.1";  // IP address; ignored for a Unix socket
  std::uint16_t port = 0;          // 0: any free one
  std::string unix_path;           // not empty: a Unix socket, mode 0600
  int inherited_fd = -1;           // >= 0: an already listening socket
};

class Server {
 public:
  struct Options {
    ListenAddress address;
    ServerLimits limits;
    std::shared_ptr<TlsContext> tls;  // none: plain
    Handler handler;
    bool body_on_demand = false;  // the handler is called with the head and asks for the body itself
    // Answers a request that could not be parsed; gets the status and a safe message. Default: a
    // small JSON error body.
    std::function<Response(int status, const base::Error& error)> malformed;
  };

  // Binds at once (so that the port is known) and accepts on every reactor of the pool.
  static base::Result<std::unique_ptr<Server>> start(ReactorPool& reactors, Options options);
  ~Server();

  std::uint16_t port() const;
  // New TLS certificate for new connections (SIGHUP). Any thread.
  void replace_tls(std::shared_ptr<TlsContext> tls);
  // Blocks the calling (non-reactor) thread. True when all requests ended in time; what still runs then
  // goes on until it is told to stop or the server is destroyed.
  bool drain(std::chrono::milliseconds deadline);

  struct Stats {
    std::uint64_t connections_open, connections_total, connections_refused, requests_total, malformed_total;
  };
  Stats stats() const;

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bulkhead::http
