#include "inference/routes.h"

#include <utility>

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
constexpr std::size_t kRerankDocumentsMax = 256;
constexpr std::size_t kTokenizeInputsMax = 1536;

// How seldom a whole answer's usage is told while it is made.
constexpr std::int64_t kProgressTokens = 64;

Error model_unknown() { return Error(InferenceError::ModelUnknown, "There is no such model."); }
Error no_route() { return Error(InferenceError::ModelUnknown, "There is no such path."); }

// Whether a text of so many bytes can have so few tokens at all. Asked before it is tokenised.
bool may_fit(const Model& model, std::size_t bytes, std::size_t tokens) {
  return bytes / model.token_bytes_max() <= tokens;
}
Error too_many_bytes(const std::string& what, std::size_t bytes, std::size_t room) {
  return Error(InferenceError::ContextExceeded, what + " has " + std::to_string(bytes) +
                                                    " bytes, which can't be as few as " +
                                                    std::to_string(room) + " tokens.");
}

// Figures instead of a cut prompt (AISVS 2.1.4).
http::Response too_long(std::size_t tokens, std::size_t context) {
  json::Writer w;
  w.begin_object().key("error").begin_object();
  w.member("message", "The prompt does not fit into the context.").member("type", "invalid_request_error");
  w.key("param").null().member("code", "context_length_exceeded");
  w.member("prompt_tokens", static_cast<std::uint64_t>(tokens))
      .member("context", static_cast<std::uint64_t>(context))
      .end_object()
      .end_object();
  return http::Response::json(400, w.take());
}

Encoder::Caller caller_of(http::Exchange& exchange, const RequestContext& context) {
  return {context.tenant, context.weight, context.priority, exchange.cancel_token()};
}

void count_line(std::string& out, const char* name, std::uint64_t value) {
  out += std::string("# TYPE ") + name + " counter\n" + name + " " + std::to_string(value) + "\n";
}

void gauge_line(std::string& out, const char* name, std::uint64_t value) {
  out += std::string("# TYPE ") + name + " gauge\n" + name + " " + std::to_string(value) + "\n";
}

Task<Result<void>> start_stream(http::Exchange& exchange) {
  http::Headers headers;
  headers.set("content-type", "text/event-stream");
  return exchange.start(200, std::move(headers));
}

}  // namespace

Task<void> Routes::handle(http::Exchange& exchange) {
  bool streamed = false;
  http::Response response = co_await answer(exchange, streamed);
  if (streamed) co_return;
  auto sent = co_await exchange.send(std::move(response));
  static_cast<void>(sent.ok());  // a peer that is gone needs no answer
}

Result<RequestContext> Routes::verified_context(const http::Request& request) {
  BULKHEAD_CHECK_OK(verifier_.verify(request));
  return parse_context(request);
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
  bool post = request.method == http::Method::Post;
  if (post && request.path == "/v1/chat/completions") {
    result = co_await generate(exchange, std::move(*context), true, streamed);
  } else if (post && request.path == "/v1/completions") {
    result = co_await generate(exchange, std::move(*context), false, streamed);
  } else if (post && request.path == "/v1/embeddings") {
    result = co_await embeddings(exchange, std::move(*context));
  } else if (post && request.path == "/v1/rerank") {
    result = co_await rerank(exchange, std::move(*context));
  } else if (post && request.path == "/v1/tokenize") {
    const std::size_t bytes = request.body.size();
    result = co_await engine_.preparation->run(
        *context, bytes, exchange.cancel_token(),
        [this, text = std::move(exchange.request().body)] { return tokenize(text); });
  } else if (post && request.path == "/v1/bulkhead/burn") {
    result = co_await burn(request, std::move(*context));
  }
  if (!result) co_return error_answer(result.error());
  co_return std::move(*result);
}

