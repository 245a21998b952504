#include "engine/external_engine.h"

#include <algorithm>
#include <future>

#include "engine/external_engine_impl.h"
#include "engine/http_chat_stream.h"
#include "engine/openai_body.h"
#include "engine/openai_wire.h"

namespace bulkhead::engine {

using base::Error;
using base::Result;
using base::Task;
using Core = ExternalEngine::Core;

namespace {

constexpr std::size_t kAnswerBytesMax = 8u << 20;
constexpr std::size_t kErrorBytesMax = 64u << 10;
constexpr std::size_t kBytesPerTokenEstimate = 3;

struct Opened {
  Turn turn;
  std::unique_ptr<http::StreamedResponse> response;
};

struct Refusal {
  Error error;
  bool down = false;      // says that the replica is down
  bool try_next = false;  // the replica did not take the request
  bool taken = false;     // it was sent, and the replica did not say that it refuses it
};

Refusal judge(const Error& error) {
  const bool no_connection = error.is(http::HttpError::ConnectFailed) || error.is(http::HttpError::TlsFailed);
  const bool hung_up = error.is(http::HttpError::ConnectionClosed);
  return {transport_error(error), no_connection || hung_up, no_connection, !no_connection};
}

Refusal judge(int status, std::string_view body) {
  const bool down = status >= 502 && status <= 504;
  // What the engine says of its model or its route is no client's mistake: the operator named both.
  return {wire::read_error(status == 502 || status == 504 ? 503 : status, body), down, down || status == 429,
          false};
}

Task<Result<std::string>> read_body(http::StreamedResponse& response, std::size_t bytes_max) {
  std::string body;
  while (true) {
    auto piece = co_await response.read();
    if (!piece) co_return transport_error(piece.error());
    if (!*piece) co_return body;
    body += **piece;
    if (body.size() > bytes_max) co_return wire::bad_answer("answer is too long");
  }
}

Task<Result<Opened>> open_at(std::shared_ptr<Core> core, std::shared_ptr<Replica> replica,
                             CallContext context, const ChatRequest& request, Refusal& refusal) {
  Turn turn(core, replica);
  if (auto prepared = co_await turn.prepare(context); !prepared) {
    replica->breaker.gave_up();
    refusal = judge(prepared.error());
    refusal.taken = false;
    // A place in line, or a slot that could not be erased: both are errors of ours already.
    if (prepared.error().is(EngineError::QueueFull) || prepared.error().is(EngineError::Cancelled)) {
      refusal.error = prepared.take_error();
    }
    if (refusal.down) core->note_failure(*replica);
    co_return refusal.error;
  }
  auto response = co_await replica->stream(std::string(wire::generation_path(request)),
                                           external_body(core->kind, request, turn.stance(context, request)),
                                           context.cancel);
  if (!response) {
    refusal = judge(response.error());
    if (refusal.down) {
      core->note_failure(*replica);
    } else {
      replica->breaker.gave_up();
    }
    co_return refusal.error;
  }
  if ((*response)->status() == 200) {
    core->note_success(*replica);
    co_return Opened{std::move(turn), std::move(*response)};
  }
  auto body = co_await read_body(**response, kErrorBytesMax);
  refusal = judge((*response)->status(), body ? *body : "");
  if (refusal.down) {
    core->note_failure(*replica);
  } else {
    replica->breaker.gave_up();
  }
  co_return refusal.error;
}

// The replicas that may be asked, in order: the session's own first, those without a free slot last.
std::vector<std::shared_ptr<Replica>> candidates(const Core& core, const CallContext& context) {
  std::vector<std::shared_ptr<Replica>> list, full;
  for (std::size_t index : replica_order(core.salts.placement(context), core.names)) {
    const std::shared_ptr<Replica>& replica = core.replicas[index];
    if (!core.usable(*replica)) continue;
    const bool waits = core.dialect.slots && replica->places.inside() >= replica->slots.size();
    (waits ? full : list).push_back(replica);
  }
  list.insert(list.end(), full.begin(), full.end());
  return list;
}

// `taken`: false when the request is known to have cost no replica anything.
Task<Result<Opened>> open_anywhere(std::shared_ptr<Core> core, CallContext context,
                                   const ChatRequest& request, bool& taken) {
  BULKHEAD_CO_CHECK_OK(check_policy(core->kind, context.scope.record().policy.engine));
  BULKHEAD_CO_CHECK_OK(check_request(core->kind, request));
  Refusal refusal{Error(EngineError::Unavailable, "The model is not available just now. Try again shortly.",
                        "no replica is usable")};
  std::size_t tried = 0;
  for (std::shared_ptr<Replica>& replica : candidates(*core, context)) {
    if (tried > core->options.retries) break;
    if (!replica->breaker.allow()) continue;
    if (tried++ > 0) ++core->failovers;
    auto opened = co_await open_at(core, replica, context, request, refusal);
    taken = opened || refusal.taken;
    if (opened || !refusal.try_next || context.cancel.cancelled()) co_return opened;
  }
  co_return std::move(refusal.error);
}

// Where tenants may share what the engine keeps, the count of reused tokens would tell of each other's
// prompts.
void hide_reuse(EngineKind kind, Usage& usage) {
  if (!guarantees_of(kind).prefix_isolation) usage.cached_tokens.reset();
}

class ExternalStream final : public ChatStream {
 public:
  ExternalStream(EngineKind kind, Opened opened, const ChatRequest& request)
      : kind_(kind),
        turn_(std::move(opened.turn)),
        inner_(std::make_unique<HttpChatStream>(std::move(opened.response),
                                                static_cast<std::size_t>(request.choices),
                                                request.prompt.has_value())) {}
  // The connection goes first: the server ends the generation, and only then can its slot be erased.
  ~ExternalStream() override { inner_.reset(); }

