// Reading bodies and signed headers: every member known, typed and bounded, or 400.
#include <charconv>

#include "base/ids.h"
#include "inference/grammar.h"
#include "inference/wire.h"

namespace bulkhead::inference {

namespace json = base::json;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kMessagesMax = 1024;
constexpr std::size_t kStopsMax = 4;
constexpr std::int64_t kChoicesMax = 8;
constexpr std::int64_t kTopLogprobsMax = 20;
constexpr std::int64_t kCompletionLogprobsMax = 5;
constexpr std::size_t kBiasesMax = 1024;
constexpr std::size_t kToolsMax = 128;
constexpr std::size_t kToolBytesMax = 64 << 10;
constexpr std::int64_t kPrefixSecondsMax = 86'400;
constexpr std::int64_t kWeightMax = 1'000;

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

Result<void> known_members(const json::Value& object, std::string_view name,
                           std::initializer_list<std::string_view> known) {
  if (!object.is_object()) return bad(std::string(name) + " must be an object.");
  if (auto unknown = json::first_unknown_key(object, known)) {
    return bad("There is no member \"" + *unknown + "\" in " + std::string(name) + ".");
  }
  return Result<void>();
}

Result<std::vector<std::string>> read_texts(const json::Value& list, std::size_t count_max,
                                            const char* name) {
  std::vector<std::string> texts;
  if (!list.is_array() || list.size() > count_max)
    return bad(std::string(name) + " must be a list of strings.");
  for (std::size_t i = 0; i < list.size(); ++i) {
    auto text = list.at(i).as_string();
    if (!text) return bad(std::string(name) + " must be a list of strings.");
    texts.emplace_back(*text);
  }
  return texts;
}

std::string range(double low, double high) {
  return std::to_string(static_cast<int>(low)) + " to " + std::to_string(static_cast<int>(high)) + ".";
}

Result<void> read_real(const json::Value& root, std::string_view name, double low, double high, double& out) {
  json::Value value = root[name];
  if (!value.exists()) return Result<void>();
  auto number = value.as_double();
  if (!number || !(*number >= low && *number <= high))
    return bad(std::string(name) + " must be from " + range(low, high));
  out = *number;
  return Result<void>();
}

template <typename Number>
Result<void> read_count(const json::Value& root, std::string_view name, std::int64_t low, std::int64_t high,
                        Number& out) {
  json::Value value = root[name];
  if (!value.exists()) return Result<void>();
  auto number = value.as_int();
  if (!number || *number < low || *number > high) {
    return bad(std::string(name) + " must be a whole number from " + std::to_string(low) + " to " +
               std::to_string(high) + ".");
  }
  out = static_cast<Number>(*number);
  return Result<void>();
}

Result<void> read_flag(const json::Value& root, std::string_view name, bool& out) {
  json::Value value = root[name];
  if (!value.exists()) return Result<void>();
  auto flag = value.as_bool();
  if (!flag) return bad(std::string(name) + " must be true or false.");
  out = *flag;
  return Result<void>();
}

Result<void> read_biases(const json::Value& biases, SamplingOptions& out) {
  if (!biases.exists()) return Result<void>();
  if (!biases.is_object() || biases.size() > kBiasesMax) {
    return bad("logit_bias must be an object of at most " + std::to_string(kBiasesMax) + " members.");
  }
  for (std::size_t i = 0; i < biases.size(); ++i) {
    std::string_view key = biases.key_at(i);
    Token token = -1;
    auto [end, failed] = std::from_chars(key.data(), key.data() + key.size(), token);
    auto bias = biases.at(i).as_double();
    bool fits = failed == std::errc() && end == key.data() + key.size() && token >= 0 && bias &&
                *bias >= -100 && *bias <= 100;
    if (!fits) return bad("logit_bias must map token ids to numbers from -100 to 100.");
    // OpenAI: -100 forbids, 100 forces.
    out.logit_bias.emplace_back(token, static_cast<float>(*bias));
  }
  return Result<void>();
}

Result<void> read_sampling(const json::Value& root, GenerateBody& out) {
  GenerationRequest& request = out.request;
  SamplingOptions& sampling = request.sampling;
  BULKHEAD_CHECK_OK(read_flag(root, "stream", out.stream));
  BULKHEAD_CHECK_OK(read_flag(root, "progress", out.progress));
  BULKHEAD_CHECK_OK(read_count(root, "max_tokens", 1, INT64_MAX, request.max_tokens));
  BULKHEAD_CHECK_OK(read_count(root, "n", 1, kChoicesMax, request.n));
  BULKHEAD_CHECK_OK(read_real(root, "temperature", 0, 2, sampling.temperature));
  BULKHEAD_CHECK_OK(read_real(root, "top_p", 0, 1, sampling.top_p));
  BULKHEAD_CHECK_OK(read_real(root, "presence_penalty", -2, 2, sampling.presence_penalty));
  BULKHEAD_CHECK_OK(read_real(root, "frequency_penalty", -2, 2, sampling.frequency_penalty));
  if (json::Value value = root["seed"]; value.exists()) {
    sampling.seed = value.as_int();
    if (!sampling.seed) return bad("seed must be a whole number.");
  }
  BULKHEAD_CHECK_OK(read_biases(root["logit_bias"], sampling));
  if (json::Value value = root["stop"]; value.exists()) {
    BULKHEAD_TRY(stops, read_texts(value, kStopsMax, "stop"));
    for (const std::string& stop : stops) {
      if (stop.empty()) return bad("stop must not hold an empty string.");
    }
    request.stop = std::move(stops);
  }
  return Result<void>();
}

Result<void> read_format(const json::Value& format, GenerationRequest& out) {
  if (!format.exists()) return Result<void>();
  BULKHEAD_CHECK_OK(known_members(format, "response_format", {"type", "json_schema"}));
  auto type = format["type"].as_string().value_or("");
  if (type == "text") return Result<void>();
  if (type == "json_object") {
    BULKHEAD_TRY(any, checked_grammar(R"({"type":"object"})"));
    out.constraint.grammar = std::move(any);
    return Result<void>();
  }
  json::Value wrapper = format["json_schema"];
  if (type != "json_schema" || !wrapper["schema"].is_object()) {
    return bad("response_format must be text, json_object or json_schema with a schema.");
  }
  guard::SchemaCheck check;
  BULKHEAD_TRY(schema, convertible_schema(wrapper["schema"], check));
  BULKHEAD_TRY(grammar, grammar_of_schema(schema));
  out.constraint.grammar = std::move(grammar);
  return Result<void>();
}

std::string text_or_empty(const json::Value& value) { return std::string(value.as_string().value_or("")); }

Result<void> read_calls(const json::Value& calls, ChatMessage& message) {
  if (!calls.exists() || calls.is_null()) return Result<void>();
  if (!calls.is_array() || calls.size() > kToolsMax) return bad("tool_calls must be a list.");
  for (std::size_t i = 0; i < calls.size(); ++i) {
    json::Value function = calls.at(i)["function"];
    auto name = function["name"].as_string();
    auto arguments = function["arguments"].as_string();
    if (!name || !arguments)
      return bad("tool_calls[" + std::to_string(i) + "] must hold a function's name and arguments.");
    // Templates that lay arguments out as objects read them.
    if (!json::Document::parse(*arguments))
      return bad("tool_calls[" + std::to_string(i) + "].function.arguments must be JSON.");
    message.tool_calls.push_back(
        {text_or_empty(calls.at(i)["id"]), std::string(*name), std::string(*arguments)});
  }
  return Result<void>();
}

Result<void> read_messages(const json::Value& messages, GenerateBody& out) {
  if (!messages.is_array() || messages.size() == 0 || messages.size() > kMessagesMax) {
    return bad("messages must be a list of messages.");
  }
  for (std::size_t i = 0; i < messages.size(); ++i) {
    json::Value value = messages.at(i);
    std::string name = "messages[" + std::to_string(i) + "]";
    BULKHEAD_CHECK_OK(known_members(value, name, {"role", "content", "tool_calls", "tool_call_id"}));
    ChatMessage message;
    message.role = text_or_empty(value["role"]);
    message.content = text_or_empty(value["content"]);
    message.tool_call_id = text_or_empty(value["tool_call_id"]);
    BULKHEAD_CHECK_OK(read_calls(value["tool_calls"], message));
    bool role_fits = message.role == "system" || message.role == "user" || message.role == "assistant" ||
                     (message.role == "tool" && !message.tool_call_id.empty());
    bool content_fits = value["content"].is_string() || !message.tool_calls.empty();
    bool calls_fit = message.tool_calls.empty() || message.role == "assistant";
    if (!role_fits || !content_fits || !calls_fit) return bad(name + " must hold role and content.");
    out.messages.push_back(std::move(message));
  }
  return Result<void>();
}

Result<Tool> read_tool(const json::Value& value, std::size_t index, guard::SchemaCheck& check) {
  std::string name = "tools[" + std::to_string(index) + "]";
  BULKHEAD_CHECK_OK(known_members(value, name, {"type", "function"}));
  json::Value function = value["function"];
  BULKHEAD_CHECK_OK(
      known_members(function, name + ".function", {"name", "description", "parameters", "strict"}));
  Tool tool;
  tool.name = text_or_empty(function["name"]);
  tool.description = text_or_empty(function["description"]);
  json::Value parameters = function["parameters"];
  if (parameters.is_object()) {
    BULKHEAD_TRY(schema, convertible_schema(parameters, check));
    tool.parameters = std::move(schema);
  } else {
    tool.parameters = R"({"type":"object","properties":{}})";
  }
  if (tool.name.empty() || tool.parameters.size() + tool.description.size() > kToolBytesMax) {
    return bad(name + " must hold a function with a name and parameters of at most 64 KiB.");
  }
  return tool;
}

Result<void> read_tools(const json::Value& root, GenerateBody& out) {
  json::Value list = root["tools"];
  if (!list.exists()) return Result<void>();
  if (!list.is_array() || list.size() == 0 || list.size() > kToolsMax)
    return bad("tools must be a list of tools.");
  ToolRequest tools;
  guard::SchemaCheck check;  // the bounds are on all tools together
  for (std::size_t i = 0; i < list.size(); ++i) {
    BULKHEAD_TRY(tool, read_tool(list.at(i), i, check));
    tools.tools.push_back(std::move(tool));
  }
  json::Value choice = root["tool_choice"];
  if (auto word = choice.as_string()) {
    if (*word != "auto" && *word != "none" && *word != "required") return bad("tool_choice is not known.");
    tools.choice = std::string(*word);
  } else if (choice.exists()) {
    tools.choice = text_or_empty(choice["function"]["name"]);
    bool known = false;
    for (const Tool& tool : tools.tools) known = known || tool.name == tools.choice;
    if (!known) return bad("tool_choice names no tool of this request.");
  }
  BULKHEAD_CHECK_OK(read_flag(root, "parallel_tool_calls", tools.parallel));
  if (out.request.constraint.grammar) {
    return Error(InferenceError::BadGrammar,
                 "tools and a response_format other than text exclude each other.");
  }
  out.tools = std::move(tools);
  return Result<void>();
}

}  // namespace

