#include "engine/openai_wire.h"

#include <algorithm>
#include <cmath>

namespace bulkhead::engine::wire {

namespace json = base::json;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kToolCallsMax = 128;
constexpr std::size_t kToolCallIdBytesMax = 64;
constexpr std::size_t kModelIdBytesMax = 128;

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

// Members that an upstream's error may name and that mean something to our own clients.
constexpr std::string_view kNameable[] = {"messages",
                                          "prompt",
                                          "max_tokens",
                                          "temperature",
                                          "top_p",
                                          "seed",
                                          "stop",
                                          "n",
                                          "presence_penalty",
                                          "frequency_penalty",
                                          "logit_bias",
                                          "logprobs",
                                          "top_logprobs",
                                          "response_format",
                                          "tools",
                                          "tool_choice",
                                          "parallel_tool_calls",
                                          "model"};

// Codes of an upstream's errors that are put on record; any other one is recorded by its HTTP status.
constexpr std::string_view kKnownCodes[] = {"bad_context",          "bad_request",
                                            "bad_grammar",          "context_length_exceeded",
                                            "engine_error",         "queue_full",
                                            "shutting_down",        "cancelled",
                                            "unsupported",          "signature_invalid",
                                            "signature_stale",      "signature_replayed",
                                            "digest_mismatch",      "invalid_request_error",
                                            "authentication_error", "permission_error",
                                            "not_found_error",      "rate_limit_error",
                                            "rate_limit_exceeded",  "model_not_found",
                                            "server_error",         "unavailable_error",
                                            "not_supported_error",  "exceed_context_size_error",
                                            "BadRequestError",      "NotFoundError",
                                            "InternalServerError"};

bool is_known_code(std::string_view code) {
  return std::find(std::begin(kKnownCodes), std::end(kKnownCodes), code) != std::end(kKnownCodes);
}

bool all_of_set(std::string_view text, std::string_view more) {
  return std::all_of(text.begin(), text.end(), [more](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           more.find(static_cast<char>(c)) != more.npos;
  });
}

std::string nameable(std::string_view parameter) {
  parameter = parameter.substr(0, parameter.find_first_of(".["));
  bool known = std::find(std::begin(kNameable), std::end(kNameable), parameter) != std::end(kNameable);
  return known ? std::string(parameter) : std::string();
}

// "query", "input[3]" or "documents[3]": which of several texts is meant. Else "".
std::string place_of_text(std::string_view parameter) {
  if (parameter == "query") return std::string(parameter);
  for (std::string_view list : {"input[", "documents["}) {
    if (!parameter.starts_with(list) || !parameter.ends_with(']')) continue;
    std::string_view index = parameter.substr(list.size(), parameter.size() - list.size() - 1);
    bool number = !index.empty() && index.size() <= 6 && index.find_first_not_of("0123456789") == index.npos;
    if (number) return std::string(parameter);
  }
  return "";
}

void copy_token(json::Writer& w, const json::Value& token) {
  w.member("token", token["token"].as_string().value_or(""));
  w.key("logprob").value(token["logprob"].as_double().value_or(-9999.0));
  w.key("bytes");
  if (token["bytes"].is_array()) {
    w.copy(token["bytes"]);
  } else {
    w.null();
  }
}

}  // namespace

Error bad_answer(std::string detail) {
  return Error(EngineError::BadAnswer, "The model engine gave an answer that can't be used. Try again.",
               std::move(detail));
}

// Only the members that OpenAI documents: an upstream's own additions are not for our clients.
std::string copy_logprobs(const json::Value& logprobs) {
  json::Value content = logprobs["content"];
  json::Writer w;
  if (!content.is_array()) {
    if (!logprobs["tokens"].is_array()) return "";
    w.begin_object();
    for (std::string_view name : {"tokens", "token_logprobs", "top_logprobs", "text_offset"}) {
      w.key(name);
      if (logprobs[name].exists()) {
        w.copy(logprobs[name]);
      } else {
        w.null();
      }
    }
    w.end_object();
    return w.take();
  }
  w.begin_object().key("content").begin_array();
  for (std::size_t i = 0; i < content.size(); ++i) {
    json::Value token = content.at(i);
    w.begin_object();
    copy_token(w, token);
    w.key("top_logprobs").begin_array();
    for (std::size_t k = 0; k < token["top_logprobs"].size(); ++k) {
      w.begin_object();
      copy_token(w, token["top_logprobs"].at(k));
      w.end_object();
    }
    w.end_array().end_object();
  }
  w.end_array().key("refusal").null().end_object();
  return w.take();
}

