// Streams of an engine: choices apart, tool calls whole, nothing accepted that the protocol doesn't say.
#include "engine/stream_reader.h"

#include <gtest/gtest.h>

#include "engine/openai_body.h"

namespace bulkhead::engine::wire {
namespace {

std::string event(int choice, const std::string& delta, const std::string& reason = "null") {
  return R"({"choices":[{"index":)" + std::to_string(choice) + R"(,"delta":)" + delta +
         R"(,"finish_reason":)" + reason + "}]}";
}

TEST(StreamReader, ChoicesStayApartAndCallsComeWhole) {
  StreamReader reader(2, false);
  ASSERT_TRUE(reader.feed(event(1, R"({"content":"b"})")));
  ASSERT_TRUE(reader.feed(
      event(0, R"({"tool_calls":[{"index":0,"id":"c1","function":{"name":"f","arguments":"{\"a"}}]})")));
  ASSERT_TRUE(reader.feed(event(0, R"({"tool_calls":[{"index":0,"function":{"arguments":"\":1}"}}]})")));
  auto first = reader.next();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->choice, 1u);
  EXPECT_EQ(first->text, "b");
  EXPECT_FALSE(reader.next()) << "a call is not given out before it is whole";
  ASSERT_TRUE(reader.feed(event(0, "{}", "\"tool_calls\"")));
  auto call = reader.next();
  ASSERT_TRUE(call);
  ASSERT_EQ(call->tool_calls.size(), 1u);
  EXPECT_EQ(call->tool_calls[0].id, "c1");
  EXPECT_EQ(call->tool_calls[0].arguments, R"({"a":1})");
  EXPECT_FALSE(reader.feed("[DONE]")) << "choice 1 has no end";
  ASSERT_TRUE(reader.feed(event(1, "{}", "\"stop\"")));
  ASSERT_TRUE(reader.feed("[DONE]"));
  EXPECT_TRUE(reader.done());
  EXPECT_EQ(reader.result().choices[1].finish_reason, "stop");
}

TEST(StreamReader, RefusesWhatTheProtocolDoesNotSay) {
  for (const std::string& bad :
       {event(2, "{}"), event(-1, "{}"), std::string("{"), std::string(R"({"error":{"message":"x"}})"),
        event(0, R"({"tool_calls":[{"index":1,"function":{"name":"f"}}]})"),
        event(0, R"({"tool_calls":[{"index":-1,"function":{"name":"f"}}]})")}) {
    StreamReader reader(2, false);
    EXPECT_FALSE(reader.feed(bad)) << bad;
  }
}

TEST(StreamReader, CachedTokensAreTheEnginesFigureOrNone) {
  auto cached = [](const std::string& details) {
    StreamReader reader(1, false);
    EXPECT_TRUE(
        reader.feed(R"({"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":1)" + details + "}}"));
    return reader.result().usage.cached_tokens.value_or(-1);
  };
  EXPECT_EQ(cached(R"(,"prompt_tokens_details":{"cached_tokens":4})"), 4);
  EXPECT_EQ(cached(""), -1);
  EXPECT_EQ(cached(R"(,"prompt_tokens_details":{"cached_tokens":10})"), -1) << "more than the prompt has";
}

TEST(OpenAiBody, SaysOnlyWhatWasAsked) {
  ChatRequest request;
  request.model = "m";
  request.messages = {{"user", "hi"}};
  EXPECT_EQ(generation_body(request),
            R"({"model":"m","messages":[{"role":"user","content":"hi"}],"stream":false})");
  request.prompt = "p";
  request.logprobs = true;
  request.choices = 2;
  EXPECT_EQ(generation_path(request), "/v1/completions");
  EXPECT_EQ(generation_body(request), R"({"model":"m","prompt":"p","logprobs":0,"n":2,"stream":false})");
}

}  // namespace
}  // namespace bulkhead::engine::wire
