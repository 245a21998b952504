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
  EXPECT_EQ(reader.result().choices[1].finish_reason, FinishReason::Stop);
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

engine::Usage usage_after(const std::vector<std::string>& events) {
  StreamReader reader(1, false);
  for (const std::string& one : events) EXPECT_TRUE(reader.feed(one)) << one;
  return reader.result().usage;
}

TEST(StreamReader, CountsTokensAsTheyCome) {
  const std::string word = event(0, R"({"content":"hi"})");
  const std::string told = R"({"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":40}})";
  EXPECT_EQ(usage_after({word, word, word}).completion_tokens, 3)
      << "a token an event, where nothing is told";
  EXPECT_FALSE(usage_after({word}).told);
  EXPECT_EQ(usage_after({event(0, R"({"content":")" + std::string(400, 'x') + R"("})")}).completion_tokens,
            100)
      << "one large event is no one token";
  EXPECT_EQ(usage_after({word, told}).completion_tokens, 40);
  EXPECT_EQ(usage_after({told, word, word}).completion_tokens, 42) << "told on the way, and two since";
  EXPECT_EQ(usage_after({told, word}).prompt_tokens, 9);
  EXPECT_TRUE(usage_after({told, word}).told);
}

TEST(StreamReader, AnEngineCanNotTellFewerThanItSent) {
  std::vector<std::string> events(50, event(0, R"({"content":"a"})"));
  for (const char* count : {"0", "1", "-5", "\"x\""}) {
    events.push_back(R"({"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":)" + std::string(count) +
                     "}}");
    EXPECT_EQ(usage_after(events).completion_tokens, 50) << count;
    events.pop_back();
  }
}

TEST(StreamReader, UsageThatGrowsBeforeTheEndIsAnEmptyPiece) {
  StreamReader reader(1, false);
  const std::string told = R"({"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":40}})";
  ASSERT_TRUE(reader.feed(told));
  auto piece = reader.next();
  ASSERT_TRUE(piece);
  EXPECT_TRUE(piece->empty());
  ASSERT_TRUE(reader.feed(event(0, R"({"content":"a"})", "\"stop\"")));
  ASSERT_TRUE(reader.next());
  ASSERT_TRUE(reader.feed(told));
  EXPECT_FALSE(reader.next()) << "the end's usage is no progress";
}

TEST(StreamReader, WordsOfAnEngineAreReadIntoClosedSets) {
  for (const char* word : {"stop", "length", "tool_calls", "content_filter"}) {
    StreamReader reader(1, false);
    ASSERT_TRUE(reader.feed(event(0, "{}", '"' + std::string(word) + '"')));
    EXPECT_EQ(finish_reason_name(reader.result().choices[0].finish_reason), word);
  }
  for (const char* word : {"client_gone", "tenant_suspended", "Patient: J. Doe", "", "error", "Stop"}) {
    StreamReader reader(1, false);
    ASSERT_TRUE(reader.feed(event(0, "{}", '"' + std::string(word) + '"')));
    EXPECT_EQ(reader.result().choices[0].finish_reason, FinishReason::Other) << word;
  }
  for (const char* id : {"a b", "<script>", "\\n", "",
                         "0123456789012345678901234567890123456789012345678901234567890123456789"}) {
    StreamReader reader(1, false);
    ASSERT_TRUE(reader.feed(event(0,
                                  R"({"tool_calls":[{"index":0,"id":")" + std::string(id) +
                                      R"(","function":{"name":"f","arguments":"{}"}}]})",
                                  "\"tool_calls\"")));
    EXPECT_EQ(reader.next()->tool_calls.at(0).id, "call_0") << id;
  }
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
  EXPECT_EQ(worker_generation_body(request),
            R"({"model":"m","prompt":"p","logprobs":0,"n":2,"stream":false,"progress":true})");
}

}  // namespace
}  // namespace bulkhead::engine::wire
