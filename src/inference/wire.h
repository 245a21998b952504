// Bodies of the worker's interface: reading them strictly, writing answers. docs/engine-protocol.md.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/burn_report.h"
#include "base/json.h"
#include "base/result.h"
#include "http/message.h"
#include "inference/chat_format.h"
#include "inference/generation.h"

namespace bulkhead::inference {

// The signed headers as a context. BadContext when one is missing or malformed.
base::Result<RequestContext> parse_context(const http::Request& request);

struct GenerateBody {
  std::string model;
  std::vector<ChatMessage> messages;  // of a chat
  std::string prompt;                 // of a completion
  std::optional<ToolRequest> tools;
  GenerationRequest request;  // sampling, limits and format; no prompt and no context yet
  bool stream = false;
  bool progress = false;  // a whole answer, as a stream that tells the usage as it grows
};
base::Result<GenerateBody> parse_chat(std::string_view body);
base::Result<GenerateBody> parse_completion(std::string_view body);

struct InputBody {
  std::string model;
  std::vector<std::string> input;
};
base::Result<InputBody> parse_input(std::string_view body, std::size_t count_max);

struct RerankBody {
  std::string model;
  std::string query;
  std::vector<std::string> documents;
};
base::Result<RerankBody> parse_rerank(std::string_view body, std::size_t count_max);

enum class BurnScope { Session, Tenant };
base::Result<BurnScope> parse_burn(std::string_view body);

struct AnswerHead {
  std::string id, model;
  std::int64_t created = 0;
  bool chat = true;  // false: a text completion
};

struct AnswerChoice {
  std::string text;
  std::vector<ToolCall> calls;
  std::vector<TokenLogprob> logprobs;
  bool has_logprobs = false;
  std::string finish_reason;  // empty: goes on (in chunks)
};
std::string answer_body(const AnswerHead& head, const std::vector<AnswerChoice>& choices,
                        const GenerationResult& result);
// Tokens so far.
struct Progress {
  std::int64_t prompt_tokens = 0, completion_tokens = 0;
};
std::string chunk_body(const AnswerHead& head, std::size_t index, const AnswerChoice& piece,
                       const std::optional<Progress>& progress = std::nullopt);
std::string progress_body(const AnswerHead& head, const Progress& progress);
// All choices, usage and burn.
std::string whole_chunk_body(const AnswerHead& head, const std::vector<AnswerChoice>& choices,
                             const GenerationResult& result);
std::string last_chunk_body(const AnswerHead& head, const GenerationResult& result);
std::string burn_body(const base::BurnReport& burned);
http::Response error_answer(const base::Error& error);

}  // namespace bulkhead::inference
