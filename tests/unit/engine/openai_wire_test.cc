// Answers of an upstream that may be a stranger's: counts and vectors are sane or refused, and its
// words stay inside.
#include "engine/openai_wire.h"

#include <gtest/gtest.h>

#include <cmath>

namespace bulkhead::engine::wire {
namespace {

TEST(OpenAiWire, CountsThatAreNoneCountAsNotKnown) {
  auto read = [](const char* usage) {
    std::string body = R"({"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":)" +
                       std::string(usage) + R"(,"completion_tokens":2}})";
    auto completion = parse_completion(body, 1, false);
    EXPECT_TRUE(completion);
    return completion ? completion->usage.prompt_tokens : -1;
  };
  EXPECT_EQ(read("7"), 7) << "control";
  EXPECT_EQ(read("-7"), 0) << "would give tokens back";
  EXPECT_EQ(read("9223372036854775807"), 0) << "would overflow sums";
  EXPECT_EQ(read("\"7\""), 0);
  EXPECT_TRUE(parse_token_counts(R"({"counts":[1,2]})", 2)) << "control";
  EXPECT_FALSE(parse_token_counts(R"({"counts":[1,-2]})", 2));
  EXPECT_FALSE(parse_token_counts(R"({"counts":[1]})", 2));
}

TEST(OpenAiWire, VectorsAreOfUnitLengthOrRefused) {
  auto vectors =
      parse_embeddings(R"({"data":[{"index":1,"embedding":[3,4]},{"index":0,"embedding":[0,2]}]})", 2);
  ASSERT_TRUE(vectors);
  EXPECT_FLOAT_EQ(vectors->vectors[0][1], 1.0F);
  EXPECT_FLOAT_EQ(vectors->vectors[1][0], 0.6F);
  for (const char* numbers : {"[]", "[0,0]", "[1e200,1]", "[1e-200,0]", "[\"1\"]", "[null]"}) {
    auto refused = parse_embeddings(R"({"data":[{"index":0,"embedding":)" + std::string(numbers) + "}]}", 1);
    ASSERT_FALSE(refused) << numbers;
    EXPECT_TRUE(refused.error().is(EngineError::BadAnswer));
  }
  EXPECT_FALSE(parse_embeddings(R"({"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[1]}]})", 2));
}

TEST(OpenAiWire, EveryDocumentHasOneUsableScoreOrThereIsNoRanking) {
  auto ranking = parse_ranking(
      R"({"results":[{"index":1,"relevance_score":-2.5},{"index":0,"relevance_score":7}],"usage":{"total_tokens":9}})",
      2);
  ASSERT_TRUE(ranking);
  EXPECT_EQ(ranking->scores, (std::vector<double>{7, -2.5}));
  EXPECT_EQ(ranking->tokens, 9);
  for (const char* second : {R"({"index":1,"relevance_score":1})", R"({"index":2,"relevance_score":1})",
                             R"({"index":0,"relevance_score":null})", R"({"index":-1,"relevance_score":1})",
                             R"({"index":0,"relevance_score":1e300})", R"({"relevance_score":1})"}) {
    std::string body = R"({"results":[{"index":1,"relevance_score":1},)" + std::string(second) + "]}";
    auto refused = parse_ranking(body, 2);
    ASSERT_FALSE(refused) << second;
    EXPECT_TRUE(refused.error().is(EngineError::BadAnswer));
  }
  EXPECT_FALSE(parse_ranking(R"({"results":[{"index":0,"relevance_score":1}]})", 2));
}

TEST(OpenAiWire, ATextThatDoesNotFitIsNamedByItsPlaceAlone) {
  auto named = [](const std::string& parameter) {
    return read_error(400, R"({"error":{"code":"context_length_exceeded","param":")" + parameter + R"("}})")
        .parameter();
  };
  EXPECT_EQ(named("documents[17]"), "documents[17]");
  EXPECT_EQ(named("input[0]"), "input[0]");
  for (const char* other : {"", "documents[SECRET]", "documents[]", "SECRET[1]", "documents[12345678]"}) {
    EXPECT_EQ(named(other), "messages") << other;
  }
}

TEST(OpenAiWire, CodesOfAnUpstreamAreOfAClosedSet) {
  auto detail = [](const std::string& code) {
    return read_error(500, R"({"error":{"code":")" + code + R"("}})").detail();
  };
  EXPECT_EQ(detail("server_error"), "server_error") << "control";
  for (const char* other : {"patient J. Doe", "SERVER_ERROR", "", "tenant_suspended"}) {
    EXPECT_EQ(detail(other), "status_500") << other;
  }
}

TEST(OpenAiWire, ModelsHaveUsableNamesOrThereAreNone) {
  auto read = [](const char* item) { return parse_models(R"({"data":[)" + std::string(item) + "]}"); };
  EXPECT_TRUE(read(R"({"id":"org/model-1.5:q4","kind":"chat"})")) << "control";
  for (const char* item : {R"({"id":"a b"})", R"({"id":""})", R"({"id":"a\nb"})",
                           R"({"id":"a","kind":"other"})", R"({"id":"a","sha256":"<x>"})"}) {
    EXPECT_FALSE(read(item)) << item;
  }
}

TEST(OpenAiWire, AWholeAnswerWithoutUsageIsCountedByItsSize) {
  auto read = [](const std::string& usage) {
    auto whole = parse_completion(
        R"({"choices":[{"message":{"content":")" + std::string(80, 'x') + R"("}}])" + usage + "}", 1, false);
    EXPECT_TRUE(whole);
    return whole ? whole->usage : Usage();
  };
  EXPECT_EQ(read("").completion_tokens, 20);
  EXPECT_FALSE(read("").told);
  EXPECT_EQ(read(R"(,"usage":{"prompt_tokens":3,"completion_tokens":0})").completion_tokens, 20);
  EXPECT_EQ(read(R"(,"usage":{"prompt_tokens":3,"completion_tokens":17})").completion_tokens, 17)
      << "control";
}

TEST(OpenAiWire, AnUpstreamsWordsNeverReachTheMessage) {
  std::string body = R"({"error":{"message":"the prompt was SECRET","code":"odd","type":"x"}})";
  for (int status : {400, 401, 404, 413, 422, 429, 500, 503}) {
    base::Error error = read_error(status, body);
    EXPECT_EQ(error.message().find("SECRET"), std::string::npos);
    EXPECT_EQ(error.detail().find("SECRET"), std::string::npos);
    EXPECT_FALSE(error.message().empty());
  }
}

}  // namespace
}  // namespace bulkhead::engine::wire
