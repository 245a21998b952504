#include "gateway/chat_request.h"

#include "gateway/dto.h"

namespace bulkhead::gateway {

namespace json = base::json;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kMessagesMax = 512;
constexpr std::size_t kStopsMax = 4;
constexpr std::size_t kStopBytesMax = 256;
constexpr std::size_t kModelBytesMax = 128;
constexpr std::size_t kVectorStoresMax = 16;
constexpr std::int64_t kTokensMax = 1 << 20;

void add(guard::TextFindings& sum, const guard::TextFindings& more) {
  sum.zero_width += more.zero_width;
  sum.bidi_controls += more.bidi_controls;
  sum.tag_characters += more.tag_characters;
  sum.mixed_script_words += more.mixed_script_words;
  sum.control_tokens += more.control_tokens;
}

// A string, or a list of {"type":"text","text":…} parts, as one text.
Result<std::string> read_content(const json::Value& content, const std::string& name) {
  if (auto text = content.as_string()) return std::string(*text);
  if (!content.is_array() || content.size() == 0) {
    return api_error(ApiError::BadParameter, "'" + name + "' must be a string or a list of text parts.",
                     name);
  }
  std::string joined;
  for (std::size_t i = 0; i < content.size(); ++i) {
    std::string part_name = name + "[" + std::to_string(i) + "]";
    json::Value part = content.at(i);
    auto type = part["type"].as_string();
    if (type && *type != "text") {
      return api_error(ApiError::UnsupportedParameter,
                       "'" + part_name + "': only text parts are supported.", part_name);
    }
    ObjectReader reader(part, part_name);
    auto kind = reader.text("type", 16, true);
    auto text = reader.text("text", SIZE_MAX, true);
    BULKHEAD_CHECK_OK(reader.finish());
    if (!joined.empty()) joined += "\n";
    joined += *text;
  }
  return joined;
}

Result<engine::Message> read_message(const json::Value& value, std::size_t index,
                                     guard::TextFindings& findings) {
  std::string name = "messages[" + std::to_string(index) + "]";
  if (!value.is_object()) {
    return api_error(ApiError::BadParameter, "'" + name + "' must be an object.", name);
  }
  ObjectReader reader(value, name);
  auto role = reader.text("role", 16, true);
  json::Value content = reader.value("content");
  // What an SDK sends back when an answer's message is put into the next request.
  json::Value annotations = reader.value("annotations");
  static_cast<void>(annotations);
  reader.unsupported("refusal", "refusals are not used here.");
  reader.unsupported("audio", "this gateway serves text.");
  reader.unsupported("tool_calls", "tools are not served.");
  reader.unsupported("function_call", "tools are not served.");
  reader.unsupported("name", "who speaks is known from the credential.");
  BULKHEAD_CHECK_OK(reader.finish());
  std::string effective = *role == "developer" ? "system" : *role;
  if (effective != "system" && effective != "user" && effective != "assistant") {
    return api_error(ApiError::BadParameter,
                     "'" + name + ".role' must be system, developer, user or assistant.",
                     name + ".role");
  }
  std::string content_name = name + ".content";
  if (!content.exists()) {
    return api_error(ApiError::MissingParameter, "'" + content_name + "' is needed.", content_name);
  }
  BULKHEAD_TRY(text, read_content(content, content_name));
  auto checked = guard::check_text(text, guard::SmugglingPolicy::Clean);
  if (!checked) {
    Error error = checked.take_error();
    return std::move(error).with_parameter(content_name);
  }
  add(findings, checked->findings);
  return engine::Message{std::move(effective), std::move(checked->text)};
}

Result<void> read_messages(const json::Value& list, ChatBody& body) {
  if (!list.is_array() || list.size() == 0 || list.size() > kMessagesMax) {
    return api_error(ApiError::BadParameter,
                     "'messages' must be a list of 1 to " + std::to_string(kMessagesMax) + " messages.",
                     "messages");
  }
  for (std::size_t i = 0; i < list.size(); ++i) {
    BULKHEAD_TRY(message, read_message(list.at(i), i, body.findings));
    if (message.role == "user") body.question = message.content;
    body.request.messages.push_back(std::move(message));
  }
  if (body.question.empty()) {
    return api_error(ApiError::BadParameter, "'messages' must hold a user message with text.", "messages");
  }
  return Result<void>();
}

void read_stop(ObjectReader& reader, ChatBody& body, const json::Value& root) {
  if (auto single = root["stop"].as_string()) {
    body.request.stop = {reader.text("stop", kStopBytesMax).value_or("")};
  } else {
    body.request.stop = reader.texts("stop", kStopsMax, kStopBytesMax);
  }
  for (const std::string& stop : body.request.stop) {
    if (stop.empty() && !reader.failed()) {
      reader.fail(api_error(ApiError::BadParameter, "'stop' must not hold an empty string.", "stop"));
    }
  }
}

void read_sampling(ObjectReader& reader, ChatBody& body) {
  body.request.temperature = reader.real("temperature", 0, 2);
  body.request.top_p = reader.real("top_p", 0, 1);
  body.request.seed = reader.integer("seed", INT64_MIN, INT64_MAX);
  auto old_name = reader.integer("max_tokens", 1, kTokensMax);
  auto new_name = reader.integer("max_completion_tokens", 1, kTokensMax);
  if (old_name && new_name && *old_name != *new_name) {
    reader.fail(api_error(ApiError::BadParameter,
                          "'max_tokens' and 'max_completion_tokens' differ; send one.", "max_tokens"));
  }
  body.request.max_tokens = new_name ? new_name : old_name;
}

void refuse_unserved(ObjectReader& reader, const json::Value& root) {
  reader.unsupported_unless("n", 1, "one answer a request.");
  reader.unsupported_unless("presence_penalty", 0, "penalties are not served.");
  reader.unsupported_unless("frequency_penalty", 0, "penalties are not served.");
  reader.unsupported_unless_false("logprobs", "log probabilities are not given out.");
  reader.unsupported("top_logprobs", "log probabilities are not given out.");
  reader.unsupported("logit_bias", "it is not served.");
  reader.unsupported("user", "who asks is known from the credential.");
  reader.unsupported("safety_identifier", "who asks is known from the credential.");
  reader.unsupported("prompt_cache_key", "nothing is cached across requests.");
  reader.unsupported("tools", "tools are not served.");
  reader.unsupported("tool_choice", "tools are not served.");
  reader.unsupported("parallel_tool_calls", "tools are not served.");
  reader.unsupported("functions", "tools are not served.");
  reader.unsupported("function_call", "tools are not served.");
  reader.unsupported("modalities", "this gateway serves text.");
  reader.unsupported("audio", "this gateway serves text.");
  reader.unsupported("prediction", "it is not served.");
  reader.unsupported("reasoning_effort", "it is not served.");
  reader.unsupported("verbosity", "it is not served.");
  reader.unsupported("service_tier", "there is one tier.");
  reader.unsupported("web_search_options", "the model reaches no network.");
  json::Value format = root["response_format"];
  if (format["type"].as_string() == "text" && format.size() == 1) {
    static_cast<void>(reader.value("response_format"));
  } else {
    reader.unsupported("response_format", "only {\"type\":\"text\"} is served.");
  }
}

Result<void> read_extension(ObjectReader& reader, ChatBody& body) {
  json::Value extension = reader.value("bulkhead");
  if (!extension.exists()) return Result<void>();
  if (!extension.is_object()) {
    return api_error(ApiError::BadParameter, "'bulkhead' must be an object.", "bulkhead");
  }
  ObjectReader inner(extension, "bulkhead");
  for (const std::string& text : inner.texts("vector_store_ids", kVectorStoresMax, base::kIdBytesMax)) {
    auto id = base::VectorStoreId::parse(text);
    if (!id) return not_found("vector store");
    body.vector_stores.push_back(std::move(*id));
  }
  return inner.finish();
}

}  // namespace

