// HTTP/1.1 server over TCP, TLS 1.2+ or a Unix socket.
//
// One Listener per reactor (SO_REUSEPORT for TCP); each connection lives on the reactor that
// accepted it, and its handler runs there as a coroutine. Handlers must not block: blocking work
// goes to a base::FairPool.
//
// Bounds, all in ServerLimits: headers, body, time to receive a request, idle time between
// requests, time a slow reader may hold an answer up, connections. Pipelined requests are answered
// in order, one at a time. Buffers that held a request or an answer are wiped when it is over.
//
// Drain: `drain()` stops accepting, closes idle connections, lets running requests finish (answers
// get "Connection: close"), and is over when none is left or the deadline has passed.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
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
  std::chrono::milliseconds request_time_max{30'000};  // first byte to last byte of a request
  std::chrono::milliseconds idle_time_max{75'000};
  std::chrono::milliseconds write_stall_max{30'000};  // without a byte taken by the client
  std::size_t connections_max = 4096;                 // per listener
};

// What a handler answers with. Exactly one of `send` or `start` is called; a handler that returns
// without either gets a 500. All calls on the connection's reactor.
class Exchange {
 public:
  virtual ~Exchange() = default;

  // The request; the handler may move the body out.
  virtual Request& request() = 0;
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

// Called with the headers only, before a body is read; an answer here refuses the request
// (wrong credential, too large) without reading it. Optional.
using EarlyCheck = std::function<std::optional<Response>(const Request& request)>;

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
    EarlyCheck early_check;
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
    std::uint64_t connections_open, connections_total, requests_total, malformed_total;
  };
  Stats stats() const;

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bulkhead::http
