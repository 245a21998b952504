// Bodies of the worker's interface: reading them strictly, writing answers. docs/engine-protocol.md.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "http/message.h"
#include "inference/generation.h"

namespace bulkhead::inference {

struct ChatBody {
  std::string model;
  std::vector<ChatMessage> messages;
  GenerationRequest request;  // sampling members only
  bool stream = false;
};
base::Result<ChatBody> parse_chat(std::string_view body);

struct InputBody {
  std::string model;
  std::vector<std::string> input;
};
base::Result<InputBody> parse_input(std::string_view body, std::size_t count_max);

struct AnswerHead {
  std::string id, model;
  std::int64_t created = 0;
};
std::string completion_body(const AnswerHead& head, const std::string& text, const GenerationResult& result);
std::string chunk_body(const AnswerHead& head, std::string_view text, std::string_view finish_reason);
std::string last_chunk_body(const AnswerHead& head, const GenerationResult& result);
http::Response error_answer(const base::Error& error);

}  // namespace bulkhead::inference
