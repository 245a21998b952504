#include "inference/routes.h"

#include "base/ids.h"
#include "crypto/random.h"
#include "http/sse.h"
#include "inference/wire.h"

namespace bulkhead::inference {

namespace json = base::json;
using base::Error;
using base::Result;
using base::Task;

namespace {

constexpr std::size_t kEmbeddingInputsMax = 256;
constexpr std::size_t kTokenizeInputsMax = 1536;

Error model_unknown() { return Error(InferenceError::ModelUnknown, "There is no such model."); }
Error no_route() { return Error(InferenceError::ModelUnknown, "There is no such path."); }

void count_line(std::string& out, const char* name, std::uint64_t value) {
  out += std::string("# TYPE ") + name + " counter\n" + name + " " + std::to_string(value) + "\n";
}

}  // namespace

Task<void> Routes::handle(http::Exchange& exchange) {
  bool streamed = false;
  http::Response response = co_await answer(exchange, streamed);
  if (streamed) co_return;
  auto sent = co_await exchange.send(std::move(response));
  static_cast<void>(sent.ok());  // a peer that is gone needs no answer
}

Result<Routes::Context> Routes::verified_context(const http::Request& request) {
  BULKHEAD_CHECK_OK(verifier_.verify(request));
  auto header = [&request](std::string_view name) {
    return std::string(request.headers.single(name).value_or(""));
  };
  Context context{header("x-bulkhead-tenant"), header("x-bulkhead-session"), header("x-bulkhead-request")};
  bool fits = base::is_tenant_name(context.tenant) && base::is_identifier(context.session) &&
              base::is_identifier(context.request_id);
  if (!fits) {
    return Error(http::HttpError::SignatureInvalid, "The signed context lacks tenant, session or request.");
  }
  return context;
}

Task<http::Response> Routes::answer(http::Exchange& exchange, bool& streamed) {
  const http::Request& request = exchange.request();
  bool get = request.method == http::Method::Get;
  if (get && request.path == "/healthz") co_return http::Response::json(200, "{\"status\":\"ok\"}");
  if (get && request.path == "/metrics") co_return metrics();
  auto context = verified_context(request);
  if (!context) co_return error_answer(context.error());
  if (stopping_) {
    co_return error_answer(Error(InferenceError::ShuttingDown, "The engine is shutting down."));
  }
  if (get && request.path == "/v1/models") co_return models();
  Result<http::Response> result = no_route();
  if (request.method == http::Method::Post && request.path == "/v1/chat/completions") {
    result = co_await chat(exchange, std::move(*context), streamed);
  } else if (request.method == http::Method::Post && request.path == "/v1/embeddings") {
    result = co_await embeddings(exchange);
  } else if (request.method == http::Method::Post && request.path == "/v1/tokenize") {
    result = tokenize(request);
  }
  if (!result) co_return error_answer(result.error());
  co_return std::move(*result);
}

Task<Result<http::Response>> Routes::chat(http::Exchange& exchange, Context context, bool& streamed) {
  if (!engine_.scheduler) co_return model_unknown();
  BULKHEAD_CO_TRY(body, parse_chat(exchange.request().body));
  if (body.model != engine_.chat->id()) co_return model_unknown();
  BULKHEAD_CO_TRY(prompt, engine_.chat->tokenize_chat(body.messages));
  auto generation = std::make_shared<Generation>();
  generation->request = std::move(body.request);
  generation->request.prompt = std::move(prompt);
  generation->request.tenant = std::move(context.tenant);
  generation->request.session = std::move(context.session);
  generation->request.request_id = std::move(context.request_id);
  generation->channel = std::make_shared<GenerationChannel>();
  generation->cancel = exchange.cancel_token();
  AnswerHead head{"chatcmpl-" + crypto::random_id(), body.model, clock_.unix_seconds()};
  BULKHEAD_CO_CHECK_OK(engine_.scheduler->submit(generation));

  // The first item decides between an error answer and a stream.
  std::string text;
  GenerationChannel::Item item = co_await generation->channel->next();
  if (item.error) co_return std::move(*item.error);
  if (body.stream) {
    streamed = true;
    http::Headers headers;
    headers.set("content-type", "text/event-stream");
    auto open = co_await exchange.start(200, std::move(headers));
    while (true) {
      if (!item.text.empty() && open) {
        open = co_await exchange.write(http::sse_event(chunk_body(head, item.text, "")));
      }
      if (item.result || item.error) break;
      item = co_await generation->channel->next();
    }
    if (!open || item.error) {
      exchange.abort();
      co_return http::Response();
    }
    std::string end = http::sse_event(chunk_body(head, "", item.result->finish_reason)) +
                      http::sse_event(last_chunk_body(head, *item.result)) + http::sse_event("[DONE]");
    open = co_await exchange.write(std::move(end));
    if (open) open = co_await exchange.finish();
    co_return http::Response();
  }
  while (true) {
    text += item.text;
    if (item.error) co_return std::move(*item.error);
    if (item.result) break;
    item = co_await generation->channel->next();
  }
  co_return http::Response::json(200, completion_body(head, text, *item.result));
}

Task<Result<http::Response>> Routes::embeddings(http::Exchange& exchange) {
  if (!engine_.embedder) co_return model_unknown();
  BULKHEAD_CO_TRY(body, parse_input(exchange.request().body, kEmbeddingInputsMax));
  if (body.model != engine_.embedding->id()) co_return model_unknown();
  std::vector<Tokens> texts;
  for (const std::string& text : body.input) texts.push_back(engine_.embedding->tokenize_for_embedding(text));
  auto embedded = co_await engine_.embedder->embed(std::move(texts));
  if (!embedded) co_return embedded.take_error();
  json::Writer w;
  w.begin_object().member("object", "list").key("data").begin_array();
  for (std::size_t i = 0; i < embedded->vectors.size(); ++i) {
    w.begin_object().member("object", "embedding").member("index", static_cast<std::uint64_t>(i));
    w.key("embedding").begin_array();
    for (float x : embedded->vectors[i]) w.value(static_cast<double>(x));
    w.end_array().end_object();
  }
  w.end_array().member("model", body.model).key("usage").begin_object();
  w.member("prompt_tokens", embedded->tokens).member("total_tokens", embedded->tokens).end_object();
  w.key("bulkhead").begin_object().key("burn").begin_object().member("verified", embedded->cleared);
  w.end_object().end_object().end_object();
  co_return http::Response::json(200, w.take());
}

Result<http::Response> Routes::tokenize(const http::Request& request) const {
  BULKHEAD_TRY(body, parse_input(request.body, kTokenizeInputsMax));
  const Model* model = nullptr;
  if (engine_.chat && body.model == engine_.chat->id()) model = engine_.chat;
  if (engine_.embedding && body.model == engine_.embedding->id()) model = engine_.embedding;
  if (!model) return model_unknown();
  json::Writer w;
  w.begin_object().key("counts").begin_array();
  for (const std::string& text : body.input) {
    Tokens tokens = model == engine_.embedding ? model->tokenize_for_embedding(text) : model->tokenize_content(text);
    w.value(static_cast<std::uint64_t>(tokens.size()));
  }
  w.end_array().end_object();
  return http::Response::json(200, w.take());
}

http::Response Routes::models() const {
  json::Writer w;
  w.begin_object().member("object", "list").key("data").begin_array();
  if (engine_.chat) {
    const SchedulerOptions& options = engine_.scheduler->options();
    w.begin_object().member("id", engine_.chat->id()).member("object", "model").member("kind", "chat");
    w.member("context", static_cast<std::uint64_t>(options.context))
        .member("slots", static_cast<std::uint64_t>(options.slots))
        .member("sha256", engine_.chat->sha256())
        .end_object();
  }
  if (engine_.embedding) {
    w.begin_object().member("id", engine_.embedding->id()).member("object", "model").member("kind", "embedding");
    w.member("context", engine_.embedder->context())
        .member("dimensions", engine_.embedder->dimensions())
        .member("sha256", engine_.embedding->sha256())
        .end_object();
  }
  w.end_array().end_object();
  return http::Response::json(200, w.take());
}

http::Response Routes::metrics() const {
  std::string out;
  if (engine_.scheduler) {
    const Scheduler::Stats& stats = engine_.scheduler->stats();
    count_line(out, "bulkhead_engine_prompt_tokens_total", stats.prompt_tokens);
    count_line(out, "bulkhead_engine_generated_tokens_total", stats.generated_tokens);
    count_line(out, "bulkhead_engine_steps_total", stats.steps);
    count_line(out, "bulkhead_engine_burns_total", stats.burns);
    count_line(out, "bulkhead_engine_burn_microseconds_total", stats.burn_micros);
  }
  return http::Response::text(200, out);
}

}  // namespace bulkhead::inference
