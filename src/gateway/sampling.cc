#include "gateway/sampling.h"

#include <charconv>

namespace bulkhead::gateway {

namespace json = base::json;

namespace {

constexpr std::size_t kStopsMax = 4;
constexpr std::size_t kStopBytesMax = 256;
constexpr std::size_t kBiasesMax = 1024;
constexpr double kBiasMax = 100;

void read_stop(ObjectReader& reader, const json::Value& root, engine::ChatRequest& request) {
  if (root["stop"].is_string()) {
    request.stop = {reader.text("stop", kStopBytesMax).value_or("")};
  } else {
    request.stop = reader.texts("stop", kStopsMax, kStopBytesMax);
  }
  for (const std::string& stop : request.stop) {
    if (stop.empty() && !reader.failed()) {
      reader.fail(api_error(ApiError::BadParameter, "'stop' must not hold an empty string.", "stop"));
    }
  }
}

// Token ids are object keys in OpenAI's form; only their plain decimal spelling counts, so that no
// token can be named twice.
std::optional<std::int64_t> token_id(std::string_view text) {
  std::int64_t id = 0;
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), id);
  bool plain = failed == std::errc() && end == text.data() + text.size() && id >= 0 && id <= INT32_MAX &&
               std::to_string(id) == text;
  return plain ? std::optional(id) : std::nullopt;
}

void read_logit_bias(ObjectReader& reader, engine::ChatRequest& request) {
  json::Value biases = reader.value("logit_bias");
  if (!biases.exists()) return;
  bool fits = biases.is_object() && biases.size() <= kBiasesMax;
  for (std::size_t i = 0; fits && i < biases.size(); ++i) {
    auto id = token_id(biases.key_at(i));
    auto bias = biases.at(i).as_double();
    fits = id && bias && *bias >= -kBiasMax && *bias <= kBiasMax;
    if (fits) request.logit_bias.emplace_back(*id, *bias);
  }
  if (!fits) {
    reader.fail(api_error(ApiError::BadParameter,
                          "'logit_bias' must be an object of at most " + std::to_string(kBiasesMax) +
                              " token ids (decimal) with numbers from -100 to 100.",
                          "logit_bias"));
  }
}

}  // namespace

void read_sampling(ObjectReader& reader, const json::Value& root, engine::ChatRequest& request) {
  request.temperature = reader.real("temperature", 0, 2);
  request.top_p = reader.real("top_p", 0, 1);
  request.seed = reader.integer("seed", INT64_MIN, INT64_MAX);
  request.choices = reader.integer("n", 1, kChoicesMax).value_or(1);
  request.presence_penalty = reader.real("presence_penalty", -2, 2);
  request.frequency_penalty = reader.real("frequency_penalty", -2, 2);
  read_stop(reader, root, request);
  read_logit_bias(reader, request);
}

StreamOptions read_stream_options(ObjectReader& reader, engine::ChatRequest& request) {
  StreamOptions options;
  request.stream = reader.flag("stream").value_or(false);
  json::Value given = reader.value("stream_options");
  if (!given.exists()) return options;
  if (!request.stream || !given.is_object()) {
    reader.fail(api_error(ApiError::BadParameter,
                          "'stream_options' is an object that goes with \"stream\": true.",
                          "stream_options"));
    return options;
  }
  ObjectReader inner(given, "stream_options");
  options.include_usage = inner.flag("include_usage").value_or(false);
  options.include_obfuscation = inner.flag("include_obfuscation").value_or(false);
  if (auto read = inner.finish(); !read) reader.fail(read.take_error());
  return options;
}

void refuse_identity_members(ObjectReader& reader) {
  reader.unsupported("user", "who asks is known from the credential.");
  reader.unsupported("safety_identifier", "who asks is known from the credential.");
  // vLLM and llama.cpp take these from a body; here they come from the verified identity alone.
  reader.unsupported("prompt_cache_key",
                     "what may be reused follows from the credential and the tenant's policy.");
  reader.unsupported("cache_salt", "what may be reused follows from the credential and the tenant's policy.");
  reader.unsupported("id_slot", "the gateway chooses where a request runs.");
}

}  // namespace bulkhead::gateway