Result<RequestContext> parse_context(const http::Request& request) {
  RequestContext context;
  bool fits = true;
  auto text = [&](std::string_view name) { return request.headers.single(name).value_or(""); };
  auto number = [&](std::string_view name, std::int64_t low, std::int64_t high, std::int64_t standard) {
    std::string_view value = text(name);
    if (value.empty()) return standard;
    std::int64_t out = 0;
    auto [end, failed] = std::from_chars(value.data(), value.data() + value.size(), out);
    fits = fits && failed == std::errc() && end == value.data() + value.size() && out >= low && out <= high;
    return out;
  };
  auto choice = [&](std::string_view name, std::initializer_list<std::string_view> words) {
    std::string_view value = text(name);
    std::size_t at = 0;
    for (std::string_view word : words) {
      if (value == word || (value.empty() && at == 0)) return at;
      ++at;
    }
    fits = false;
    return std::size_t{0};
  };
  context.tenant = std::string(text("x-bulkhead-tenant"));
  context.session = std::string(text("x-bulkhead-session"));
  context.request_id = std::string(text("x-bulkhead-request"));
  fits = base::is_tenant_name(context.tenant) && base::is_identifier(context.session) &&
         base::is_identifier(context.request_id);
  context.prefix = static_cast<PrefixScope>(choice("x-bulkhead-prefix-cache", {"off", "session", "tenant"}));
  context.prefix_lifetime =
      std::chrono::seconds(number("x-bulkhead-prefix-seconds", 1, kPrefixSecondsMax, 300));
  context.exclusive = choice("x-bulkhead-batching", {"shared", "exclusive"}) == 1;
  context.weight = static_cast<double>(number("x-bulkhead-weight", 1, kWeightMax, 1));
  context.priority = choice("x-bulkhead-priority", {"interactive", "background", "maintenance"});
  if (!fits) return Error(InferenceError::BadContext, "The signed context is incomplete or malformed.");
  return context;
}

