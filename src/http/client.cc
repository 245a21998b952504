#include "http/client.h"

#include <algorithm>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "http/detail/client_connection.h"
#include "http/detail/connector.h"
#include "http/detail/serialize.h"

namespace bulkhead::http {

using detail::BodyDecoder;
using detail::ClientConnection;
using detail::ClientPool;
using ConnectionPtr = std::shared_ptr<ClientConnection>;

namespace {

struct ConnectAwaiter {
  detail::Connector& connector;
  const Url& url;
  std::chrono::milliseconds time_max;
  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> handle) { connector.start(url, time_max, handle); }
  void await_resume() const {}
};

base::Error cancelled_error() { return base::Error(HttpError::Cancelled, "The request was cancelled."); }

// What goes out is built from parts that were checked; a caller's mistake must not become a second
// request on the wire.
bool is_sendable(const Request& request) {
  if (!request.target.starts_with('/')) return false;
  for (char c : request.target) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte >= 0x7f || c == '#') return false;
  }
  return detail::headers_are_safe(request.headers);
}

bool may_repeat(const Request& request) {
  return request.idempotent || request.method == Method::Get || request.method == Method::Head;
}

// Cuts the connection when the token fires, on whichever thread that happens.
base::CancelToken::Registration cut_on_cancel(const base::CancelToken& cancel,
                                              const ConnectionPtr& connection) {
  Reactor* reactor = &connection->reactor();
  return cancel.on_cancel(
      [reactor, weak = connection->weak_from_this(), generation = connection->generation()] {
        reactor->post([weak, generation] {
          const auto held = std::static_pointer_cast<ClientConnection>(weak.lock());
          // By now the connection may serve another request.
          if (held && held->generation() == generation) held->cut(HttpError::Cancelled);
        });
      });
}

}  // namespace

struct Client::Impl : std::enable_shared_from_this<Client::Impl> {
  Impl(Url url_in, ClientOptions options_in) : url(std::move(url_in)), options(std::move(options_in)) {}

  Url url;
  ClientOptions options;
  std::mutex mutex;
  std::unordered_map<Reactor*, std::shared_ptr<ClientPool>> pools;

  // A connection whose answer's head has been read.
  struct Opened {
    ConnectionPtr connection;
    std::shared_ptr<ClientPool> pool;
    base::CancelToken::Registration registration;
  };

  std::shared_ptr<ClientPool> pool_of(Reactor& reactor) {
    const std::lock_guard lock(mutex);
    auto& pool = pools[&reactor];
    if (!pool) {
      pool = std::make_shared<ClientPool>(options.idle_connections_max);
      reactor.impl().sweeper.want_precision(
          std::min({options.connect_time_max, options.answer_time_max, options.stall_time_max}));
    }
    return pool;
  }

  base::Error error(HttpError code, std::string_view what) const {
    std::string_view message = "The upstream service failed; try again.";
    if (code == HttpError::Timeout) message = "The upstream service took too long; try again.";
    if (code == HttpError::ConnectFailed) message = "The upstream service can't be reached; try again.";
    const std::string where =
        url.unix_path.empty() ? url.host + ":" + std::to_string(url.port) : "unix:" + url.unix_path;
    return base::Error(code, std::string(message), where + ": " + std::string(what));
  }
  base::Error failure_of(const ClientConnection& connection, std::string_view doing) const {
    if (connection.timed_out()) return error(HttpError::Timeout, doing);
    const HttpError why = connection.failure();
    if (why == HttpError::Cancelled) return cancelled_error();
    return error(why, why == HttpError::TlsFailed ? connection.tls_failure() : doing);
  }

  static base::Task<base::Result<ConnectionPtr>> connect(std::shared_ptr<Impl> self, Reactor& reactor,
                                                         base::CancelToken cancel);
  static base::Task<base::Result<Opened>> open(std::shared_ptr<Impl> self, const Request& request,
                                               base::CancelToken cancel);
  static base::Task<base::Result<Response>> request(std::shared_ptr<Impl> self, Request request,
                                                    std::size_t body_bytes_max, base::CancelToken cancel);
  static base::Task<base::Result<std::unique_ptr<StreamedResponse>>> stream(std::shared_ptr<Impl> self,
                                                                            Request request,
                                                                            base::CancelToken cancel);
  class Streamed;
};

