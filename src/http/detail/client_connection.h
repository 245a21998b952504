// One connection to an upstream: sends a request, reads one answer at a time. On the reactor's
// thread only.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "http/client.h"
#include "http/detail/body_decoder.h"
#include "http/detail/head.h"
#include "http/detail/stream.h"

namespace bulkhead::http::detail {

class ClientConnection;

// The idle connections of one reactor, the most recently used last.
class ClientPool : public std::enable_shared_from_this<ClientPool> {
 public:
  explicit ClientPool(std::size_t idle_max) : idle_max_(idle_max) {}
  std::shared_ptr<ClientConnection> take();
  void give_back(std::shared_ptr<ClientConnection> connection);
  void remove(const ClientConnection& connection);
  void close_all();

 private:
  std::size_t idle_max_;
  bool closed_ = false;
  std::vector<std::shared_ptr<ClientConnection>> idle_;
};

class ClientConnection final : public Stream {
 public:
  ClientConnection(Reactor& reactor, int fd, std::unique_ptr<TlsSession> tls, const ClientOptions& options);

  // Head and, while small, body in one buffer; what is left of the body is sent from `request`.
  void serialize(const Url& url, const Request& request);
  std::string& output() { return out_; }
  std::string_view body_beside_output() const { return body_beside_; }
  void wipe_output();

  // Looks at what has arrived. NeedMore: nothing complete yet. Interim answers (1xx) are skipped.
  enum class HeadState { NeedMore, Done, Bad };
  HeadState parse_head(Method method);
  int status() const { return status_; }
  const Headers& headers() const { return headers_; }
  Headers take_headers() { return std::move(headers_); }
  std::string_view bad_reason() const { return bad_reason_; }

  // Moves body bytes that have arrived to `out`.
  BodyDecoder::State read_body(std::string& out);
  bool body_whole_at_end() const { return body_.whole_at_end() && ended_cleanly(); }
  bool reusable() const;
  void begin_request();

  // Cancelling from another thread names the request it means by this number.
  std::uint64_t generation() const { return generation_; }
  void set_idle(std::weak_ptr<ClientPool> pool);
  void on_deadline() override;

 protected:
  void on_input() override;

 private:
  bool bad(std::string_view reason);
  bool parse_status_line(std::string_view line);
  bool parse_framing(Method method);

  std::size_t header_bytes_max_;
  std::string out_;  // wiped after each use
  std::string_view body_beside_;
  int status_ = 0;
  Headers headers_;
  HeadProgress progress_;
  BodyDecoder body_ = BodyDecoder::none();
  std::string_view bad_reason_;
  std::uint64_t generation_ = 0;
  unsigned interim_answers_ = 0;
  bool keep_alive_ = false;
  bool idle_ = false;
  std::weak_ptr<ClientPool> pool_;
};

}  // namespace bulkhead::http::detail
