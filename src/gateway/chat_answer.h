// Answers of POST /v1/chat/completions in OpenAI's shapes, with one member of our own, "bulkhead":
// the retrieval manifest and where to get the burn receipt.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "rag/composer.h"

namespace bulkhead::gateway {

struct AnswerHead {
  std::string id;          // "chatcmpl-…"
  std::string model;
  std::int64_t created = 0;
  std::string request_id;
  // Retrieval: outcome "off", "answered", "below_threshold", "nothing_readable".
  std::string outcome;
  double relevance = 0, threshold = 0;
  std::vector<rag::Citation> citations;
};

std::string completion_json(const AnswerHead& head, const engine::Completion& completion);

// Stream chunks. `usage_null`: the client asked for usage, so every other chunk says null.
std::string role_chunk(const AnswerHead& head, bool usage_null);
std::string text_chunk(const AnswerHead& head, std::string_view text, bool usage_null);
std::string finish_chunk(const AnswerHead& head, std::string_view finish_reason, bool usage_null);
std::string usage_chunk(const AnswerHead& head, const engine::Usage& usage);

}  // namespace bulkhead::gateway