std::optional<Usage> read_usage(const json::Value& usage) {
  if (!usage.is_object()) return std::nullopt;
  Usage read{.told = true};
  read.prompt_tokens = count_or_zero(usage["prompt_tokens"]);
  read.completion_tokens = count_or_zero(usage["completion_tokens"]);
  auto cached = usage["prompt_tokens_details"]["cached_tokens"].as_int();
  // More than the prompt has can't be true, and must not be told to anyone.
  if (cached && *cached >= 0 && *cached <= read.prompt_tokens) read.cached_tokens = cached;
  return read;
}

Usage reckon_usage(std::optional<Usage> told, std::int64_t counted, std::size_t bytes) {
  Usage usage = told.value_or(Usage());
  // A count of none for an answer that has text is no count.
  usage.told = told && (told->completion_tokens > 0 || bytes == 0);
  usage.completion_tokens =
      std::max(usage.completion_tokens, usage.told ? counted : std::max(counted, estimated_tokens(bytes)));
  return usage;
}

std::size_t bytes_of(const Choice& choice) {
  std::size_t bytes = choice.text.size();
  for (const ToolCall& call : choice.tool_calls) bytes += call.name.size() + call.arguments.size();
  return bytes;
}

std::string tool_call_id(std::string_view id, std::size_t place) {
  const bool fits = !id.empty() && id.size() <= kToolCallIdBytesMax && all_of_set(id, "_-");
  return fits ? std::string(id) : "call_" + std::to_string(place);
}

void read_burn(const json::Value& root, Completion& result) {
  json::Value burn = root["bulkhead"]["burn"];
  if (burn.exists()) result.burn = base::read_burn_report(burn);
}

Result<void> read_tool_calls(const json::Value& list, std::vector<ToolCall>& calls) {
  if (!list.exists() || list.is_null()) return {};
  if (!list.is_array() || list.size() > kToolCallsMax) return bad_answer("tool_calls is not a short list");
  for (std::size_t i = 0; i < list.size(); ++i) {
    json::Value call = list.at(i);
    auto name = call["function"]["name"].as_string();
    auto arguments = call["function"]["arguments"].as_string();
    if (!name || !arguments) return bad_answer("tool call without name or arguments");
    calls.push_back(
        {tool_call_id(call["id"].as_string().value_or(""), i), std::string(*name), std::string(*arguments)});
  }
  return {};
}

namespace {

Result<Choice> read_choice(const json::Value& item, bool raw_prompt) {
  Choice choice;
  choice.finish_reason = read_finish_reason(item["finish_reason"].as_string().value_or("stop"));
  json::Value text = raw_prompt ? item["text"] : item["message"]["content"];
  if (!raw_prompt) BULKHEAD_CHECK_OK(read_tool_calls(item["message"]["tool_calls"], choice.tool_calls));
  if (auto words = text.as_string()) {
    choice.text = std::string(*words);
  } else if (choice.tool_calls.empty()) {
    return bad_answer("choice without text");
  }
  choice.logprobs = copy_logprobs(item["logprobs"]);
  return choice;
}

}  // namespace

Result<Completion> parse_completion(std::string_view body, std::size_t expected, bool raw_prompt) {
  auto document = json::Document::parse(body);
  if (!document) return bad_answer("completion: " + document.error().describe());
  json::Value root = document->root();
  json::Value choices = root["choices"];
  if (!choices.is_array() || choices.size() != expected)
    return bad_answer("completion: wrong count of choices");
  Completion result;
  std::vector<bool> seen(expected);
  result.choices.resize(expected);
  for (std::size_t i = 0; i < expected; ++i) {
    auto index = choices.at(i)["index"].as_int().value_or(0);
    if (index < 0 || static_cast<std::size_t>(index) >= expected || seen[static_cast<std::size_t>(index)]) {
      return bad_answer("completion: wrong index of a choice");
    }
    seen[static_cast<std::size_t>(index)] = true;
    BULKHEAD_TRY(choice, read_choice(choices.at(i), raw_prompt));
    result.choices[static_cast<std::size_t>(index)] = std::move(choice);
  }
  std::size_t bytes = 0;
  std::int64_t answered = 0;
  for (const Choice& choice : result.choices) {
    bytes += bytes_of(choice);
    if (bytes_of(choice) > 0) ++answered;
  }
  result.usage = reckon_usage(read_usage(root["usage"]), answered, bytes);
  read_burn(root, result);
  return result;
}

Result<base::BurnReport> parse_burn_kept(std::string_view body) {
  auto document = json::Document::parse(body);
  if (!document) return bad_answer("burn: " + document.error().describe());
  auto report = base::read_burn_report(document->root());
  if (!report) return bad_answer("burn: not a report");
  return std::move(*report);
}