Result<ChatBody> parse_chat_body(const json::Value& root) {
  ChatBody body;
  ObjectReader reader(root);
  body.request.model = reader.text("model", kModelBytesMax, true).value_or("");
  json::Value messages = reader.value("messages");
  body.request.stream = reader.flag("stream").value_or(false);
  json::Value stream_options = reader.value("stream_options");
  read_sampling(reader, body);
  read_stop(reader, body, root);
  body.store = reader.flag("store").value_or(false);
  body.metadata_json = reader.metadata("metadata").value_or("{}");
  refuse_unserved(reader, root);
  auto extension = read_extension(reader, body);
  BULKHEAD_CHECK_OK(reader.finish());
  if (!extension) return extension.take_error();
  if (stream_options.exists()) {
    if (!body.request.stream) {
      return api_error(ApiError::BadParameter, "'stream_options' goes with \"stream\": true.",
                       "stream_options");
    }
    ObjectReader inner(stream_options, "stream_options");
    body.include_usage = inner.flag("include_usage").value_or(false);
    inner.unsupported_unless_false("include_obfuscation", "it is not served.");
    BULKHEAD_CHECK_OK(inner.finish());
  }
  BULKHEAD_CHECK_OK(read_messages(messages, body));
  return body;
}

std::string prompt_digest_input(const std::vector<engine::Message>& messages) {
  constexpr std::size_t kFrameBytes = 32;  // role, length and separators
  std::size_t bytes = 0;
  for (const engine::Message& message : messages) bytes += message.content.size() + kFrameBytes;
  std::string joined;
  joined.reserve(bytes);
  for (const engine::Message& message : messages) {
    joined += message.role;
    joined += ' ';
    joined += std::to_string(message.content.size());
    joined += '\n';
    joined += message.content;
  }
  return joined;
}

}  // namespace bulkhead::gateway
