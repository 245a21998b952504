#include "engine/openai_body.h"

namespace bulkhead::engine::wire {

namespace json = base::json;

namespace {

std::string input_body(std::string_view model, const std::vector<std::string>& texts) {
  json::Writer w;
  w.begin_object().member("model", model).key("input").begin_array();
  for (const std::string& text : texts) w.value(text);
  w.end_array().end_object();
  return w.take();
}

void write_sampling(json::Writer& w, const ChatRequest& request) {
  if (request.max_tokens) w.member("max_tokens", *request.max_tokens);
  if (request.temperature) w.member("temperature", *request.temperature);
  if (request.top_p) w.member("top_p", *request.top_p);
  if (request.seed) w.member("seed", *request.seed);
  if (request.choices != 1) w.member("n", request.choices);
  if (request.presence_penalty) w.member("presence_penalty", *request.presence_penalty);
  if (request.frequency_penalty) w.member("frequency_penalty", *request.frequency_penalty);
  if (!request.stop.empty()) {
    w.key("stop").begin_array();
    for (const std::string& stop : request.stop) w.value(stop);
    w.end_array();
  }
  if (!request.logit_bias.empty()) {
    w.key("logit_bias").begin_object();
    for (const auto& [token, bias] : request.logit_bias) w.member(std::to_string(token), bias);
    w.end_object();
  }
}

void write_format(json::Writer& w, const ResponseFormat& format) {
  if (format.kind == AnswerFormat::Text) return;
  w.key("response_format").begin_object();
  if (format.kind == AnswerFormat::JsonObject) {
    w.member("type", "json_object");
  } else {
    w.member("type", "json_schema").key("json_schema").begin_object();
    w.member("name", format.schema_name).key("schema").raw(format.schema).end_object();
  }
  w.end_object();
}

}  // namespace

void write_tool_calls(json::Writer& w, const std::vector<ToolCall>& calls) {
  w.begin_array();
  for (const ToolCall& call : calls) {
    w.begin_object().member("id", call.id).member("type", "function").key("function").begin_object();
    w.member("name", call.name).member("arguments", call.arguments).end_object().end_object();
  }
  w.end_array();
}

void write_message(json::Writer& w, const Message& message) {
  w.begin_object().member("role", message.role).key("content");
  if (message.content.empty() && !message.tool_calls.empty()) {
    w.null();
  } else {
    w.value(message.content);
  }
  if (!message.tool_calls.empty()) {
    w.key("tool_calls");
    write_tool_calls(w, message.tool_calls);
  }
  if (!message.tool_call_id.empty()) w.member("tool_call_id", message.tool_call_id);
  w.end_object();
}

std::string_view generation_path(const ChatRequest& request) {
  return request.prompt ? "/v1/completions" : "/v1/chat/completions";
}

void write_generation_members(json::Writer& w, const ChatRequest& request) {
  w.member("model", request.model);
  if (request.prompt) {
    w.member("prompt", *request.prompt);
    if (request.logprobs) w.member("logprobs", request.top_logprobs);
  } else {
    w.key("messages").begin_array();
    for (const Message& message : request.messages) write_message(w, message);
    w.end_array();
    if (request.logprobs) w.member("logprobs", true);
    if (request.logprobs && request.top_logprobs > 0) w.member("top_logprobs", request.top_logprobs);
    if (!request.tools.empty()) w.key("tools").raw(request.tools);
    if (!request.tool_choice.empty()) w.key("tool_choice").raw(request.tool_choice);
    if (request.parallel_tool_calls) w.member("parallel_tool_calls", *request.parallel_tool_calls);
    write_format(w, request.response_format);
  }
  write_sampling(w, request);
  w.member("stream", request.stream);
  if (request.stream) {
    w.key("stream_options").begin_object().member("include_usage", true).end_object();
  }
}

std::string generation_body(const ChatRequest& request) {
  json::Writer w;
  w.begin_object();
  write_generation_members(w, request);
  w.end_object();
  return w.take();
}

std::string worker_generation_body(const ChatRequest& request) {
  json::Writer w;
  w.begin_object();
  write_generation_members(w, request);
  if (!request.stream) w.member("progress", true);
  w.end_object();
  return w.take();
}

std::string embeddings_body(std::string_view model, const std::vector<std::string>& texts) {
  return input_body(model, texts);
}

std::string rerank_body(std::string_view model, std::string_view query,
                        const std::vector<std::string>& documents) {
  json::Writer w;
  w.begin_object().member("model", model).member("query", query).key("documents").begin_array();
  for (const std::string& document : documents) w.value(document);
  w.end_array().end_object();
  return w.take();
}

std::string tokenize_body(std::string_view model, const std::vector<std::string>& texts) {
  return input_body(model, texts);
}

std::string burn_body(const BurnTarget& target) {
  return target.session.empty() ? "{\"scope\":\"tenant\"}" : "{\"scope\":\"session\"}";
}

}  // namespace bulkhead::engine::wire
