#include "http/detail/connector.h"

#include <utility>

namespace bulkhead::http::detail {

Connector::Connector(Reactor& reactor) : socket_(reactor.impl().io), resolver_(reactor.impl().io) {
  reactor.impl().sweeper.add(*this);
}

void Connector::start(const Url& url, std::chrono::milliseconds time_max, std::coroutine_handle<> handle) {
  handle_ = handle;
  set_deadline_in(time_max);
  auto later = [self = shared_from_this()] { self->try_next(); };
  if (!url.unix_path.empty()) {
    is_tcp_ = false;
    if (url.unix_path.size() < sizeof(sockaddr_un::sun_path)) {
      endpoints_.emplace_back(asio::local::stream_protocol::endpoint(url.unix_path));
    } else {
      failure_ = "the socket's path is too long";
    }
    asio::post(socket_.get_executor(), std::move(later));
    return;
  }
  error_code not_an_address;
  const auto address = asio::ip::make_address(url.host, not_an_address);
  if (!not_an_address) {
    endpoints_.emplace_back(asio::ip::tcp::endpoint(address, url.port));
    asio::post(socket_.get_executor(), std::move(later));
    return;
  }
  resolver_.async_resolve(url.host, std::to_string(url.port),
                          [self = shared_from_this()](error_code error, Resolver::results_type results) {
                            if (error) self->failure_ = error.message();
                            for (const auto& result : results)
                              self->endpoints_.emplace_back(result.endpoint());
                            self->try_next();
                          });
}

void Connector::try_next() {
  if (timed_out_ || cancelled_ || next_ == endpoints_.size()) {
    over();
    return;
  }
  error_code ignored;
  if (socket_.is_open()) socket_.close(ignored);
  socket_.async_connect(endpoints_[next_++], [self = shared_from_this()](error_code error) {
    if (error) {
      self->failure_ = error.message();
      self->try_next();
      return;
    }
    self->connected_ = self->socket_.is_open();
    self->over();
  });
}

void Connector::over() {
  clear_deadline();
  if (connected_ && is_tcp_) {
    error_code ignored;
    socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  }
  std::exchange(handle_, nullptr).resume();
}

void Connector::cancel() {
  cancelled_ = true;
  resolver_.cancel();
  error_code ignored;
  socket_.close(ignored);
}

void Connector::on_deadline() {
  timed_out_ = true;
  resolver_.cancel();
  error_code ignored;
  socket_.close(ignored);
}

}  // namespace bulkhead::http::detail