Result<GenerateBody> parse_chat(std::string_view body) {
  BULKHEAD_TRY(document, parse_object(body, {"model",
                                             "messages",
                                             "stream",
                                             "progress",
                                             "stream_options",
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
                                             "parallel_tool_calls"}));
  json::Value root = document.root();
  GenerateBody out;
  out.model = text_or_empty(root["model"]);
  BULKHEAD_CHECK_OK(read_messages(root["messages"], out));
  BULKHEAD_CHECK_OK(read_sampling(root, out));
  bool logprobs = false;
  BULKHEAD_CHECK_OK(read_flag(root, "logprobs", logprobs));
  int top = 0;
  BULKHEAD_CHECK_OK(read_count(root, "top_logprobs", 0, kTopLogprobsMax, top));
  if (logprobs) out.request.sampling.top_logprobs = top;
  BULKHEAD_CHECK_OK(read_format(root["response_format"], out.request));
  BULKHEAD_CHECK_OK(read_tools(root, out));
  return out;
}

Result<GenerateBody> parse_completion(std::string_view body) {
  BULKHEAD_TRY(document,
               parse_object(body, {"model", "prompt", "stream", "progress", "stream_options", "max_tokens",
                                   "temperature", "top_p", "seed", "stop", "n", "presence_penalty",
                                   "frequency_penalty", "logit_bias", "logprobs", "response_format"}));
  json::Value root = document.root();
  GenerateBody out;
  out.model = text_or_empty(root["model"]);
  auto prompt = root["prompt"].as_string();
  if (!prompt || prompt->empty()) return bad("prompt must be a string.");
  out.prompt = std::string(*prompt);
  BULKHEAD_CHECK_OK(read_sampling(root, out));
  if (root["logprobs"].exists()) {
    int top = 0;
    BULKHEAD_CHECK_OK(read_count(root, "logprobs", 0, kCompletionLogprobsMax, top));
    out.request.sampling.top_logprobs = top;
  }
  BULKHEAD_CHECK_OK(read_format(root["response_format"], out.request));
  return out;
}