// How the answer is read; null: as it is.
Result<std::shared_ptr<const AnswerFormat>> Routes::prepare(GenerateBody& body, Generation& generation,
                                                            bool chat) const {
  const Model& model = *engine_.chat;
  GenerationRequest& request = generation.request;
  for (auto [token, bias] : request.sampling.logit_bias) {
    if (token >= llama_vocab_n_tokens(model.vocab())) {
      return Error(InferenceError::BadRequest, "logit_bias names a token that the model doesn't have.");
    }
  }
  std::shared_ptr<const AnswerFormat> as_it_is;
  if (!chat) {
    request.prompt = model.tokenize_completion(body.prompt);
    return as_it_is;
  }
  bool with_tools = body.tools && body.tools->choice != "none";
  if (!with_tools) {
    BULKHEAD_TRY(prompt, model.tokenize_chat(body.messages));
    request.prompt = std::move(prompt);
    return as_it_is;
  }
  BULKHEAD_TRY(tools, model.prepare_tools(body.messages, *body.tools));
  request.prompt = std::move(tools.prompt);
  request.constraint = std::move(tools.constraint);
  request.shown_tokens = std::move(tools.shown);
  request.stop.insert(request.stop.end(), tools.stops.begin(), tools.stops.end());
  return std::move(tools.format);
}

Result<Routes::Submitted> Routes::submit(const std::string& text, RequestContext context, bool chat,
                                         base::CancelToken cancel) const {
  BULKHEAD_TRY(body, chat ? parse_chat(text) : parse_completion(text));
  if (body.model != engine_.chat->id()) return model_unknown();
  std::size_t bytes = body.prompt.size();
  for (const ChatMessage& message : body.messages) bytes += message.content.size();
  const std::size_t room = engine_.scheduler->options().context;
  if (!may_fit(*engine_.chat, bytes, room)) return too_many_bytes("The prompt", bytes, room);
  auto generation = std::make_shared<Generation>();
  generation->request = std::move(body.request);
  generation->request.context = std::move(context);
  generation->cancel = std::move(cancel);
  BULKHEAD_TRY(format, prepare(body, *generation, chat));
  Submitted out{body.model,
                body.stream,
                body.progress,
                generation->request.n,
                generation->request.sampling.top_logprobs.has_value(),
                generation->channel,
                std::move(format)};
  out.prompt_tokens = generation->request.prompt.size();
  if (out.prompt_tokens + 1 > room) {
    out.channel = nullptr;
    return out;
  }
  BULKHEAD_CHECK_OK(engine_.scheduler->submit(std::move(generation)));
  return out;
}

Task<Result<http::Response>> Routes::generate(http::Exchange& exchange, RequestContext context, bool chat,
                                              bool& streamed) {
  if (!engine_.scheduler) co_return model_unknown();
  const std::size_t bytes = exchange.request().body.size();
  const base::CancelToken cancel = exchange.cancel_token();
  // A client that goes away is noticed at once, also while it waits for its turn.
  auto leaving = cancel.on_cancel([scheduler = engine_.scheduler] { scheduler->wake(); });
  RequestContext who = context;
  BULKHEAD_CO_TRY(submitted,
                  co_await engine_.preparation->run(
                      std::move(who), bytes, cancel,
                      [this, text = std::move(exchange.request().body), context = std::move(context), chat,
                       cancel]() mutable { return submit(text, std::move(context), chat, cancel); }));
  if (!submitted.channel) {
    co_return too_long(submitted.prompt_tokens, engine_.scheduler->options().context);
  }
  AnswerHead head{(chat ? "chatcmpl-" : "cmpl-") + crypto::random_id(), submitted.model,
                  clock_.unix_seconds(), chat};
  Answer answer(submitted.choices, submitted.logprobs, std::move(submitted.format));
  std::shared_ptr<GenerationChannel> channel = std::move(submitted.channel);

  // The first item decides between an error answer and a stream.
  GenerationChannel::Item item = co_await channel->next();
  if (item.error) co_return std::move(*item.error);
  const auto prompt_tokens = static_cast<std::int64_t>(submitted.prompt_tokens);
  if (submitted.stream) {
    streamed = true;
    co_await stream(exchange, head, prompt_tokens, *channel, answer, std::move(item));
    co_return http::Response();
  }
  if (submitted.progress) {
    auto done = co_await stream_progress(exchange, head, prompt_tokens, *channel, answer, std::move(item));
    streamed = exchange.started();
    if (done) co_return http::Response();
    if (streamed) exchange.abort();
    co_return done.take_error();
  }
  while (true) {
    if (item.error) co_return std::move(*item.error);
    answer.take(item);
    if (item.result) break;
    item = co_await channel->next();
  }
  co_return http::Response::json(200, answer_body(head, answer.choices(), *item.result));
}

