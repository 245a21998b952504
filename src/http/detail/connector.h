// Opens a socket to a Url: name resolution, connect, time-out, cancelling.
#pragma once

#include <coroutine>
#include <memory>

#include "http/client.h"
#include "http/detail/asio.h"
#include "http/detail/reactor_impl.h"
#include "http/detail/sweeper.h"

namespace bulkhead::http::detail {

class Connector final : public Swept, public std::enable_shared_from_this<Connector> {
 public:
  explicit Connector(Reactor& reactor);
  // Starts; `handle` resumes when it is over, never inside the call.
  void start(const Url& url, std::chrono::milliseconds time_max, std::coroutine_handle<> handle);
  void cancel();
  void on_deadline() override;

  bool connected() const { return connected_; }
  bool timed_out() const { return timed_out_; }
  bool cancelled() const { return cancelled_; }
  std::string failure() const { return failure_; }
  int take() { return socket_.release(); }

 private:
  using Resolver = asio::ip::basic_resolver<asio::ip::tcp, IoExecutor>;
  void try_next();
  void over();

  Socket socket_;
  Resolver resolver_;
  std::vector<asio::generic::stream_protocol::endpoint> endpoints_;
  std::size_t next_ = 0;
  std::coroutine_handle<> handle_;
  std::string failure_;
  bool is_tcp_ = true;
  bool connected_ = false;
  bool timed_out_ = false;
  bool cancelled_ = false;
};

}  // namespace bulkhead::http::detail