Result<InputBody> parse_input(std::string_view body, std::size_t count_max) {
  BULKHEAD_TRY(document, parse_object(body, {"model", "input"}));
  InputBody out;
  out.model = text_or_empty(document.root()["model"]);
  BULKHEAD_TRY(texts, read_texts(document.root()["input"], count_max, "input"));
  if (texts.empty()) return bad("input must not be empty.");
  out.input = std::move(texts);
  return out;
}

Result<RerankBody> parse_rerank(std::string_view body, std::size_t count_max) {
  BULKHEAD_TRY(document, parse_object(body, {"model", "query", "documents"}));
  RerankBody out;
  out.model = text_or_empty(document.root()["model"]);
  out.query = text_or_empty(document.root()["query"]);
  if (out.query.empty()) return bad("query must be a string that isn't empty.");
  BULKHEAD_TRY(texts, read_texts(document.root()["documents"], count_max, "documents"));
  if (texts.empty()) return bad("documents must not be empty.");
  out.documents = std::move(texts);
  return out;
}

Result<BurnScope> parse_burn(std::string_view body) {
  BULKHEAD_TRY(document, parse_object(body, {"scope"}));
  auto scope = document.root()["scope"].as_string().value_or("");
  if (scope == "session") return BurnScope::Session;
  if (scope == "tenant") return BurnScope::Tenant;
  return bad("scope must be session or tenant.");
}

}  // namespace bulkhead::inference
