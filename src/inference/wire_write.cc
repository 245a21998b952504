// Writing answers in OpenAI's shapes.
#include "inference/wire.h"

namespace bulkhead::inference {

namespace json = base::json;
using base::Error;

namespace {

json::Writer begin(const AnswerHead& head, bool chunk) {
  json::Writer w;
  std::string_view object = !head.chat ? "text_completion"
                            : chunk    ? "chat.completion.chunk"
                                       : "chat.completion";
  w.begin_object().member("id", head.id).member("object", object);
  w.member("created", head.created).member("model", head.model);
  return w;
}

void write_usage_and_burn(json::Writer& w, const GenerationResult& result) {
  w.key("usage").begin_object();
  w.member("prompt_tokens", result.prompt_tokens)
      .member("completion_tokens", result.completion_tokens)
      .member("total_tokens", result.prompt_tokens + result.completion_tokens);
  w.key("prompt_tokens_details").begin_object().member("cached_tokens", result.cached_tokens).end_object();
  w.end_object();
  w.key("bulkhead").begin_object().key("burn");
  base::write(w, result.burn);
  w.end_object();
}

void write_progress(json::Writer& w, const Progress& progress) {
  w.key("usage").begin_object().member("prompt_tokens", progress.prompt_tokens);
  w.member("completion_tokens", progress.completion_tokens).end_object();
}

void write_token(json::Writer& w, const std::string& bytes, float logprob) {
  w.member("token", bytes).member("logprob", static_cast<double>(logprob)).key("bytes").begin_array();
  for (unsigned char byte : bytes) w.value(static_cast<std::int64_t>(byte));
  w.end_array();
}

void write_chat_logprobs(json::Writer& w, const std::vector<TokenLogprob>& tokens) {
  w.begin_object().key("content").begin_array();
  for (const TokenLogprob& token : tokens) {
    w.begin_object();
    write_token(w, token.bytes, token.logprob);
    w.key("top_logprobs").begin_array();
    for (const auto& [bytes, logprob] : token.top) {
      w.begin_object();
      write_token(w, bytes, logprob);
      w.end_object();
    }
    w.end_array().end_object();
  }
  w.end_array().key("refusal").null().end_object();
}

void write_completion_logprobs(json::Writer& w, const std::vector<TokenLogprob>& tokens) {
  w.begin_object().key("tokens").begin_array();
  for (const TokenLogprob& token : tokens) w.value(token.bytes);
  w.end_array().key("token_logprobs").begin_array();
  for (const TokenLogprob& token : tokens) w.value(static_cast<double>(token.logprob));
  w.end_array().key("top_logprobs").begin_array();
  for (const TokenLogprob& token : tokens) {
    w.begin_object();
    // Two tokens may be the same text; the likelier one stands for both.
    std::map<std::string, float> by_text;
    for (const auto& [bytes, logprob] : token.top) by_text.emplace(bytes, logprob);
    for (const auto& [bytes, logprob] : by_text) w.member(bytes, static_cast<double>(logprob));
    w.end_object();
  }
  w.end_array().key("text_offset").begin_array();
  std::int64_t offset = 0;
  for (const TokenLogprob& token : tokens) {
    w.value(offset);
    offset += static_cast<std::int64_t>(token.bytes.size());
  }
  w.end_array().end_object();
}

void write_logprobs(json::Writer& w, const AnswerHead& head, const AnswerChoice& choice) {
  w.key("logprobs");
  if (!choice.has_logprobs) {
    w.null();
  } else if (head.chat) {
    write_chat_logprobs(w, choice.logprobs);
  } else {
    write_completion_logprobs(w, choice.logprobs);
  }
}

void write_calls(json::Writer& w, const std::vector<ToolCall>& calls, bool chunk) {
  w.key("tool_calls").begin_array();
  for (std::size_t i = 0; i < calls.size(); ++i) {
    w.begin_object();
    if (chunk) w.member("index", static_cast<std::uint64_t>(i));
    w.member("id", calls[i].id).member("type", "function").key("function").begin_object();
    w.member("name", calls[i].name).member("arguments", calls[i].arguments).end_object().end_object();
  }
  w.end_array();
}

void write_finish(json::Writer& w, const std::string& reason) {
  w.key("finish_reason");
  if (reason.empty()) {
    w.null();
  } else {
    w.value(reason);
  }
}

void write_choice(json::Writer& w, const AnswerHead& head, std::size_t index, const AnswerChoice& choice,
                  bool chunk) {
  w.begin_object().member("index", static_cast<std::uint64_t>(index));
  if (!head.chat) {
    w.member("text", choice.text);
  } else {
    w.key(chunk ? "delta" : "message").begin_object();
    if (!chunk) w.member("role", "assistant");
    if (chunk ? !choice.text.empty() : choice.calls.empty() || !choice.text.empty()) {
      w.member("content", choice.text);
    } else if (!chunk) {
      w.key("content").null();
    }
    if (!choice.calls.empty()) write_calls(w, choice.calls, chunk);
    w.end_object();
  }
  write_logprobs(w, head, choice);
  write_finish(w, choice.finish_reason);
  w.end_object();
}

int status_of(const Error& error) {
  auto code = error.as<InferenceError>();
  if (!code) return 401;  // what isn't ours comes from the signature check
  switch (*code) {
    case InferenceError::BadContext: return 401;
    case InferenceError::BadRequest:
    case InferenceError::BadGrammar:
    case InferenceError::ContextExceeded: return 400;
    case InferenceError::ModelUnknown: return 404;
    case InferenceError::QueueFull: return 429;
    case InferenceError::ShuttingDown: return 503;
    case InferenceError::ModelUnreadable:
    case InferenceError::HashMismatch:
    case InferenceError::Unsupported:
    case InferenceError::Cancelled:
    case InferenceError::Failed: return 500;
  }
  return 500;
}

}  // namespace

std::string answer_body(const AnswerHead& head, const std::vector<AnswerChoice>& choices,
                        const GenerationResult& result) {
  json::Writer w = begin(head, false);
  w.key("choices").begin_array();
  for (std::size_t i = 0; i < choices.size(); ++i) write_choice(w, head, i, choices[i], false);
  w.end_array();
  write_usage_and_burn(w, result);
  w.end_object();
  return w.take();
}

std::string chunk_body(const AnswerHead& head, std::size_t index, const AnswerChoice& piece,
                       const std::optional<Progress>& progress) {
  json::Writer w = begin(head, true);
  w.key("choices").begin_array();
  write_choice(w, head, index, piece, true);
  w.end_array();
  if (progress) write_progress(w, *progress);
  w.end_object();
  return w.take();
}

std::string progress_body(const AnswerHead& head, const Progress& progress) {
  json::Writer w = begin(head, true);
  w.key("choices").begin_array().end_array();
  write_progress(w, progress);
  w.end_object();
  return w.take();
}

std::string whole_chunk_body(const AnswerHead& head, const std::vector<AnswerChoice>& choices,
                             const GenerationResult& result) {
  json::Writer w = begin(head, true);
  w.key("choices").begin_array();
  for (std::size_t i = 0; i < choices.size(); ++i) write_choice(w, head, i, choices[i], true);
  w.end_array();
  write_usage_and_burn(w, result);
  w.end_object();
  return w.take();
}

std::string last_chunk_body(const AnswerHead& head, const GenerationResult& result) {
  json::Writer w = begin(head, true);
  w.key("choices").begin_array().end_array();
  write_usage_and_burn(w, result);
  w.end_object();
  return w.take();
}

std::string burn_body(const base::BurnReport& burned) {
  json::Writer w;
  base::write(w, burned);
  return w.take();
}

http::Response error_answer(const Error& error) {
  json::Writer w;
  w.begin_object().key("error").begin_object();
  w.member("message", error.message()).member("type", "invalid_request_error");
  w.key("param");
  if (error.parameter().empty()) {
    w.null();
  } else {
    w.value(error.parameter());
  }
  w.member("code", error.name().code).end_object().end_object();
  return http::Response::json(status_of(error), w.take());
}

}  // namespace bulkhead::inference