  Task<Result<std::optional<Piece>>> next() override {
    auto piece = co_await inner_->next();
    if (!piece || *piece || finished_) co_return piece;
    finished_ = true;
    result_ = inner_->result();
    hide_reuse(kind_, result_.usage);
    result_.burn = co_await turn_.finish(result_.usage.prompt_tokens);
    co_return piece;
  }
  bool buffered() const override { return inner_->buffered(); }
  const Completion& result() const override { return finished_ ? result_ : inner_->result(); }

 private:
  EngineKind kind_;
  Turn turn_;
  std::unique_ptr<HttpChatStream> inner_;
  bool finished_ = false;
  Completion result_;
};

// An answer that is asked for whole: such an engine says nothing of it before it is complete, so one that is
// lost on the way counts as the most that it may have made.
class ExternalWhole final : public ChatStream {
 public:
  ExternalWhole(std::shared_ptr<Core> core, CallContext context, ChatRequest request)
      : core_(std::move(core)), context_(std::move(context)), request_(std::move(request)) {}

  Task<Result<std::optional<Piece>>> next() override {
    if (!asked_) BULKHEAD_CO_CHECK_OK(co_await ask());
    if (given_ == result_.choices.size()) co_return std::optional<Piece>();
    Choice& choice = result_.choices[given_];
    co_return std::optional<Piece>(
        Piece{given_++, std::move(choice.text), std::move(choice.logprobs), std::move(choice.tool_calls)});
  }
  bool buffered() const override { return asked_ && given_ < result_.choices.size(); }
  const Completion& result() const override { return result_; }

 private:
  Task<Result<void>> ask() {
    asked_ = true;
    bool taken = false;
    auto opened = co_await open_anywhere(core_, context_, request_, taken);
    const std::int64_t context = core_->options.context;
    if (taken) {
      result_.usage.completion_tokens =
          request_.choices * std::min(request_.max_tokens.value_or(context), context);
    }
    if (!opened) co_return opened.take_error();
    auto body = co_await read_body(*opened->response, kAnswerBytesMax);
    if (!body) co_return body.take_error();
    auto completion = wire::parse_completion(*body, static_cast<std::size_t>(request_.choices),
                                             request_.prompt.has_value());
    if (!completion) co_return completion.take_error();
    result_ = std::move(*completion);
    hide_reuse(core_->kind, result_.usage);
    result_.burn = co_await opened->turn.finish(result_.usage.prompt_tokens);
    co_return Result<void>();
  }

