// The body of POST /v1/chat/completions, read strictly.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "engine/engine.h"
#include "guard/text_policy.h"

namespace bulkhead::gateway {

struct ChatBody {
  engine::ChatRequest request;
  bool include_usage = false;
  bool store = false;
  std::string metadata_json = "{}";
  std::vector<base::VectorStoreId> vector_stores;  // "bulkhead.vector_store_ids": narrows retrieval
  guard::TextFindings findings;                    // over all messages
  std::string question;                            // the last user message
};

base::Result<ChatBody> parse_chat_body(const base::json::Value& root);

// What the audit record's prompt hash is taken over: roles and contents, unambiguously joined.
std::string prompt_digest_input(const std::vector<engine::Message>& messages);

}  // namespace bulkhead::gateway
