// HTTP/1.1 client with kept-alive connections, over TCP, TLS or a Unix socket.
//
// One Client per upstream; it keeps a pool of idle connections per reactor, and a request runs on
// the reactor of its caller. A request on a reused connection that the upstream has just closed is
// tried once more on a new one if no byte of an answer was seen and the request is marked
// idempotent or nothing was sent.
// Nothing of a request or answer stays in buffers after it is over.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/task.h"
#include "http/message.h"
#include "http/tls.h"

namespace bulkhead::http {

struct Url {
  bool tls = false;
  std::string host;
  std::uint16_t port = 0;
  std::string path;       // "/v1", never ending in '/'
  std::string unix_path;  // from "unix:/path"; then the rest is empty
  // Accepts http://, https://, unix:; refuses user info, fragments, queries, control bytes.
  static base::Result<Url> parse(std::string_view text);
};

struct ClientOptions {
  std::chrono::milliseconds connect_time_max{5'000};
  std::chrono::milliseconds answer_time_max{300'000};  // to the answer's headers
  std::chrono::milliseconds stall_time_max{60'000};    // between bytes of the body
  std::size_t header_bytes_max = 64 << 10;
  std::size_t idle_connections_max = 64;  // per reactor
  std::shared_ptr<TlsContext> tls;        // needed for https
};

// An answer whose body is read piece by piece, on the reactor that sent the request.
class StreamedResponse {
 public:
  virtual ~StreamedResponse() = default;
  virtual int status() const = 0;
  virtual const Headers& headers() const = 0;
  // The next piece of the body as it arrived; nothing at its end.
  virtual base::Task<base::Result<std::optional<std::string>>> read() = 0;
  // Destroying it before the end closes the connection.
};

class Client {
 public:
  Client(Url url, ClientOptions options);
  ~Client();  // any thread; before the reactors it was used on
  Client(const Client&) = delete;

  // Sends and reads a whole answer, at most `body_bytes_max` bytes of body.
  base::Task<base::Result<Response>> request(Request request, std::size_t body_bytes_max,
                                             base::CancelToken cancel);
  base::Task<base::Result<std::unique_ptr<StreamedResponse>>> stream(Request request,
                                                                     base::CancelToken cancel);
  const Url& url() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

// One request from a thread that has no reactor (command lines, tests): runs one until the answer
// is there.
base::Result<Response> request_blocking(const Url& url, ClientOptions options, Request request,
                                        std::size_t body_bytes_max);

}  // namespace bulkhead::http
