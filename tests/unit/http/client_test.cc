#include "http/client.h"

#include <thread>

#include "http/sse.h"
#include "support.h"

namespace bulkhead::http {
namespace {

using namespace testing;

// An upstream that says exactly what a test wants, to one connection after another.
class Upstream {
 public:
  // `answers[i]` goes to the i-th connection, after its request's head (and body) has arrived.
  explicit Upstream(std::vector<std::string> answers, bool keep_open = false) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t bytes = sizeof(address);
    ::bind(listener_, reinterpret_cast<sockaddr*>(&address), bytes);
    ::listen(listener_, 16);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &bytes);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, answers = std::move(answers), keep_open] {
      for (const std::string& answer : answers) {
        const int fd = ::accept(listener_, nullptr, nullptr);
        if (fd < 0) return;
        std::string seen;
        char buffer[4096];
        while (seen.find("\r\n\r\n") == std::string::npos) {
          const ssize_t got = ::recv(fd, buffer, sizeof(buffer), 0);
          if (got <= 0) break;
          seen.append(buffer, static_cast<std::size_t>(got));
        }
        ::send(fd, answer.data(), answer.size(), MSG_NOSIGNAL);
        while (keep_open && ::recv(fd, buffer, sizeof(buffer), 0) > 0) {
        }
        ::close(fd);
      }
    });
  }
  ~Upstream() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  Url url() const { return *Url::parse("http://127.0.0.1:" + std::to_string(port_)); }

 private:
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

Request get(std::string target = "/") {
  Request request;
  request.target = std::move(target);
  return request;
}
Request post(std::string body) {
  Request request;
  request.method = Method::Post;
  request.target = "/p";
  request.body = std::move(body);
  return request;
}

base::Task<base::Result<std::string>> read_all(Client& client, Request request, base::CancelToken cancel) {
  auto opened = co_await client.stream(std::move(request), std::move(cancel));
  if (!opened) co_return opened.take_error();
  std::string all;
  for (;;) {
    auto piece = co_await (*opened)->read();
    if (!piece) co_return piece.take_error();
    if (!*piece) co_return all;
    all += **piece;
  }
}

struct ClientTest : ::testing::Test {
  ReactorPool pool{1};
  base::Result<Response> ask(Client& client, Request request, std::size_t body_max = 1 << 26) {
    return run_on(pool.at(0), client.request(std::move(request), body_max, base::CancelToken()));
  }
  base::Result<Response> ask_upstream(std::string answer, Request request = get()) {
    const Upstream upstream({std::move(answer)});
    Client client(upstream.url(), {});
    return ask(client, std::move(request));
  }
};

TEST_F(ClientTest, ReusesItsConnection) {
  Server::Options options;
  options.handler = echo;
  ReactorPool servers(1);
  const auto server = start_server(servers, std::move(options));
  Client client(*Url::parse("http://127.0.0.1:" + std::to_string(server->port())), {});
  for (int i = 0; i < 20; ++i) {
    const auto answer = ask(client, post("body " + std::to_string(i)));
    ASSERT_TRUE(answer) << answer.error().describe();
    EXPECT_EQ(answer->body, "POST /p body " + std::to_string(i));
  }
  const std::string large(5 << 20, 'y');
  const auto answer = ask(client, post(large));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body, "POST /p " + large);
  EXPECT_EQ(server->stats().connections_total, 1u);
}

TEST_F(ClientTest, WorksOverAUnixSocketAndStreams) {
  TemporaryFolder folder;
  Server::Options options;
  options.address.unix_path = (folder.path() / "s").string();
  options.handler = [](Exchange& exchange) -> base::Task<void> {
    auto sent = co_await exchange.start(200, Headers());
    for (int i = 0; i < 5 && sent; ++i) sent = co_await exchange.write(sse_event(std::to_string(i)));
    sent = co_await exchange.finish();
  };
  ReactorPool servers(1);
  const std::string path = options.address.unix_path;
  const auto server = start_server(servers, std::move(options));
  Client client(*Url::parse("unix:" + path), {});
  for (int i = 0; i < 3; ++i) {
    const auto all = run_on(pool.at(0), read_all(client, get(), base::CancelToken()));
    ASSERT_TRUE(all) << all.error().describe();
    SseParser parser;
    ASSERT_TRUE(parser.feed(*all));
    for (int event = 0; event < 5; ++event) EXPECT_EQ(parser.next(), std::to_string(event));
  }
  EXPECT_EQ(server->stats().connections_total, 1u) << "a whole streamed answer gives its connection back";
}