base::Task<base::Result<ConnectionPtr>> Client::Impl::connect(std::shared_ptr<Impl> self, Reactor& reactor,
                                                              base::CancelToken cancel) {
  const ClientOptions& options = self->options;
  if (self->url.tls && !options.tls) {
    co_return self->error(HttpError::TlsFailed, "an https address without TLS settings");
  }
  auto connector = std::make_shared<detail::Connector>(reactor);
  {
    const auto registration =
        cancel.on_cancel([&reactor, weak = std::weak_ptr<detail::Connector>(connector)] {
          reactor.post([weak] {
            if (const auto held = weak.lock()) held->cancel();
          });
        });
    ConnectAwaiter awaiter{*connector, self->url, options.connect_time_max};
    co_await awaiter;
  }
  if (connector->cancelled()) co_return cancelled_error();
  if (connector->timed_out()) co_return self->error(HttpError::Timeout, "while connecting");
  if (!connector->connected()) {
    co_return self->error(HttpError::ConnectFailed, connector->failure());
  }
  std::unique_ptr<detail::TlsSession> tls;
  if (self->url.tls) {
    tls = detail::TlsSession::connect(options.tls, self->url.host);
    if (!tls) co_return self->error(HttpError::TlsFailed, "TLS could not be set up");
  }
  auto connection = std::make_shared<ClientConnection>(reactor, connector->take(), std::move(tls), options);
  const auto registration = cut_on_cancel(cancel, connection);
  connection->set_deadline_in(options.connect_time_max);
  const bool secured = co_await connection->secure_handshake();
  connection->clear_deadline();
  if (secured) co_return connection;
  const base::Error why = self->failure_of(*connection, "during the TLS handshake");
  connection->cut(HttpError::TlsFailed);
  co_return why;
}

base::Task<base::Result<Client::Impl::Opened>> Client::Impl::open(std::shared_ptr<Impl> self,
                                                                  const Request& request,
                                                                  base::CancelToken cancel) {
  // `request` is by reference against the rule: it lives in the frame that awaits this one, and a
  // second try needs it again.
  Reactor* reactor = Reactor::current();
  if (!reactor) co_return self->error(HttpError::ConnectFailed, "not called on a reactor's thread");
  if (!is_sendable(request)) {
    co_return base::Error(HttpError::Malformed,
                          "The request can't be sent: its target or a header "
                          "holds bytes that are not allowed there.");
  }
  if (cancel.cancelled()) co_return cancelled_error();
  const std::shared_ptr<ClientPool> pool = self->pool_of(*reactor);
  for (;;) {
    ConnectionPtr connection = pool->take();
    const bool reused = connection != nullptr;
    if (!reused) {
      base::Result<ConnectionPtr> made = co_await connect(self, *reactor, cancel);
      if (!made) co_return made.take_error();
      connection = std::move(*made);
    }
    connection->begin_request();
    auto registration = cut_on_cancel(cancel, connection);
    const std::uint64_t sent_before = connection->bytes_sent();
    connection->serialize(self->url, request);
    bool good = co_await connection->write(connection->output(), connection->body_beside_output());
    connection->wipe_output();
    if (good) connection->set_deadline_in(self->options.answer_time_max);
    bool answer_begun = false;
    while (good) {
      const auto state = connection->parse_head(request.method);
      if (state == ClientConnection::HeadState::Done) {
        connection->clear_deadline();
        co_return Opened{std::move(connection), pool, std::move(registration)};
      }
      if (state == ClientConnection::HeadState::Bad) {
        connection->cut(HttpError::BadResponse);
        co_return self->error(HttpError::BadResponse, connection->bad_reason());
      }
      answer_begun = answer_begun || !connection->input().empty();
      good = co_await connection->fresh_input();
    }
    const bool sent_nothing = connection->bytes_sent() == sent_before;
    const bool was_stale = reused && !answer_begun && !connection->timed_out() &&
                           connection->failure() == HttpError::ConnectionClosed &&
                           (sent_nothing || may_repeat(request));
    const base::Error why = self->failure_of(*connection, "before an answer");
    connection->cut(HttpError::ConnectionClosed);
    if (!was_stale) co_return why;
  }
}

base::Task<base::Result<Response>> Client::Impl::request(std::shared_ptr<Impl> self, Request request,
                                                         std::size_t body_bytes_max,
                                                         base::CancelToken cancel) {
  base::Result<Opened> opened = co_await open(self, request, std::move(cancel));
  if (!opened) co_return opened.take_error();
  ClientConnection& connection = *opened->connection;
  Response response;
  response.status = connection.status();
  response.headers = connection.take_headers();
  for (;;) {
    const BodyDecoder::State state = connection.read_body(response.body);
    if (response.body.size() > body_bytes_max) {
      connection.cut(HttpError::BadResponse);
      co_return self->error(HttpError::BadResponse, "the answer's body is too large");
    }
    if (state == BodyDecoder::State::Done) break;
    if (state != BodyDecoder::State::NeedMore) {
      connection.cut(HttpError::BadResponse);
      co_return self->error(HttpError::BadResponse, "malformed chunked body");
    }
    connection.set_deadline_in(self->options.stall_time_max);
    const bool more = co_await connection.more_input();
    if (more) continue;
    if (connection.body_whole_at_end()) break;
    const base::Error why = self->failure_of(connection, "in the middle of an answer");
    connection.cut(HttpError::ConnectionClosed);
    co_return why;
  }
  connection.clear_deadline();
  opened->pool->give_back(std::move(opened->connection));
  co_return response;
}

