// GET /v1/models, POST /v1/embeddings.
#include "gateway/dto.h"
#include "gateway/generation.h"
#include "gateway/handlers.h"
#include "gateway/model_access.h"
#include "gateway/outcome.h"
#include "gateway/prompt_bounds.h"
#include "gateway/text_input.h"

namespace bulkhead::gateway {

namespace json = base::json;
using base::Result;

namespace {

constexpr std::size_t kInputsMax = 256;
constexpr std::size_t kModelBytesMax = 128;

std::string model_json(const engine::ModelInfo& model) {
  json::Writer w;
  w.begin_object()
      .member("id", model.id)
      .member("object", "model")
      .member("created", 0)
      .member("owned_by", "bulkhead");
  w.key("bulkhead").begin_object().member("kind", model.kind);
  if (model.context > 0) w.member("context", model.context);
  if (model.dimensions > 0) w.member("dimensions", model.dimensions);
  if (!model.sha256.empty()) w.member("sha256", model.sha256);
  w.end_object().end_object();
  return w.take();
}

struct EmbeddingBody {
  std::string model;
  std::vector<std::string> inputs;
  bool base64 = false;
};

Result<EmbeddingBody> parse_embedding_body(const json::Value& root) {
  EmbeddingBody body;
  ObjectReader reader(root);
  body.model = reader.text("model", kModelBytesMax, true).value_or("");
  if (root["input"].is_string()) {
    body.inputs = {reader.text("input", SIZE_MAX).value_or("")};
  } else {
    body.inputs = reader.texts("input", kInputsMax, SIZE_MAX);
  }
  auto format = reader.text("encoding_format", 16).value_or("float");
  body.base64 = format == "base64";
  reader.unsupported("dimensions", "vectors have the model's own size.");
  reader.unsupported("user", "who asks is known from the credential.");
  BULKHEAD_CHECK_OK(reader.finish());
  if (format != "float" && format != "base64") {
    return api_error(ApiError::BadParameter, "'encoding_format' must be float or base64.", "encoding_format");
  }
  if (body.inputs.empty()) {
    return api_error(ApiError::MissingParameter, "'input' must be a string or a list of 1 to 256 strings.",
                     "input");
  }
  for (std::size_t i = 0; i < body.inputs.size(); ++i) {
    BULKHEAD_TRY(cleaned, clean_input(body.inputs[i], "input[" + std::to_string(i) + "]"));
    body.inputs[i] = std::move(cleaned);
  }
  return body;
}

void write_vector(json::Writer& w, const std::vector<float>& vector, bool base64) {
  if (base64) {
    // Little-endian float32, as OpenAI's SDKs decode it.
    base::ByteView bytes(reinterpret_cast<const std::uint8_t*>(vector.data()), vector.size() * sizeof(float));
    w.value(base::base64_encode(bytes));
    return;
  }
  w.begin_array();
  for (float x : vector) w.value(static_cast<double>(x));
  w.end_array();
}

}  // namespace

HandlerResult list_models(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  json::Writer w;
  w.begin_object().member("object", "list").key("data").begin_array();
  for (const engine::ModelInfo& model : call.services.engine.models()) {
    if (may_use_model(call, model)) w.raw(model_json(model));
  }
  w.end_array().end_object();
  co_return Reply::json(200, w.take());
}

HandlerResult get_model(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  for (const engine::ModelInfo& model : call.services.engine.models()) {
    if (model.id == call.captures[0] && may_use_model(call, model))
      co_return Reply::json(200, model_json(model));
  }
  co_return not_found("model");
}

HandlerResult create_embeddings(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  BULKHEAD_CO_TRY(document, read_json_object(call.request()));
  BULKHEAD_CO_TRY(body, parse_embedding_body(document.root()));
  Services& services = call.services;
  if (services.embedding_model.empty() ||
      (body.model != services.embedding_model && body.model != "default")) {
    co_return base::Error(engine::EngineError::ModelUnknown,
                          "There is no such embedding model. GET /v1/models lists those you can use.")
        .with_parameter("model");
  }
  for (std::size_t i = 0; i < body.inputs.size(); ++i) {
    BULKHEAD_CO_CHECK_OK(check_text_fits(call, services.embedding_model, body.inputs[i].size(),
                                         "input[" + std::to_string(i) + "]"));
  }
  record_inputs(call, services.embedding_model, body.inputs);

  // Its turns are taken at the embedding model, not among those who wait for the chat model.
  ReadingOutcome reading(accounts_of(call), ReadingOutcome::Part::Whole);
  auto made = co_await services.engine.embed(call.engine_context(), services.embedding_model, body.inputs);
  std::size_t bytes = 0;
  for (const std::string& text : body.inputs) bytes += text.size();
  reading.tokens = engine::tokens_read(made, bytes);
  if (!made) co_return explained(call, made.take_error());
  reading.settle();

  json::Writer w;
  w.begin_object().member("object", "list").key("data").begin_array();
  for (std::size_t i = 0; i < made->vectors.size(); ++i) {
    w.begin_object().member("object", "embedding").member("index", static_cast<std::uint64_t>(i));
    w.key("embedding");
    write_vector(w, made->vectors[i], body.base64);
    w.end_object();
  }
  w.end_array().member("model", services.embedding_model).key("usage").begin_object();
  w.member("prompt_tokens", reading.tokens).member("total_tokens", reading.tokens).end_object().end_object();
  co_return Reply::json(200, w.take());
}

}  // namespace bulkhead::gateway
