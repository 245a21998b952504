#include "http/request_parser.h"

#include <gtest/gtest.h>

namespace bulkhead::http {
namespace {

struct Outcome {
  RequestParser::State state;
  int status = 0;
  std::optional<Request> request;
  bool headers_done = false;
  bool keep_alive = false;
  std::string rest;
};

// Feeds `text` in pieces of `piece` bytes, as a socket would bring them.
Outcome parse(std::string_view text, std::size_t piece = std::string_view::npos, ParserLimits limits = {}) {
  RequestParser parser(limits);
  Outcome outcome{RequestParser::State::NeedMore};
  std::string pending;
  while (true) {
    std::size_t consumed = 0;
    outcome.state = parser.feed(pending, consumed);
    pending.erase(0, consumed);
    if (outcome.state == RequestParser::State::NeedMore) {
      EXPECT_TRUE(pending.empty());
      if (text.empty()) break;
      pending.append(text.substr(0, piece));
      text.remove_prefix(std::min(piece, text.size()));
      continue;
    }
    if (outcome.state == RequestParser::State::HeadersDone) {
      outcome.headers_done = true;
      continue;
    }
    break;
  }
  if (outcome.state == RequestParser::State::Failed) outcome.status = parser.error_status();
  if (outcome.state == RequestParser::State::Done) {
    outcome.keep_alive = parser.keep_alive();
    outcome.request = parser.take();
  }
  outcome.rest = pending + std::string(text);
  return outcome;
}

int refusal(std::string_view text) {
  const Outcome whole = parse(text);
  const Outcome bytewise = parse(text, 1);
  EXPECT_EQ(whole.status, bytewise.status) << text;
  EXPECT_EQ(whole.state, bytewise.state) << text;
  return whole.status;
}

// The control of the refusals below: the same request without the one defect passes.
TEST(RequestParser, AcceptsAPlainRequest) {
  const std::string text =
      "POST /v1/chat%20x/completions?a=1&b=%41+c HTTP/1.1\r\nHost: localhost:80\r\n"
      "X-Thing:  some value \r\nContent-Length: 5\r\n\r\nhello";
  for (std::size_t piece : {std::size_t{1}, std::size_t{2}, std::size_t{7}, text.size()}) {
    const Outcome outcome = parse(text, piece);
    ASSERT_EQ(outcome.state, RequestParser::State::Done) << piece;
    EXPECT_TRUE(outcome.headers_done);
    EXPECT_TRUE(outcome.keep_alive);
    EXPECT_EQ(outcome.request->method, Method::Post);
    EXPECT_EQ(outcome.request->path, "/v1/chat x/completions");
    EXPECT_EQ(outcome.request->target, "/v1/chat%20x/completions?a=1&b=%41+c");
    EXPECT_EQ(outcome.request->query_value("a"), "1");
    EXPECT_EQ(outcome.request->query_value("b"), "A c");
    EXPECT_EQ(outcome.request->headers.single("x-thing"), "some value");
    EXPECT_EQ(outcome.request->body, "hello");
  }
}

TEST(RequestParser, LeavesThePipelinedRequestAlone) {
  const std::string one = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
  const Outcome outcome = parse(one + "GET /b HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_EQ(outcome.state, RequestParser::State::Done);
  EXPECT_FALSE(outcome.headers_done);
  EXPECT_EQ(outcome.rest, "GET /b HTTP/1.1\r\nHost: x\r\n\r\n");
}

TEST(RequestParser, DecodesChunks) {
  const std::string text =
      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
      "5\r\nhello\r\n6;note=x\r\n world\r\n0\r\n\r\n";
  for (std::size_t piece : {std::size_t{1}, std::size_t{3}, text.size()}) {
    const Outcome outcome = parse(text, piece);
    ASSERT_EQ(outcome.state, RequestParser::State::Done);
    EXPECT_EQ(outcome.request->body, "hello world");
  }
}

TEST(RequestParser, RefusesSmuggling) {
  const std::string head = "POST / HTTP/1.1\r\nHost: x\r\n";
  const char* const framings[] = {
      "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n",  // CL.TE
      "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",  // TE.CL
      "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
      "Content-Length: 5\r\nContent-Length: 5\r\n",
      "Content-Length: 5, 5\r\n",
      "Content-Length: +5\r\n",
      "Content-Length: -1\r\n",
      "Content-Length: 0x5\r\n",
      "Content-Length: 5 5\r\n",
      "Content-Length: \r\n",
      "Content-Length: 99999999999999999999\r\n",
      "Content-Length : 5\r\n",
      " Content-Length: 5\r\n",
      "X: y\r\n folded\r\n",
      "X: y\n",
      "X: a\rb\r\n",
      "X\t: y\r\n",
      ": y\r\n",
      "X y\r\n",
  };
  for (const char* framing : framings) EXPECT_EQ(refusal(head + framing + "\r\n12345"), 400) << framing;
  EXPECT_EQ(refusal(head + std::string("X: a\0b\r\n\r\n", 10)), 400);
  for (const char* coding : {"xchunked", "gzip, chunked", "identity", "chunked, chunked", "\"chunked\""}) {
    EXPECT_EQ(refusal(head + "Transfer-Encoding: " + coding + "\r\n\r\n"), 501) << coding;
  }
  // Control: the same head with sound framing.
  EXPECT_EQ(parse(head + "Content-Length: 5\r\n\r\n12345").state, RequestParser::State::Done);
}

TEST(RequestParser, RefusesBadChunks) {
  const std::string head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const char* body :
       {"\r\n", "x\r\n", "-1\r\n", "0x5\r\n", "5 \r\nhello\r\n", "5\nhello\r\n0\r\n\r\n", "5\r\nhelloX\r\n",
        "5\r\nhello\n0\r\n\r\n", "ffffffffffffffff\r\n", "0\r\nTrailer: x\r\n\r\n", ";x\r\n"}) {
    EXPECT_EQ(refusal(head + body), 400) << body;
  }
  EXPECT_EQ(refusal(head + "5;" + std::string(200, 'a') + "\r\nhello\r\n0\r\n\r\n"), 400);
}

TEST(RequestParser, RefusesBadHosts) {
  for (const char* host :
       {"", "Host: \r\n", "Host: a\r\nHost: a\r\n", "Host: a b\r\n", "Host: a/b\r\n", "Host: user@a\r\n",
        "Host: a:99999\r\n", "Host: a:\r\n", "Host: [::1\r\n", "Host: a,b\r\n"}) {
    EXPECT_EQ(refusal(std::string("GET / HTTP/1.1\r\n") + host + "\r\n"), 400) << host;
  }
  for (const char* host : {"a", "a.example:8443", "127.0.0.1", "[::1]:80"}) {
    EXPECT_EQ(parse(std::string("GET / HTTP/1.1\r\nHost: ") + host + "\r\n\r\n").state,
              RequestParser::State::Done)
        << host;
  }
}

TEST(RequestParser, RefusesPathsThatReadTwoWays) {
  for (const char* target : {"/a%2fb",  "/a%2Fb",  "/a%5cb",        "/a%00b",      "/a%0ab",   "/a%7f",
                             "/..",     "/a/../b", "/a/%2e%2e/b",   "/./a",        "/a/.",     "//a",
                             "/a//b",   "/a\\b",   "/a%",           "/a%4",        "/a%zz",    "a",
                             "*",       "/a#b",    "/a<b",          "/a\"b",       "/a{b",     "/?a=%00",
                             "/?a=%zz", "/?a\\b",  "http://other/", "http://x@y/", "ftp://x/", "/\x80"}) {
    EXPECT_EQ(refusal(std::string("GET ") + target + " HTTP/1.1\r\nHost: x\r\n\r\n"), 400) << target;
  }
  for (const char* target : {"/", "/a/", "/a.b", "/...", "/a%20b", "/%252e%252e/", "http://x/", "http://x"}) {
    EXPECT_EQ(parse(std::string("GET ") + target + " HTTP/1.1\r\nHost: x\r\n\r\n").state,
              RequestParser::State::Done)
        << target;
  }
  // Decoded once only.
  EXPECT_EQ(parse("GET /%252e%252e HTTP/1.1\r\nHost: x\r\n\r\n").request->path, "/%2e%2e");
}

TEST(RequestParser, RefusesBadRequestLines) {
  EXPECT_EQ(refusal("GET / HTTP/1.0\r\nHost: x\r\n\r\n"), 505);
  EXPECT_EQ(refusal("GET / HTTP/2.0\r\nHost: x\r\n\r\n"), 505);
  EXPECT_EQ(refusal("GET / http/1.1\r\nHost: x\r\n\r\n"), 400);
  EXPECT_EQ(refusal("GET  / HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
  EXPECT_EQ(refusal("GET /a b HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
  EXPECT_EQ(refusal("GET\r\nHost: x\r\n\r\n"), 400);
  EXPECT_EQ(refusal("BREW / HTTP/1.1\r\nHost: x\r\n\r\n"), 501);
  EXPECT_EQ(refusal("get / HTTP/1.1\r\nHost: x\r\n\r\n"), 501);
  EXPECT_EQ(refusal("G{T / HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
  EXPECT_EQ(refusal("GET / HTTP/1.1\nHost: x\n\n"), 400);
  EXPECT_EQ(refusal("GET / HTTP/1.1\r\nHost: x\r\nExpect: tea\r\n\r\n"), 400);
  EXPECT_EQ(parse("\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n").state, RequestParser::State::Done);
  EXPECT_EQ(parse("\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", 1).state, RequestParser::State::Done);
}

TEST(RequestParser, KeepsItsBounds) {
  ParserLimits limits;
  limits.request_line_bytes_max = 100;
  limits.header_bytes_max = 200;
  limits.header_count_max = 3;
  limits.body_bytes_max = 10;
  limits.chunk_count_max = 3;
  const std::string host = "Host: x\r\n";
  const std::string get = "GET / HTTP/1.1\r\n";
  for (std::size_t piece : {std::size_t{1}, std::size_t{1000}}) {
    EXPECT_EQ(parse("GET /" + std::string(100, 'a') + " HTTP/1.1\r\n" + host + "\r\n", piece, limits).status,
              431);
    EXPECT_EQ(parse("GET /" + std::string(100, 'a'), piece, limits).status, 431) << "an endless line";
    EXPECT_EQ(parse(get + host + "A: " + std::string(200, 'a'), piece, limits).status, 431);
    EXPECT_EQ(parse(get + host + "A: 1\r\nB: 2\r\nC: 3\r\n\r\n", piece, limits).status, 431);
    EXPECT_EQ(parse(get + host + "Content-Length: 11\r\n\r\n", piece, limits).status, 413);
    const std::string chunked = get + host + "Transfer-Encoding: chunked\r\n\r\n";
    EXPECT_EQ(parse(chunked + "6\r\nabcdef\r\n5\r\n", piece, limits).status, 413);
    EXPECT_EQ(parse(chunked + "1\r\na\r\n1\r\na\r\n1\r\na\r\n1\r\na\r\n", piece, limits).status, 413);
    // Control: at the bounds it passes.
    EXPECT_EQ(parse(get + host + "A: 1\r\nContent-Length: 10\r\n\r\n0123456789", piece, limits).state,
              RequestParser::State::Done);
  }
}

TEST(RequestParser, ReportsExpectationBeforeTheBody) {
  RequestParser parser{ParserLimits{}};
  std::size_t consumed = 0;
  const std::string head =
      "PUT /f HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-Continue\r\nConnection: x, "
      "Close\r\n\r\n";
  ASSERT_EQ(parser.feed(head, consumed), RequestParser::State::HeadersDone);
  EXPECT_TRUE(parser.expects_continue());
  EXPECT_EQ(parser.partial().path, "/f");
  ASSERT_EQ(parser.feed("", consumed), RequestParser::State::NeedMore);
  ASSERT_EQ(parser.feed("abc", consumed), RequestParser::State::Done);
  EXPECT_FALSE(parser.keep_alive());
  EXPECT_EQ(parser.take().body, "abc");
  // The parser is ready for the next message.
  ASSERT_EQ(parser.feed("GET / HTTP/1.1\r\nHost: x\r\n\r\n", consumed), RequestParser::State::Done);
  EXPECT_TRUE(parser.keep_alive());
  EXPECT_TRUE(parser.take().body.empty());
}

}  // namespace
}  // namespace bulkhead::http
