#include "engine/guarantees.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "engine/dialect.h"

namespace bulkhead::engine {
namespace {

using tenancy::EnginePolicy;

constexpr EngineKind kExternal[] = {EngineKind::OpenAi, EngineKind::Vllm, EngineKind::LlamaServer,
                                    EngineKind::Sglang, EngineKind::Ollama};

EnginePolicy lenient() {
  EnginePolicy policy;
  policy.burn = tenancy::BurnMode::BestEffort;
  policy.prefix_isolation = tenancy::PrefixIsolation::BestEffort;
  return policy;
}

std::string refused(EngineKind kind, const EnginePolicy& policy) {
  auto checked = check_policy(kind, policy);
  if (checked) return "";
  EXPECT_NE(checked.error().message().find(kind_name(kind)), std::string::npos);
  EXPECT_NE(checked.error().message().find("[engine.chat]"), std::string::npos);
  EXPECT_NE(checked.error().message().find("Set \""), std::string::npos);
  return checked.error().parameter();
}

TEST(Guarantees, TheDefaultPolicyIsForTheWorkerOnly) {
  EXPECT_EQ(refused(EngineKind::Worker, {}), "");
  for (EngineKind kind : kExternal) EXPECT_NE(refused(kind, {}), "") << kind_name(kind);
}

TEST(Guarantees, AnythingGoesWithAPolicyThatAsksForNothing) {
  for (EngineKind kind : kExternal) EXPECT_EQ(refused(kind, lenient()), "") << kind_name(kind);
}

TEST(Guarantees, EachStricterMemberIsRefusedByName) {
  for (EngineKind kind : kExternal) {
    EnginePolicy policy = lenient();
    policy.burn = tenancy::BurnMode::Verified;
    EXPECT_EQ(refused(kind, policy), "burn") << kind_name(kind);
    policy = lenient();
    policy.batching = tenancy::BatchingMode::Exclusive;
    EXPECT_EQ(refused(kind, policy), "batching") << kind_name(kind);
    policy = lenient();
    policy.engine = tenancy::EngineMode::Dedicated;
    EXPECT_EQ(refused(kind, policy), "engine") << kind_name(kind);
    policy = lenient();
    policy.prefix_isolation = tenancy::PrefixIsolation::Enforced;
    const bool isolates = kind == EngineKind::Vllm || kind == EngineKind::LlamaServer;
    EXPECT_EQ(refused(kind, policy), isolates ? "" : "prefix_isolation") << kind_name(kind);
  }
}

TEST(Guarantees, WhatTheEngineWouldIgnoreIsRefused) {
  ChatRequest request;
  request.choices = 2;
  EXPECT_TRUE(check_request(EngineKind::Vllm, request).ok());
  EXPECT_EQ(check_request(EngineKind::LlamaServer, request).error().parameter(), "n");
  EXPECT_EQ(check_request(EngineKind::Ollama, request).error().parameter(), "n");
  request.choices = 1;
  request.tool_choice = "\"auto\"";
  EXPECT_TRUE(check_request(EngineKind::Ollama, request).ok());
  request.tool_choice = "\"required\"";
  EXPECT_EQ(check_request(EngineKind::Ollama, request).error().parameter(), "tool_choice");
  EXPECT_TRUE(check_request(EngineKind::LlamaServer, request).ok());
}

// A request with every member that a client can set.
ChatRequest full_request() {
  ChatRequest request;
  request.model = "m";
  request.messages = {{"user", "hello", {}, ""}};
  request.max_tokens = 5;
  request.temperature = 0.5;
  request.top_p = 0.9;
  request.seed = 1;
  request.stop = {"x"};
  request.choices = 2;
  request.presence_penalty = 0.1;
  request.frequency_penalty = 0.1;
  request.logit_bias = {{1, 1.0}};
  request.logprobs = true;
  request.top_logprobs = 2;
  request.response_format.kind = AnswerFormat::JsonObject;
  request.tools = "[]";
  request.tool_choice = "\"auto\"";
  request.parallel_tool_calls = false;
  request.stream = true;
  return request;
}

TEST(Dialect, BodiesHoldOpenAisMembersAndTheAdaptersOwnOnly) {
  const std::initializer_list<std::string_view> openai = {"model",
                                                          "messages",
                                                          "max_tokens",
                                                          "temperature",
                                                          "top_p",
                                                          "seed",
                                                          "stop",
                                                          "n",
                                                          "presence_penalty",
                                                          "frequency_penalty",
                                                          "logit_bias",
                                                          "logprobs",
                                                          "tools",
                                                          "stream",
                                                          "top_logprobs",
                                                          "response_format",
                                                          "tool_choice",
                                                          "parallel_tool_calls",
                                                          "stream_options"};
  for (EngineKind kind : kExternal) {
    Stance stance;
    stance.salt = "salt-of-the-adapter";
    stance.slot = 3;
    auto body = base::json::Document::parse(external_body(kind, full_request(), stance));
    ASSERT_TRUE(body.ok());
    std::vector<std::string> own;
    for (std::size_t i = 0; i < body->root().size(); ++i) {
      std::string name(body->root().key_at(i));
      if (std::find(openai.begin(), openai.end(), name) == openai.end()) own.push_back(name);
    }
    std::vector<std::string> expected;
    if (kind == EngineKind::Vllm || kind == EngineKind::Sglang) expected = {"cache_salt"};
    if (kind == EngineKind::LlamaServer) expected = {"id_slot", "cache_prompt", "n_cache_reuse"};
    EXPECT_EQ(own, expected) << kind_name(kind);
  }
}

TEST(Dialect, RoutesOutsideTheListAreRefused) {
  using http::Method;
  for (EngineKind kind : kExternal) {
    EXPECT_TRUE(route_allowed(kind, Method::Post, "/v1/chat/completions"));
    for (const char* path : {"/v1/stream", "/invocations", "/tokenize", "/collective_rpc", "/v1/embeddings",
                             "/props", "/slots/", "/slots/1x", "/slots/../props"}) {
      EXPECT_FALSE(route_allowed(kind, Method::Post, path)) << path;
    }
  }
  EXPECT_TRUE(route_allowed(EngineKind::LlamaServer, Method::Post, "/slots/3"));
  EXPECT_FALSE(route_allowed(EngineKind::Vllm, Method::Post, "/slots/3"));
  EXPECT_FALSE(route_allowed(EngineKind::OpenAi, Method::Post, "/reset_prefix_cache"));
}

}  // namespace
}  // namespace bulkhead::engine
