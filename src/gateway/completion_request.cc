#include "gateway/completion_request.h"

#include "gateway/dto.h"
#include "gateway/text_input.h"

namespace bulkhead::gateway {

namespace json = base::json;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kModelBytesMax = 128;
constexpr std::int64_t kLogprobsMax = 5;
constexpr std::int64_t kAnswerTokensDefault = 16;  // OpenAI's

// A string, or a list of one string. Several prompts are several requests here, and token ids are
// refused since they could name control tokens that no text can.
Result<std::string> read_prompt(const json::Value& prompt) {
  if (auto text = prompt.as_string()) return std::string(*text);
  if (prompt.is_array() && prompt.size() == 1) {
    if (auto text = prompt.at(0).as_string()) return std::string(*text);
  }
  if (!prompt.exists()) return api_error(ApiError::MissingParameter, "'prompt' is needed.", "prompt");
  return api_error(ApiError::UnsupportedParameter,
                   "'prompt' must be one string: lists of prompts and of token ids are not served.",
                   "prompt");
}

void read_logprobs(ObjectReader& reader, engine::ChatRequest& request) {
  auto count = reader.integer("logprobs", 0, kLogprobsMax);
  request.logprobs = count.has_value();
  request.top_logprobs = count.value_or(0);
}

}  // namespace

Result<CompletionBody> parse_completion_body(const json::Value& root) {
  CompletionBody body;
  ObjectReader reader(root);
  body.request.model = reader.text("model", kModelBytesMax, true).value_or("");
  json::Value prompt = reader.value("prompt");
  body.stream_options = read_stream_options(reader, body.request);
  body.request.max_tokens = reader.integer("max_tokens", 1, kAnswerTokensMax).value_or(kAnswerTokensDefault);
  read_sampling(reader, root, body.request);
  read_logprobs(reader, body.request);
  refuse_identity_members(reader);
  reader.unsupported_unless_false("echo", "the prompt is not repeated.");
  reader.unsupported_unless("best_of", 1, "ask for n choices.");
  reader.unsupported("suffix", "it is not served.");
  BULKHEAD_CHECK_OK(reader.finish());
  BULKHEAD_TRY(text, read_prompt(prompt));
  if (text.empty()) return api_error(ApiError::BadParameter, "'prompt' must not be empty.", "prompt");
  BULKHEAD_TRY(cleaned, clean_text(text, "prompt", body.findings));
  body.request.prompt = std::move(cleaned);
  return body;
}

}  // namespace bulkhead::gateway