Task<void> Routes::stream(http::Exchange& exchange, const AnswerHead& head, std::int64_t prompt_tokens,
                          GenerationChannel& channel, Answer& answer, GenerationChannel::Item item) {
  // The reader counts a token for each event with content; where that would be wrong, and at first, the event
  // says the counts.
  std::int64_t counted = -1;
  auto open = co_await start_stream(exchange);
  while (!item.error) {
    AnswerChoice piece = answer.take(item);
    bool says_something =
        !piece.text.empty() || !piece.calls.empty() || piece.has_logprobs || !piece.finish_reason.empty();
    if (open && says_something) {
      const bool content = !piece.text.empty() || piece.has_logprobs;
      if (counted >= 0 && content && piece.finish_reason.empty()) ++counted;
      std::optional<Progress> progress;
      if (counted != answer.tokens()) progress = {prompt_tokens, answer.tokens()};
      counted = answer.tokens();
      std::string event = http::sse_event(chunk_body(head, item.choice, piece, progress));
      if (item.result)
        event += http::sse_event(last_chunk_body(head, *item.result)) + http::sse_event("[DONE]");
      open = co_await exchange.write(std::move(event));
    }
    if (item.result) break;
    item = co_await channel.next();
  }
  if (!open || item.error) {
    exchange.abort();
    co_return;
  }
  open = co_await exchange.finish();
}

Task<Result<void>> Routes::stream_progress(http::Exchange& exchange, const AnswerHead& head,
                                           std::int64_t prompt_tokens, GenerationChannel& channel,
                                           Answer& answer, GenerationChannel::Item item) {
  std::int64_t told = 0;
  std::string event;
  while (!item.error) {
    answer.take(item);
    if (item.result) {
      event =
          http::sse_event(whole_chunk_body(head, answer.choices(), *item.result)) + http::sse_event("[DONE]");
    } else if (answer.tokens() - told >= kProgressTokens) {
      told = answer.tokens();
      event = http::sse_event(progress_body(head, {prompt_tokens, told}));
    }
    if (!event.empty()) {
      if (!exchange.started()) BULKHEAD_CO_CHECK_OK(co_await start_stream(exchange));
      BULKHEAD_CO_CHECK_OK(co_await exchange.write(std::exchange(event, std::string())));
    }
    if (item.result) co_return co_await exchange.finish();
    item = co_await channel.next();
  }
  co_return std::move(*item.error);
}

Task<Result<http::Response>> Routes::burn(const http::Request& request, RequestContext context) {
  if (!engine_.scheduler) co_return model_unknown();
  BULKHEAD_CO_TRY(scope, parse_burn(request.body));
  std::optional<std::string> session;
  if (scope == BurnScope::Session) session = context.session;
  base::BurnReport burned = co_await engine_.scheduler->burn_kept(context.tenant, std::move(session));
  co_return http::Response::json(200, burn_body(burned));
}