  std::shared_ptr<Core> core_;
  CallContext context_;
  ChatRequest request_;
  bool asked_ = false;
  std::size_t given_ = 0;
  Completion result_;
};

Task<bool> reset_everywhere(std::shared_ptr<Core> core) {
  bool all = true;
  for (const std::shared_ptr<Replica>& replica : core->replicas) {
    auto answer = co_await replica->call(http::Method::Post, std::string(core->dialect.reset),
                                         reset_body(core->kind, core->options.model), core->stopping);
    all = all && answer && answer->status == 200;
  }
  co_return all;
}

Task<Result<void>> erase_kept(std::shared_ptr<Core> core, const BurnTarget& target) {
  Result<void> outcome;
  for (const std::shared_ptr<Replica>& replica : core->replicas) {
    auto place = co_await place_for_erasing(*core, *replica);
    if (!place) co_return place.take_error();
    while (auto slot = replica->slots.lease_kept(target.tenant.str(), target.session)) {
      auto erased = co_await erase_slot(*replica, *slot, 0, core->stopping);
      if (erased) {
        replica->slots.back_clean(*slot);
      } else {
        replica->slots.back_dirty(*slot);
        outcome = erased.take_error();
      }
    }
  }
  co_return outcome;
}

}  // namespace

Result<std::unique_ptr<ExternalEngine>> ExternalEngine::start(ExternalOptions options,
                                                              http::ReactorPool& reactors,
                                                              const base::Clock& clock) {
  auto key = std::make_shared<const base::Secret>(std::move(options.api_key));
  auto core = std::make_shared<Core>(std::move(options), reactors, clock);
  for (const std::string& text : core->options.urls) {
    BULKHEAD_TRY(url, http::Url::parse(text));
    core->replicas.push_back(std::make_shared<Replica>(std::move(url), core->options.replica, key, clock));
    core->names.push_back(core->replicas.back()->name());
  }
  std::unique_ptr<ExternalEngine> engine(new ExternalEngine(core));
  std::promise<Result<void>> looked;
  base::spawn(reactors.at(0), [](std::shared_ptr<Core> held, std::promise<Result<void>>* done) -> Task<void> {
    done->set_value(co_await look_first(std::move(held)));
  }(core, &looked));
  BULKHEAD_CHECK_OK(looked.get_future().get());
  for (std::size_t i = 0; i < core->replicas.size(); ++i) base::spawn(reactors.at(0), watch_replica(core, i));
  return engine;
}

ExternalEngine::~ExternalEngine() {
  core_->stopping.cancel(base::CancelReason::Shutdown);
  core_->gate.close();
}

Task<Result<std::unique_ptr<ChatStream>>> ExternalEngine::chat(CallContext context, ChatRequest request) {
  if (!request.stream) {
    co_return std::unique_ptr<ChatStream>(
        std::make_unique<ExternalWhole>(core_, std::move(context), std::move(request)));
  }
  std::shared_ptr<Core> core = core_;
  bool taken = false;
  auto opened = co_await open_anywhere(core, std::move(context), request, taken);
  if (!opened) co_return opened.take_error();
  co_return std::unique_ptr<ChatStream>(
      std::make_unique<ExternalStream>(core->kind, std::move(*opened), request));
}

Task<Result<Embeddings>> ExternalEngine::embed(CallContext, std::string, std::vector<std::string>,
                                               base::EmbeddingSpace) {
  co_return Error(EngineError::ModelUnknown,
                  "There is no such model. GET /v1/models lists those you can use.")
      .with_parameter("model");
}

EmbeddingSpaces ExternalEngine::embedding_spaces(const std::string&) const { return {}; }

Task<Result<Ranking>> ExternalEngine::rerank(CallContext, std::string, std::string,
                                             std::vector<std::string>) {
  co_return Error(EngineError::ModelUnknown,
                  "There is no such model. GET /v1/models lists those you can use.")
      .with_parameter("model");
}

Task<Result<std::vector<std::int64_t>>> ExternalEngine::count_tokens(CallContext, std::string,
                                                                     std::vector<std::string> texts) {
  std::vector<std::int64_t> counts;
  for (const std::string& text : texts) {
    counts.push_back(static_cast<std::int64_t>(text.size() / kBytesPerTokenEstimate + 1));
  }
  co_return counts;
}

Task<Result<base::BurnReport>> ExternalEngine::burn_kept(BurnTarget target) {
  std::shared_ptr<Core> core = core_;
  if (core->dialect.slots) {
    auto erased = co_await erase_kept(core, target);
    if (!erased) co_return transport_error(erased.error());
    co_return burn_report(core->kind, base::RowsFate::Forgotten, {});
  }
  core->salts.forget(target.tenant, target.session);
  const bool ask = core->options.reset_cache && !core->dialect.reset.empty();
  if (ask && !co_await reset_everywhere(core)) {
    co_return Error(EngineError::Failed, "The model engine did not drop what it keeps. Try again.",
                    "cache reset");
  }
  // The salts are forgotten, so the session's next request matches nothing.
  base::BurnReport report = burn_report(core->kind, fate_of(core->kind), {});
  report.cache_reset = ask;
  co_return report;
}

std::vector<ModelInfo> ExternalEngine::models() const {
  return {{core_->options.model, "chat", core_->options.context, 0, ""}};
}

bool ExternalEngine::ready() const {
  return std::any_of(core_->replicas.begin(), core_->replicas.end(),
                     [&](const auto& replica) { return core_->usable(*replica); });
}

std::vector<ReplicaStatus> ExternalEngine::replicas() const {
  std::vector<ReplicaStatus> list;
  for (const std::shared_ptr<Replica>& replica : core_->replicas) {
    list.push_back({replica->name(), core_->usable(*replica), replica->breaker.state(), replica->failures});
  }
  return list;
}

std::uint64_t ExternalEngine::failovers() const { return core_->failovers; }

}  // namespace bulkhead::engine
