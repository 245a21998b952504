#include "http/server.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/json.h"
#include "http/detail/listen.h"
#include "http/detail/server_connection.h"
#include "http/detail/server_state.h"

namespace bulkhead::http {

namespace {

Response default_malformed(int status, const base::Error& error) {
  base::json::Writer writer;
  writer.begin_object().key("error").begin_object();
  writer.member("message", error.message());
  writer.member("type", status >= 500 ? "server_error" : "invalid_request_error");
  writer.key("param").null();
  writer.member("code", error.name().code);
  writer.end_object().end_object();
  return Response::json(status, writer.take());
}

}  // namespace

namespace detail {

void ListenerState::adopt(const std::shared_ptr<ServerState>& server, int fd, Peer peer) {
  ++total;
  const ServerLimits& limits = server->options.limits;
  if (server->draining) {
    ::close(fd);
    return;
  }
  if (!server->book.enter(peer.network, limits.connections_max, limits.connections_per_address_max)) {
    ++refused;
    ::close(fd);
    return;
  }
  std::unique_ptr<TlsSession> tls;
  if (auto context = server->current_tls()) {
    tls = TlsSession::accept(std::move(context));
    if (!tls) {
      server->book.leave(peer.network);
      ::close(fd);
      return;
    }
  }
  ++open;
  auto connection = std::make_shared<ServerConnection>(server, *this, fd, std::move(tls), std::move(peer));
  base::spawn(reactor, ServerConnection::serve(std::move(connection)));
}

}  // namespace detail

struct Server::Impl {
  std::shared_ptr<detail::ServerState> state;
  std::vector<std::pair<Reactor*, std::shared_ptr<detail::Acceptor>>> acceptors;
  std::uint16_t port = 0;
  std::string unix_path;

  bool reactors_run() const {
    return std::none_of(state->listeners.begin(), state->listeners.end(),
                        [](const auto& listener) { return listener->reactor.impl().stopped.load(); });
  }

  void stop_accepting() {
    state->draining = true;
    for (auto& [reactor, acceptor] : acceptors) {
      reactor->post([kept = std::move(acceptor)] { kept->stop(); });
    }
    acceptors.clear();
    if (!unix_path.empty()) detail::remove_unix_socket(std::exchange(unix_path, {}));
  }

  void on_all_connections(void (detail::ServerConnection::*what)()) {
    for (auto& listener : state->listeners) {
      // The posted work keeps the state, and so the listener, alive.
      listener->reactor.post([kept = state, raw = listener.get(), what] {
        std::vector<std::shared_ptr<detail::Stream>> all;
        for (detail::ServerConnection* connection : raw->connections) {
          if (auto held = connection->weak_from_this().lock()) all.push_back(std::move(held));
        }
        for (auto& stream : all) (static_cast<detail::ServerConnection*>(stream.get())->*what)();
      });
    }
  }

  // False at the deadline, or when the reactors have stopped and nothing can end any more.
  bool wait_until_empty(std::chrono::steady_clock::time_point deadline) {
    std::unique_lock lock(state->mutex);
    while (state->open() != 0) {
      const auto now = std::chrono::steady_clock::now();
      if (now >= deadline || !reactors_run()) return false;
      state->changed.wait_until(lock, std::min(deadline, now + std::chrono::milliseconds(50)));
    }
    return true;
  }
};

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

base::Result<std::unique_ptr<Server>> Server::start(ReactorPool& reactors, Options options) {
  if (!options.malformed) options.malformed = default_malformed;
  BULKHEAD_TRY(sockets, detail::open_listening_sockets(options.address, reactors.size()));
  auto impl = std::make_unique<Impl>();
  impl->port = sockets.port;
  if (options.address.inherited_fd < 0) impl->unix_path = options.address.unix_path;
  auto state = std::make_shared<detail::ServerState>();
  impl->state = state;
  state->tls = options.tls;
  state->options = std::move(options);
  const ServerLimits& limits = state->options.limits;
  const auto precision = std::min({limits.head_time_max, limits.idle_time_max, limits.stall_time_max});
  for (std::size_t i = 0; i < reactors.size(); ++i) {
    Reactor& reactor = reactors.at(i);
    state->listeners.push_back(std::make_unique<detail::ListenerState>(reactor));
    reactor.post([&reactor, precision] { reactor.impl().sweeper.want_precision(precision); });
  }
  const bool shared = sockets.fds.size() < reactors.size();
  for (std::size_t i = 0; i < sockets.fds.size(); ++i) {
    Reactor& reactor = reactors.at(i);
    detail::Acceptor::Accepted accepted;
    if (shared) {
      accepted = [state, next = std::size_t{0}](int fd, Peer peer) mutable {
        detail::ListenerState* listener = state->listeners[next++ % state->listeners.size()].get();
        if (&listener->reactor == Reactor::current()) {
          listener->adopt(state, fd, std::move(peer));
          return;
        }
        listener->reactor.post(
            [state, listener, fd, peer = std::move(peer)] { listener->adopt(state, fd, peer); });
      };
    } else {
      accepted = [state, listener = state->listeners[i].get()](int fd, Peer peer) {
        listener->adopt(state, fd, std::move(peer));
      };
    }
    auto acceptor =
        std::make_shared<detail::Acceptor>(reactor.impl().io, std::move(sockets.fds[i]), std::move(accepted));
    reactor.post([acceptor] { acceptor->start(); });
    impl->acceptors.emplace_back(&reactor, std::move(acceptor));
  }
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::~Server() {
  impl_->stop_accepting();
  impl_->on_all_connections(&detail::ServerConnection::give_up);
  // Handlers that still run may use what their owner is about to destroy, so they are waited for.
  impl_->wait_until_empty(std::chrono::steady_clock::time_point::max());
}

std::uint16_t Server::port() const { return impl_->port; }

void Server::replace_tls(std::shared_ptr<TlsContext> tls) {
  const std::lock_guard lock(impl_->state->mutex);
  impl_->state->tls = std::move(tls);
}

bool Server::drain(std::chrono::milliseconds deadline) {
  impl_->stop_accepting();
  impl_->on_all_connections(&detail::ServerConnection::drain);
  return impl_->wait_until_empty(std::chrono::steady_clock::now() + deadline);
}

Server::Stats Server::stats() const {
  Stats stats{0, 0, 0, 0, 0};
  for (const auto& listener : impl_->state->listeners) {
    stats.connections_open += listener->open;
    stats.connections_total += listener->total;
    stats.connections_refused += listener->refused;
    stats.requests_total += listener->requests;
    stats.malformed_total += listener->malformed;
  }
  return stats;
}

}  // namespace bulkhead::http
