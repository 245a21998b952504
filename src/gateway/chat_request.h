// The body of POST /v1/chat/completions, read strictly, and what the audit record's hashes cover.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "engine/engine.h"
#include "gateway/sampling.h"
#include "guard/text_policy.h"

namespace bulkhead::gateway {

struct ChatBody {
  engine::ChatRequest request;
  StreamOptions stream_options;
  std::size_t tools = 0;  // how many
  bool store = false;
  std::string metadata_json = "{}";
  std::vector<base::VectorStoreId> vector_stores;  // "bulkhead.vector_store_ids": narrows retrieval
  guard::TextFindings findings;                    // over all messages
  std::string question;                            // the last user message
};

base::Result<ChatBody> parse_chat_body(const base::json::Value& root);

// What the audit record's hashes are taken over, every part with its kind and length, so that no two
// different prompts or outputs join to the same text: messages, tool calls, tools and answer format;
// texts and calls of all choices.
std::string prompt_digest_input(const engine::ChatRequest& request);
std::string output_digest_input(const std::vector<engine::Choice>& choices);

}  // namespace bulkhead::gateway
