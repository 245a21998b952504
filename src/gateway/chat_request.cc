#include "gateway/chat_request.h"

#include <set>
#include <string_view>

#include "gateway/dto.h"
#include "gateway/text_input.h"
#include "gateway/tool_request.h"

namespace bulkhead::gateway {

namespace json = base::json;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kMessagesMax = 512;
constexpr std::size_t kCallsMax = 1'024;  // of all messages: a template is interpreted for each
constexpr std::size_t kModelBytesMax = 128;
constexpr std::size_t kVectorStoresMax = 16;
constexpr std::size_t kCallIdBytesMax = 128;
constexpr std::int64_t kTopLogprobsMax = 20;

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
      return api_error(ApiError::UnsupportedParameter, "'" + part_name + "': only text parts are supported.",
                       part_name);
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
  reader.unsupported("function_call", "send tool_calls.");
  reader.unsupported("name", "who speaks is known from the credential.");
  json::Value calls = reader.value("tool_calls");
  auto call_id = reader.text("tool_call_id", kCallIdBytesMax);
  BULKHEAD_CHECK_OK(reader.finish());
  engine::Message message;
  message.role = *role == "developer" ? "system" : *role;
  bool tool = message.role == "tool", assistant = message.role == "assistant";
  if (message.role != "system" && message.role != "user" && !assistant && !tool) {
    return api_error(ApiError::BadParameter,
                     "'" + name + ".role' must be system, developer, user, assistant or tool.",
                     name + ".role");
  }
  if (calls.exists() && !assistant) {
    return api_error(ApiError::BadParameter, "'" + name + ".tool_calls' goes with role assistant.",
                     name + ".tool_calls");
  }
  if (call_id.has_value() != tool || (tool && call_id->empty())) {
    return api_error(ApiError::BadParameter,
                     "'" + name + ".tool_call_id' goes with role tool, which needs it.",
                     name + ".tool_call_id");
  }
  if (calls.exists()) {
    BULKHEAD_TRY(read, read_earlier_calls(calls, name + ".tool_calls", findings));
    message.tool_calls = std::move(read);
  }
  message.tool_call_id = call_id.value_or("");
  std::string content_name = name + ".content";
  if (!content.exists()) {
    if (!message.tool_calls.empty()) return message;
    return api_error(ApiError::MissingParameter, "'" + content_name + "' is needed.", content_name);
  }
  BULKHEAD_TRY(text, read_content(content, content_name));
  BULKHEAD_TRY(cleaned, clean_text(text, content_name, findings));
  message.content = std::move(cleaned);
  return message;
}

// A tool's message answers a call that the assistant made before it.
Result<void> check_call_ids(const std::vector<engine::Message>& messages) {
  std::set<std::string_view> open;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    for (const engine::ToolCall& call : messages[i].tool_calls) open.insert(call.id);
    if (messages[i].role != "tool" || open.contains(messages[i].tool_call_id)) continue;
    std::string name = "messages[" + std::to_string(i) + "].tool_call_id";
    return api_error(ApiError::BadParameter,
                     "'" + name + "' must be the id of a call in an earlier assistant message.", name);
  }
  return Result<void>();
}

Result<void> read_messages(const json::Value& list, ChatBody& body) {
  if (!list.is_array() || list.size() == 0 || list.size() > kMessagesMax) {
    return api_error(ApiError::BadParameter,
                     "'messages' must be a list of 1 to " + std::to_string(kMessagesMax) + " messages.",
                     "messages");
  }
  std::size_t calls = 0;
  for (std::size_t i = 0; i < list.size(); ++i) {
    BULKHEAD_TRY(message, read_message(list.at(i), i, body.findings));
    if (message.role == "user") body.question = message.content;
    calls += message.tool_calls.size();
    if (calls > kCallsMax) {
      std::string name = "messages[" + std::to_string(i) + "].tool_calls";
      return api_error(ApiError::BadParameter,
                       "'" + name + "' is too much: all messages together may hold " +
                           std::to_string(kCallsMax) + " calls.",
                       name);
    }
    body.request.messages.push_back(std::move(message));
  }
  BULKHEAD_CHECK_OK(check_call_ids(body.request.messages));
  if (body.question.empty()) {
    return api_error(ApiError::BadParameter, "'messages' must hold a user message with text.", "messages");
  }
  return Result<void>();
}

