#include "engine/openai_wire.h"

#include <cmath>

namespace bulkhead::engine::wire {

namespace json = base::json;
using base::Error;
using base::Result;

namespace {

Error bad_answer(std::string detail) {
  return Error(EngineError::BadAnswer, "The model engine gave an answer that can't be used. Try again.",
               std::move(detail));
}

// More than any model will ever count; small enough that sums and budgets can't overflow.
constexpr std::int64_t kCountMax = std::int64_t{1} << 40;

// Embeddings lie far inside these; outside, single precision would lose the direction.
constexpr double kComponentMax = 1e12;
constexpr double kNormMin = 1e-24;

// A count as an upstream states it: what is none, or beyond all reason, counts as not known. A
// negative one would give tokens back to whoever is charged for them.
std::int64_t count_or_zero(const json::Value& value) {
  std::int64_t count = value.as_int().value_or(0);
  return count >= 0 && count <= kCountMax ? count : 0;
}

void read_usage(const json::Value& usage, Completion& result) {
  if (!usage.is_object()) return;
  result.usage.prompt_tokens = count_or_zero(usage["prompt_tokens"]);
  result.usage.completion_tokens = count_or_zero(usage["completion_tokens"]);
}

void read_burn(const json::Value& root, Completion& result) {
  json::Value burn = root["bulkhead"]["burn"];
  if (!burn.is_object()) return;
  json::Writer copy;
  copy.copy(burn);
  result.burn = BurnReport{burn["verified"].as_bool().value_or(false), copy.take()};
}

}  // namespace

std::string chat_body(const ChatRequest& request) {
  json::Writer w;
  w.begin_object().member("model", request.model);
  w.key("messages").begin_array();
  for (const Message& message : request.messages) {
    w.begin_object().member("role", message.role).member("content", message.content).end_object();
  }
  w.end_array();
  if (request.max_tokens) w.member("max_tokens", *request.max_tokens);
  if (request.temperature) w.member("temperature", *request.temperature);
  if (request.top_p) w.member("top_p", *request.top_p);
  if (request.seed) w.member("seed", *request.seed);
  if (!request.stop.empty()) {
    w.key("stop").begin_array();
    for (const std::string& stop : request.stop) w.value(stop);
    w.end_array();
  }
  w.member("stream", request.stream);
  if (request.stream) {
    w.key("stream_options").begin_object().member("include_usage", true).end_object();
  }
  w.end_object();
  return w.take();
}

namespace {
std::string input_body(std::string_view model, const std::vector<std::string>& texts) {
  json::Writer w;
  w.begin_object().member("model", model).key("input").begin_array();
  for (const std::string& text : texts) w.value(text);
  w.end_array().end_object();
  return w.take();
}
}  // namespace

std::string embeddings_body(std::string_view model, const std::vector<std::string>& texts) {
  return input_body(model, texts);
}

std::string tokenize_body(std::string_view model, const std::vector<std::string>& texts) {
  return input_body(model, texts);
}

Result<Completion> parse_completion(std::string_view body) {
  auto document = json::Document::parse(body);
  if (!document) return bad_answer("completion: " + document.error().describe());
  json::Value root = document->root();
  json::Value choice = root["choices"].at(0);
  auto text = choice["message"]["content"].as_string();
  if (!text) return bad_answer("completion without choices[0].message.content");
  Completion result;
  result.text = std::string(*text);
  result.finish_reason = std::string(choice["finish_reason"].as_string().value_or("stop"));
  read_usage(root["usage"], result);
  read_burn(root, result);
  return result;
}

Result<std::vector<std::vector<float>>> parse_embeddings(std::string_view body,
                                                         std::size_t expected) {
  json::Limits limits;
  limits.nodes_max = 4'000'000;
  limits.bytes_max = 64u << 20;
  auto document = json::Document::parse(body, limits);
  if (!document) return bad_answer("embeddings: " + document.error().describe());
  json::Value data = document->root()["data"];
  if (!data.is_array() || data.size() != expected) return bad_answer("embeddings: wrong count");
  std::vector<std::vector<float>> vectors(expected);
  for (std::size_t i = 0; i < expected; ++i) {
    json::Value item = data.at(i);
    auto index = item["index"].as_int();
    json::Value numbers = item["embedding"];
    if (!index || *index < 0 || static_cast<std::size_t>(*index) >= expected ||
        !numbers.is_array() || numbers.size() == 0) {
      return bad_answer("embeddings: malformed item");
    }
    std::vector<float>& vector = vectors[static_cast<std::size_t>(*index)];
    if (!vector.empty()) return bad_answer("embeddings: index repeated");
    vector.reserve(numbers.size());
    double norm = 0;
    for (std::size_t k = 0; k < numbers.size(); ++k) {
      auto number = numbers.at(k).as_double();
      if (!number || !(std::abs(*number) <= kComponentMax))
        return bad_answer("embeddings: not a usable number");
      vector.push_back(static_cast<float>(*number));
      norm += *number * *number;
    }
    if (!(norm >= kNormMin)) return bad_answer("embeddings: zero vector");
    // An external server may not normalise; the index needs unit vectors.
    auto scale = static_cast<float>(1.0 / std::sqrt(norm));
    for (float& x : vector) x *= scale;
  }
  return vectors;
}

Result<std::vector<std::int64_t>> parse_token_counts(std::string_view body, std::size_t expected) {
  auto document = json::Document::parse(body);
  if (!document) return bad_answer("tokenize: " + document.error().describe());
  json::Value counts = document->root()["counts"];
  if (!counts.is_array() || counts.size() != expected) return bad_answer("tokenize: wrong count");
  std::vector<std::int64_t> out;
  for (std::size_t i = 0; i < expected; ++i) {
    auto count = counts.at(i).as_int();
    if (!count || *count < 0 || *count > kCountMax) return bad_answer("tokenize: not a count");
    out.push_back(*count);
  }
  return out;
}

Result<std::vector<ModelInfo>> parse_models(std::string_view body) {
  auto document = json::Document::parse(body);
  if (!document) return bad_answer("models: " + document.error().describe());
  json::Value data = document->root()["data"];
  if (!data.is_array()) return bad_answer("models: no data array");
  std::vector<ModelInfo> models;
  for (std::size_t i = 0; i < data.size() && i < 256; ++i) {
    json::Value item = data.at(i);
    auto id = item["id"].as_string();
    if (!id) return bad_answer("models: item without id");
    ModelInfo model;
    model.id = std::string(*id);
    model.kind = std::string(item["kind"].as_string().value_or("chat"));
    model.context = count_or_zero(item["context"]);
    model.dimensions = count_or_zero(item["dimensions"]);
    model.sha256 = std::string(item["sha256"].as_string().value_or(""));
    models.push_back(std::move(model));
  }
  return models;
}

Result<void> read_chunk(std::string_view event, std::string& text, Completion& result) {
  auto document = json::Document::parse(event);
  if (!document) return bad_answer("stream: " + document.error().describe());
  json::Value root = document->root();
  if (root["error"].is_object()) return bad_answer("stream: engine reported an error");
  json::Value choice = root["choices"].at(0);
  if (auto piece = choice["delta"]["content"].as_string()) text.append(*piece);
  if (auto reason = choice["finish_reason"].as_string()) result.finish_reason = std::string(*reason);
  read_usage(root["usage"], result);
  read_burn(root, result);
  return {};
}

Error read_error(int status, std::string_view body) {
  std::string code = "status_" + std::to_string(status);
  std::int64_t prompt_tokens = 0;
  std::int64_t context = 0;
  if (auto document = json::Document::parse(body)) {
    json::Value error = document->root()["error"];
    auto text = error["code"].as_string();
    if (!text) text = error["type"].as_string();
    if (text && text->size() <= 64) code = std::string(*text);
    prompt_tokens = count_or_zero(error["prompt_tokens"]);
    context = count_or_zero(error["context"]);
  }
  if (code == "context_length_exceeded") {
    std::string message = "The prompt does not fit into the model's context";
    if (context > 0) {
      message += ": it has " + std::to_string(prompt_tokens) + " tokens and the context holds " +
                 std::to_string(context) + ". Shorten the messages.";
    } else {
      message += ". Shorten the messages.";
    }
    return Error(EngineError::ContextExceeded, std::move(message), code).with_parameter("messages");
  }
  if (status == 404) {
    return Error(EngineError::ModelUnknown,
                 "There is no such model. GET /v1/models lists those you can use.", code)
        .with_parameter("model");
  }
  if (status == 429) {
    return Error(EngineError::QueueFull, "The model is busy. Try again in a moment.", code);
  }
  if (status == 400 || status == 413 || status == 422) {
    return Error(EngineError::BadRequest, "The model engine refused this request.", code);
  }
  if (status == 503) {
    return Error(EngineError::Unavailable, "The model is not available just now. Try again shortly.",
                 code);
  }
  return Error(EngineError::Failed, "The model engine failed on this request. Try again.", code);
}

}  // namespace bulkhead::engine::wire