TEST_F(ClientTest, ReadsEveryKindOfFraming) {
  EXPECT_EQ(ask_upstream("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")->body, "hi");
  EXPECT_EQ(ask_upstream("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n")->body,
            "hi");
  EXPECT_EQ(ask_upstream("HTTP/1.1 200 OK\r\n\r\nto the end")->body, "to the end");
  EXPECT_EQ(ask_upstream("HTTP/1.0 200\r\n\r\nold")->body, "old");
  EXPECT_EQ(ask_upstream("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nA: b\r\n\r\n"
                         "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
                ->status,
            201);
  EXPECT_EQ(ask_upstream("HTTP/1.1 204 No Content\r\n\r\n")->status, 204);
  Request head = get();
  head.method = Method::Head;
  EXPECT_EQ(ask_upstream("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", std::move(head))->body, "");
}

TEST_F(ClientTest, RefusesAnswersThatAreNotHttp) {
  for (const char* answer :
       {"hello\r\n\r\n", "HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.1 99 x\r\n\r\n", "HTTP/1.1 2000 x\r\n\r\n",
        "HTTP/1.1 200 OK\nA: b\n\n", "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 101 Switching\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}) {
    const auto result = ask_upstream(answer);
    ASSERT_FALSE(result) << answer;
    EXPECT_TRUE(result.error().is(HttpError::BadResponse)) << answer << result.error().describe();
  }
  EXPECT_TRUE(ask_upstream("HTTP/1.1 200 OK\r\nA: " + std::string(70'000, 'a') + "\r\n\r\n")
                  .error()
                  .is(HttpError::BadResponse));
  // Cut answers are never taken for whole ones.
  for (const char* answer : {"", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
                             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"}) {
    const auto result = ask_upstream(answer, post("x"));
    ASSERT_FALSE(result) << answer;
    EXPECT_TRUE(result.error().is(HttpError::ConnectionClosed)) << answer << result.error().describe();
  }
}

TEST_F(ClientTest, KeepsTheBoundOnBodies) {
  const Upstream upstream({"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n01234567890",
                           "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789"});
  Client client(upstream.url(), {});
  const auto refused = ask(client, get(), 10);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(HttpError::BadResponse));
  EXPECT_TRUE(ask(client, get(), 10)) << "control: at the bound";
}

TEST_F(ClientTest, SendsNothingThatCouldBecomeASecondRequest) {
  const Upstream upstream({"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"});
  Client client(upstream.url(), {});
  for (const char* target : {"", "x", "/a b", "/a\r\nX: y", "/#", "http://other/"}) {
    EXPECT_TRUE(ask(client, get(target)).error().is(HttpError::Malformed)) << target;
  }
  Request evil = get();
  evil.headers.add("x", "a\r\nb: c");
  EXPECT_TRUE(ask(client, std::move(evil)).error().is(HttpError::Malformed));
  EXPECT_TRUE(ask(client, get()));
}

TEST_F(ClientTest, RetriesOnlyWhatMayBeRepeated) {
  const std::string good = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  // The upstream closes each connection after its one answer without saying so.
  const Upstream upstream({good, good, good, good});
  Client client(upstream.url(), {});
  for (int i = 0; i < 4; ++i) {
    const auto answer = ask(client, get());
    ASSERT_TRUE(answer) << i << answer.error().describe();
  }
  // A connection that dies during its first request is the upstream's answer, not a stale one.
  const Upstream dying({"", good});
  Client once(dying.url(), {});
  EXPECT_TRUE(ask(once, get()).error().is(HttpError::ConnectionClosed));
}

TEST_F(ClientTest, CancellingFromAnotherThreadEndsIt) {
  const Upstream upstream({"", ""}, true);
  Client client(upstream.url(), {});
  const base::CancelToken cancel;
  auto running =
      std::async(std::launch::async, [&] { return run_on(pool.at(0), client.request(get(), 1000, cancel)); });
  cancel.cancel(base::CancelReason::Abandoned);
  const auto result = running.get();
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().is(HttpError::Cancelled)) << result.error().describe();
}

TEST_F(ClientTest, CancellingStopsAStream) {
  const Upstream upstream({"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"}, true);
  Client client(upstream.url(), {});
  const base::CancelToken cancel;
  auto opened = run_on(pool.at(0), client.stream(get(), cancel));
  ASSERT_TRUE(opened);
  auto first = run_on(pool.at(0), (*opened)->read());
  ASSERT_TRUE(first);
  EXPECT_EQ(**first, "hi");
  cancel.cancel(base::CancelReason::Abandoned);
  for (int i = 0; i < 2; ++i) {
    auto next = run_on(pool.at(0), (*opened)->read());
    ASSERT_FALSE(next) << "also when asked again";
    EXPECT_TRUE(next.error().is(HttpError::Cancelled));
  }
  std::promise<bool> gone;
  pool.at(0).post([&] {
    opened->reset();
    gone.set_value(true);
  });
  gone.get_future().get();
}

TEST_F(ClientTest, TimesOut) {
  const Upstream upstream({"", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc"}, true);
  ClientOptions options;
  options.answer_time_max = milliseconds(40);
  options.stall_time_max = milliseconds(40);
  Client client(upstream.url(), options);
  EXPECT_TRUE(ask(client, get()).error().is(HttpError::Timeout));
  EXPECT_TRUE(ask(client, get()).error().is(HttpError::Timeout));
}

TEST_F(ClientTest, SaysWhenNobodyIsThere) {
  Client nobody(*Url::parse("http://127.0.0.1:1"), {});
  EXPECT_TRUE(ask(nobody, get()).error().is(HttpError::ConnectFailed));
  Client no_file(*Url::parse("unix:/nonexistent/socket"), {});
  EXPECT_TRUE(ask(no_file, get()).error().is(HttpError::ConnectFailed));
  const auto unresolvable = request_blocking(*Url::parse("http://no-such-host.invalid"), {}, get(), 10);
  EXPECT_FALSE(unresolvable);
}

}  // namespace
}  // namespace bulkhead::http