class Client::Impl::Streamed final : public StreamedResponse {
 public:
  Streamed(std::shared_ptr<Impl> client, Opened opened)
      : client_(std::move(client)),
        opened_(std::move(opened)),
        status_(opened_.connection->status()),
        headers_(opened_.connection->take_headers()) {}
  ~Streamed() override {
    if (opened_.connection) opened_.connection->cut(HttpError::ConnectionClosed);
  }
  int status() const override { return status_; }
  const Headers& headers() const override { return headers_; }
  base::Task<base::Result<std::optional<std::string>>> read() override;

 private:
  void over() {
    opened_.connection->clear_deadline();
    opened_.registration = {};
    opened_.pool->give_back(std::move(opened_.connection));
    opened_.connection = nullptr;
  }
  base::Error fail(base::Error why) {
    opened_.connection->cut(HttpError::ConnectionClosed);
    opened_.connection = nullptr;
    failed_ = why;
    return why;
  }

  std::shared_ptr<Impl> client_;
  Opened opened_;
  int status_;
  Headers headers_;
  std::optional<base::Error> failed_;
  bool body_over_ = false;
};

base::Task<base::Result<std::optional<std::string>>> Client::Impl::Streamed::read() {
  std::string piece;
  for (;;) {
    // A failed answer must not look like one that has ended.
    if (failed_) co_return *failed_;
    if (!opened_.connection) co_return std::optional<std::string>();
    ClientConnection& connection = *opened_.connection;
    if (!body_over_) {
      const BodyDecoder::State state = connection.read_body(piece);
      if (state == BodyDecoder::State::Done) {
        body_over_ = true;
      } else if (state != BodyDecoder::State::NeedMore) {
        co_return fail(client_->error(HttpError::BadResponse, "malformed chunked body"));
      }
    }
    if (body_over_) over();
    if (!piece.empty()) co_return std::optional<std::string>(std::move(piece));
    if (body_over_) continue;
    connection.set_deadline_in(client_->options.stall_time_max);
    const bool more = co_await connection.more_input();
    connection.clear_deadline();
    if (more) continue;
    if (!connection.body_whole_at_end()) {
      co_return fail(client_->failure_of(connection, "in the middle of an answer"));
    }
    body_over_ = true;
  }
}

base::Task<base::Result<std::unique_ptr<StreamedResponse>>> Client::Impl::stream(std::shared_ptr<Impl> self,
                                                                                 Request request,
                                                                                 base::CancelToken cancel) {
  base::Result<Opened> opened = co_await open(self, request, std::move(cancel));
  if (!opened) co_return opened.take_error();
  co_return std::unique_ptr<StreamedResponse>(
      std::make_unique<Streamed>(std::move(self), std::move(*opened)));
}

Client::Client(Url url, ClientOptions options)
    : impl_(std::make_shared<Impl>(std::move(url), std::move(options))) {}

Client::~Client() {
  const std::lock_guard lock(impl_->mutex);
  for (auto& [reactor, pool] : impl_->pools) {
    reactor->post([kept = std::move(pool)] { kept->close_all(); });
  }
  impl_->pools.clear();
}

const Url& Client::url() const { return impl_->url; }

base::Task<base::Result<Response>> Client::request(Request request, std::size_t body_bytes_max,
                                                   base::CancelToken cancel) {
  return Impl::request(impl_, std::move(request), body_bytes_max, std::move(cancel));
}

base::Task<base::Result<std::unique_ptr<StreamedResponse>>> Client::stream(Request request,
                                                                           base::CancelToken cancel) {
  return Impl::stream(impl_, std::move(request), std::move(cancel));
}

namespace {

base::Task<void> store_answer(Client& client, Request request, std::size_t body_bytes_max,
                              std::optional<base::Result<Response>>* out) {
  out->emplace(co_await client.request(std::move(request), body_bytes_max, base::CancelToken()));
}

}  // namespace

base::Result<Response> request_blocking(const Url& url, ClientOptions options, Request request,
                                        std::size_t body_bytes_max) {
  Reactor reactor;
  Client client(url, std::move(options));
  std::optional<base::Result<Response>> answer;
  base::spawn(reactor, store_answer(client, std::move(request), body_bytes_max, &answer),
              [&reactor] { reactor.stop(); });
  reactor.run();
  return std::move(*answer);
}

}  // namespace bulkhead::http