Task<Result<http::Response>> Routes::embeddings(http::Exchange& exchange, RequestContext context) {
  if (!engine_.embedder) co_return model_unknown();
  const std::size_t bytes = exchange.request().body.size();
  BULKHEAD_CO_TRY(body, co_await engine_.preparation->run(context, bytes, exchange.cancel_token(),
                                                          [this, text = std::move(exchange.request().body)] {
                                                            return read_embeddings(text);
                                                          }));
  auto embedded =
      co_await engine_.embedder->encode(caller_of(exchange, context), std::move(body.texts), "input");
  if (!embedded) co_return embedded.take_error();
  json::Writer w;
  w.begin_object().member("object", "list").key("data").begin_array();
  for (std::size_t i = 0; i < embedded->rows.size(); ++i) {
    w.begin_object().member("object", "embedding").member("index", static_cast<std::uint64_t>(i));
    w.key("embedding").begin_array();
    for (float x : embedded->rows[i]) w.value(static_cast<double>(x));
    w.end_array().end_object();
  }
  w.end_array().member("model", body.model).key("usage").begin_object();
  w.member("prompt_tokens", embedded->tokens).member("total_tokens", embedded->tokens).end_object();
  w.key("bulkhead").begin_object().key("burn");
  base::write(w, embedded->burn);
  w.end_object().end_object();
  co_return http::Response::json(200, w.take());
}

Task<Result<http::Response>> Routes::rerank(http::Exchange& exchange, RequestContext context) {
  if (!engine_.reranker) co_return model_unknown();
  const std::size_t bytes = exchange.request().body.size();
  BULKHEAD_CO_TRY(body, co_await engine_.preparation->run(
                            context, bytes, exchange.cancel_token(),
                            [this, text = std::move(exchange.request().body)] { return read_rerank(text); }));
  auto ranked =
      co_await engine_.reranker->encode(caller_of(exchange, context), std::move(body.texts), "documents");
  if (!ranked) co_return ranked.take_error();
  json::Writer w;
  w.begin_object().member("object", "list").member("model", body.model).key("results").begin_array();
  for (std::size_t i = 0; i < ranked->rows.size(); ++i) {
    w.begin_object().member("index", static_cast<std::uint64_t>(i));
    w.member("relevance_score", static_cast<double>(ranked->rows[i][0])).end_object();
  }
  w.end_array().key("usage").begin_object();
  w.member("prompt_tokens", ranked->tokens).member("total_tokens", ranked->tokens).end_object();
  w.key("bulkhead").begin_object().key("burn");
  base::write(w, ranked->burn);
  w.end_object().end_object();
  co_return http::Response::json(200, w.take());
}

Result<Routes::EncoderInput> Routes::read_embeddings(const std::string& text) const {
  BULKHEAD_TRY(body, parse_input(text, kEmbeddingInputsMax));
  if (body.model != engine_.embedding->id()) return model_unknown();
  EncoderInput out{std::move(body.model), {}};
  const auto room = static_cast<std::size_t>(engine_.embedder->context());
  for (std::size_t i = 0; i < body.input.size(); ++i) {
    const std::string& one = body.input[i];
    if (!may_fit(*engine_.embedding, one.size(), room)) {
      std::string name = "input[" + std::to_string(i) + "]";
      return too_many_bytes(name, one.size(), room).with_parameter(name);
    }
    out.texts.push_back(engine_.embedding->tokenize_for_embedding(one));
  }
  return out;
}

