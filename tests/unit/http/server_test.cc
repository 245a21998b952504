#include "http/server.h"

#include <sys/stat.h>

#include <fstream>
#include <mutex>
#include <thread>

#include "support.h"

namespace bulkhead::http {
namespace {

using namespace testing;

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

struct ServerTest : ::testing::Test {
  ReactorPool pool{2};
  std::unique_ptr<Server> server;

  void start(Handler handler, ServerLimits limits = {}, bool body_on_demand = false) {
    Server::Options options;
    options.handler = std::move(handler);
    options.limits = limits;
    options.body_on_demand = body_on_demand;
    server = start_server(pool, std::move(options));
    ASSERT_TRUE(server);
  }
};

TEST_F(ServerTest, KeepsConnectionsAliveAndAnswersPipelinedRequestsInOrder) {
  start(echo);
  RawSocket socket(server->port());
  ASSERT_TRUE(socket.send(kGet));
  const std::string first = socket.receive_answer();
  EXPECT_TRUE(first.starts_with("HTTP/1.1 200 OK\r\n")) << first;
  EXPECT_TRUE(first.ends_with("\r\n\r\nGET / ")) << first;
  std::string many;
  for (int i = 0; i < 50; ++i) many += "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: x\r\n\r\n";
  ASSERT_TRUE(socket.send(many));
  for (int i = 0; i < 50; ++i) {
    const std::string answer = socket.receive_answer();
    EXPECT_TRUE(answer.ends_with("GET /" + std::to_string(i) + " ")) << answer;
  }
  EXPECT_EQ(server->stats().requests_total, 51u);
  EXPECT_EQ(server->stats().connections_total, 1u);
}

TEST_F(ServerTest, ReadsBodiesOfBothKinds) {
  start(echo);
  RawSocket socket(server->port());
  ASSERT_TRUE(socket.send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"));
  EXPECT_TRUE(socket.receive_answer().ends_with("POST /a hello"));
  ASSERT_TRUE(socket.send("POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"));
  ASSERT_TRUE(socket.send("2\r\nde\r\n0\r\n\r\n"));
  EXPECT_TRUE(socket.receive_answer().ends_with("POST /b abcde"));
  const std::string large(3 << 20, 'x');
  std::thread sender([&] {
    socket.send("POST /c HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(large.size()) +
                "\r\n\r\n" + large);
  });
  EXPECT_TRUE(socket.receive_answer().ends_with("POST /c " + large));
  sender.join();
}

TEST_F(ServerTest, HeadHasNoBody) {
  start(echo);
  RawSocket socket(server->port());
  ASSERT_TRUE(socket.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"));
  const std::string head = socket.receive_until("\r\n\r\n");
  EXPECT_NE(head.find("content-length: 7\r\n"), std::string::npos) << head;
  ASSERT_TRUE(socket.send("GET /next HTTP/1.1\r\nHost: x\r\n\r\n"));
  EXPECT_TRUE(socket.receive_answer().ends_with("GET /next "));
}

TEST_F(ServerTest, AnswersMalformedRequestsAndCloses) {
  start(echo);
  for (const char* bytes :
       {"GET / HTTP/1.1\nHost: x\n\n", "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"}) {
    RawSocket socket(server->port());
    ASSERT_TRUE(socket.send(bytes));
    const std::string answer = socket.receive_all();
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 400 Bad Request\r\n")) << answer;
    EXPECT_NE(answer.find("connection: close\r\n"), std::string::npos);
    EXPECT_NE(answer.find("\"code\":\"malformed\""), std::string::npos) << answer;
  }
  EXPECT_EQ(server->stats().malformed_total, 4u);
  EXPECT_EQ(server->stats().requests_total, 0u);
}

// Asks for the body of a request with a credential only; answers with the head otherwise.
base::Task<void> body_for_the_known(Exchange& exchange) {
  if (exchange.request().headers.count("authorization") == 0) {
    const auto refused = co_await exchange.send(Response::text(401, "no credential"));
    (void)refused;
    co_return;
  }
  const auto received = co_await exchange.receive_body(1 << 20);
  if (received) {
    co_await echo(exchange);
    co_return;
  }
  const auto told =
      co_await exchange.send(Response::text(received.error().is(HttpError::Timeout) ? 408 : 400, ""));
  (void)told;
}

TEST_F(ServerTest, RefusesByHeadersBeforeTheBodyIsSent) {
  start(body_for_the_known, {}, true);
  {
    RawSocket socket(server->port());
    ASSERT_TRUE(
        socket.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"));
    const std::string answer = socket.receive_all();
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 401 ")) << "and no 100 before it: " << answer;
    EXPECT_NE(answer.find("connection: close\r\n"), std::string::npos) << "it may send the body or not";
  }
  {
    // A client that is already sending must still get its answer, not a RST.
    RawSocket socket(server->port());
    std::thread sender([&] {
      socket.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20000000\r\n\r\n" +
                  std::string(20'000'000, 'x'));
      shutdown(socket.fd(), SHUT_WR);
    });
    EXPECT_TRUE(socket.receive_all().starts_with("HTTP/1.1 401 "));
    sender.join();
  }
  RawSocket socket(server->port());
  ASSERT_TRUE(
      socket.send("POST /ok HTTP/1.1\r\nHost: x\r\nAuthorization: y\r\nContent-Length: 5\r\n"
                  "Expect: 100-continue\r\n\r\n"));
  EXPECT_EQ(socket.receive_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  ASSERT_TRUE(socket.send("hello"));
  EXPECT_TRUE(socket.receive_answer().ends_with("POST /ok hello")) << "control: with the credential";
}

TEST_F(ServerTest, ASmallBodyThatNobodyWantsIsSkippedAndTheConnectionKept) {
  start(body_for_the_known, {}, true);
  RawSocket socket(server->port());
  ASSERT_TRUE(socket.send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 39\r\n\r\nGET /smuggled HTTP/1.1"));
  const std::string refused = socket.receive_answer();
  EXPECT_TRUE(refused.starts_with("HTTP/1.1 401 ")) << refused;
  EXPECT_EQ(refused.find("connection: close"), std::string::npos);
  ASSERT_TRUE(socket.send("\r\nHost: smuggle\r\n"));  // the rest of the 39 bytes
  ASSERT_TRUE(socket.send("POST /b HTTP/1.1\r\nHost: x\r\nAuthorization: y\r\nContent-Length: 2\r\n\r\nok"));
  EXPECT_TRUE(socket.receive_answer().ends_with("POST /b ok"));
  EXPECT_EQ(server->stats().connections_total, 1u);
  EXPECT_EQ(server->stats().requests_total, 2u);
  // Where its end can't be known, or is far, the connection ends instead.
  for (const char* framing :
       {"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", "Content-Length: 65537\r\n\r\nx"}) {
    RawSocket other(server->port());
    ASSERT_TRUE(other.send(std::string("POST /a HTTP/1.1\r\nHost: x\r\n") + framing));
    EXPECT_NE(other.receive_all().find("connection: close\r\n"), std::string::npos) << framing;
  }
}

base::Task<void> body_in_parts(Exchange& exchange) {
  std::string sizes = exchange.body_length() ? std::to_string(*exchange.body_length()) : "unknown";
  for (std::size_t bytes = 4; bytes <= 16; bytes += 4) {
    const auto received = co_await exchange.receive_body(bytes);
    sizes += received ? (*received ? " whole" : " part") : " failed";
    if (!received || *received) break;
  }
  const auto sent = co_await exchange.send(Response::text(200, sizes + " " + exchange.request().body));
  (void)sent;
}

TEST_F(ServerTest, ABodyIsReadNoFurtherThanAskedFor) {
  start(body_in_parts, {}, true);
  const std::string head = "POST / HTTP/1.1\r\nHost: x\r\n";
  RawSocket socket(server->port());
  ASSERT_TRUE(socket.send(head + "Content-Length: 10\r\n\r\n0123456789"));
  EXPECT_TRUE(socket.receive_answer().ends_with("\r\n10 part part whole 0123456789"));
  ASSERT_TRUE(socket.send(head + "Transfer-Encoding: chunked\r\n\r\n6\r\n012345\r\n2\r\n67\r\n0\r\n\r\n"));
  EXPECT_TRUE(socket.receive_answer().ends_with("\r\nunknown part part whole 01234567"));
  ASSERT_TRUE(socket.send(head + "Content-Length: 0\r\nExpect: 100-continue\r\n\r\n"));
  EXPECT_TRUE(socket.receive_answer().ends_with("\r\n0 whole ")) << "no 100 for nothing";
  ASSERT_TRUE(socket.send(head + "Transfer-Encoding: chunked\r\n\r\n5\r\n01234x"));
  const std::string broken = socket.receive_all();
  EXPECT_TRUE(broken.ends_with("\r\nunknown part failed ")) << broken;
  EXPECT_NE(broken.find("connection: close\r\n"), std::string::npos);
}

constexpr std::string_view kPostHead = "POST / HTTP/1.1\r\nHost: x\r\nAuthorization: y\r\nContent-Length: ";

TEST_F(ServerTest, ASteadySenderHasTime) {
  for (const bool on_demand : {true, false}) {
    ServerLimits limits;
    limits.head_time_max = milliseconds(50);
    limits.transfer_rate_min = 1;
    start(on_demand ? Handler(body_for_the_known) : Handler(echo), limits, on_demand);
    RawSocket steady(server->port());
    constexpr std::size_t kBody = 1 << 20;
    ASSERT_TRUE(steady.send(std::string(kPostHead) + std::to_string(kBody) + "\r\n\r\n"));
    std::size_t sent = 0;
    // As long as three heads, one after the other, take to run out of their time.
    for (int i = 0; i < 3; ++i) {
      RawSocket slow(server->port());
      ASSERT_TRUE(slow.send("GET / HTTP/1.1\r\nHo"));
      std::string answer;
      ASSERT_TRUE(eventually([&] {
        if (sent < kBody && steady.send("x")) ++sent;
        answer = slow.receive_some(1);
        return !answer.empty();
      }));
      EXPECT_TRUE(answer.starts_with("HTTP/1.1 408 ")) << answer;
    }
    ASSERT_TRUE(steady.send(std::string(kBody - sent, 'x')));
    EXPECT_TRUE(steady.receive_answer().starts_with("HTTP/1.1 200 "));
  }
}

TEST_F(ServerTest, ASilentOrTricklingSenderGets408) {
  for (const bool on_demand : {true, false}) {
    ServerLimits limits;
    limits.stall_time_max = milliseconds(60);
    limits.transfer_rate_min = 1 << 20;
    start(on_demand ? Handler(body_for_the_known) : Handler(echo), limits, on_demand);
    RawSocket silent(server->port());
    ASSERT_TRUE(silent.send(std::string(kPostHead) + "5\r\n\r\nhell"));
    EXPECT_TRUE(silent.receive_all().starts_with("HTTP/1.1 408 "));
    // A byte now and then keeps no connection: it is below the rate.
    RawSocket trickling(server->port());
    ASSERT_TRUE(trickling.send(std::string(kPostHead) + "1000000\r\n\r\n"));
    std::string answer;
    ASSERT_TRUE(eventually([&] {
      answer = trickling.receive_some(5);
      return !answer.empty() || !trickling.send("x");
    }));
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 408 ")) << answer;
  }
}

base::Task<void> stream_three(Exchange& exchange) {
  Headers headers;
  headers.add("content-type", "text/event-stream");
  auto sent = co_await exchange.start(200, std::move(headers));
  for (int i = 0; i < 3 && sent; ++i) sent = co_await exchange.write("data: " + std::to_string(i) + "\n\n");
  sent = co_await exchange.write(std::string(10'000, 'x'));
  sent = co_await exchange.finish();
}

TEST_F(ServerTest, StreamsInChunks) {
  start(stream_three);
  RawSocket socket(server->port());
  ASSERT_TRUE(socket.send(kGet));
  EXPECT_NE(socket.receive_until("\r\n\r\n").find("transfer-encoding: chunked\r\n"), std::string::npos);
  EXPECT_EQ(socket.receive_until("0\r\n\r\n"),
            "9\r\ndata: 0\n\n\r\n9\r\ndata: 1\n\n\r\n9\r\ndata: 2\n\n\r\n2710\r\n" +
                std::string(10'000, 'x') + "\r\n0\r\n\r\n");
  ASSERT_TRUE(socket.send(kGet)) << "the connection lives on";
  EXPECT_TRUE(socket.receive_until("0\r\n\r\n").ends_with("0\r\n\r\n"));
}

base::Task<void> fail_in_the_middle(Exchange& exchange) {
  const auto started = co_await exchange.start(200, Headers());
  const auto written = co_await exchange.write("half");
  (void)started;
  (void)written;
  exchange.abort();
}
base::Task<void> forget_to_finish(Exchange& exchange) {
  const auto started = co_await exchange.start(200, Headers());
  const auto written = co_await exchange.write("half");
  (void)started;
  (void)written;
}
base::Task<void> forget_to_answer(Exchange&) { co_return; }
base::Task<void> split_the_answer(Exchange& exchange) {
  Response response = Response::text(200, "x");
  response.headers.add("x-evil", "a\r\nset-cookie: b");
  const auto sent = co_await exchange.send(std::move(response));
  (void)sent;
}

TEST_F(ServerTest, ACutAnswerIsToldFromAWholeOne) {
  for (Handler handler : {Handler(fail_in_the_middle), Handler(forget_to_finish)}) {
    start(handler);
    RawSocket socket(server->port());
    ASSERT_TRUE(socket.send(kGet));
    EXPECT_EQ(socket.receive_all().find("0\r\n\r\n"), std::string::npos);
    EXPECT_TRUE(socket.was_reset());
  }
}

TEST_F(ServerTest, HandlersThatMisbehaveGiveA500) {
  for (Handler handler : {Handler(forget_to_answer), Handler(split_the_answer)}) {
    start(handler);
    RawSocket socket(server->port());
    ASSERT_TRUE(socket.send(kGet));
    const std::string answer = socket.receive_answer();
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 500 ")) << answer;
    EXPECT_EQ(answer.find("set-cookie"), std::string::npos);
  }
}

std::promise<base::CancelReason>* cancelled_because = nullptr;
base::Event* handler_runs = nullptr;

base::Task<void> wait_for_cancel(Exchange& exchange) {
  handler_runs->set();
  const bool slept = co_await Reactor::current()->sleep(std::chrono::minutes(5), exchange.cancel_token());
  (void)slept;
  cancelled_because->set_value(exchange.cancel_token().reason());
}

TEST_F(ServerTest, AClientThatGoesAwayCancelsItsHandler) {
  std::promise<base::CancelReason> reason;
  base::Event runs;
  cancelled_because = &reason;
  handler_runs = &runs;
  start(wait_for_cancel);
  auto socket = std::make_unique<RawSocket>(server->port());
  ASSERT_TRUE(socket->send(kGet));
  ASSERT_TRUE(eventually([&] { return runs.is_set(); }));
  ASSERT_TRUE(socket->send(kGet)) << "a pipelined request is no reason";
  socket.reset();
  EXPECT_EQ(reason.get_future().get(), base::CancelReason::ClientGone);
}

std::promise<bool>* write_result = nullptr;

base::Task<void> write_forever(Exchange& exchange) {
  auto sent = co_await exchange.start(200, Headers());
  while (sent) sent = co_await exchange.write(std::string(64 << 10, 'x'));
  write_result->set_value(sent.error().is(HttpError::Timeout) && exchange.cancel_token().cancelled());
}

TEST_F(ServerTest, ASlowReaderIsCutOff) {
  std::promise<bool> result;
  write_result = &result;
  ServerLimits limits;
  limits.stall_time_max = milliseconds(50);
  start(write_forever, limits);
  RawSocket socket(server->port(), 4096);
  ASSERT_TRUE(socket.send(kGet));
  EXPECT_TRUE(result.get_future().get());
}

TEST_F(ServerTest, ASlowSenderGets408AndAnIdleOneIsClosed) {
  ServerLimits limits;
  limits.head_time_max = milliseconds(60);
  limits.idle_time_max = milliseconds(40);
  start(echo, limits);
  RawSocket slow(server->port());
  ASSERT_TRUE(slow.send("GET / HTTP/1.1\r\nHo"));
  EXPECT_TRUE(slow.receive_all().starts_with("HTTP/1.1 408 "));
  RawSocket silent(server->port());
  EXPECT_EQ(silent.receive_all(), "");
  RawSocket idle(server->port());
  ASSERT_TRUE(idle.send(kGet));
  EXPECT_TRUE(idle.receive_answer().starts_with("HTTP/1.1 200 ")) << "control: a quick one is served";
  EXPECT_EQ(idle.receive_all(), "");
  // Dripping bytes must not buy time: the limit counts from the first byte.
  RawSocket dripping(server->port());
  EXPECT_TRUE(eventually([&] { return !dripping.send("G") || !dripping.receive_some(5).empty(); }));
}

// However many reactors there are.
TEST_F(ServerTest, ConnectionsBeyondTheLimitAreClosed) {
  ServerLimits limits;
  limits.connections_max = 2;
  ReactorPool one(3);
  Server::Options options;
  options.handler = echo;
  options.limits = limits;
  auto small = start_server(one, std::move(options));
  std::vector<RawSocket> sockets;
  for (int i = 0; i < 2; ++i) {
    sockets.emplace_back(small->port());
    ASSERT_TRUE(sockets.back().send(kGet));
    EXPECT_TRUE(sockets.back().receive_answer().starts_with("HTTP/1.1 200 "));
  }
  RawSocket third(small->port());
  EXPECT_EQ(third.receive_all(), "");
  sockets.pop_back();
  ASSERT_TRUE(eventually([&] { return small->stats().connections_open == 1; }));
  RawSocket again(small->port());
  ASSERT_TRUE(again.send(kGet));
  EXPECT_TRUE(again.receive_answer().starts_with("HTTP/1.1 200 ")) << "control: room again";
  EXPECT_EQ(small->stats().connections_refused, 1u);
}

TEST_F(ServerTest, ConnectionsOfOneAddressAreBounded) {
  ServerLimits limits;
  limits.connections_per_address_max = 1;
  start(echo, limits);
  const auto connect_from = [this](std::uint32_t source) {
    RawSocket socket(server->port(), 0, source);
    static_cast<void>(socket.send(kGet));  // may be closed already
    return std::pair(socket.receive_answer().starts_with("HTTP/1.1 200 "), std::move(socket));
  };
  const auto first = connect_from(0x7F000001);
  EXPECT_TRUE(first.first);
  EXPECT_FALSE(connect_from(0x7F000001).first);
  EXPECT_TRUE(connect_from(0x7F000002).first) << "control: another address";
  EXPECT_EQ(server->stats().connections_refused, 1u);
}

TEST_F(ServerTest, ServesAThousandConnections) {
  start(echo);
  std::vector<RawSocket> sockets;
  for (int i = 0; i < 1000; ++i) {
    sockets.emplace_back(server->port());
    ASSERT_TRUE(sockets.back().connected()) << i;
    ASSERT_TRUE(sockets.back().send(kGet));
  }
  for (auto& socket : sockets) EXPECT_TRUE(socket.receive_answer().starts_with("HTTP/1.1 200 "));
  EXPECT_EQ(server->stats().connections_open, 1000u);
}

base::Event* release = nullptr;
base::Task<void> wait_for_release(Exchange& exchange) {
  handler_runs->set();
  co_await *release;
  const auto sent = co_await exchange.send(Response::text(200, "late"));
  (void)sent;
}

TEST_F(ServerTest, DrainLetsRunningRequestsFinish) {
  base::Event runs, released;
  handler_runs = &runs;
  release = &released;
  start(wait_for_release);
  RawSocket idle(server->port());
  ASSERT_TRUE(eventually([&] { return server->stats().connections_open == 1; }));
  RawSocket busy(server->port());
  ASSERT_TRUE(busy.send(kGet));
  ASSERT_TRUE(eventually([&] { return runs.is_set(); }));
  auto drained = std::async(std::launch::async, [&] { return server->drain(std::chrono::seconds(20)); });
  EXPECT_EQ(idle.receive_all(), "");
  RawSocket late(server->port());
  EXPECT_TRUE(!late.connected() || late.receive_all().empty());
  released.set();
  const std::string answer = busy.receive_answer();
  EXPECT_NE(answer.find("connection: close\r\n"), std::string::npos) << answer;
  EXPECT_TRUE(drained.get());
}

base::Task<bool> a_turn() { co_return true; }

TEST_F(ServerTest, WhatOutlastsTheDrainGoesOnUntilTheServerGoes) {
  std::promise<base::CancelReason> reason;
  base::Event runs;
  cancelled_because = &reason;
  handler_runs = &runs;
  start(wait_for_cancel);
  RawSocket socket(server->port());
  ASSERT_TRUE(socket.send(kGet));
  ASSERT_TRUE(eventually([&] { return runs.is_set(); }));
  EXPECT_FALSE(server->drain(milliseconds(1)));
  auto told = reason.get_future();
  EXPECT_FALSE(server->drain(milliseconds(1)));
  // What the drain had to say to the handler, each reactor has done by its next piece of work.
  for (std::size_t i = 0; i < pool.size(); ++i) run_on(pool.at(i), a_turn());
  EXPECT_EQ(told.wait_for(milliseconds(0)), std::future_status::timeout) << "its owner may still end it well";
  server.reset();
  EXPECT_EQ(told.get(), base::CancelReason::Shutdown);
}

TEST_F(ServerTest, UnixSocketsArePrivateAndStaleOnesReplaced) {
  TemporaryFolder folder;
  const std::string path = (folder.path() / "s.sock").string();
  Server::Options options;
  options.handler = echo;
  options.address.unix_path = path;
  auto first = start_server(pool, options);
  struct stat info{};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
  // Dealt to both reactors in turn.
  for (int i = 0; i < 4; ++i) {
    RawSocket socket(path);
    ASSERT_TRUE(socket.send(kGet));
    EXPECT_TRUE(socket.receive_answer().starts_with("HTTP/1.1 200 "));
  }
  const auto second = Server::start(pool, options);
  ASSERT_FALSE(second) << "somebody accepts there";
  EXPECT_TRUE(second.error().is(HttpError::Bind));
  first.reset();
  EXPECT_FALSE(std::filesystem::exists(path));

  // A socket file that a crashed server left behind.
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ::close(fd);
  EXPECT_TRUE(start_server(pool, options));

  const std::string file = (folder.path() / "file").string();
  std::ofstream(file) << "precious";
  options.address.unix_path = file;
  EXPECT_FALSE(Server::start(pool, options)) << "never removes what is no socket";
  EXPECT_TRUE(std::filesystem::exists(file));
}

TEST_F(ServerTest, ATakenPortIsAnError) {
  start(echo);
  Server::Options options;
  options.handler = echo;
  options.address.port = server->port();
  const auto second = Server::start(pool, options);
  ASSERT_FALSE(second);
  EXPECT_TRUE(second.error().is(HttpError::Bind));
  options.address.port = 0;
  options.address.host = "not-an-address";
  EXPECT_FALSE(Server::start(pool, options));
}

TEST_F(ServerTest, AnInheritedSocketIsServed) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(::listen(fd, 16), 0);
  Server::Options options;
  options.handler = echo;
  options.address.inherited_fd = fd;
  auto inherited = start_server(pool, std::move(options));
  RawSocket socket(inherited->port());
  ASSERT_TRUE(socket.send(kGet));
  EXPECT_TRUE(socket.receive_answer().starts_with("HTTP/1.1 200 "));
}

}  // namespace
}  // namespace bulkhead::http