Result<Embeddings> parse_embeddings(std::string_view body, std::size_t expected) {
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
    if (!index || *index < 0 || static_cast<std::size_t>(*index) >= expected || !numbers.is_array() ||
        numbers.size() == 0) {
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
  return Embeddings{std::move(vectors), count_or_zero(document->root()["usage"]["total_tokens"])};
}

Result<Ranking> parse_ranking(std::string_view body, std::size_t expected) {
  auto document = json::Document::parse(body);
  if (!document) return bad_answer("rerank: " + document.error().describe());
  json::Value results = document->root()["results"];
  if (!results.is_array() || results.size() != expected) return bad_answer("rerank: wrong count");
  std::vector<std::optional<double>> scores(expected);
  for (std::size_t i = 0; i < expected; ++i) {
    auto index = results.at(i)["index"].as_int();
    auto score = results.at(i)["relevance_score"].as_double();
    bool usable = index && *index >= 0 && static_cast<std::size_t>(*index) < expected && score &&
                  std::abs(*score) <= kComponentMax;
    if (!usable) return bad_answer("rerank: malformed item");
    std::optional<double>& place = scores[static_cast<std::size_t>(*index)];
    if (place) return bad_answer("rerank: index repeated");
    place = *score;
  }
  Ranking ranking;
  for (const std::optional<double>& score : scores) ranking.scores.push_back(*score);
  ranking.tokens = count_or_zero(document->root()["usage"]["total_tokens"]);
  return ranking;
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
    if (!id || id->empty() || id->size() > kModelIdBytesMax || !all_of_set(*id, "._:/-")) {
      return bad_answer("models: item without a usable id");
    }
    ModelInfo model;
    model.id = std::string(*id);
    model.kind = std::string(item["kind"].as_string().value_or("chat"));
    if (model.kind != "chat" && model.kind != "embedding" && model.kind != "rerank") {
      return bad_answer("models: item of no known kind");
    }
    model.context = count_or_zero(item["context"]);
    model.dimensions = count_or_zero(item["dimensions"]);
    model.sha256 = std::string(item["sha256"].as_string().value_or(""));
    model.token_bytes_max = count_or_zero(item["token_bytes_max"]);
    if (model.sha256.size() > 64 || !all_of_set(model.sha256, "")) {
      return bad_answer("models: item with no usable hash");
    }
    models.push_back(std::move(model));
  }
  return models;
}

Error read_error(int status, std::string_view body) {
  std::string code = "status_" + std::to_string(status);
  std::int64_t prompt_tokens = 0;
  std::int64_t context = 0;
  std::string parameter, text_place;
  if (auto document = json::Document::parse(body)) {
    json::Value error = document->root()["error"];
    auto text = error["code"].as_string();
    if (!text) text = error["type"].as_string();
    if (text && is_known_code(*text)) code = std::string(*text);
    parameter = nameable(error["param"].as_string().value_or(""));
    text_place = place_of_text(error["param"].as_string().value_or(""));
    prompt_tokens = count_or_zero(error["prompt_tokens"]);
    context = count_or_zero(error["context"]);
    if (code == "exceed_context_size_error") {  // llama.cpp's words for the same
      code = "context_length_exceeded";
      prompt_tokens = count_or_zero(error["n_prompt_tokens"]);
      context = count_or_zero(error["n_ctx"]);
    }
  }
  if (code == "context_length_exceeded" && !text_place.empty()) {
    return Error(EngineError::ContextExceeded,
                 "'" + text_place + "' does not fit into the model's context. Shorten it.", code)
        .with_parameter(text_place);
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
    return Error(EngineError::ModelUnknown, "There is no such model. GET /v1/models lists those you can use.",
                 code)
        .with_parameter("model");
  }
  if (status == 429) {
    return Error(EngineError::QueueFull, "The model is busy. Try again in a moment.", code);
  }
  if (status == 400 || status == 413 || status == 422) {
    std::string message = "The model engine refused this request.";
    if (code == "bad_grammar") {
      message = "This model can't be held to that schema or those tools; nothing was generated.";
    } else if (!parameter.empty()) {
      message = "The model engine refused '" + parameter + "'.";
    }
    Error refused(EngineError::BadRequest, std::move(message), code);
    return parameter.empty() ? refused : std::move(refused).with_parameter(parameter);
  }
  if (status == 503) {
    return Error(EngineError::Unavailable, "The model is not available just now. Try again shortly.", code);
  }
  return Error(EngineError::Failed, "The model engine failed on this request. Try again.", code);
}

}  // namespace bulkhead::engine::wire
