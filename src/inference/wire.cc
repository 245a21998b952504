#include "inference/wire.h"

#include "http/message.h"

namespace bulkhead::inference {

namespace json = base::json;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kMessagesMax = 1024;
constexpr std::size_t kStopsMax = 4;

Error bad(std::string what) { return Error(InferenceError::BadRequest, std::move(what)); }

Result<json::Document> parse_object(std::string_view body, std::initializer_list<std::string_view> known) {
  auto document = json::Document::parse(body);
  if (!document) return bad(document.error().message());
  if (!document->root().is_object()) return bad("The body must be a JSON object.");
  if (auto unknown = json::first_unknown_key(document->root(), known)) {
    return bad("There is no member \"" + *unknown + "\".");
  }
  return document;
}

Result<std::vector<std::string>> read_texts(const json::Value& list, std::size_t count_max, const char* name) {
  std::vector<std::string> texts;
  if (!list.is_array() || list.size() > count_max) return bad(std::string(name) + " must be a list of strings.");
  for (std::size_t i = 0; i < list.size(); ++i) {
    auto text = list.at(i).as_string();
    if (!text) return bad(std::string(name) + " must be a list of strings.");
    texts.emplace_back(*text);
  }
  return texts;
}

Result<void> read_sampling(const json::Value& root, GenerationRequest& out) {
  if (json::Value value = root["max_tokens"]; value.exists()) {
    auto number = value.as_int();
    if (!number || *number < 1) return bad("max_tokens must be a positive whole number.");
    out.max_tokens = *number;
  }
  if (json::Value value = root["temperature"]; value.exists()) {
    auto number = value.as_double();
    if (!number || !(*number >= 0 && *number <= 2)) return bad("temperature must be from 0 to 2.");
    out.temperature = *number;
  }
  if (json::Value value = root["top_p"]; value.exists()) {
    auto number = value.as_double();
    if (!number || !(*number >= 0 && *number <= 1)) return bad("top_p must be from 0 to 1.");
    out.top_p = *number;
  }
  if (json::Value value = root["seed"]; value.exists()) {
    auto number = value.as_int();
    if (!number) return bad("seed must be a whole number.");
    out.seed = *number;
  }
  if (json::Value value = root["stop"]; value.exists()) {
    BULKHEAD_TRY(stops, read_texts(value, kStopsMax, "stop"));
    for (const std::string& stop : stops) {
      if (stop.empty()) return bad("stop must not hold an empty string.");
    }
    out.stop = std::move(stops);
  }
  return Result<void>();
}

json::Writer begin(const AnswerHead& head, std::string_view object) {
  json::Writer w;
  w.begin_object().member("id", head.id).member("object", object);
  w.member("created", head.created).member("model", head.model);
  return w;
}

void write_usage_and_burn(json::Writer& w, const GenerationResult& result) {
  w.key("usage").begin_object();
  w.member("prompt_tokens", result.prompt_tokens)
      .member("completion_tokens", result.completion_tokens)
      .member("total_tokens", result.prompt_tokens + result.completion_tokens)
      .end_object();
  w.key("bulkhead").begin_object().key("burn").raw(burn_json(result.burn)).end_object();
}

int status_of(const Error& error) {
  auto code = error.as<InferenceError>();
  if (!code) return 401;  // what isn't ours comes from the signature check
  switch (*code) {
    case InferenceError::BadRequest:
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

Result<ChatBody> parse_chat(std::string_view body) {
  BULKHEAD_TRY(document, parse_object(body, {"model", "messages", "stream", "stream_options", "max_tokens",
                                             "temperature", "top_p", "seed", "stop"}));
  json::Value root = document.root();
  ChatBody out;
  out.model = std::string(root["model"].as_string().value_or(""));
  if (json::Value value = root["stream"]; value.exists()) {
    auto flag = value.as_bool();
    if (!flag) return bad("stream must be true or false.");
    out.stream = *flag;
  }
  json::Value messages = root["messages"];
  if (!messages.is_array() || messages.size() == 0 || messages.size() > kMessagesMax) {
    return bad("messages must be a list of messages.");
  }
  for (std::size_t i = 0; i < messages.size(); ++i) {
    json::Value message = messages.at(i);
    auto role = message["role"].as_string();
    auto content = message["content"].as_string();
    bool fits = role && content && message.size() == 2 &&
                (*role == "system" || *role == "user" || *role == "assistant");
    if (!fits) return bad("messages[" + std::to_string(i) + "] must hold role and content.");
    out.messages.push_back({std::string(*role), std::string(*content)});
  }
  BULKHEAD_CHECK_OK(read_sampling(root, out.request));
  return out;
}

Result<InputBody> parse_input(std::string_view body, std::size_t count_max) {
  BULKHEAD_TRY(document, parse_object(body, {"model", "input"}));
  InputBody out;
  out.model = std::string(document.root()["model"].as_string().value_or(""));
  BULKHEAD_TRY(texts, read_texts(document.root()["input"], count_max, "input"));
  if (texts.empty()) return bad("input must not be empty.");
  out.input = std::move(texts);
  return out;
}

std::string completion_body(const AnswerHead& head, const std::string& text, const GenerationResult& result) {
  json::Writer w = begin(head, "chat.completion");
  w.key("choices").begin_array().begin_object().member("index", 0);
  w.key("message").begin_object().member("role", "assistant").member("content", text).end_object();
  w.member("finish_reason", result.finish_reason).end_object().end_array();
  write_usage_and_burn(w, result);
  w.end_object();
  return w.take();
}

std::string chunk_body(const AnswerHead& head, std::string_view text, std::string_view finish_reason) {
  json::Writer w = begin(head, "chat.completion.chunk");
  w.key("choices").begin_array().begin_object().member("index", 0).key("delta").begin_object();
  if (!text.empty()) w.member("content", text);
  w.end_object().key("finish_reason");
  if (finish_reason.empty()) {
    w.null();
  } else {
    w.value(finish_reason);
  }
  w.end_object().end_array().end_object();
  return w.take();
}

std::string last_chunk_body(const AnswerHead& head, const GenerationResult& result) {
  json::Writer w = begin(head, "chat.completion.chunk");
  w.key("choices").begin_array().end_array();
  write_usage_and_burn(w, result);
  w.end_object();
  return w.take();
}

http::Response error_answer(const Error& error) {
  json::Writer w;
  w.begin_object().key("error").begin_object();
  w.member("message", error.message()).member("type", "invalid_request_error");
  w.key("param").null().member("code", error.name().code).end_object().end_object();
  return http::Response::json(status_of(error), w.take());
}

}  // namespace bulkhead::inference
