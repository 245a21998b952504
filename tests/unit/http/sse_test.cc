#include "http/sse.h"

#include <gtest/gtest.h>

namespace bulkhead::http {
namespace {

TEST(Sse, SplitsAStreamHoweverItIsCut) {
  const std::string stream =
      ": comment\ndata: {\"a\":1}\n\nevent: x\r\ndata:two\r\ndata: lines\r\n\r\n\n" + sse_event("[DONE]");
  for (std::size_t piece = 1; piece <= stream.size(); ++piece) {
    SseParser parser;
    std::vector<std::string> events;
    for (std::size_t at = 0; at < stream.size(); at += piece) {
      ASSERT_TRUE(parser.feed(std::string_view(stream).substr(at, piece)));
      while (auto event = parser.next()) events.push_back(*event);
    }
    EXPECT_EQ(events, (std::vector<std::string>{"{\"a\":1}", "two\nlines", "[DONE]"})) << piece;
  }
}

TEST(Sse, RefusesAnEndlessEvent) {
  SseParser parser(100);
  ASSERT_TRUE(parser.feed("data: " + std::string(80, 'a')));
  EXPECT_FALSE(parser.feed(std::string(80, 'a')));
  SseParser many_lines(100);
  ASSERT_TRUE(many_lines.feed("data: " + std::string(80, 'a') + "\n"));
  EXPECT_FALSE(many_lines.feed("data: " + std::string(80, 'a') + "\n"));
}

}  // namespace
}  // namespace bulkhead::http