Result<Routes::EncoderInput> Routes::read_rerank(const std::string& text) const {
  BULKHEAD_TRY(body, parse_rerank(text, kRerankDocumentsMax));
  const Model& model = *engine_.rerank;
  if (body.model != model.id()) return model_unknown();
  EncoderInput out{std::move(body.model), {}};
  const auto room = static_cast<std::size_t>(engine_.reranker->context());
  if (!may_fit(model, body.query.size(), room)) {
    return too_many_bytes("query", body.query.size(), room).with_parameter("query");
  }
  const Tokens query = model.tokenize_content(body.query);
  // Before it is laid beside each document: a long query would be copied for every one of them.
  if (query.size() > room) {
    return Error(InferenceError::ContextExceeded, "The query has " + std::to_string(query.size()) +
                                                      " tokens; the model takes " + std::to_string(room) +
                                                      " of query and document together.")
        .with_parameter("query");
  }
  for (std::size_t i = 0; i < body.documents.size(); ++i) {
    const std::string& document = body.documents[i];
    if (!may_fit(model, document.size(), room)) {
      std::string name = "documents[" + std::to_string(i) + "]";
      return too_many_bytes(name, document.size(), room).with_parameter(name);
    }
    out.texts.push_back(model.tokenize_pair(query, document));
  }
  return out;
}

Result<http::Response> Routes::tokenize(const std::string& text) const {
  BULKHEAD_TRY(body, parse_input(text, kTokenizeInputsMax));
  const Model* model = nullptr;
  if (engine_.chat && body.model == engine_.chat->id()) model = engine_.chat;
  if (engine_.embedding && body.model == engine_.embedding->id()) model = engine_.embedding;
  if (!model) return model_unknown();
  json::Writer w;
  w.begin_object().key("counts").begin_array();
  for (const std::string& one : body.input) {
    Tokens tokens =
        model == engine_.embedding ? model->tokenize_for_embedding(one) : model->tokenize_content(one);
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
        .member("token_bytes_max", static_cast<std::uint64_t>(engine_.chat->token_bytes_max()))
        .member("sha256", engine_.chat->sha256())
        .end_object();
  }
  if (engine_.embedding) {
    w.begin_object()
        .member("id", engine_.embedding->id())
        .member("object", "model")
        .member("kind", "embedding");
    w.member("context", engine_.embedder->context())
        .member("dimensions", engine_.embedder->dimensions())
        .member("token_bytes_max", static_cast<std::uint64_t>(engine_.embedding->token_bytes_max()))
        .member("sha256", engine_.embedding->sha256())
        .end_object();
  }
  if (engine_.rerank) {
    w.begin_object().member("id", engine_.rerank->id()).member("object", "model").member("kind", "rerank");
    w.member("context", engine_.reranker->context())
        .member("token_bytes_max", static_cast<std::uint64_t>(engine_.rerank->token_bytes_max()))
        .member("sha256", engine_.rerank->sha256())
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
    count_line(out, "bulkhead_engine_cached_tokens_total", stats.cached_tokens);
    count_line(out, "bulkhead_engine_generated_tokens_total", stats.generated_tokens);
    count_line(out, "bulkhead_engine_guessed_tokens_total", stats.guessed_tokens);
    count_line(out, "bulkhead_engine_guessed_right_total", stats.guessed_right);
    count_line(out, "bulkhead_engine_steps_total", stats.steps);
    count_line(out, "bulkhead_engine_busy_microseconds_total", stats.busy_micros);
    count_line(out, "bulkhead_engine_burns_total", stats.burns);
    count_line(out, "bulkhead_engine_burn_microseconds_total", stats.burn_micros);
    count_line(out, "bulkhead_engine_set_aside_total", stats.set_aside);
    count_line(out, "bulkhead_engine_admitted_total", stats.admitted);
    count_line(out, "bulkhead_engine_wait_microseconds_total", stats.wait_micros);
    gauge_line(out, "bulkhead_engine_active", stats.active);
    gauge_line(out, "bulkhead_engine_waiting", stats.waiting);
    gauge_line(out, "bulkhead_engine_waiting_tenants", stats.waiting_tenants);
    gauge_line(out, "bulkhead_engine_kept_prefixes", stats.kept_prefixes);
    gauge_line(out, "bulkhead_engine_kept_bytes", stats.kept_bytes);
    gauge_line(out, "bulkhead_engine_slots_withdrawn", stats.withdrawn);
  }
  return http::Response::text(200, out);
}

}  // namespace bulkhead::inference