void read_token_limit(ObjectReader& reader, ChatBody& body) {
  auto old_name = reader.integer("max_tokens", 1, kAnswerTokensMax);
  auto new_name = reader.integer("max_completion_tokens", 1, kAnswerTokensMax);
  if (old_name && new_name && *old_name != *new_name) {
    reader.fail(api_error(ApiError::BadParameter,
                          "'max_tokens' and 'max_completion_tokens' differ; send one.", "max_tokens"));
  }
  body.request.max_tokens = new_name ? new_name : old_name;
}

void read_logprobs(ObjectReader& reader, ChatBody& body) {
  body.request.logprobs = reader.flag("logprobs").value_or(false);
  auto top = reader.integer("top_logprobs", 0, kTopLogprobsMax);
  if (top && !body.request.logprobs) {
    reader.fail(
        api_error(ApiError::BadParameter, "'top_logprobs' goes with \"logprobs\": true.", "top_logprobs"));
  }
  body.request.top_logprobs = top.value_or(0);
}

// OpenAI's "flex" is what can wait; there is no tier that overtakes other people's requests.
void read_service_tier(ObjectReader& reader, ChatBody& body) {
  auto tier = reader.text("service_tier", 16);
  if (!tier || *tier == "auto" || *tier == "default") return;
  if (*tier == "flex") {
    body.request.priority = engine::Priority::Background;
    return;
  }
  reader.fail(api_error(ApiError::UnsupportedParameter,
                        "'service_tier' is not supported: auto, default and flex are served.",
                        "service_tier"));
}

void refuse_unserved(ObjectReader& reader) {
  refuse_identity_members(reader);
  reader.unsupported("functions", "send tools.");
  reader.unsupported("function_call", "send tool_choice.");
  reader.unsupported("modalities", "this gateway serves text.");
  reader.unsupported("audio", "this gateway serves text.");
  reader.unsupported("prediction", "it is not served.");
  reader.unsupported("reasoning_effort", "it is not served.");
  reader.unsupported("verbosity", "it is not served.");
  reader.unsupported("web_search_options", "the model reaches no network.");
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
  body.stream_options = read_stream_options(reader, body.request);
  read_token_limit(reader, body);
  read_sampling(reader, root, body.request);
  read_logprobs(reader, body);
  read_service_tier(reader, body);
  body.tools = read_tools(reader, body.request, body.findings);
  read_response_format(reader, body.request, body.findings);
  body.store = reader.flag("store").value_or(false);
  body.metadata_json = reader.metadata("metadata").value_or("{}");
  refuse_unserved(reader);
  auto extension = read_extension(reader, body);
  BULKHEAD_CHECK_OK(reader.finish());
  if (!extension) return extension.take_error();
  BULKHEAD_CHECK_OK(read_messages(messages, body));
  return body;
}

namespace {

void add_part(std::string& joined, std::string_view kind, std::string_view text) {
  joined += kind;
  joined += ' ';
  joined += std::to_string(text.size());
  joined += '\n';
  joined += text;
}

void add_calls(std::string& joined, const std::vector<engine::ToolCall>& calls) {
  for (const engine::ToolCall& call : calls) {
    add_part(joined, "call", call.id);
    add_part(joined, "name", call.name);
    add_part(joined, "arguments", call.arguments);
  }
}

}  // namespace

std::string prompt_digest_input(const engine::ChatRequest& request) {
  constexpr std::size_t kFrameBytes = 32;  // kind, length and separators
  std::size_t bytes = request.tools.size() + request.response_format.schema.size();
  for (const engine::Message& message : request.messages) bytes += message.content.size() + kFrameBytes;
  std::string joined;
  joined.reserve(bytes);
  if (request.prompt) add_part(joined, "prompt", *request.prompt);
  for (const engine::Message& message : request.messages) {
    add_part(joined, message.role, message.content);
    add_calls(joined, message.tool_calls);
    if (!message.tool_call_id.empty()) add_part(joined, "answers", message.tool_call_id);
  }
  if (!request.tools.empty()) add_part(joined, "tools", request.tools);
  if (!request.tool_choice.empty()) add_part(joined, "tool_choice", request.tool_choice);
  const engine::ResponseFormat& format = request.response_format;
  if (format.kind == engine::AnswerFormat::JsonObject) add_part(joined, "json_object", "");
  if (format.kind == engine::AnswerFormat::JsonSchema) {
    add_part(joined, "json_schema", format.schema_name);
    add_part(joined, "schema", format.schema);
  }
  return joined;
}

std::string output_digest_input(const std::vector<engine::Choice>& choices) {
  std::string joined;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    add_part(joined, "choice " + std::to_string(i), choices[i].text);
    add_calls(joined, choices[i].tool_calls);
  }
  return joined;
}

}  // namespace bulkhead::gateway
